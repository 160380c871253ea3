"""Whatever an asset raises, wherever: it fails alone, as what it is, and everything else goes on."""

from __future__ import annotations

import pytest

from flowstone import MaterializationFailed, Runtime
from tests.hostile.exceptions import BASE_ONLY, CANCELS, CATALOGUE, MADE_BY_PYTHON, UNASKABLE, type_name
from tests.hostile.places import ASYNC, GROUPS, LOOP, PROCESS, THREAD, pipeline

EVERY = sorted(CATALOGUE)
BEYOND_REACH = {
    # What was raised is asked (`isinstance`) in a callback of the loop: what that does, no asset's guard sees.
    ("in_thread", "lies"),
    ("in_thread", "secretive"),
    # A child that cancels itself is no failure to a group: nothing is raised at all.
    ("in_task_group", "CancelledError"),
    ("in_anyio_group", "CancelledError"),
}
IN_COROUTINE = {
    *(asset.name for asset in ASYNC),
    *(f"plain_coroutine_{mode}" for mode in ("loop", "thread", "process")),
}


def verdict(place, name):
    """How the failure's message must begin, and its kind."""
    if name == "StopAsyncIteration" and place == "in_generator":
        return "RuntimeError", "error"
    if place in {asset.name for asset in GROUPS}:
        return "BaseExceptionGroup" if name in (*BASE_ONLY, *UNASKABLE) else "ExceptionGroup", "error"
    begins = type_name(name)
    if place in IN_COROUTINE:
        begins = MADE_BY_PYTHON.get(name, begins)
    return begins, "cancelled_by_asset" if name in CANCELS else "error"


async def cell(runtime, asset, name):
    """What is wrong in one cell of the matrix, or None."""
    try:
        await runtime.materialize(asset.name, partition=name)
    except MaterializationFailed as error:
        failure = error.failure
    else:
        return "it succeeded"
    begins, kind = verdict(asset.name, name)
    if not failure.message.startswith(begins) or failure.kind != kind:
        return f"{failure.kind}: {failure.message[:200]}"
    return None


async def matrix(runtime, asset):
    """What is wrong at one place, for every exception there is."""
    wrong = {}
    for name in EVERY:
        if (asset.name, name) in BEYOND_REACH:
            continue
        problem = await cell(runtime, asset, name)
        if problem is not None:
            wrong[name] = problem
        assert (await runtime.materialize("healthy")).status == "succeeded"
    return wrong


@pytest.mark.parametrize("asset", [*ASYNC, *LOOP, *THREAD], ids=lambda asset: asset.name)
async def test_an_exception_fails_its_own_asset(asset):
    """Every kind of exception ends its own step as failed, and another asset materializes afterwards."""
    async with Runtime(pipeline) as runtime:
        assert await matrix(runtime, asset) == {}
        assert not (await runtime.health()).abandoned
        assert all(process.restarts == 0 for process in runtime.tree().walk())


@pytest.mark.parametrize("asset", PROCESS, ids=lambda asset: asset.name)
async def test_an_exception_in_a_process_fails_its_own_asset(asset):
    """The same in a worker process."""
    async with Runtime(pipeline) as runtime:
        assert await matrix(runtime, asset) == {}
