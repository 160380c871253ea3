"""Stale values on every page that shows how values stand, with the reason that the runtime has."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import DailyPartitions, Pipeline
from flowstone.runtime.services import events
from flowstone.server import known_assets, stale_assets
from flowstone.server.known_assets import KnownAssets

DAYS = DailyPartitions("2025-01-01", "2025-01-03")
CHANGED = "the code version of clean changed from 1 to 2"


def flights(version: str) -> Pipeline:
    pipeline = Pipeline("flights")

    @pipeline.asset(partitions=DAYS)
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=DAYS, version=version)
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset(partitions=DAYS)
    async def report(clean: int) -> int:
        return clean

    return pipeline


@pytest.fixture
async def changed(visit):
    """All days were computed, then the code of `clean` was changed, and its second day computed again."""
    async with visit(flights("1")) as visitor:
        await visitor.runtime.backfill("report", upstream=True)
        await visitor.runtime.reload(flights("2"))
        await visitor.runtime.materialize("clean", partition="2025-01-02")
        yield visitor


async def shown(visitor, path, wanted):
    """The page once it says something: what is stale is looked at bit by bit."""
    async with asyncio.timeout(60):
        while wanted not in (page := (await visitor.get(path)).text):
            await asyncio.sleep(0)
    return page


@pytest.mark.parametrize("path", ["/", "/assets"])
async def test_tables_of_assets_say_how_many_and_why(changed, path):
    """The strip has them in their own colour; what is current is not among them."""
    page = await shown(changed, path, "3 days stale")
    row = page.partition('<tr id="asset-clean">')[2].partition("</tr>")[0]
    assert "2 days stale" in row
    assert CHANGED in row
    assert '<path class="f-stale" d="M0 3h1v8h-1zM2 3h1v8h-1z"/>' in row
    assert '3<span class="dim">/3</span>' in row
    assert "f-stale" not in page.partition('<tr id="asset-raw">')[2].partition("</tr>")[0]


async def test_the_list_is_filtered_by_it(changed):
    """As by any state."""
    page = await shown(changed, "/assets?state=stale", 'id="asset-report"')
    assert 'id="asset-clean"' in page
    assert 'id="asset-raw"' not in page


async def test_the_graph_draws_them(changed):
    """The drawing, the list beside it, and what is said of the chosen one."""
    page = await shown(changed, "/graph?focus=clean", "2 days stale")
    assert '"parts": [["ok", 1], ["stale", 2]], "st": "stale"' in page
    assert 'data-id="clean" aria-current="true"><svg class="i stale"' in page
    assert CHANGED in page


async def test_an_asset_has_them_in_its_calendar_with_the_reason(changed):
    """The counts above it lead to the table of these."""
    page = await shown(changed, "/assets/clean", '["stale", 1], ["ok", 1], ["stale", 1]')
    assert "2 stale" in page
    assert f"stale because {CHANGED}" in page
    assert "Materialize clean[2025-01-03] again" in page
    table = await shown(changed, "/assets/clean?view=table&state=stale", "Only stale")
    assert table.count("data-pick") == 2


async def test_a_partition_says_why_down_to_the_cause(changed):
    """And its lineage has what is stale above and below it."""
    page = await shown(changed, "/assets/report/2025-01-01", "Stale because clean[2025-01-01] is stale.")
    assert "Its value is stale" in page
    assert f"stale because {CHANGED}" in page
    assert '<svg class="i stale"' in page.partition('id="lineage"')[2]
    page = (await changed.get("/assets/raw/2025-01-01")).text
    assert "Its value is current" in page
    page = await shown(changed, "/assets/report/2025-01-02", "Its value is stale")
    assert "Stale because clean[2025-01-02] changed at" in page


async def test_an_asset_that_is_computed_all_the_time_hides_no_other(changed, monkeypatch):
    """Though each look at a page takes in no more than one asset."""
    monkeypatch.setattr(stale_assets, "_LONGEST", 0.0)
    known = KnownAssets(changed.runtime)
    for _ in range(12):
        await changed.runtime.materialize("raw", partition="2025-01-01")
        found = await known.read()
    assert set(found.stale["clean"]) == {"d:2025-01-01", "d:2025-01-03"}
    assert set(found.stale["report"]) == {"d:2025-01-01", "d:2025-01-02", "d:2025-01-03"}


async def test_a_look_that_is_broken_off_is_begun_anew(changed, monkeypatch):
    """Within an asset: else it would count as looked at, with the reasons that were found up to there."""
    known, failing = KnownAssets(changed.runtime), [True]
    stale = changed.runtime.stale

    async def broken(asset, **options):
        async for piece in stale(asset, **options):
            if failing:
                raise asyncio.CancelledError
            yield piece

    monkeypatch.setattr(changed.runtime, "stale", broken)
    for _ in range(3):
        with pytest.raises(asyncio.CancelledError):
            await known.read()
    failing.clear()
    found = await known.read()
    while known.goes_on:
        found = await known.read()
    assert set(found.stale["clean"]) == {"d:2025-01-01", "d:2025-01-03"}
    assert set(found.stale["report"]) == {"d:2025-01-01", "d:2025-01-02", "d:2025-01-03"}


async def test_events_that_found_no_room_are_made_good_by_one_reading(changed, monkeypatch):
    """The next ones ask for what has changed alone."""
    monkeypatch.setattr(events, "_BUFFER", 2)
    known, asked = KnownAssets(changed.runtime), []
    states = changed.runtime.partition_states

    async def partition_states(*assets):
        asked.append(assets)
        return await states(*assets)

    monkeypatch.setattr(changed.runtime, "partition_states", partition_states)
    monkeypatch.setattr(known_assets, "_SHARE", 1e9)
    monkeypatch.setattr(known_assets, "_LONGEST", 1e9)
    async with known.watched():
        await known.read()
        for _ in range(3):
            await changed.runtime.materialize("raw", partition="2025-01-01")
        await known.read()
        await known.read()
        await changed.runtime.materialize("raw", partition="2025-01-01")
        await known.read()
    assert asked == [(), (), ("raw",)]


async def test_events_are_kept_for_as_long_as_somebody_looks(changed):
    """A page that was looked at once keeps none; who looks without being told reads all."""
    await changed.get("/")
    assert changed.app.state.known._events is None
    known = KnownAssets(changed.runtime)
    async with known.watched():
        async with known.watched():
            await known.read()
        assert known._events is not None
    assert known._events is None
    await changed.runtime.materialize("raw", partition="2025-01-01")
    assert (await known.read()).states["raw"].codes


async def test_it_is_current_again_once_it_is_computed(changed):
    """At the next look."""
    await shown(changed, "/", "2 days stale")
    await changed.runtime.backfill("report", upstream=True, refresh="stale")
    page = await shown(changed, "/", "3 of 3 assets are well.")
    assert "days stale" not in page
