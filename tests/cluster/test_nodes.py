"""Several nodes of one process on a real database."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import RunCancelled
from flowstone.runtime.services.notifications import Notifications
from flowstone.store.cluster import Notification
from tests.cluster.pipeline import PARTS


async def test_a_submitted_run_is_taken_and_waited_for_elsewhere(works):
    """One node submits, another computes; the value is loaded where it was asked for."""
    async with works.node(worker=False) as command, works.node() as worker:
        run = await command.submit("quick")
        result = await run.wait(timeout=200)
        assert (await works.store.run(run.id)).owner in {
            watched.node.id for watched in await works.store.cluster.nodes() if watched.node.pipelines
        }
        assert await result.value() == await worker.load("quick") == await command.load("quick")


async def test_a_backfill_spreads(works):
    """Both nodes execute steps; each step succeeds once, and no lease is left."""
    async with works.node() as first, works.node() as second:
        heard = []
        async with second.subscribe("step.succeeded") as events:
            result = await first.backfill("clean", upstream=True, max_parallel=8, on_progress=heard.append)
            heard_there = len(events)
        assert len(result.succeeded) == 2 * len(PARTS)
        assert heard[-1].done == 2 * len(PARTS)
        assert heard_there > 0
        assert await works.each_once(result.run_id)
        assert await second.load("clean", partition=PARTS[3])
        assert list(await works.store.cluster.outstanding(result.run_id)) == []


async def test_a_key_is_for_one_run_of_all(works):
    """At whatever instant they submit."""
    async with works.node(worker=False) as first, works.node(worker=False) as second:
        runs = await asyncio.gather(*(node.submit("slow", key="k") for node in [first, second] * 5))
        assert len({run.id for run in runs}) == 1
        await runs[0].cancel()
        assert await runs[-1].status() == "cancelled"


async def test_a_cancel_reaches_another_node(works):
    """The caller returns when it has stopped."""
    async with works.node(worker=False) as command, works.node() as worker:
        run = await command.submit("slow")
        await works.until(lambda: _is(run, "running"))
        await run.cancel()
        with pytest.raises(RunCancelled):
            await run.wait(timeout=200)
        assert (await worker.health()).steps == 0


async def test_cancelling_a_backfill_stops_what_other_nodes_execute(works):
    """All of its steps end cancelled or done, and nobody holds a slot."""
    async with works.node() as first, works.node() as second:
        run = await first.submit_backfill("raw", max_parallel=8)
        await works.until(lambda: _has_begun(works, run))
        await run.cancel()
        result = await run.result()
        assert len(result) == len(PARTS)
        assert (await first.health()).steps == (await second.health()).steps == 0


async def test_a_node_that_stops_hands_back(works):
    """The run is in the queue again, and another node goes on with it."""
    async with works.node(worker=False) as command:
        async with works.node(shutdown_timeout=0.0):
            run = await command.submit("slow")
            await works.until(lambda: _is(run, "running"))
        assert (await works.store.run(run.id)).owner is None
        async with works.node():
            await works.until(lambda: _owned(works, run))
            await run.cancel()


async def test_a_tree_is_seen_through_the_store(works):
    """A node shows its tree when somebody asks for it."""
    async with works.node():
        await works.store.cluster.tell(Notification("tree"))
        await works.until(lambda: _shown(works))


async def test_nothing_polls_between_a_submission_and_its_end(works, monkeypatch):
    """A node that hears of what happens and never looks starts a run, and who waits for it hears of its end."""
    heard = Notifications.heard

    def told(self, notification):
        if notification.kind != "look":
            heard(self, notification)

    monkeypatch.setattr(Notifications, "heard", told)
    async with works.node(worker=False) as command, works.node():
        for _ in range(3):
            run = await command.submit("quick")
            await run.wait(timeout=200)


async def _is(run, status):
    return await run.status() == status


async def _owned(works, run):
    return (await works.store.run(run.id)).owner is not None


async def _has_begun(works, run):
    return len(await works.starts(run.id)) >= 8


async def _shown(works):
    return any(watched.tree is not None for watched in await works.store.cluster.nodes())


async def test_a_step_elsewhere_has_a_status(works):
    """Queued while nobody has taken its run, running where another node computes it, then what was recorded."""
    async with works.node(worker=False) as command:
        run = await command.submit("slow")
        backfill = await command.submit_backfill("clean", partitions=PARTS[:3])
        assert await command.status("slow") == "queued"
        assert await command.status("clean", partition=PARTS[1]) == "queued"
        assert await command.status("clean", partition=PARTS[5]) == "never"
        await backfill.cancel()
        async with works.node():
            await works.until(lambda: _status(command, "slow", "running"))
            await run.cancel()
            assert await command.status("slow") == "cancelled"


async def _status(runtime, asset, status) -> bool:
    return await runtime.status(asset) == status
