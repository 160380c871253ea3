"""Schedules on several nodes of one database: one of them drives each, another one takes over."""

from __future__ import annotations

import asyncio
import time

import pytest

from flowstone import Pipeline, RunRequest, Runtime
from flowstone.store.cluster import Notification

FAST = {"lease": 0.5}


def looking(seen, name):
    """A pipeline whose sensor notes who looks."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report() -> int:
        return 1

    @pipeline.sensor("files", every=0.02)
    async def files(context):
        seen.append(name)
        context.cursor = (context.cursor or 0) + 1
        yield RunRequest("report", key=str(context.cursor), join=False)

    return pipeline


async def until(condition):
    """Wait for what other tasks do."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_one_node_looks_and_another_takes_over_when_it_leaves(database):
    """At once: who leaves says so. The cursor goes on where it was."""
    seen = []
    async with Runtime(looking(seen, "b"), store=database, **FAST) as watching:
        async with Runtime(looking(seen, "a"), store=database, automate=True, **FAST):
            await until(lambda: len(seen) > 5)
            async with Runtime(looking(seen, "c"), store=database, automate=True, **FAST) as other:
                await until(lambda: len(seen) > 20)
                assert set(seen) == {"a"}
                paused = await other.pause("files")
                assert paused.paused
                await watching.resume("files")
                before = len(seen)
                await until(lambda: len(seen) > before + 5)
                assert set(seen) == {"a"}
        async with Runtime(looking(seen, "d"), store=database, automate=True, **FAST) as last:
            await until(lambda: "d" in seen)
            (status,) = await last.automations()
            record = await last._started().store.automations.record(("sales", "files"))
    assert record.cursor >= len(status.last_fires)
    assert record.cursor <= len(seen)


@pytest.mark.usefixtures("database")
async def test_two_fire_the_same_sensor_by_hand(database):
    """Each look is one change: the cursor counts them all, and no key is asked for twice."""
    seen = []
    pipeline = looking(seen, "a")
    async with Runtime(pipeline, store=database) as one, Runtime(pipeline, store=database) as two:
        fired = await asyncio.gather(*(runtime.fire("files") for runtime in (one, two) * 5))
        assert [len(runs) for runs in fired] == [1] * 10
        record = await one._started().store.automations.record(("sales", "files"))
        assert record.cursor == 10
        assert len(await one.runs()) == 10


async def test_what_else_happens_does_not_shorten_the_pause_after_a_failure(database):
    """A node looks once a second whether others are there: a sensor that fails waits all the same."""
    pipeline = Pipeline("sales")
    calls = []

    @pipeline.sensor("files", every=0.02)
    async def files(_context):
        calls.append(time.monotonic())
        raise OSError("no route")

    async with Runtime(pipeline, store=database, automate=True) as runtime:
        async with runtime.subscribe("automation.failed") as events:
            await anext(events)
        for _ in range(30):
            for kind in ("look", "nodes"):
                runtime._started().notifications.heard(Notification(kind, ""))
            await runtime.automations()
        assert len(calls) == 1 or calls[1] - calls[0] >= 0.5
        await runtime.resume("files")
        await until(lambda: len(calls) > 1)
