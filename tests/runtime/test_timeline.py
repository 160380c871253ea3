"""The attempts of a run over time, and following them."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Pipeline, Retry, RunNotFound, Runtime, StaticPartitions, Status
from flowstone.testing.clock import VirtualClock


def shop(gate: asyncio.Event | None = None) -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset(retry=Retry(attempts=2, delay=5.0, jitter=0.0))
    async def shaky() -> int:
        raise OSError("no such file")

    @pipeline.asset
    async def after(shaky: int) -> int:
        return shaky

    @pipeline.asset
    async def slow() -> int:
        if gate is not None:
            await gate.wait()
        return 1

    @pipeline.asset(partitions=StaticPartitions([f"k{n:03}" for n in range(300)]))
    async def many() -> int:
        return 1

    return pipeline


async def test_every_attempt_is_there_with_its_times(clock: VirtualClock):
    """A retried attempt, its wait, the last one, and what was skipped because of it."""
    async with Runtime(shop(), clock=clock) as runtime:
        run = await runtime.submit("after")
        await clock.advance(6.0)
        while not (await run.status()).terminal:
            await asyncio.sleep(0)
        timeline = await runtime.timeline(run.id)
        assert timeline.whole
        assert dict(timeline.totals) == {"shaky": 1, "after": 1}
        found = {(each.asset, each.attempt): each for each in timeline.attempts}
        first, last = found["shaky", 1], found["shaky", 2]
        assert (first.status, first.retry_after) == (Status.FAILED, 5.0)
        assert (last.started_at - first.finished_at).total_seconds() == 5.0
        assert (last.status, last.retry_after) == (Status.FAILED, None)
        assert {first.node, last.node} == {runtime.node}
        assert (found["after", 0].status, found["after", 0].node) == (Status.SKIPPED, None)
        assert found["after", 0].started_at is None


async def test_only_what_has_changed_is_told_again():
    """Following a run costs what happens in it."""
    gate = asyncio.Event()
    async with Runtime(shop(gate)) as runtime:
        run = await runtime.submit("slow")
        while not (begun := await runtime.timeline(run.id)).attempts:
            await asyncio.sleep(0)
        assert [each.status for each in begun.attempts] == [Status.RUNNING]
        again = await runtime.timeline(run.id, after=begun.position)
        assert (again.whole, list(again.attempts)) == (False, [])
        gate.set()
        await run.wait()
        ended = await runtime.timeline(run.id, after=begun.position)
        assert [each.status for each in ended.attempts] == [Status.SUCCEEDED]
        assert ended.attempts[0].started_at == begun.attempts[0].started_at


async def test_what_the_log_does_not_keep_is_in_the_records(monkeypatch):
    """A finished run keeps its newest events; the times of all its steps are known all the same."""
    monkeypatch.setattr("flowstone.store.event_log.EVENTS_KEPT", 10)
    async with Runtime(shop()) as runtime:
        result = await runtime.backfill("many")
        timeline = await runtime.timeline(result.run_id)
        assert len({each.partition_key for each in timeline.attempts}) == 300
        assert all(each.started_at and each.finished_at for each in timeline.attempts)
        late = await runtime.timeline(result.run_id, after=3)
        assert (late.whole, len(late.attempts)) == (True, 300)
        newest = await runtime.timeline(result.run_id, limit=20)
        assert 20 <= len(newest.attempts) < 60


async def test_steps_are_listed_a_page_at_a_time():
    """In the order in which they ended, all or of one status."""
    async with Runtime(shop()) as runtime:
        result = await runtime.backfill("many")
        page = await runtime.steps(result.run_id, "succeeded", limit=2, offset=298)
        assert [step.partition for step in page] == ["k298", "k299"]
        assert list(await runtime.steps(result.run_id, "failed")) == []
        with pytest.raises(ValueError, match="No step ends 'running'"):
            await runtime.steps(result.run_id, "running")
        with pytest.raises(RunNotFound):
            await runtime.steps("nobody")
        with pytest.raises(RunNotFound):
            await runtime.timeline("nobody")
