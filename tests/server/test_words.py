"""One word for one state: steps, attempts and runs have succeeded; values, partitions and assets are current."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from flowstone import DailyPartitions, Freshness, Pipeline, Status
from flowstone.server.render import lasted, shortened


def shop(held=None) -> Pipeline:
    pipeline = Pipeline("shop")
    days = DailyPartitions("2025-01-01", "2025-01-02")

    @pipeline.asset(freshness=Freshness(within=timedelta(days=1)))
    async def watched() -> int:
        return 1

    @pipeline.asset(partitions=days)
    async def daily(context) -> int:
        if held is not None and context.partition.day == 2:
            raise OSError("no such day " + "x" * 400)
        return 1

    @pipeline.asset
    async def alone() -> int:
        if held is not None:
            await held.wait()
        return 1

    return pipeline


async def test_a_value_is_current_whatever_it_is_the_value_of(visit):
    """With a freshness policy, of partitions, and alone; in the table, in the graph and on their own pages."""
    async with visit(shop()) as visitor:
        for name in ("watched", "alone"):
            await visitor.runtime.materialize(name)
        await visitor.runtime.backfill("daily")
        overview = (await visitor.get("/")).text
        for name in ("watched", "daily", "alone"):
            row = re.search(rf'<tr id="asset-{name}">(.*?)</tr>', overview, re.DOTALL)[1]
            assert re.search(r'<span class="ok ink2">(.*?)</span>', row)[1] == "current"
            graph = (await visitor.get(f"/graph?focus={name}")).text
            assert ('aria-label="current"' in graph, 'aria-label="succeeded"' in graph) == (True, False)
        table = (await visitor.get("/assets/daily?view=table")).text
        listed = table[table.index('id="listing"') : table.index('id="selbar"')]
        assert ("current" in listed, "succeeded" in listed) == (True, False)
        assert 'aria-label="current"' in (await visitor.get("/assets/daily/2025-01-01")).text


async def test_a_run_has_a_kind_that_can_be_read(visit):
    """No name of the code, where it is listed, filtered and shown."""
    async with visit(shop()) as visitor:
        result = await visitor.runtime.materialize_all("alone")
        for path in ("/", "/runs", f"/runs/{result.run_id}", "/audit"):
            page = (await visitor.get(path)).text
            assert "materialize_all" not in page.replace('value="materialize_all"', "")
        assert "materialize all" in (await visitor.get("/runs")).text


async def test_what_failed_is_at_the_top_of_the_steps(visit):
    """Whichever ended first; what is left out of its message is said."""
    async with visit(shop(asyncio.Event())) as visitor:
        run = await visitor.runtime.submit_backfill("daily", max_parallel=1)
        async for _ in run.events():
            pass
        page = (await visitor.get(f"/runs/{run.id}?log=run")).text
        steps = page[page.index('id="steps"') :]
        assert steps.index("daily[2025-01-02]") < steps.index("daily[2025-01-01]")
        assert re.search(r"no such day x+…</td>", steps)
        assert 'aria-label="Steps by state"' in steps


async def test_what_runs_is_not_drawn_as_done(visit):
    """A thin line where a step that has ended has a bar."""
    held = asyncio.Event()
    async with visit(shop(held)) as visitor:
        run = await visitor.runtime.submit("alone")
        async for event in run.events():
            if event.kind == "step.started":
                break
        page = (await visitor.get("/")).text
        assert '<rect class="f-run" x="0" y="2.2" height="1.600" width="1"/>' in page
        assert '<rect class="f-run" x="0" y="0" height="6"' not in page
        held.set()
        async for _ in run.events():
            pass


async def test_a_button_that_shows_a_plan_first_says_so(visit):
    """Of what failed, on the overview: it starts nothing."""
    async with visit(shop(asyncio.Event())) as visitor:
        run = await visitor.runtime.submit_backfill("daily")
        async for _ in run.events():
            pass
        assert ">Retry…</a>" in (await visitor.get("/")).text


async def test_a_cancelled_run_says_how_much_is_redone(visit):
    """As many as its retry plans."""
    async with visit(shop(asyncio.Event())) as visitor:
        run = await visitor.runtime.submit("alone")
        async for event in run.events():
            if event.kind == "step.started":
                break
        await run.cancel()
        async for _ in run.events():
            pass
        assert await run.status() is Status.CANCELLED
        page = (await visitor.get(f"/runs/{run.id}")).text
        assert "Retry cancelled" in page
        assert 'data-undone="1"' in page


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "<1 ms"), (0.0004, "<1 ms"), (0.0006, "1 ms"), (0.05, "50 ms"), (1.0, "1.0 s")],
)
def test_how_long_something_took(seconds, said):
    """What is too short to be measured is not nothing."""
    assert lasted(seconds) == said


def test_what_is_left_out_is_said():
    """By one sign at the end, within the length."""
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
    assert shortened("abcd efg", 6) == "abcd…"
