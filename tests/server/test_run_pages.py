"""The list of runs, and the page of one: what they show, and what can be done there."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import aclosing

import pytest
from starlette.requests import Request

from flowstone import Context, Each, Pipeline, Retry, Runtime, StaticPartitions, Status
from flowstone.runs.records import RunRecord, RunSpec
from flowstone.runtime.client.log_lines import LogLines
from flowstone.runtime.client.timeline import Timeline, TimelineAttempt
from flowstone.runtime.services import attempt_logs
from flowstone.server.access.identity import LOCAL
from flowstone.server.pages.run import PAGE
from flowstone.server.site import _messages
from flowstone.server.timelines import MOST_BARS, RunBars
from tests.server.conftest import visiting
from tests.store.facts import at

HOSTILE = "<script>alert(1)</script>"


class World:
    def __init__(self) -> None:
        self.broken = True
        self.held = asyncio.Event()
        self.begun = asyncio.Event()


def shop(world: World) -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    async def raw(context: Context) -> int:
        context.log.warning("reads", turn=context.attempt)
        if world.broken:
            raise OSError(f"no such file: {HOSTILE} {context.attempt}")
        return 1

    @pipeline.asset
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset
    async def held() -> int:
        world.begun.set()
        await world.held.wait()
        return 1

    @pipeline.asset(partitions=StaticPartitions([f"k{n:02}" for n in range(60)]))
    async def many() -> int:
        return 1

    @pipeline.asset
    async def files() -> list[str]:
        return ["a", "b"]

    @pipeline.asset(each=Each("files", tolerate=1))
    async def read(files: str) -> str:
        if files == "b":
            raise OSError("broken item")
        return files

    return pipeline


async def ended(run):
    async for _ in run.events():
        pass
    return run


async def logged(visitor, run):
    """Until all that its attempts said is kept."""
    await ended(run)
    async for _ in visitor.runtime.logs(run.id, follow=True):
        pass
    return run


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    """The address of a store."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def csrf(visitor, path="/runs"):
    page = await visitor.get(path)
    return page.text.partition('name="csrf" content="')[2].partition('"')[0]


async def test_a_run_opens_on_what_failed_and_says_why(visit):
    """The last attempt of the first failed step, with its frames, its log and the chain below it."""
    async with visit(shop(World())) as visitor:
        run = await logged(visitor, await visitor.runtime.submit("clean"))
        page = (await visitor.get(f"/runs/{run.id}")).text
        assert "raw failed" in page
        assert "no such file: &lt;script&gt;alert(1)&lt;/script&gt; 2" in page
        assert "in raw" in page
        assert '<a class="m" data-inspect href="/runs/' in page
        assert "was skipped" in page
        assert HOSTILE not in page
        assert "reads turn=2" in page
        assert "reads turn=1" not in page


async def test_each_attempt_has_its_own_failure_and_log(visit):
    """Not only the last one."""
    async with visit(shop(World())) as visitor:
        run = await logged(visitor, await visitor.runtime.submit("clean"))
        page = (await visitor.get(f"/runs/{run.id}?step=raw&attempt=1")).text
        assert "&lt;/script&gt; 1" in page
        assert "reads turn=1" in page
        assert "reads turn=2" not in page
        whole = (await visitor.get(f"/runs/{run.id}?step=raw&log=run")).text
        assert "raw  reads turn=1" in whole


async def test_a_run_that_nobody_knows_is_not_found_in_the_look_of_the_site(visit):
    """A page, and a problem where a script or a program asks."""
    async with visit(shop(World())) as visitor:
        page = await visitor.get("/runs/nobody")
        assert (page.status_code, "There is no run" in page.text, "<nav" in page.text) == (404, True, True)
        bars = await visitor.get("/runs/nobody/bars")
        assert (bars.status_code, bars.json()["type"]) == (404, "RunNotFound")
        assert (await visitor.get("/runs/nobody/lines")).status_code == 404


