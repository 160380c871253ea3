"""Moves of `docs/lifecycle.md` that no state machine makes: of runs whose definitions have changed."""

from __future__ import annotations

import asyncio

from flowstone import Context, DailyPartitions, Pipeline
from tests.lifecycle import Move, moves_of


def pipelines():
    """A release whose asset waits for somebody, and one in which it has gained partitions."""
    before, after = Pipeline("shop"), Pipeline("shop")

    @before.asset(name="published")
    async def waits(context: Context) -> str:
        return context.approval("publish").by

    @after.asset(name="published", partitions=DailyPartitions("2025-01-01", "2025-01-03"))
    async def partitioned(context: Context) -> str:
        return "never"

    return before, after


async def parked_run(place, pipeline):
    """The ids of a run that is parked, and of what it waits for."""
    async with place.runtime(pipeline) as runtime:
        run = await runtime.submit("published")
        while not await runtime.runs(status="waiting"):
            await asyncio.sleep(0.005)
        (asked,) = await runtime.approvals()
    return run.id, asked.id


async def ended(runtime, run_id):
    """The run, once it has ended, and its events by kind."""
    run = await runtime.run(run_id)
    while not (await run.status()).terminal:
        await asyncio.sleep(0.005)
    return run, [event.kind async for event in run.events()]


async def test_a_step_fails_before_it_was_attempted_if_its_run_cannot_be_planned(place):
    """It was woken, so it is queued; then nobody knows what to do with it."""
    before, after = pipelines()
    async with asyncio.timeout(200):
        run_id, asked = await parked_run(place, before)
        async with place.runtime(after) as runtime:
            await runtime.approve(asked, by="ada")
            run, kinds = await ended(runtime, run_id)
            (failed,) = (await run.result()).failed
            assert (await run.status(), failed.asset) == ("failed", "published")
            assert "is partitioned by DailyPartitions" in failed.failure.message
    assert kinds[kinds.index("step.woken") :] == ["step.woken", "step.failed", "run.finished"]
    assert Move("queued", "failed", "step.failed") in moves_of("A step")


async def test_a_parked_run_that_cannot_be_planned_is_cancelled_as_it_is(place):
    """With the step that waits, and without a node that plans it."""
    before, after = pipelines()
    async with asyncio.timeout(200):
        run_id, asked = await parked_run(place, before)
        async with place.runtime(after) as runtime:
            await (await runtime.run(run_id)).cancel()
            run, kinds = await ended(runtime, run_id)
            assert await run.status() == "cancelled"
            assert [each.asset for each in (await run.result()).cancelled] == ["published"]
            assert [each.id for each in await runtime.approvals("cancelled")] == [asked]
    assert kinds[-2:] == ["step.cancelled", "run.finished"]


async def test_a_parked_run_whose_time_is_over_is_cancelled_though_it_cannot_be_planned(place):
    """What ended it was its own timeout, and not the new definitions."""
    before, after = pipelines()
    async with asyncio.timeout(200):
        async with place.runtime(before) as runtime:
            run = await runtime.submit("published", timeout=0.5)
            while not await runtime.runs(status="waiting"):
                await asyncio.sleep(0.005)
        async with place.runtime(after) as runtime:
            run, kinds = await ended(runtime, run.id)
            assert await run.status() == "cancelled"
    assert "run.cancel_requested" in kinds
