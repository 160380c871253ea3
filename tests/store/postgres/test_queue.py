"""The library behind the queue takes long to be imported: no transaction is open, and holds locks, meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowstone.runs.events import RunStarted, RunWaiting, StepStarted, StepWaiting
from flowstone.runs.records import RunRecord, RunSpec, Status
from flowstone.runs.waits import wait_id
from flowstone.store.postgres import PostgresStore, queue
from tests.store.cluster_contract import node, nothing
from tests.store.facts import run

NOW = datetime.now(UTC)
STEP = ("asked", None)


@pytest.fixture
def used(monkeypatch):
    """Who has used the queue so far; the library counts as imported only by whoever imports it anew."""
    queue._classes.cache_clear()
    used, queries = [], queue._queries

    def watched(connection):
        assert queue._classes.cache_info().currsize == 1, "it is imported in a transaction"
        used.append(connection)
        return queries(connection)

    monkeypatch.setattr(queue, "_queries", watched)
    return used


async def parked(store, deadline=None):
    """A run that waits for an approval."""
    request = RunSpec(kind="materialize", asset="asked")
    await store.create_run(RunRecord("run-1", "sales", request, Status.RUNNING, NOW, owner="nobody"))
    known_by = wait_id("run-1", *STEP, "publish")
    await store.write_many(
        [
            RunStarted(NOW, "run-1", "asked", 1),
            StepStarted(NOW, "run-1", *STEP, 1),
            StepWaiting(NOW, "run-1", *STEP, 1, "publish", "approval", deadline, None, known_by, {}),
            RunWaiting(NOW, "run-1", "asked", 1),
        ]
    )


async def submit(store):
    await store.cluster.submit(run(status=Status.QUEUED, owner=None))


async def release(store):
    await store.create_run(run(owner="n1"))
    await store.cluster.release("run-1", "n1")


async def cancel(store):
    await parked(store)
    await store.cluster.request_cancel("run-1", "asked")


async def answer(store):
    await parked(store)
    await store.waits.answer("run-1", STEP, "publish", {"by": "ada"}, now=NOW)


async def expire(store):
    await parked(store, deadline=NOW)
    await store.waits.expire(now=NOW)


@pytest.mark.parametrize("call", [submit, release, cancel, answer, expire])
async def test_what_puts_a_run_into_the_queue_imports_it_before(store, used, call):
    """By whatever a run comes into the queue."""
    await store.cluster.join(node(), nothing)
    await call(store)
    assert used


async def test_a_migration_imports_it_before(empty_database, used):
    """It makes the queue's tables."""
    await PostgresStore(empty_database).migrate()
    assert used
