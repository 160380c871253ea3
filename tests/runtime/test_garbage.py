"""A run leaves nothing to the garbage collector, whatever became of it: nothing beside it is paused."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from flowstone import Pipeline, Retry, Runtime
from flowstone.errors import FlowstoneError
from tests.garbage import garbage_of

pipeline = Pipeline("garbage")


@pipeline.asset
async def quote():
    """Succeed."""
    return 1


@pipeline.asset
async def price(quote):
    """Use what is upstream."""
    return quote


@pipeline.asset
async def children():
    """Start a task."""
    return await asyncio.create_task(asyncio.sleep(0, 1))


@pipeline.asset
async def broken():
    """Fail."""
    raise ValueError


@pipeline.asset
async def skipped(broken):
    """Never run."""


@pipeline.asset(retry=Retry(attempts=2, delay=1.0))
async def flaky(context):
    """Succeed when asked again."""
    if context.attempt == 1:
        raise ValueError


@pipeline.asset(timeout=1.0)
async def endless():
    """Wait."""
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("target", ["price", "children", "skipped", "flaky", "endless"])
@pytest.mark.both_loops
async def test_a_run_leaves_no_cycles(target, clock):
    """Succeeded, failed, retried, timed out."""
    async with Runtime(pipeline, clock=clock) as runtime:

        async def once():
            run = await runtime.submit(target)
            await clock.settle()
            await clock.advance(10.0)
            with suppress(FlowstoneError):
                await run.result()
            await clock.settle()

        assert await garbage_of(once) == {}


async def test_a_cancelled_run_leaves_no_cycles(clock):
    """Nor do its attempts."""
    async with Runtime(pipeline, clock=clock) as runtime:

        async def once():
            run = await runtime.submit("endless")
            await clock.settle()
            await run.cancel()
            with suppress(FlowstoneError):
                await run.result()
            await clock.settle()

        assert await garbage_of(once) == {}
