"""Attempts for which a turn of the loop has no time begin in the next ones, many at a time."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from flowstone import Pipeline, Runtime, StaticPartitions, Status
from flowstone.actors import eager
from tests.garbage import garbage_of

SIZE = 100


def show(monkeypatch, monotonic):
    """Eager starts go by this clock."""
    monkeypatch.setattr(
        "flowstone.actors.supervisor_context.EagerStarts", lambda loop, _: eager.EagerStarts(loop, monotonic)
    )


@pytest.fixture
def few_a_turn(monkeypatch):
    """Each look at the clock of eager starts takes a fifth of what a turn has for them."""
    looks = count()
    show(monkeypatch, lambda: next(looks) * eager.BUDGET / 5)


def fan_out(step):
    pipeline = Pipeline("fan")
    pipeline.asset(step, partitions=StaticPartitions([f"k{number}" for number in range(SIZE)]))
    return pipeline


async def test_few_need_a_task_of_their_own_and_others_have_turns_between(few_a_turn):
    tasks, turns = [], []

    async def step():
        tasks.append(asyncio.current_task())
        turns.append(turn)

    turn = 0

    def next_turn():
        nonlocal turn
        turn += 1
        if len(tasks) < SIZE:
            asyncio.get_running_loop().call_soon(next_turn)

    async with Runtime(fan_out(step), max_concurrency=SIZE) as runtime:
        next_turn()
        run = await runtime.backfill("step")
        assert run.status is Status.SUCCEEDED
    assert len(tasks) == SIZE
    assert len(set(turns)) > SIZE / 10, "others had turns"
    assert len(set(turns)) < SIZE / 2, "several began in a turn"


@pytest.mark.parametrize("how", ["cancel", "drain"])
async def test_what_has_not_begun_is_cancelled_and_holds_no_slot(few_a_turn, how):
    begun = []

    async def step():
        begun.append(True)

    async with Runtime(fan_out(step), max_concurrency=SIZE) as runtime:
        run = await runtime.submit_backfill("step")
        await getattr(run, how)()
        result = await run.result()
        assert result.status is Status.CANCELLED
        assert len(begun) < SIZE / 2
        assert runtime._ctx.admission.statistics().taken == 0


@pytest.mark.parametrize("late", range(4))
async def test_an_attempt_that_began_in_another_turn_is_no_garbage(monkeypatch, clock, late):
    """It may be the last of its run, for which there was no time in the turn that ordered it."""
    pipeline, looks = Pipeline("late"), count()
    show(monkeypatch, lambda: eager.BUDGET * 1.1 * max(0, next(looks) - late))

    @pipeline.asset
    async def first():
        return 1

    @pipeline.asset
    async def second(first):
        return first

    async with Runtime(pipeline, clock=clock) as runtime:

        async def once():
            nonlocal looks
            looks = count()
            await runtime.submit("second")
            await clock.settle()

        assert await garbage_of(once) == {}
