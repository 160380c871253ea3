"""What every store promises of the logs of attempts, as tests: mix `LogsContract` into a class with `place`."""

from __future__ import annotations

import asyncio

from flowstone.runs.log_line import LogLine
from flowstone.store.logs import LogChunk
from tests.store.contract import finished_run
from tests.store.facts import EPOCH, run

START = EPOCH.timestamp()


def chunk(*messages, run_id="run-1", asset="raw", key=None, attempt=1, part=1, level=20, fields=None):
    """Lines of an attempt, a second apart."""
    lines = [(START + second, level, message, fields) for second, message in enumerate(messages)]
    return LogChunk(run_id, asset, key, attempt, part, lines)


async def messages(store, run_id="run-1", **which):
    """What the log of a run says."""
    return [line.message for line in (await store.logs.page(run_id, **which)).lines]


class LogsContract:
    """Lines are kept in order, read from any number on, and gone with their run."""

    async def test_lines_come_back_as_they_were_kept(self, place):
        """Also from another process, with what is special about them."""
        await place.store.create_run(run())
        fields = {"rows": 3, "who": {"name": "Ä\u0000", "list": [1, None, 2.5]}}
        text = 'tab\t "quoted" \\ line\nfeed \x00 \x1b[31m Ä 😀'
        await place.store.logs.append(
            7, [chunk(text, key="d:2025-01-15", attempt=2, level=40, fields=fields)]
        )
        store = await place.reopen()
        (line,) = (await store.logs.page("run-1")).lines
        assert line == LogLine(EPOCH, "error", text, fields, "raw", "d:2025-01-15", 2, line.number)
        assert line.at.tzinfo is not None

    async def test_lines_have_the_order_in_which_they_were_kept(self, place):
        """Whatever attempts they are of, and each number is higher than that before."""
        await place.store.create_run(run())
        logs = place.store.logs
        await logs.append(7, [chunk("1", "2"), chunk("3", asset="clean", part=2), chunk("4", part=3)])
        await logs.append(7, [chunk("5", part=4, attempt=2)])
        page = await logs.page("run-1")
        assert [line.message for line in page.lines] == ["1", "2", "3", "4", "5"]
        numbers = [line.number for line in page.lines]
        assert numbers == sorted(set(numbers))
        assert page.end == numbers[-1] > 0

    async def test_the_newest_lines_are_read_from_the_end(self, place):
        """However many there are, of all or of a step; and what comes next comes after them."""
        await place.store.create_run(run())
        logs = place.store.logs
        assert await logs.tail("run-1", limit=3) == ([], 0)
        await logs.append(
            7, [chunk("1", "2", "3"), chunk("4", "5", asset="clean", key="d:2025-01-15", part=2)]
        )
        await logs.append(7, [chunk("6", part=3), chunk("7", asset="clean", key="d:2025-01-16", part=4)])
        for limit, expected in ((1, "7"), (2, "67"), (5, "34567"), (7, "1234567"), (100, "1234567")):
            page = await logs.tail("run-1", limit=limit)
            assert "".join(line.message for line in page.lines) == expected
            assert page.end == page.lines[-1].number
            assert (await logs.page("run-1", after=page.end)).lines == []
        whole = (await logs.page("run-1")).lines
        assert (await logs.tail("run-1", limit=100)).lines == whole
        clean = await logs.tail("run-1", asset="clean", limit=2)
        assert [line.message for line in clean.lines] == ["5", "7"]
        day = await logs.tail("run-1", asset="clean", partition_key="d:2025-01-15", limit=9)
        assert [line.message for line in day.lines] == ["4", "5"]
        await logs.append(7, [chunk("8", part=5)])
        assert [line.message for line in (await logs.page("run-1", after=page.end)).lines] == ["8"]

    async def test_the_newest_lines_of_a_long_log(self, place):
        """Of many chunks, and of lines that are longer than what is read at a time."""
        await place.store.create_run(run())
        logs = place.store.logs
        for part in range(250):
            await logs.append(7, [chunk(f"{part}", asset="raw" if part % 100 else "clean", part=part + 1)])
        await logs.append(7, [chunk("x" * 200_000, "y" * 100, part=251)])
        lines = (await logs.tail("run-1", limit=230)).lines
        assert [line.message[:5] for line in lines] == [*map(str, range(22, 250)), "xxxxx", "yyyyy"]
        assert len(lines[-2].message) == 200_000
        assert [line.message for line in (await logs.tail("run-1", asset="clean", limit=2)).lines] == [
            "100",
            "200",
        ]

    async def test_lines_are_read_page_by_page_from_any_number_on(self, place):
        """A page may end within what was written together; nothing is read twice, and nothing missed."""
        await place.store.create_run(run())
        logs = place.store.logs
        await logs.append(7, [chunk("1", "2", "3"), chunk("4", "5", part=2)])
        for limit in range(1, 7):
            after, found = 0, []
            while (page := await logs.page("run-1", after=after, limit=limit)).lines:
                assert len(page.lines) <= limit
                found += [line.message for line in page.lines]
                after = page.end
            assert found == ["1", "2", "3", "4", "5"]
        last = await logs.page("run-1", after=after)
        assert last == ([], after)
        await logs.append(7, [chunk("6", part=3)])
        assert await messages(place.store, after=after) == ["6"]
        assert await messages(place.store, limit=0) == []

    async def test_lines_of_one_step_are_read_alone(self, place):
        """Of an asset, or of one partition of it; what is passed over need not be looked through again."""
        await place.store.create_run(run())
        logs = place.store.logs
        for part, (asset, key) in enumerate(
            [("raw", "s:a"), ("raw", "s:b"), ("clean", "s:a"), ("raw", None)], 1
        ):
            await logs.append(7, [chunk(f"{asset} {key}", asset=asset, key=key, part=part)])
        assert await messages(place.store, asset="raw") == ["raw s:a", "raw s:b", "raw None"]
        assert await messages(place.store, asset="raw", partition_key="s:b") == ["raw s:b"]
        assert await messages(place.store, asset="other") == []
        page = await logs.page("run-1", asset="clean", limit=1)
        assert await messages(place.store, asset="raw", after=page.end) == ["raw None"]

    async def test_a_run_that_is_not_known_has_no_log(self, place):
        """What is said of one that is forgotten meanwhile is left out, and the rest kept."""
        await place.store.create_run(run())
        await place.store.logs.append(7, [chunk("lost", run_id="gone"), chunk("kept")])
        await place.store.logs.append(7, [])
        assert await messages(place.store, "gone") == []
        assert await messages(place.store) == ["kept"]

    async def test_the_log_of_a_run_goes_with_it(self, place):
        """And no other one."""
        for name in ("run-1", "run-2"):
            await finished_run(place.store, name)
            await place.store.logs.append(7, [chunk(name, run_id=name)])
        await place.store.logs.prune()
        assert await messages(place.store, "run-1") == ["run-1"]
        await place.store.prune(keep_versions=1, keep_runs=1)
        await place.store.logs.prune()
        store = await place.reopen()
        assert await messages(store, "run-1") == []
        await store.create_run(run("run-1"))
        assert await messages(store, "run-1") == []
        assert await messages(store, "run-2") == ["run-2"]

    async def test_who_reads_while_lines_are_written_misses_none(self, place):
        """However many write for one run at the same time."""
        await place.store.create_run(run())
        logs = place.store.logs

        async def write(writer):
            for part in range(20):
                await logs.append(writer, [chunk(f"{writer}.{part}", f"{writer}.{part}+", part=part)])

        async def read():
            after, found = 0, []
            while len(found) < 160:
                page = await logs.page("run-1", after=after, limit=50)
                after = page.end
                found += [line.message for line in page.lines]
                await asyncio.sleep(0)
            return found

        found, *_ = await asyncio.gather(read(), *(write(writer) for writer in range(4)))
        for writer in range(4):
            mine = [message for message in found if message.startswith(f"{writer}.")]
            assert mine == [f"{writer}.{part}{sign}" for part in range(20) for sign in ("", "+")]
