"""Who looks into the queue passes over a run whose row is locked, and is told of it again by whoever locked it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from flowstone.runs.events import RunStarted, RunWaiting, StepStarted, StepWaiting
from flowstone.runs.records import RunRecord, RunSpec, Status
from flowstone.runs.waits import wait_id
from flowstone.store.cluster import Notification
from flowstone.store.protocol import StaleWrite

FIRST, SECOND = ("asked", "a"), ("asked", "b")
NOW = datetime.now(UTC)


async def decide(store, step, status="answered"):
    await store.waits.answer("run-1", step, "publish", {"by": "ada"}, now=NOW, status=status)


async def decide_too_late(store):
    with pytest.raises(StaleWrite):
        await decide(store, FIRST, "rejected")


async def decide_another(store):
    await decide(store, SECOND)


async def cancel(store):
    await store.cluster.request_cancel("run-1", "asked")


@pytest.fixture
async def queued(store):
    """A store with a run that waited for two approvals, one of which has put it into the queue."""
    request = RunSpec(kind="backfill", asset="asked", keys=("a", "b"))
    await store.create_run(RunRecord("run-1", "works", request, Status.RUNNING, NOW, owner="nobody"))
    events = [RunStarted(NOW, "run-1", "asked", 2)]
    for step in (FIRST, SECOND):
        known_by = wait_id("run-1", *step, "publish")
        events.append(StepStarted(NOW, "run-1", *step, 1))
        events.append(StepWaiting(NOW, "run-1", *step, 1, "publish", "approval", None, None, known_by, {}))
    await store.write_many([*events, RunWaiting(NOW, "run-1", "asked", 2)])
    await decide(store, FIRST)
    return store


@pytest.mark.parametrize("call", [decide_too_late, decide_another, cancel])
async def test_whoever_locks_a_queued_run_tells_of_it(queued, call):
    """Whether it changes anything or not."""
    heard: list[Notification] = []
    told = asyncio.Event()

    def hear(notification):
        heard.append(notification)
        if notification.kind == "queued":
            told.set()

    with queued.cluster.watch(hear):
        while not heard:  # It listens.
            await asyncio.sleep(0.005)
        heard.clear()
        told.clear()
        await call(queued)
        async with asyncio.timeout(200):
            await told.wait()
    assert Notification("queued", "works") in heard
    (run,) = await queued.cluster.take("n1", ["works"], 5)
    assert run.id == "run-1"
