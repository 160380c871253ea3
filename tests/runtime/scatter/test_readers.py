"""Assets that yield their items, and those that go through them while they come."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from flowstone import (
    Context,
    DefinitionError,
    Each,
    FileIO,
    Outcome,
    Pipeline,
    Retry,
    RunFailed,
    Runtime,
    StaticPartitions,
    TypeMismatch,
)
from flowstone.runtime.run.scatter_ahead import Feed, ScatterAhead
from flowstone.store.protocol import StoreRefused
from tests.runtime.doubles import Gate


def reading(files, page=None, **each):
    """A pipeline of a reader and what goes through its items."""
    pipeline = Pipeline("readers")
    pipeline.asset(files)
    if page is not None:
        pipeline.asset(each=Each("files", **each))(page)
    return pipeline


@pytest.mark.parametrize("count", [0, 1, 1100])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_the_value_of_a_reader_is_what_it_yields(kept, count, asynchronous):
    """In that order, whoever takes it and in whatever form."""
    if asynchronous:

        async def files():
            for number in range(count):
                yield number
    else:

        def files():
            yield from range(count)

    async def page(files):
        return files + 1

    pipeline = reading(files, page)

    @pipeline.asset
    def both(files: list[int], page: list[int]) -> list[int]:
        return [len(files), sum(page)]

    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("both")
        assert await result.value("both") == [count, sum(range(1, count + 1))]
        assert await runtime.load("files") == list(range(count))
        assert await runtime.load("page") == list(range(1, count + 1))
        items = await runtime.items(result.run_id, "files", limit=5000)
        assert [item.position for item in items] == list(range(count))
        assert len(await runtime.items(result.run_id, "page", limit=5000)) == count


async def test_items_start_while_the_reader_still_reads(kept):
    """The reader here waits for the first item to have been done."""
    done = asyncio.Event()

    async def files():
        yield 1
        await done.wait()
        yield 2

    async def page(files):
        done.set()
        return files

    async with asyncio.timeout(200), Runtime(reading(files, page), **kept) as runtime:
        result = await runtime.materialize_all("page", max_parallel=1)
        assert await result.value("page") == [1, 2]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_the_reader_is_held_back_by_those_that_take_its_items(asynchronous):
    """It is never ahead of them by more than a window, and holds no slot that they need."""
    read, gate = [], Gate()

    def some():
        for number in range(10_000):
            read.append(number)
            yield number

    async def some_async():
        for number in range(10_000):
            read.append(number)
            yield number

    async def page(files):
        await gate.wait()
        return files

    function = some_async if asynchronous else some
    function.__name__ = "files"
    pipeline = reading(function, page)
    async with asyncio.timeout(200), Runtime(pipeline, max_concurrency=1) as runtime:
        run = await runtime.submit("page", max_parallel=1)
        await gate.entered.wait()
        while len(read) < 64:
            await asyncio.sleep(0.001)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(read) < 300
        gate.open()
        assert len(await (await run.wait()).value("page")) == 10_000


async def test_a_reader_goes_on_at_its_cursor(kept):
    """Another attempt begins where the last checkpoint was, and no item is taken twice."""
    begun, called = [], []

    async def files(context):
        begun.append(context.cursor)
        for number in range(context.cursor or 0, 10):
            if number == 7 and context.attempt == 1:
                raise OSError("gone")
            yield number
            if number % 2:
                context.checkpoint(number + 1)

    async def page(files):
        called.append(files)
        return files

    pipeline = Pipeline("readers")
    pipeline.asset(retry=Retry(attempts=2, delay=0.0))(files)
    pipeline.asset(each="files")(page)
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("page")
        assert await result.value("page") == list(range(10))
        assert await result.value("files") == list(range(10))
    assert begun == [None, 6]


async def test_a_reader_goes_on_when_what_it_has_handed_on_turns_out_to_be_done(kept, monkeypatch):
    """It hands on again what it has read, and is held back before anybody knows that all of it is done."""
    called, full, all_called, failed = [], Gate(), asyncio.Event(), asyncio.Event()
    put, resume = Feed.put, ScatterAhead._resume

    def put_and_tell(feed, item):
        put(feed, item)
        if failed.is_set() and len(feed) >= feed.window:
            full.open()

    async def resume_late(ahead):
        if failed.is_set():
            await full.wait()
            for _ in range(10):  # Until the reader waits.
                await asyncio.sleep(0)
        await resume(ahead)

    monkeypatch.setattr(Feed, "put", put_and_tell)
    monkeypatch.setattr(ScatterAhead, "_resume", resume_late)

    async def files(context):
        for number in range(context.cursor or 0, 1_000):
            if number == 500 and not failed.is_set():
                context.checkpoint(number)
                await all_called.wait()
                failed.set()
                raise OSError("gone")
            yield number

    async def page(files):
        called.append(files)
        if len(called) == 500:
            all_called.set()
        return files

    pipeline = Pipeline("readers")
    pipeline.asset(retry=Retry(attempts=2, delay=0.0))(files)
    pipeline.asset(each="files")(page)
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("page")
        assert await result.value("page") == list(range(1_000))
    assert full.entered.is_set()
    assert len(called) < 1_100


async def test_a_reader_that_fails_for_good_skips_what_goes_through_its_items():
    """Which is told the cause, and nothing goes on."""
    gate = Gate()

    async def files():
        yield 1
        await gate.entered.wait()
        raise OSError("gone")

    async def page(files):
        await gate.wait()

    async with asyncio.timeout(200), Runtime(reading(files, page)) as runtime:
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("page")
        result = raised.value.result
        assert [record.asset for record in result.failed] == ["files"]
        assert "OSError: gone" in result.failed[0].failure.message
        assert [record.failure.cause for record in result.skipped] == ["files"]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_cancel_stops_the_reader_and_its_items(asynchronous):
    """Both, before the run has ended."""
    gate, stopped = Gate(), []

    async def slow():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            stopped.append("reader")

    def endless():
        try:
            while True:
                yield 1
        finally:
            stopped.append("reader")

    async def page(files):
        try:
            await gate.wait()
        finally:
            stopped.append("item")

    function = slow if asynchronous else endless
    function.__name__ = "files"
    async with asyncio.timeout(200), Runtime(reading(function, page, max_parallel=1)) as runtime:
        run = await runtime.submit("page")
        await gate.entered.wait()
        await run.cancel()
        assert sorted(stopped) == ["item", "reader"]
        assert await run.status() == "cancelled"


async def test_too_many_failed_items_fail_the_step_that_goes_through_them(kept):
    """The reader's own value is whole."""

    async def files():
        for number in range(5):
            yield number

    def page(files):
        if files in {1, 3}:
            raise ValueError(files)
        return files

    async with asyncio.timeout(200), Runtime(reading(files, page, tolerate=1), **kept) as runtime:
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("page")
        (failed,) = raised.value.result.failed
        assert failed.asset == "page"
        assert (
            "2 of 5 items failed, more than tolerate=1 allows: item 1: ValueError: 1"
            in failed.failure.message
        )
        assert await runtime.load("files") == list(range(5))


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("tolerate", [10, 0.01])
async def test_a_reader_that_never_ends_is_ended_when_more_items_have_failed_than_may(
    kept, tolerate, asynchronous
):
    """A share is that of the items that have ended so far, as if there were at least a thousand."""
    read = []
    if asynchronous:

        async def files():
            for number in itertools.count():
                read.append(number)
                yield number
    else:

        def files():
            for number in itertools.count():
                read.append(number)
                yield number

    async def page(files):
        if files % 2:
            raise ValueError(f"no {files}")
        return files

    pipeline = reading(files, page, tolerate=tolerate)

    @pipeline.asset
    def both(files: list[int], page: list[int]) -> int:
        return len(files) + len(page)

    @pipeline.asset
    def behind(both: int) -> int:
        return both

    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("behind")
        (failed,) = raised.value.result.failed
        assert failed.asset == "files"
        assert failed.failure.message.startswith(
            "Reading was ended, because nothing in this run can use what is read: page fails, as 11 of "
        )
        assert "item 1: ValueError: no 1 (" in failed.failure.message
        assert {step.asset for step in raised.value.result.skipped} == {"page", "both", "behind"}
        assert len(await runtime.items(raised.value.result.run_id, "page", status="failed")) == 11
    assert len(read) < 400