async def test_a_log_is_searched_in_all_that_is_kept(visit):
    """Whatever of it is shown; the name of the logger is shown, and found."""
    pipeline = Pipeline("billing")

    @pipeline.asset(partitions=StaticPartitions(["a", "b", "c"]))
    def invoices(context: Context) -> int:
        for number in range(400):
            context.log.info("read", number=number)
        logging.getLogger("billing.db").error("caught in %s", context.partition)
        return 1

    async with visit(pipeline) as visitor:
        run = await visitor.runtime.submit_backfill("invoices")
        await run.wait()
        await settled(visitor, run.id, 1203)
        path = f"/runs/{run.id}/lines"
        errors = (await visitor.get(f"{path}?level=error")).json()
        assert (sorted(row[3] for row in errors["rows"]), errors["more"]) == (
            [f"invoices[{key}]  billing.db: caught in {key}" for key in "abc"],
            False,
        )
        named = (await visitor.get(f"{path}?contains=BILLING.db&step=invoices[b]")).json()["rows"]
        assert [row[3] for row in named] == ["billing.db: caught in b"]
        every = (await visitor.get(path)).json()
        assert (len(every["rows"]), every["more"]) == (500, True)
        lines = (await visitor.get(f"/api/v1/runs/{run.id}/logs?level=error&contains=in c")).text
        assert json.loads(lines)["message"] == "caught in c"
        assert (await visitor.get(f"/api/v1/runs/{run.id}/logs?level=loud")).status_code == 422
        unknown = await visitor.get(f"/api/v1/runs/{run.id}/logs?asset=invoice")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "AssetNotFound")
        assert "Did you mean 'invoices'?" in unknown.json()["detail"]


async def settled(visitor, run_id: str, number: int) -> None:
    """Wait until so many lines are kept."""
    async with asyncio.timeout(30):
        while len([line async for line in visitor.runtime.logs(run_id)]) < number:
            await asyncio.sleep(0)


async def test_failed_steps_are_retried_from_the_page(visit):
    """It leads to the new run, which names the old one."""
    world = World()
    async with visit(shop(world)) as visitor:
        old = await ended(await visitor.runtime.submit("clean"))
        world.broken = False
        answer = await visitor.post(f"/runs/{old.id}/retry", data={"csrf": await csrf(visitor)})
        assert answer.status_code == 303
        new = await visitor.runtime.run(answer.headers["location"].removeprefix("/runs/"))
        await ended(new)
        assert await new.status() is Status.SUCCEEDED
        page = (await visitor.get(answer.headers["location"])).text
        assert f'href="/runs/{old.id}"' in page
        assert "Retry failed" not in page
        assert f'retry of <a class="mono" href="/runs/{old.id}"' in (await visitor.get("/runs")).text


async def test_two_clicks_retry_a_run_once(visit):
    """The second leads to the run that the first has started; once that has ended, another one may be."""
    world = World()
    async with visit(shop(world)) as visitor:
        old = await visitor.runtime.submit("held")
        await world.begun.wait()
        await old.cancel()
        form = {"csrf": await csrf(visitor)}
        clicks = [visitor.post(f"/runs/{old.id}/retry", data=form) for _ in range(2)]
        first, second = [each.headers["location"] for each in await asyncio.gather(*clicks)]
        assert first == second
        assert len(await visitor.runtime.runs()) == 2
        await (await visitor.runtime.run(first.removeprefix("/runs/"))).cancel()
        third = await visitor.post(f"/runs/{old.id}/retry", data=form)
        assert third.headers["location"] != first
        world.held.set()


