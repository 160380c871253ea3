"""Waiting steps on a database: who answers first, and processes that die between asking, deciding and waking."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from flowstone import Status
from flowstone.runs.events import RunFinished, RunStarted, RunWaiting, StepStarted, StepWaiting, StepWoken
from flowstone.runs.records import RunRecord, RunRequest
from flowstone.store.postgres import PostgresStore
from flowstone.store.protocol import StaleWrite
from tests.cluster.pipeline import PARTS

FEW, MANY = 60, 300
"""Rounds: always, and in the long run."""
STEP = ("asked", None)


async def parked(store, number, deadline):
    """A run that waits for a signal."""
    run_id = f"run-{number:04}"
    now = datetime.now(UTC)
    request = RunRequest(kind="materialize", asset="asked")
    await store.create_run(RunRecord(run_id, "works", request, Status.RUNNING, now, owner="nobody"))
    await store.write_many(
        [
            RunStarted(now, run_id, "asked", 1),
            StepStarted(now, run_id, *STEP, 1),
            StepWaiting(now, run_id, *STEP, 1, "signal", "signal", deadline),
            RunWaiting(now, run_id, "asked", 1),
        ]
    )
    return run_id


async def answered(store, run_id, answer):
    try:
        await store.waits.answer(run_id, STEP, "signal", answer, now=datetime.now(UTC))
    except StaleWrite:
        return False
    return True


@pytest.mark.parametrize("rounds", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
async def test_of_answers_a_cancel_and_a_deadline_one_wins(database, rounds):
    """Many rounds from four processes' connections, each round at the instant of its deadline."""
    stores = [PostgresStore(database) for _ in range(4)]
    for store in stores:
        await store.open()
    start = datetime.now(UTC) + timedelta(seconds=1)
    runs = [
        await parked(stores[0], n, None if n % 3 == 0 else start + timedelta(milliseconds=15 * n))
        for n in range(rounds)
    ]
    outcomes = Counter()
    for number, run_id in enumerate(runs):
        due = start + timedelta(milliseconds=15 * number - 5)
        await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        calls = [
            answered(stores[0], run_id, "one"),
            answered(stores[1], run_id, "two"),
            stores[2].waits.expire(now=datetime.now(UTC)),
            stores[3].cluster.request_cancel(run_id, "asked"),
        ]
        shift = number % 4
        rotated = await asyncio.gather(*calls[shift:], *calls[:shift])
        one, two, *_ = rotated[4 - shift :] + rotated[: 4 - shift]
        woken = await stores[0].waits.woken(run_id, after=0)
        ended = [event for _, event in await stores[0].events(run_id) if isinstance(event, RunFinished)]
        record = await stores[0].run(run_id)
        assert not (one and two)
        assert len(woken) + len(ended) == 1, (one, two, woken, ended)
        assert (record.status is Status.CANCELLED) == bool(ended)
        if one or two:
            assert woken
            assert await stores[3].waits.answers(run_id, STEP) == {
                "signal": ("signal", "one" if one else "two")
            }
        outcomes["answer" if one or two else "cancel" if ended else "deadline"] += 1
    assert await stores[0].waits.waiting() is False
    for store in stores:
        await store.close()
    assert outcomes["answer"]
    assert outcomes["cancel"]
    assert outcomes.total() == rounds


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
async def test_processes_die_while_steps_wait(works, seed):
    """Nothing is lost, each step has one success, and each of its waits ended once."""
    random = Random(seed)
    await asyncio.gather(works.worker(), works.worker())
    async with works.node(worker=False) as command:
        runs = [await command.submit("rested", partition=part) for part in PARTS[:12]]
        runs.append(await command.submit_backfill("rested", max_parallel=6))
        for _ in range(4):
            await asyncio.sleep(random.uniform(0.2, 0.9))
            victim = works.workers[-1 - random.randrange(2)]
            victim.send(signal.SIGKILL)
            works.workers.remove(victim)
            works.workers.insert(0, victim)
            await works.worker()
        results = [await run.wait(timeout=60) for run in runs]
    assert [len(result.succeeded) for result in results] == [1] * 12 + [len(PARTS)]
    for run in runs:
        assert await works.each_once(run.id)
        ends = Counter()
        for _, event in await works.store.waits.woken(run.id, after=0):
            assert isinstance(event, StepWoken)
            ends[event.asset, event.partition_key, event.name] += 1
        assert set(ends.values()) == {1}
        assert len(ends) == 2 * len(await works.starts(run.id))


async def test_a_parked_run_wakes_on_a_node_that_was_not_there(works):
    """Its first owner is killed while it waits."""
    first = await works.worker()
    async with works.node(worker=False) as command:
        run = await command.submit("rested", partition=PARTS[0])

        async def waits():
            return (await works.store.run(run.id)).status is Status.WAITING

        await works.until(waits)
        first.send(signal.SIGKILL)
        await works.worker()
        assert (await run.wait(timeout=30)).succeeded[0].attempt >= 3