async def test_a_reader_that_waits_for_more_is_ended_as_well():
    """It need not come to its next item."""

    async def files():
        yield 1
        await asyncio.Event().wait()

    async def page(files):
        raise ValueError(files)

    async with asyncio.timeout(200), Runtime(reading(files, page)) as runtime:
        with pytest.raises(RunFailed, match="page fails, as 1 of 1 item failed: item 0: ValueError: 1"):
            await runtime.materialize_all("page")


@pytest.mark.parametrize("annotation", [list[int], int])
async def test_a_reader_goes_on_for_the_sake_of_others(annotation):
    """Of what takes its value, and of what takes the outcome of the step that failed."""

    async def files():
        for number in range(200):
            yield number
            await asyncio.sleep(0)

    async def page(files):
        raise ValueError(files)

    pipeline = reading(files, page)
    if annotation is int:

        @pipeline.asset(each=Each("files"))
        async def last(files: int) -> int:
            return files
    else:

        @pipeline.asset
        async def last(files: list[int], page: Outcome[list[int]]) -> list[int]:
            return files if page.status == "failed" else []

    @pipeline.asset
    def end(last: list[int], page: Outcome[list[int]]) -> int:
        return sum(last)

    async with asyncio.timeout(200), Runtime(pipeline) as runtime:
        result = await runtime.materialize_all("end")
        assert await result.value("end") == sum(range(200))
        assert [step.asset for step in result.failed] == ["page"]