async def test_a_run_is_cancelled_from_the_page_and_several_from_the_list(visit):
    """All that are under way of those that are listed, and no others."""
    world = World()
    async with visit(shop(world)) as visitor:
        word = await csrf(visitor)
        first = await visitor.runtime.submit("held")
        await world.begun.wait()
        answer = await visitor.post(f"/runs/{first.id}/cancel", data={"csrf": word})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{first.id}")
        assert await first.status() is Status.CANCELLED
        runs = [
            await visitor.runtime.submit("held", tags={"team": team}) for team in ("core", "core", "other")
        ]
        assert "Cancel 2 runs?" in (await visitor.get("/runs?tag=team%3Dcore")).text
        answer = await visitor.post("/runs/cancel", data={"csrf": word, "tag": "team=core"})
        assert answer.headers["location"] == "/runs?tag=team%3Dcore"
        assert [(await run.status()).terminal for run in runs] == [True, True, False]
        world.held.set()


async def test_who_may_only_look_has_no_buttons(visit, monkeypatch):
    """And is refused where they lead."""
    from flowstone.runs.access import Role
    from flowstone.server.access.identity import Identity

    async with visit(shop(World())) as visitor:
        run = await ended(await visitor.runtime.submit("clean"))

        async def reader(_):
            return Identity("ada", Role.READ)

        monkeypatch.setattr("flowstone.server.access.visit.Visit.identity", reader)
        page = (await visitor.get(f"/runs/{run.id}")).text
        assert "Retry failed" not in page
        assert (await visitor.post(f"/runs/{run.id}/retry")).status_code == 403
        assert "Cancel these" not in (await visitor.get("/runs")).text


async def test_runs_are_found_by_what_the_address_says(visit):
    """Status, asset, tag, kind and age, together; a page goes on before its last run."""
    async with visit(shop(World())) as visitor:
        failed = await ended(await visitor.runtime.submit("clean", tags={"why": "test"}))
        many = await visitor.runtime.backfill("many")
        listed = (await visitor.get("/runs?status=failed&asset=clean&tag=why&since=1h")).text
        assert (f"/runs/{failed.id}" in listed, f"/runs/{many.run_id}" in listed) == (True, False)
        listed = (await visitor.get("/runs?kind=backfill")).text
        assert (f"/runs/{failed.id}" in listed, f"/runs/{many.run_id}" in listed) == (False, True)
        assert "No run is like that" in (await visitor.get("/runs?status=cancelled")).text
        for _ in range(60):
            await visitor.runtime.materialize("files")
        first = (await visitor.get("/runs")).text
        assert f"/runs/{failed.id}" not in first
        older = first.rpartition('href="/runs?before=')[2].partition('"')[0]
        assert f"/runs/{failed.id}" in (await visitor.get(f"/runs?before={older}")).text
        assert (await visitor.get("/runs?before=nobody")).status_code == 404
        assert (await visitor.get("/runs?asset=nobody")).status_code == 404


async def test_steps_are_a_table_as_well(visit):
    """A page at a time, and by status."""
    async with visit(shop(World())) as visitor:
        result = await visitor.runtime.backfill("many")
        page = (await visitor.get(f"/runs/{result.run_id}?status=succeeded")).text
        assert page.count('<a class="mono" data-inspect') == 50
        page = (await visitor.get(f"/runs/{result.run_id}?status=succeeded&from=50")).text
        assert page.count('<a class="mono" data-inspect') == 10
        assert "No step is failed" in (await visitor.get(f"/runs/{result.run_id}?status=failed")).text


async def test_items_of_a_step_are_listed(visit):
    """What failed among them."""
    async with visit(shop(World())) as visitor:
        run = await ended(await visitor.runtime.submit("read"))
        assert "broken item" in (await visitor.get(f"/runs/{run.id}?step=read")).text


