"""Steps that begin in the turn that orders them: what is asked of a run, and who listens, still come first."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, Pipeline, RunCancelled, Runtime
from flowstone.runtime.run.control import Cancel


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """A step that may begin at once does, however busy the machine is."""
    monkeypatch.setattr("flowstone.actors.eager.BUDGET", 3600.0)


def chain(length, deed):
    """`s0` → `s1` → …, each of which calls `deed(number, context)` and awaits what it gives; those that ran."""
    pipeline = Pipeline("chain")
    ran = []

    def function(number):
        async def step(context: Context):
            ran.append(number)
            answer = deed(number, context)
            if answer is not None:
                await answer

        return step

    for number in range(length):
        above = [f"s{number - 1}"] if number else []
        pipeline.asset(name=f"s{number}", deps=above)(function(number))
    return pipeline, ran


@pytest.mark.both_loops
async def test_a_step_that_asks_for_the_end_of_its_run_is_the_last_one():
    """What it asks is heard before its own end, whatever turn that comes in."""

    def ask(number, context):
        if number == 3:
            runtime._runs.live[context.run_id].ask(Cancel("asked"))

    pipeline, ran = chain(10, ask)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunCancelled):
            await runtime.materialize_all("s9")
    assert ran == [0, 1, 2, 3]


@pytest.mark.both_loops
async def test_who_listens_hears_of_each_step_before_the_next_one_begins():
    """A step begins at once only while nobody has anything to read."""
    pipeline, ran = chain(10, lambda *_: None)
    begun = []

    async def listen(events):
        begun.extend([len(ran) async for _ in events])

    async with Runtime(pipeline) as runtime:
        events = await runtime.subscribe("step.succeeded").__aenter__()
        listening = asyncio.create_task(listen(events))
        await runtime.materialize_all("s9")
    await listening
    assert begun[0] <= 3
    assert begun[4] < 10


@pytest.mark.both_loops
async def test_an_asset_that_has_waited_once_begins_as_every_task_does():
    """To begin it in the turn of its start gained nothing; those that do not wait go on to."""
    pipeline, ran = chain(3, lambda number, _: asyncio.sleep(0) if number == 1 else None)
    async with Runtime(pipeline) as runtime:
        for _ in range(2):
            await runtime.materialize_all("s2")
            assert runtime._ctx.suspending == {"s1"}
    assert ran == [0, 1, 2] * 2