async def test_a_reader_goes_on_for_the_sake_of_one_that_takes_all_keys(kept):
    """Of those of the reader; what takes its own key has failed."""
    keys, failed = StaticPartitions(["a", "b"]), Counter()

    async def files(context):
        for number in range(100):
            yield number
        while not failed[context.partition]:
            await asyncio.sleep(0)
        for number in range(100):
            yield number

    async def page(files, context):
        failed[context.partition] += 1
        raise ValueError(files)

    pipeline = Pipeline("readers")
    pipeline.asset(partitions=keys)(files)
    pipeline.asset(partitions=keys, each=Each("files", max_parallel=2))(page)

    @pipeline.asset
    def total(files: dict[str, list[int]]) -> int:
        return sum(map(len, files.values()))

    @pipeline.asset(partitions=keys)
    def check(page: Outcome[list[int]]) -> str:
        return page.status

    @pipeline.asset
    def report(total: int, check: dict[str, str]) -> list[str]:
        return [str(total), *check.values()]

    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("report")
        assert await result.value("report") == ["400", "failed", "failed"]


@pytest.mark.parametrize("others", ["default", "route", "two"])
async def test_a_reader_that_never_ends_is_ended_when_nothing_can_use_it(kept, others):
    """A default does not stand for a failure, nor does a choice; and of two that take its items both fail."""
    page_failed = asyncio.Event()

    async def files():
        for number in itertools.count():
            yield number
            await asyncio.sleep(0)

    async def page(files):
        page_failed.set()
        raise ValueError(files)

    pipeline = reading(files, page, max_parallel=2)
    if others == "default":

        @pipeline.asset
        def last(files: list[int], page: list[int] | None = None) -> int:
            return len(files) + len(page or [])
    elif others == "route":

        @pipeline.route(to=["last"])
        def way(page: list[int]) -> str:
            return "last"

        @pipeline.asset
        def last(files: list[int]) -> int:
            return len(files)
    else:

        @pipeline.asset(each=Each("files", max_parallel=2))
        async def other(files: int) -> int:
            await page_failed.wait()
            raise ValueError(files)

        @pipeline.asset
        def last(page: list[int], other: list[int]) -> int:
            return len(page) + len(other)

    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        with pytest.raises(RunFailed, match="nothing in this run can use what is read") as raised:
            await runtime.materialize_all("last")
        assert [step.asset for step in raised.value.result.failed] == ["files"]
        assert "last" in {step.asset for step in raised.value.result.skipped}


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("error", [StoreRefused("no such table"), RuntimeError("no such table")])
async def test_a_reader_is_ended_when_what_drives_its_items_has_crashed(kept, monkeypatch, waits, error):
    """At once, though it may never come to an end, or to its next item; and it has failed of that."""

    async def drive(_ahead):
        raise error

    monkeypatch.setattr(ScatterAhead, "_drive", drive)

    async def files():
        for number in itertools.count():
            yield number
            await (asyncio.Event().wait() if waits else asyncio.sleep(0))

    async def page(files):
        return files

    async with asyncio.timeout(200), Runtime(reading(files, page), **kept) as runtime:
        with pytest.raises(RunFailed, match="no such table") as raised:
            await runtime.materialize_all("page")
        (failed,) = raised.value.result.failed
        assert failed.asset == "files"
        assert failed.failure.kind == ("store" if isinstance(error, StoreRefused) else "error")
        assert [step.asset for step in raised.value.result.skipped] == ["page"]


