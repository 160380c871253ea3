"""The overview and the list of assets: what they say of what happened."""

from __future__ import annotations

import contextlib
import re
from datetime import date, timedelta

import pytest

from flowstone import DailyPartitions, Freshness, Pipeline, RunFailed, Skip

DAYS = DailyPartitions("2025-01-01", "2025-01-10")


def flights() -> Pipeline:
    pipeline = Pipeline("flights")

    @pipeline.asset(partitions=DAYS, tags={"group": "raw", "owner": "ada"})
    async def raw(context) -> int:
        if context.partition.day == 3:
            raise Skip("closed")
        return context.partition.day

    @pipeline.asset(partitions=DAYS, tags={"group": "marts", "owner": "grace"})
    async def delays(context) -> int:
        if context.partition.day == 2:
            raise OSError("no such file: <b>flights.csv</b>")
        return 1

    @pipeline.asset(freshness=Freshness(within=timedelta(milliseconds=1), overdue=timedelta(milliseconds=1)))
    async def report() -> int:
        return 1

    return pipeline


async def test_a_failed_partition_is_said_first_with_its_message_and_where_to_go(visit):
    """The sentence counts partitions; each has its page, its run, and where it is planned again."""
    async with visit(flights()) as visitor:
        result = await visitor.runtime.backfill("delays")
        page = (await visitor.get("/")).text
        assert "1 partition failed" in page
        assert "delays[2025-01-02] failed" in page
        assert "no such file: &lt;b&gt;flights.csv&lt;/b&gt;" in page
        assert 'href="/assets/delays/2025-01-02"' in page
        assert f'href="/runs/{result.run_id}"' in page
        assert 'href="/launch?asset=delays&amp;partitions=2025-01-02"' in page


def tea(broken: list[int]) -> Pipeline:
    """A month whose days fail as long as they are in the list."""
    pipeline = Pipeline("tea")

    @pipeline.asset(partitions=DAYS)
    async def orders(context) -> int:
        if context.partition.day in broken:
            raise OSError("no file")
        return 1

    @pipeline.asset(partitions=DAYS)
    async def revenue(orders: int) -> int:
        return orders

    @pipeline.asset
    async def month(revenue: dict[date, int]) -> int:
        return len(revenue)

    return pipeline


def word_of(page: str, asset: str) -> tuple[str, str]:
    """The shape of an asset in the table, and its state in words."""
    row = page.partition(f'<tr id="asset-{asset}">')[2].partition("</tr>")[0]
    return re.findall(r'<span class="(\w+) (?:st|ink2)">([^<]*)', row)[-1]


async def test_all_is_not_well_while_what_a_failure_held_up_is_not_made(visit):
    """Retry offers all of it; where only the cause was mended, the rest is still to be made, and not complete."""
    broken = [2]
    async with visit(tea(broken)) as visitor:
        assert "Nothing has been made yet." in (await visitor.get("/")).text
        with contextlib.suppress(RunFailed):
            await visitor.runtime.materialize_all("month")
        failed = (await visitor.get("/")).text
        assert "1 partition failed" in failed
        assert "2 partitions are still to be made" in failed
        assert "Skipped because of it: month." in failed
        assert 'href="/launch?asset=month"' in failed
        plan = (await visitor.get("/launch?asset=month")).text
        assert "3 steps run" in plan

        broken.clear()
        await visitor.runtime.materialize("orders", partition="2025-01-02")
        mended = (await visitor.get("/")).text
        assert "All is well" not in mended
        assert "2 partitions are still to be made" in mended
        assert "revenue: 1 day still to be made" in mended
        assert "Skipped because orders[2025-01-02] had no value." in mended
        assert 'href="/launch?asset=revenue&amp;partitions=2025-01-02"' in mended
        assert word_of(mended, "orders") == ("ok", "current")
        assert word_of(mended, "revenue") == ("skipd", "1 day skipped")
        assert word_of(mended, "month") == ("skipd", "skipped")

        await visitor.runtime.materialize_all("month", refresh="stale")
        well = (await visitor.get("/")).text
        assert "All is well." in well
        assert word_of(well, "revenue") == ("ok", "current")


