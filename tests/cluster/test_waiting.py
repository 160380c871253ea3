"""Waiting steps on a database: who answers first, and processes that die between asking, deciding and waking."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from flowstone import AlreadyDecided, Status
from flowstone.runs.events import RunStarted, RunWaiting, StepStarted, StepWaiting, StepWoken
from flowstone.runs.records import RunRecord, RunSpec
from flowstone.runs.waits import wait_id
from flowstone.store.postgres import PostgresStore
from tests.cluster import racer
from tests.cluster.pipeline import PARTS
from tests.cluster.racer import JITTER, run_id
from tests.forks import Fork

FEW, MANY = 100, 2_000
"""Rounds: always, and in the long run."""
STEP = ("asked", None)


async def parked(store, number, deadline):
    """A run that waits for an approval."""
    run = run_id(number)
    now = datetime.now(UTC)
    request = RunSpec(kind="materialize", asset="asked")
    await store.create_run(RunRecord(run, "works", request, Status.RUNNING, now, owner="nobody"))
    known_by = wait_id(run, *STEP, "publish")
    await store.write_many(
        [
            RunStarted(now, run, "asked", 1),
            StepStarted(now, run, *STEP, 1),
            StepWaiting(now, run, *STEP, 1, "publish", "approval", deadline, None, known_by, {}),
            RunWaiting(now, run, "asked", 1),
        ]
    )


def said(racers, number, random):
    """Let them say what they say in a round, whoever hears of it first; who says that it was the first."""
    for role in random.sample(sorted(racers), len(racers)):
        racers[role].stdin.write(b"%d\n" % number)
    return [role for role, process in racers.items() if process.stdout.readline() == b"True\n"]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("rounds", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
async def test_of_four_who_decide_at_once_one_wins(database, rounds):
    """Approve, reject, expire and cancel come from four processes in the same milliseconds, in each round."""
    random, store, won = Random(0), PostgresStore(database), []
    await store.open()
    with ExitStack() as processes:
        racers = {
            role: processes.enter_context(Fork(racer.main, database, role))
            for role in ("approve", "reject", "expire", "cancel")
        }
        for number in range(rounds):
            due = datetime.now(UTC) + timedelta(seconds=random.uniform(0, 3 * JITTER))
            await parked(store, number, due if number % 2 else None)
            won.append(await asyncio.to_thread(said, racers, number, random))
    await store.waits.expire(now=datetime.now(UTC))
    outcomes = Counter()
    for number in range(rounds):
        wait = await store.waits.approval(wait_id(run_id(number), *STEP, "publish"))
        events = [event for _, event in await store.waits.woken(run_id(number), after=0)]
        record = await store.step(run_id(number), STEP)
        assert won[number] == {"answered": ["approve"], "rejected": ["reject"]}.get(wait.status, [])
        assert len(events) == (wait.status != "cancelled")
        failed = record.failure.kind if record is not None else None
        assert failed == (wait.status if wait.status in {"rejected", "expired"} else None)
        if won[number]:
            assert [wait.answer["by"]] == won[number]
        outcomes[wait.status] += 1
    assert await store.waits.waiting() is False
    await store.close()
    assert outcomes.total() == rounds
    assert {"open", "early"}.isdisjoint(outcomes)
    assert len(outcomes) >= 3, outcomes  # Each of them had its chance.


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
async def test_processes_die_while_steps_wait(works, seed):
    """Nothing is lost, each step has one success, and each of its waits ended once."""
    random = Random(seed)
    await asyncio.gather(works.worker(), works.worker())
    async with works.node(worker=False) as command:
        runs = [await command.submit("rested", partition=part) for part in PARTS[:12]]
        runs.append(await command.submit_backfill("rested", max_parallel=6))
        for _ in range(4):
            await asyncio.sleep(random.uniform(0.1, 0.4))
            victim = works.workers[-1 - random.randrange(2)]
            victim.send(signal.SIGKILL)
            works.workers.remove(victim)
            works.workers.insert(0, victim)
            await works.worker()
        results = [await run.wait(timeout=200) for run in runs]
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
        assert (await run.wait(timeout=200)).succeeded[0].attempt >= 3


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
async def test_processes_die_between_asking_deciding_and_waking(works, tmp_path, monkeypatch, seed):
    """No decision is lost or made twice, and what was done once and acknowledged is never done again."""
    done = tmp_path / "done"
    done.touch()
    monkeypatch.setenv("FLOWSTONE_TEST_DONE", str(done))
    random = Random(seed)
    decided = {}
    await asyncio.gather(works.worker(), works.worker())
    async with works.node(worker=False) as command:
        runs = [await command.submit("reviewed", partition=part) for part in PARTS[:8]]
        runs.append(await command.submit_backfill("reviewed", max_parallel=6, refresh="all"))

        async def decide():
            while True:
                for approval in await command.approvals():
                    with suppress(AlreadyDecided):
                        await command.approve(approval.id, by="ada", data=len(decided))
                        assert approval.id not in decided
                        decided[approval.id] = len(decided)
                await asyncio.sleep(0.05)

        deciding = asyncio.create_task(decide())
        for _ in range(5):
            await asyncio.sleep(random.uniform(0.1, 0.4))
            victim = works.workers[-1 - random.randrange(2)]
            victim.send(signal.SIGKILL)
            works.workers.remove(victim)
            works.workers.insert(0, victim)
            await works.worker()
        results = [await run.wait(timeout=200) for run in runs]
        deciding.cancel()
        with suppress(asyncio.CancelledError):
            await deciding
        values = [await command.load("reviewed", partition=part) for part in PARTS[8:]]
    assert [len(result.succeeded) for result in results] == [1] * 8 + [len(PARTS)]
    assert len(decided) == 8 + len(PARTS)
    assert all(value["data"] in decided.values() for value in values)
    # A call is followed by the line of its acknowledgement; after that there is none of the same step.
    acknowledged = set()
    for line in done.read_text().splitlines():
        what, *step = line.split()
        assert not (what == "calls" and tuple(step) in acknowledged), line
        if what == "acknowledged":
            acknowledged.add(tuple(step))
    assert len(acknowledged) == 8 + len(PARTS)
    for run in runs:
        assert await works.each_once(run.id)