async def test_nothing_is_told_of_how_far_a_step_is_that_has_not_begun(kept):
    """The items run while the reader reads, and the last one when that is over; the step starts after that."""
    last, told = Gate(), []

    async def files():
        for number in range(3):
            yield number

    async def page(files):
        if files == 2:
            await last.wait()
        return files

    async with asyncio.timeout(200), Runtime(reading(files, page), **kept) as runtime:
        async with runtime.subscribe() as events:
            run = await runtime.submit("page")
            await last.entered.wait()
            last.open()
            async for event in events:
                told.append((event.kind, getattr(event, "asset", None)))
                if event.kind == "run.finished":
                    break
        await run.wait()
    begun = told.index(("step.started", "page"))
    assert ("step.progressed", "page") not in told[:begun]


async def test_the_share_of_a_reader_is_judged_of_all_items_in_the_end(kept):
    """Few have ended while it reads."""

    async def files():
        for number in range(20):
            yield number

    async def page(files):
        if files < 4:
            raise ValueError(files)
        return files

    async with asyncio.timeout(200), Runtime(reading(files, page, tolerate=0.2), **kept) as runtime:
        assert await (await runtime.materialize_all("page")).value("page") == list(range(4, 20))
    async with asyncio.timeout(200), Runtime(reading(files, page, tolerate=0.19), **kept) as runtime:
        with pytest.raises(RunFailed, match=r"4 of 20 items failed, more than tolerate=0\.19 allows"):
            await runtime.materialize_all("page")


async def test_batches_and_keys_of_what_is_read(kept):
    """As of a list."""

    async def files():
        for number in range(7):
            yield number

    async def page(files):
        return sum(files)

    async with asyncio.timeout(200), Runtime(reading(files, page, batch=3, key=str), **kept) as runtime:
        result = await runtime.materialize_all("page")
        assert await result.value("page") == [3, 12, 6]
        assert [item.key for item in await runtime.items(result.run_id, "page")] == [
            "[0, 1, 2]",
            "[3, 4, 5]",
            "[6]",
        ]


async def test_what_a_store_cannot_keep_fails_the_reader(kept):
    """With kind io, and a remedy."""
    if "memory" in str(kept["io"]["default"]).lower():
        pytest.skip("memory takes anything")

    async def files():
        yield object()

    async with asyncio.timeout(200), Runtime(reading(files), **kept) as runtime:
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("files")
        assert raised.value.failures[0].failure.kind == "io"


