"""Attempts for which a turn of the loop has no time begin in the next ones, many at a time."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from flowstone import Pipeline, Runtime, StaticPartitions, Status
from flowstone.actors import eager

SIZE = 100


@pytest.fixture
def few_a_turn(monkeypatch):
    """Each look at the clock of eager starts takes a fifth of what a turn has for them."""
    looks = count()
    monkeypatch.setattr(eager, "monotonic", lambda: next(looks) * eager.BUDGET / 5)


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