async def test_a_drawing_is_told_what_has_changed(store):
    """Bars with their lanes, then only those that are others now; from wherever one was."""
    world = World()
    async with visiting(shop(world), store=store) as visitor:
        run = await visitor.runtime.submit("held")
        await world.begun.wait()
        while not (first := (await visitor.get(f"/runs/{run.id}/bars")).json())["bars"]:
            await asyncio.sleep(0.05)
        assert [bar[4:7:2] for bar in first["bars"]] == [["run", -1]]
        world.held.set()
        await ended(run)
        await asyncio.sleep(0.1)
        bars = await visitor.app.state.timelines.of(run.id)
        told = json.loads(bars.changes(first["version"]))
        assert (told["from"], [bar[4] for bar in told["bars"]]) == (first["version"], ["ok"])
        assert told["bars"][0][0] == first["bars"][0][0]
        assert json.loads(bars.changes(bars.version))["bars"] == []
        assert told["assets"] == [["held", 1, 1, 1, "ok"]]
        assert first["nodes"] == [[visitor.runtime.node, 1, 1, 1]]
        assert told["nodes"] == [[visitor.runtime.node, 1, 1, 0]]


class Told:
    """A runtime that tells one timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    async def timeline(self, run_id: str, after: int) -> Timeline:
        return self._timeline


async def test_a_drawing_has_a_band_for_each_node():
    """Lanes of its own, also of attempts of which the node is not known; what no node ran is in no band."""
    bars = RunBars("run-1")
    attempts = [
        TimelineAttempt("a", None, 1, Status.RUNNING, at(1), node="n1"),
        TimelineAttempt("b", None, 1, Status.RUNNING, at(2), node="n2"),
        TimelineAttempt("c", None, 1, Status.SUCCEEDED, at(2), at(3), node="n1"),
        TimelineAttempt("d", None, 1, Status.SUCCEEDED, at(4), at(5), node="n1"),
        TimelineAttempt("e", None, 1, Status.SUCCEEDED, at(4), at(5)),
        TimelineAttempt("f", None, 0, Status.SKIPPED, None, at(6)),
    ]
    run = RunRecord("run-1", "sales", RunSpec("materialize", "a"), Status.RUNNING, at(0), at(0))
    await bars.refresh(Told(Timeline(run, attempts, 6, whole=True, totals={})))
    told = json.loads(bars.whole(by="node"))
    assert (told["by"], told["nodes"]) == ("node", [["n1", 2, 3, 1], ["n2", 1, 1, 1], [None, 1, 1, 0]])
    assert [(bar[2], *bar[10:]) for bar in told["bars"]] == [
        ("a", 0, 0),
        ("b", 1, 0),
        ("c", 0, 1),
        ("d", 0, 1),
        ("e", 2, 0),
    ]
    assert len(json.loads(bars.whole())["bars"]) == 6


async def test_a_drawing_has_a_bounded_number_of_bars():
    """Attempts that would be narrower than a pixel are one; whoever looks closer gets each of them."""
    pipeline = Pipeline("wide")

    @pipeline.asset(partitions=StaticPartitions([f"k{n:05}" for n in range(9_000)]))
    async def many() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("many", max_parallel=8)
        bars = RunBars(result.run_id)
        await bars.refresh(runtime)
        told = json.loads(bars.whole())
        assert (told["merged"], told["attempts"], len(told["bars"]) <= MOST_BARS) == (True, 9_000, True)
        assert sum(bar[9] for bar in told["bars"]) == 9_000
        by_node = json.loads(bars.whole(by="node"))
        assert sum(bar[9] for bar in by_node["bars"]) == 9_000 > len(by_node["bars"])
        part = json.loads(bars.whole(0, 1))
        assert part["merged"] is False
        assert all(bar[9] == 1 for bar in part["bars"])


def talking(goes_on: asyncio.Event, lines: int) -> Pipeline:
    """An asset that says so many lines, and then goes on until it is told to end."""
    pipeline = Pipeline("talking")

    @pipeline.asset
    async def talks(context: Context) -> int:
        for number in range(lines):
            context.log.info("line %d.", number)
        await goes_on.wait()
        return 1

    return pipeline


async def shown(visitor, path, wanted):
    """The page once it says something: lines are kept a moment after they are said."""
    async with asyncio.timeout(60):
        while wanted not in (page := (await visitor.get(path)).text):
            await asyncio.sleep(0)
    return page


async def test_of_a_long_log_the_newest_lines_are_shown(visit):
    """With a way to the first one, from which it is read on."""
    goes_on = asyncio.Event()
    async with visit(talking(goes_on, 600)) as visitor:
        run = await visitor.runtime.submit("talks")
        page = await shown(visitor, f"/runs/{run.id}?step=talks", "line 599.")
        assert ("line 400." in page, "line 399." in page) == (True, False)
        assert f'href="/runs/{run.id}?step=talks&amp;lines=all"' in page
        whole = (await visitor.get(f"/runs/{run.id}?step=talks&lines=all")).text
        assert ("line 0." in whole, "line 499." in whole, "line 500." in whole) == (True, True, False)
        assert "From the first line" not in whole
        goes_on.set()
        await run.wait()


async def test_what_a_chatty_attempt_says_now_is_shown_while_it_goes_on(visit, monkeypatch):
    """Though it is not kept before its end; then it is a part of the log."""
    monkeypatch.setattr(attempt_logs, "_HEAD", 2_000)
    goes_on = asyncio.Event()
    async with visit(talking(goes_on, 100)) as visitor:
        run = await visitor.runtime.submit("talks")
        path = f"/runs/{run.id}?step=talks"
        page = await shown(visitor, path, "line 99.")
        held = page.partition('id="held"')[2]
        assert ("line 99." in held, "line 88." in held, "line 87." in held) == (True, True, False)
        assert "line 99." not in page.partition('id="held"')[0]
        goes_on.set()
        await run.wait()
        async with asyncio.timeout(60):
            while "line 99." not in (await visitor.get(path)).text.partition('id="held"')[0]:
                await asyncio.sleep(0)
        page = (await visitor.get(path)).text
        assert 'class="heldlines"' not in page


async def test_what_is_held_takes_no_place_of_what_is_kept(visit, monkeypatch):
    """Of an attempt that holds more lines than are shown; an open page reads again what is held alone."""
    monkeypatch.setattr(attempt_logs, "_HEAD", 2_000)
    goes_on = asyncio.Event()
    async with visit(talking(goes_on, 600)) as visitor:
        run = await visitor.runtime.submit("talks")
        page = await shown(visitor, f"/runs/{run.id}?step=talks", "line 599.")
        kept, _, held = page.partition('id="held"')
        assert ("line 0." in kept, "line 599." in kept) == (True, False)
        assert ("line 588." in held, "line 587." in held) == (True, False)

        async def none(*_, **__):
            raise AssertionError("What is kept comes as news.")

        monkeypatch.setattr(LogLines, "kept", none)
        async with aclosing(_messages(PAGE, asked_live(visitor, run.id), LOCAL)) as messages:
            assert "line 599." in await anext(messages)
        goes_on.set()
        await run.wait()


def asked_live(visitor, run_id: str) -> Request:
    """The request of an open page of a run."""
    return Request(
        {
            "type": "http",
            "app": visitor.app,
            "path": f"/live/runs/{run_id}",
            "root_path": "",
            "path_params": {"run_id": run_id},
            "query_string": b"step=talks",
            "headers": [],
        }
    )


async def test_a_run_with_many_labels_takes_no_more_than_its_row(visit):
    """The list shows some of them, and not all of a long one; the page of the run has them all."""
    tags = {f"k{number}": "v" * 200 for number in range(20)}
    async with visit(shop(World())) as visitor:
        run = await visitor.runtime.submit("held", tags=tags)
        await run.cancel()
        listed = (await visitor.get("/runs")).text
        assert "and 14 more" in listed
        assert "v" * 100 not in re.sub(r'href="[^"]*"', "", listed)
        page = (await visitor.get(f"/runs/{run.id}")).text
        assert page.count("v" * 200) >= 20