async def test_an_item_that_can_be_read_only_once_fails_the_reader():
    """An iterator is no item."""

    async def files():
        yield iter([1])

    async with asyncio.timeout(200), Runtime(reading(files)) as runtime:
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("files")
        assert "can be read only once" in raised.value.failures[0].failure.message


async def test_a_checkpoint_is_json_and_a_readers():
    """Said where it is given."""

    async def files(context):
        context.checkpoint({1, 2})
        yield 1

    def page(context):
        context.checkpoint(1)

    pipeline = reading(files)
    pipeline.asset(page)
    async with asyncio.timeout(200), Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("files")
        assert "cannot be kept as JSON" in raised.value.failures[0].failure.message
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("page")
        assert "yields nothing" in raised.value.failures[0].failure.message


def test_a_generator_is_no_scatter_and_runs_in_no_process():
    """Both are refused where they are defined."""

    async def page(files):
        yield files

    with pytest.raises(DefinitionError, match="let it return a list for each item"):
        Pipeline().asset(each="files")(page)
    with pytest.raises(DefinitionError, match="is not where a generator can run"):
        Pipeline().asset(run_in="process")(page)


def test_items_of_a_reader_are_checked_against_what_takes_them():
    """By the annotations."""

    async def files() -> AsyncIterator[str]:
        yield ""

    def words() -> Iterator[str]:
        yield ""

    def page(files: str) -> int:
        return 0

    def other(words: int) -> int:
        return 0

    def summary(files: list[str], words: list[str], page: list[int]) -> int:
        return 0

    pipeline = Pipeline()
    for function in (files, words, summary):
        pipeline.asset(function)
    pipeline.asset(each="files")(page)
    assert len(pipeline.graph) == 4
    pipeline.asset(each="words")(other)
    with pytest.raises(TypeMismatch, match="other"):
        assert pipeline.graph


async def recorded_cursor(runtime, run):
    """The cursor of the last page on record, and how many items are."""
    rows = await runtime._ctx.store.items.rows(run.id, ("files", None))
    return (json.loads(rows[-1].key)[0], sum(row.attempt for row in rows)) if rows else None


async def test_what_is_read_slowly_is_recorded_with_its_cursor(tmp_path, clock):
    """It would not fill a page for hours; with the first item after a second, what there is is recorded."""
    third, fifth = Gate(), Gate()

    async def files(context: Context):
        for number in itertools.count():
            yield number
            context.checkpoint(number + 1)
            if number in (2, 4):
                await {2: third, 4: fifth}[number].wait()

    options = {"io": {"default": FileIO(tmp_path)}, "clock": clock}
    async with asyncio.timeout(200), Runtime(reading(files), **options) as runtime:
        run = await runtime.submit("files")
        await third.entered.wait()
        assert await recorded_cursor(runtime, run) is None
        await clock.advance(1.0)
        third.open()
        await fifth.entered.wait()
        assert await recorded_cursor(runtime, run) == (3, 4)
        await run.cancel()


async def test_what_is_read_slowly_in_a_thread_is_recorded_with_its_cursor(tmp_path, clock):
    third, more, fifth, end = Gate(), threading.Event(), Gate(), threading.Event()
    loop = asyncio.get_running_loop()
    stops = {2: (third, more), 4: (fifth, end)}

    def files(context: Context):
        for number in range(100):
            yield number
            context.checkpoint(number + 1)
            if number in stops:
                gate, event = stops[number]
                loop.call_soon_threadsafe(gate.entered.set)
                event.wait(30)

    options = {"io": {"default": FileIO(tmp_path)}, "clock": clock}
    async with asyncio.timeout(200), Runtime(reading(files), **options) as runtime:
        run = await runtime.submit("files")
        await third.entered.wait()
        assert await recorded_cursor(runtime, run) is None
        await clock.advance(1.0)
        more.set()
        await fifth.entered.wait()
        assert await recorded_cursor(runtime, run) == (3, 4)
        end.set()
        await run.wait()
