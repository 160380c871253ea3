"""Who follows for automations that have left the code, on a database: a day later that is forgotten."""

from __future__ import annotations

import asyncpg

from flowstone.runs.automation import Definition
from tests.store.contract import finished_run
from tests.store.deliveries_contract import PIPELINE, follower, told
from tests.store.facts import at, end

THERE = {
    PIPELINE: [
        Definition("alert", "listener", "x"),
        Definition("total", "condition", "x"),
        Definition("other", "condition", "x"),
    ]
}
FOLLOWERS = [follower("", "run.succeeded"), follower("alert", "step")]


async def test_after_a_day_nothing_is_kept_for_what_is_gone(store, database):
    """Retention takes the runs; and one that comes back later begins anew."""
    connection = await asyncpg.connect(database)
    await store.automations.define(THERE, now=at(0))
    await store.deliveries.follow(PIPELINE, FOLLOWERS)
    await finished_run(store, "run-1", end("a"))
    await finished_run(store, "run-2", end("a", run_id="run-2"))
    await store.automations.define({PIPELINE: [THERE[PIPELINE][2]]}, now=at(0))
    await store.deliveries.follow(PIPELINE, FOLLOWERS[:1])
    await connection.execute("update flowstone.automations set gone_at = gone_at - interval '2 days'")
    await store.prune(keep_versions=1, keep_runs=1)
    assert await store.run("run-1") is not None
    await store.deliveries.follow(PIPELINE, FOLLOWERS)
    assert await told(store, "alert") == []
    assert len(await told(store, "")) == 2  # Another condition is there.
    await store.automations.define({PIPELINE: []}, now=at(0))
    await store.deliveries.follow(PIPELINE, [])
    await connection.execute("update flowstone.automations set gone_at = gone_at - interval '2 days'")
    await store.automations.define({PIPELINE: []}, now=at(0))
    assert await store.deliveries.followers(PIPELINE) == []
    await store.prune(keep_versions=1, keep_runs=1)
    assert await store.run("run-1") is None
    await connection.close()
