"""What an asset gives that is still to be computed: awaited where that is meant, refused where it is a mistake."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import MaterializationFailed, Output, Pipeline, Runtime

pipeline = Pipeline("returned")


async def answer():
    await asyncio.sleep(0)
    return 42


@pipeline.asset
def in_a_thread() -> int:
    return answer()


@pipeline.asset(run_in="loop")
def on_the_loop() -> int:
    return answer()


@pipeline.asset(run_in="process")
def in_a_process() -> int:
    return answer()


@pipeline.asset
async def coroutine() -> int:
    return answer()


@pipeline.asset
async def wrapped() -> int:
    return Output(answer())


@pipeline.asset
async def future() -> int:
    made = asyncio.get_running_loop().create_future()
    made.set_result(42)
    return made


@pipeline.asset
async def task() -> int:
    return asyncio.create_task(answer())


@pytest.mark.parametrize("asset", [in_a_thread, on_the_loop, in_a_process], ids=lambda asset: asset.name)
async def test_the_coroutine_of_a_plain_function_is_awaited(asset):
    """A `def` may be a wrapper of an `async def`: the step is what the coroutine comes to."""
    async with Runtime(pipeline) as runtime:
        await runtime.materialize(asset)
        assert await runtime.load(asset) == 42


@pytest.mark.parametrize("asset", [coroutine, wrapped, future, task], ids=lambda asset: asset.name)
async def test_what_was_not_awaited_is_no_value(asset):
    """An `async def` that gives something to be awaited has forgotten to, and is told so."""
    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="await"):
            await runtime.materialize(asset)
        assert await runtime.status(asset) == "failed"
