"""Calls in several processes that share a run on one database, and what becomes of it when one of them dies."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import asyncpg
import pytest

from flowstone import Status
from flowstone.runs.events import RunCancelRequested, StepSucceeded
from flowstone.store.postgres import PostgresStore
from tests.cluster import asker
from tests.forks import Fork

LEASE = 2.0


class Asked:
    """Processes in which somebody asks, and what they did.

    Attributes:
        store: The test's own look at the database.
    """

    def __init__(self, dsn, notes):
        self.dsn = dsn
        self.notes = notes
        self.store = PostgresStore(dsn)
        self.processes = ExitStack()

    async def process(self, calls, **options):
        """Another one, ready; each of its rounds is so many calls."""
        process = self.processes.enter_context(Fork(asker.main, self.dsn, LEASE, calls, **options))
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        return process

    def began(self):
        """(process, partition, attempt) of each time the asset began."""
        if not self.notes.exists():
            return []
        return [tuple(line.split()) for line in self.notes.read_text().splitlines()]

    async def until(self, condition):
        async with asyncio.timeout(120):
            while not await condition():
                await asyncio.sleep(0.02)

    async def begins(self, times=1):
        """Return when the asset has begun so often."""

        async def begun():
            return len(self.began()) >= times

        await self.until(begun)

    async def have_joined(self, *calls):
        """Return when so many calls of each process are on record, of those that have not left.

        The first one of a process is a caller, and all others of it together are one.
        """
        callers = sum(min(each, 2) for each in calls)
        connection = await asyncpg.connect(self.dsn)

        async def joined():
            return callers == await connection.fetchval(
                "select count(*) from flowstone.callers where not gone"
            )

        await self.until(joined)
        await connection.close()

    def let_go(self):
        """The asset may end."""
        self.notes.with_suffix(".go").touch()

    async def ended(self, run_id, status):
        """Return when a run has ended so."""

        async def over():
            return (await self.store.run(run_id)).status is status

        await self.until(over)

    async def reasons(self, run_id):
        events = [event for _, event in await self.store.events(run_id)]
        return [event.reason for event in events if isinstance(event, RunCancelRequested)]


@pytest.fixture
async def asked(database, tmp_path, monkeypatch):
    """Nobody asks yet; whoever is left is killed in the end."""
    notes = tmp_path / "notes"
    monkeypatch.setenv("FLOWSTONE_TEST_DONE", str(notes))
    asked = Asked(database, notes)
    await asked.store.open()
    yield asked
    asked.let_go()
    asked.processes.close()
    await asked.store.close()


def say(process, *lines):
    """Tell a process so."""
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())


async def told(process):
    """What came of its calls."""
    return json.loads(await asyncio.to_thread(process.stdout.readline))


@pytest.mark.timeout(240)
async def test_two_hundred_calls_in_four_processes_compute_once(asked):
    """All of them are given the record of the one run."""
    processes = [await asked.process(50) for _ in range(4)]
    for process in processes:
        say(process, "a")
    await asked.have_joined(50, 50, 50, 50)
    asked.let_go()
    for process in processes:
        say(process, "stay")
    runs = [run_id for process in processes for run_id in await told(process)]
    assert len(runs) == 200
    assert len(set(runs)) == 1
    assert len(asked.began()) == 1
    assert [head.id for head in await asked.store.runs()] == runs[:1]
    events = [event for _, event in await asked.store.events(runs[0])]
    assert len([event for event in events if isinstance(event, StepSucceeded)]) == 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize("worker", [True, False])
async def test_the_process_that_drives_the_run_is_killed(asked, worker):
    """Another one goes on with it, even if that takes no work of others: its calls wait for the run."""
    first = await asked.process(3, worker=worker)
    say(first, "a")
    await asked.begins()
    second = await asked.process(5, worker=worker)
    say(second, "a")
    await asked.have_joined(3, 5)
    first.kill()
    await asked.begins(2)
    asked.let_go()
    say(second, "stay")
    runs = await told(second)
    assert len(set(runs)) == 1
    assert (await asked.store.run(runs[0])).status is Status.SUCCEEDED
    assert [int(pid) for pid, _, _ in asked.began()] == [first.pid, second.pid]
    assert len(await asked.store.runs()) == 1


@pytest.mark.timeout(240)
async def test_calls_that_joined_in_a_process_that_is_killed_have_left(asked):
    """Within the lease: then nobody wants the run, whose starter has left, and it is cancelled."""
    first = await asked.process(1, cancels=True)
    say(first, "a")
    await asked.begins()
    second = await asked.process(4, cancels=True)
    say(second, "a")
    await asked.have_joined(1, 4)
    say(first, "leave")
    (outcome,) = await told(first)
    assert "CancelledError" in outcome
    (run,) = await asked.store.runs()
    assert run.status is Status.RUNNING
    second.kill()
    await asked.ended(run.id, Status.CANCELLED)
    assert (await asked.reasons(run.id))[0] == "unwanted"
    assert len(asked.began()) == 1


@pytest.mark.timeout(240)
async def test_the_last_one_who_leaves_cancels_a_run_of_another_process(asked):
    """The starter has left before, in the process that drives the run."""
    first = await asked.process(1)
    say(first, "b")
    await asked.begins()
    second, third = await asked.process(2, cancels=True), await asked.process(2, cancels=True)
    for process in (second, third):
        say(process, "b")
    await asked.have_joined(1, 2, 2)
    (run,) = await asked.store.runs()
    for process in (first, second):
        say(process, "leave")
        assert all("CancelledError" in each for each in await told(process))
        assert (await asked.store.run(run.id)).status is Status.RUNNING
    say(third, "leave")
    assert all("CancelledError" in each for each in await told(third))
    await asked.ended(run.id, Status.CANCELLED)
    assert (await asked.reasons(run.id))[0] == "unwanted"
    assert len(asked.began()) == 1


@pytest.mark.timeout(240)
async def test_a_process_that_stops_leaves_the_run_to_who_joined_it(asked):
    """Its own calls are over with it; nobody is cancelled because of that, and the run goes on elsewhere."""
    first = await asked.process(2)
    say(first, "a")
    await asked.begins()
    second = await asked.process(3)
    say(second, "a")
    await asked.have_joined(2, 3)
    say(first, "leave", "")
    outcomes = await told(first)
    assert ["CancelledError" in each for each in outcomes] == [True, True]
    assert await asyncio.to_thread(first.wait, 60) == 0
    await asked.begins(2)
    asked.let_go()
    say(second, "stay")
    runs = await told(second)
    assert len(set(runs)) == 1
    assert (await asked.store.run(runs[0])).status is Status.SUCCEEDED
    assert [int(pid) for pid, _, _ in asked.began()] == [first.pid, second.pid]