async def test_what_is_missing_or_left_out_by_choice_is_told_apart(visit):
    """Days that were never made are no tick, and nothing has failed; a skip by choice is no lack of anything."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("raw", end="2025-01-08")
        page = (await visitor.get("/")).text
        assert "Nothing has failed." in page
        assert word_of(page, "raw") == ("never", "2 days missing")
        await visitor.runtime.backfill("raw")
        page = (await visitor.get("/")).text
        assert "still to be made" not in page
        assert word_of(page, "raw") == ("ok", "1 day skipped by choice")
        assert '<tr id="asset-raw">' in (await visitor.get("/assets?state=ok")).text


async def test_the_strip_of_an_asset_has_a_box_for_neighbours_of_one_state(visit):
    """Drawn by the server: current, skipped, never made; and how many of how many have a value."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("raw", end="2025-01-08")
        page = (await visitor.get("/")).text
        row = page.partition('<tr id="asset-raw">')[2].partition("</tr>")[0]
        assert 'aria-label="raw: 7 of 10 days"' in row
        assert '<path class="f-ok" d="M0 3h2v8h-2zM3 3h5v8h-5z"/>' in row
        assert '<path class="f-skipd" d="M2 6h1v2h-1z"/>' in row
        assert '<path class="f-never" d="M8 3h2v8h-2z"/>' in row
        assert '7<span class="dim">/10</span>' in row
        assert "2 days missing" in row


async def test_what_was_computed_since_is_there_at_the_next_look(visit):
    """Nothing that is kept of the last look hides it: a run, an invalidation, keys that are added."""
    async with visit(flights()) as visitor:
        await visitor.get("/")
        await visitor.runtime.backfill("raw")
        assert "raw: 9 of 10 days" in (await visitor.get("/")).text
        await visitor.runtime.materialize("report")
        assert "report: " in (await visitor.get("/")).text


async def test_overdue_assets_need_somebody(visit):
    """By the freshness they are defined with."""
    async with visit(flights()) as visitor:
        await visitor.runtime.materialize("report")
        page = (await visitor.get("/")).text
        assert "1 asset is overdue" in page
        assert "report is overdue" in page


async def test_a_runtime_without_assets_shows_how_to_begin(visit):
    """Ten lines to paste; no table of nothing."""
    async with visit(Pipeline("empty")) as visitor:
        page = (await visitor.get("/")).text
        assert "No assets yet" in page
        assert "@pipeline.asset" in page
        assert "<table" not in page


async def test_steps_that_wait_are_drawn_over_what_is_on_record(visit):
    """A partition that waits for an approval is waiting, whatever it was before."""
    pipeline = Pipeline("bank")

    @pipeline.asset(partitions=DAYS)
    async def paid(context) -> int:
        if context.partition.day == 4:
            context.approval("pay", message="Pay?")
        return 1

    async with visit(pipeline) as visitor:
        run = await visitor.runtime.submit_backfill("paid")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        page = (await visitor.get("/")).text
        row = page.partition('<tr id="asset-paid">')[2].partition("</tr>")[0]
        assert '<path class="f-wait" d="M3 0h1v14h-1z"/>' in row
        assert "1 day waiting" in row


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["raw", "delays", "report"]),
        ("?state=failed", ["delays"]),
        ("?group=raw", ["raw"]),
        ("?owner=grace", ["delays"]),
        ("?q=REP", ["report"]),
        ("?group=raw&owner=grace", []),
        ("?state=nonsense", []),
        ("?q=%3Cscript%3E", []),
    ],
)
async def test_the_address_says_which_assets_are_shown(visit, query, shown):
    """By state, group, owner and a part of the name, all of which must fit."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("delays")
        page = (await visitor.get(f"/assets{query}")).text
        assert [name for name in ("raw", "delays", "report") if f'<tr id="asset-{name}">' in page] == shown
        assert "<script>" not in page.partition("<main")[2].partition("</main>")[0]


async def test_a_signal_that_is_waited_for_needs_somebody(visit):
    """It is counted beside the approvals, on every page, and its asset is drawn as waiting."""
    pipeline = Pipeline("bank")

    @pipeline.asset
    async def register(context) -> int:
        return context.signal("faa-register", timeout=7200.0)

    async with visit(pipeline) as visitor:
        run = await visitor.runtime.submit("register")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        page = (await visitor.get("/")).text
        assert "1 step waits for a signal" in page
        assert "register waits for signal faa-register" in page
        assert "Fails without it in 1 h" in page
        assert '<span class="tag wait">1</span>' in page
        assert '<span class="dot">1</span>' in page
        row = page.partition('<tr id="asset-register">')[2].partition("</tr>")[0]
        assert ("waiting" in row, 'class="f-wait"' in row) == (True, True)
