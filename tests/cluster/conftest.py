"""A database, nodes in this process, and worker processes that a test may kill."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import pytest

from flowstone import Runtime, Status
from flowstone.runs.events import StepStarted, StepSucceeded
from flowstone.store.postgres import PostgresStore
from tests.cluster import worker
from tests.cluster.pipeline import pipeline
from tests.forks import Fork

LEASE = 2.0


class Worker:
    """A worker process; `deadly` says what ends it, see `worker.py`."""

    def __init__(self, dsn: str, *deadly: str) -> None:
        self.process = Fork(worker.main, dsn, LEASE, *deadly)

    async def ready(self) -> Worker:
        line = await asyncio.to_thread(self.process.stdout.readline)
        assert line == b"ready\n" or self.process.wait() == 9  # It may have come to what ends it.
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 200)


class Works:
    """A database and who works on it.

    Attributes:
        store: The test's own look at the database.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.store = PostgresStore(dsn)
        self.workers: list[Worker] = []

    async def worker(self, *deadly: str) -> Worker:
        """Another worker process, ready."""
        self.workers.append(Worker(self.dsn, *deadly))
        return await self.workers[-1].ready()

    def node(self, **options) -> Runtime:
        """A node in this process, not yet entered."""
        options = {"lease": LEASE, "shutdown_timeout": 0.5, "cancel_timeout": 0.5, **options}
        return Runtime(pipeline, store=self.dsn, **options)

    async def until(self, condition) -> None:
        """Wait until `await condition()` is true."""
        async with asyncio.timeout(200):
            while not await condition():
                await asyncio.sleep(0.02)

    async def owner(self, run_id: str) -> Worker | None:
        """The worker process that owns a run."""
        record = await self.store.run(run_id)
        nodes = {watched.node.id: watched.node.pid for watched in await self.store.cluster.nodes()}
        pid = nodes.get(record.owner)
        return next((worker for worker in self.workers if worker.pid == pid), None)

    async def done(self, run_id: str) -> int:
        """How many steps have succeeded."""
        return len(await self.store.steps(run_id, status=Status.SUCCEEDED))

    async def counts(self, run_id: str, kind) -> Counter:
        """How often each step has an event of this kind."""
        counts, after = Counter(), 0
        while page := await self.store.events(run_id, after=after):
            after = page[-1][0]
            counts.update((event.asset, event.partition_key) for _, event in page if isinstance(event, kind))
        return counts

    async def each_once(self, run_id: str) -> bool:
        """Whether no step has succeeded twice."""
        return set((await self.counts(run_id, StepSucceeded)).values()) <= {1}

    async def starts(self, run_id: str) -> Counter:
        return await self.counts(run_id, StepStarted)


@pytest.fixture
async def works(database):
    """Nobody works yet; whoever is left is killed in the end."""
    works = Works(database)
    await works.store.open()
    yield works
    for each in works.workers:
        with each.process:
            pass
    await works.store.close()
