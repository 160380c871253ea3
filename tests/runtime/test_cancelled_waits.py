"""A run that is cancelled while a step of it was denied what it waits for, and the answer is still on its way."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, Pipeline, RunCancelled, Runtime, StaticPartitions
from flowstone.runs.events import RunCancelRequested
from flowstone.runtime.run.parking import Parking
from flowstone.store.file import FileStore
from flowstone.store.memory import MemoryStore


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request, tmp_path):
    """Each kind of store; that of a database is shared by nodes."""
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path)


class Asks:
    """A pipeline that waits for somebody's approval of each part, and has something else to do meanwhile."""

    def __init__(self):
        self.pipeline = pipeline = Pipeline("asks")
        self.busy = asyncio.Event()

        @pipeline.asset(partitions=StaticPartitions(["one", "two", "three"]))
        async def decision(context: Context) -> str:
            return context.approval("agreed").by

        @pipeline.asset
        async def other() -> int:
            await self.busy.wait()
            return 1

        @pipeline.asset
        async def report(decision: dict[str, str], other: int) -> int:
            return other


class Deaf:
    """A coordinator that is not told what is decided, once something is, until the gate is open."""

    def __init__(self, patch):
        self.opened = asyncio.Event()
        question = Parking._question

        def gated(parking):
            return self._hold(question(parking))

        patch.setattr(Parking, "_question", gated)

    async def _hold(self, asked):
        found = await asked
        if found:
            await self.opened.wait()
        return found


async def all_ask(runtime):
    """The approvals, once each part waits for its own."""
    while len(found := await runtime.approvals()) < 3:
        await asyncio.sleep(0)
    return sorted(found, key=lambda approval: approval.partition)


@pytest.mark.parametrize("hears", ["never", "after the cancel"])
async def test_what_was_denied_on_record_is_not_cancelled(store, monkeypatch, background, hears):
    """It has failed, what was approved or still waits is cancelled, and so is the run."""
    asks, deaf = Asks(), Deaf(monkeypatch)
    async with (
        asyncio.timeout(60),
        Runtime(asks.pipeline, store=store) as runtime,
        runtime.subscribe("step.failed", "run.finished") as told,
    ):
        result = background(runtime.materialize_all("report"))
        one, three, _ = await all_ask(runtime)
        await runtime.reject(one.id, by="ada")
        await runtime.approve(three.id, by="ada")
        run = await runtime.run(one.run_id)
        cancel = background(run.cancel())
        async for event in run.events():
            if isinstance(event, RunCancelRequested):
                if hears == "after the cancel":
                    deaf.opened.set()
                break
        with pytest.raises(RunCancelled) as cancelled:
            await result
        await cancel
        ended = cancelled.value.result
        assert [step.partition for step in ended.failed] == ["one"]
        assert sorted(f"{step.asset} {step.partition}" for step in ended.cancelled) == [
            "decision three",
            "decision two",
            "other None",
            "report None",
        ]
        assert [each.status for each in await runtime.runs()] == ["cancelled"]
        assert [(await anext(told)).kind for _ in range(2)] == ["step.failed", "run.finished"]
