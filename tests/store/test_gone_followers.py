"""Who follows for automations that have left the code, in memory: a day later that is forgotten."""

from __future__ import annotations

from datetime import timedelta

from flowstone.runs.automation import Definition
from flowstone.store import MemoryStore
from tests.store.deliveries_contract import PIPELINE, follower, told
from tests.store.facts import at, run, start

ALERT = Definition("alert", "listener", "x")
TOTAL = Definition("total", "condition", "x")
FOLLOWERS = [follower("", "step"), follower("alert", "step")]


async def gone_for(days):
    """A store where a listener and a condition were gone for so long, before there is another one."""
    store = MemoryStore()
    await store.open()
    await store.automations.define({PIPELINE: [ALERT, TOTAL]}, now=at(0))
    await store.deliveries.follow(PIPELINE, FOLLOWERS)
    await store.create_run(run())
    await store.write(start("a"))
    await store.automations.define({PIPELINE: []}, now=at(0))
    await store.deliveries.follow(PIPELINE, [])
    return store, at(0) + timedelta(days=days)


async def test_after_a_day_nothing_is_kept_for_what_is_gone():
    """Nor before that day is over is anything forgotten."""
    store, later = await gone_for(0.9)
    await store.automations.define({PIPELINE: []}, now=later)
    assert [each.follower.name for each in await store.deliveries.followers(PIPELINE)] == ["", "alert"]
    await store.automations.define({PIPELINE: []}, now=later + timedelta(days=1))
    assert await store.deliveries.followers(PIPELINE) == []
    await store.close()


async def test_one_that_comes_back_after_a_day_begins_anew():
    """What it was still to be told is kept no longer than a day."""
    store, later = await gone_for(1.1)
    await store.deliveries.follow(PIPELINE, FOLLOWERS)
    await store.automations.define({PIPELINE: [ALERT, TOTAL]}, now=later)
    assert await told(store, "alert") == []
    await store.write(start("b"))
    assert await told(store, "alert") == [start("b")]
    await store.close()
