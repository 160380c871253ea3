"""PostgresIO in a runtime: a value is there if and only if its success is recorded."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from contextlib import suppress

import asyncpg
import pytest

from flowstone import (
    FileIO,
    IOManagerError,
    MaterializationFailed,
    MemoryIO,
    Pipeline,
    PostgresIO,
    Retry,
    Retryable,
    RunCancelled,
    Runtime,
    StaticPartitions,
    Status,
)
from flowstone.store import MemoryStore
from flowstone.store.postgres import PostgresStore
from flowstone.store.protocol import StaleWrite
from flowstone.testing.clock import VirtualClock
from tests.io.contract import target
from tests.store.facts import end, run

KEYS = [f"k{n:03}" for n in range(100)]

UNPAIRED = """
select
    (select count(*) from flowstone.payloads
        where not exists (select from flowstone.materializations as made where made.location = payloads.location
            and made.status = 'succeeded')) as orphans,
    (select count(*) from flowstone.materializations as made
        where made.status = 'succeeded' and not exists (
            select from flowstone.payloads where payloads.location = made.location
                and 'sha256:' || encode(sha256(payloads.content), 'hex') = made.data_version)) as missing,
    (select count(*) from flowstone.payloads) as values
"""

WAITING = "not granted and relation = ('flowstone.' || $1)::regclass"


@pytest.fixture
async def connection(database):
    """A connection of the test's own."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def unpaired(connection) -> tuple[int, int, int]:
    """Values without a record, successes without their value, and values."""
    return tuple(await connection.fetchrow(UNPAIRED))


def sized(size, keys=KEYS):
    """A pipeline whose one asset returns `size` bytes that depend on the partition."""
    pipeline = Pipeline("sized")

    @pipeline.asset(partitions=StaticPartitions(keys))
    async def blob(context) -> bytes:
        return context.partition.encode().ljust(size, b".")

    return pipeline


def failing(value):
    """A pipeline whose asset fails once, then returns `value`."""
    pipeline = Pipeline("failing")
    tries = []

    @pipeline.asset(retry=Retry(attempts=2, delay=0))
    async def answer():
        tries.append(1)
        if len(tries) == 1:
            raise Retryable("not yet")
        return value

    @pipeline.asset
    async def never():
        raise ValueError("no")

    return pipeline


# The default ------------------------------------------------------------------------------------------------


async def test_it_is_the_default_of_a_database(database, connection):
    """A recorded success can be loaded by another runtime, with nothing said about IO managers."""
    pipeline = sized(10)
    async with Runtime(pipeline, store=database) as runtime:
        record = await runtime.materialize("blob", partition="k001")
        assert record.location.endswith(".bin")
    async with Runtime(pipeline, store=database) as runtime:
        assert await runtime.load("blob", partition="k001") == b"k001......"
    assert await unpaired(connection) == (0, 0, 1)


async def test_it_is_not_the_default_elsewhere():
    """Where one process holds the store, values stay in it by reference."""
    pipeline = Pipeline("p")

    @pipeline.asset
    async def thing():
        return object()

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("thing")).location.startswith("memory:")


async def test_a_default_of_ones_own_is_used(database, connection):
    """What the user names is what is used."""
    async with Runtime(sized(10), store=database, io={"default": MemoryIO()}) as runtime:
        record = await runtime.materialize("blob", partition="k001")
        assert record.location.startswith("memory:")
    assert (await connection.fetchval("select count(*) from flowstone.payloads")) == 0


async def test_it_works_in_memory():
    """A memory store keeps the bytes, so that a pipeline may be tried out without a database."""
    async with Runtime(sized(10), io={"default": PostgresIO()}) as runtime:
        result = await runtime.materialize_all("blob", partition="k001")
        assert await runtime.load("blob", partition="k001") == b"k001......"
    assert await result.value() == b"k001......"


async def test_a_store_that_keeps_no_values_is_refused_on_entry(tmp_path):
    """Before anything runs, and the store is closed again."""
    for _ in range(2):  # A directory that was left open could not be opened again.
        with pytest.raises(IOManagerError, match=r"FileStore keeps none.*FileIO"):
            async with Runtime(sized(1), store=f"file://{tmp_path}", io={"values": PostgresIO()}):
                pytest.fail("it was entered")
    async with Runtime(sized(1), store=f"file://{tmp_path}", io={"default": FileIO(tmp_path / "v")}):
        pass


# Both or neither --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 1_000_001])
async def test_failures_leave_nothing(database, connection, size):
    """A failed attempt has no value; the one that follows has one."""
    async with Runtime(failing(b"x" * size), store=database) as runtime:
        assert (await runtime.materialize("answer")).attempt == 2
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("never")
        assert await runtime.load("answer") == b"x" * size
    assert await unpaired(connection) == (0, 0, 1)


async def test_a_value_over_the_limit_fails_the_step(database, connection):
    """With kind `io`, and nothing is kept of it."""
    async with Runtime(sized(1001), store=database, io={"default": PostgresIO(limit=1000)}) as runtime:
        with pytest.raises(MaterializationFailed, match=r"'blob\[k001\]'.*1,001 bytes.*1,000") as failed:
            await runtime.materialize("blob", partition="k001")
        assert failed.value.failure.kind == "io"
    assert await unpaired(connection) == (0, 0, 0)


@pytest.mark.parametrize("size", [10, 1_000_001])
@pytest.mark.parametrize("table", ["payloads", "runs"])
async def test_a_cancelled_step_has_both_or_neither(database, connection, size, table):
    """Cancelled while its success is being written, a step has succeeded or not, and the value goes with that."""
    pipeline, begun, gate = Pipeline("held"), asyncio.Event(), asyncio.Event()

    @pipeline.asset
    async def blob() -> bytes:
        begun.set()
        await gate.wait()
        return bytes(size)

    async with Runtime(pipeline, store=database) as runtime:
        run = await runtime.submit("blob")
        await begun.wait()
        async with connection.transaction():
            await connection.execute(f"lock table flowstone.{table} in exclusive mode")
            gate.set()
            while not await connection.fetchval(f"select count(*) from pg_locks where {WAITING}", table):
                await asyncio.sleep(0)
            cancelling = asyncio.gather(run.cancel())
            for _ in range(100):
                await asyncio.sleep(0)
        await cancelling
        with suppress(RunCancelled):
            await run.wait()
        there = await runtime.exists("blob")
        assert await runtime.status("blob") is (Status.SUCCEEDED if there else Status.CANCELLED)
    assert await unpaired(connection) == (0, 0, int(there))


@pytest.mark.parametrize("size", [10, 1_000_001])
async def test_a_stale_write_leaves_no_value(run_store, connection, size):
    """A node that has lost the run, and an attempt that was overtaken, keep nothing."""
    await run_store.create_run(run())
    await run_store.claim("run-1", "another", epoch=0)
    stored = [await PostgresIO().attach(run_store).store(target(attempt=n), bytes(size)) for n in (1, 2)]
    success = end("a", location=stored[0].location, data_version=stored[0].digest)
    with pytest.raises(StaleWrite):
        await run_store.write(success, 0, payload=stored[0].payload)
    assert await unpaired(connection) == (0, 0, 0)
    await run_store.write(success, 1, payload=stored[0].payload)
    with pytest.raises(StaleWrite):
        second = end("a", attempt=2, location=stored[1].location)
        await run_store.write(second, 1, payload=stored[1].payload)
    assert await unpaired(connection) == (0, 0, 1)
    assert await run_store.has_payload(stored[0].location)


# Retention --------------------------------------------------------------------------------------------------


async def test_retention_takes_value_and_record_together(database, connection):
    """Superseded values go in the transaction of their records."""
    pipeline = sized(100)
    async with Runtime(pipeline, store=database) as runtime:
        for _ in range(4):
            await runtime.backfill("blob", partitions=KEYS[:5], refresh="all")
    store = PostgresStore(database)
    await store.open()
    assert len(await store.prune(keep_versions=1, keep_runs=1)) == 15
    await store.close()
    assert await unpaired(connection) == (0, 0, 5)
    async with Runtime(pipeline, store=database) as runtime:
        for key in KEYS[:5]:
            assert (await runtime.load("blob", partition=key)).startswith(key.encode())


async def test_the_keeper_leaves_deleting_to_the_store(caplog):
    """The store has deleted the values; nobody asks for it once more, and nothing fails."""
    clock, deleted = VirtualClock(), []

    class Watched(MemoryStore):
        async def delete_payload(self, location):
            deleted.append(location)

    store = Watched()
    with caplog.at_level(logging.WARNING):
        async with Runtime(
            sized(10), store=store, clock=clock, keep_versions=1, io={"default": PostgresIO()}
        ) as runtime:
            records = [await runtime.materialize("blob", partition="k001") for _ in range(3)]
            await clock.advance(5)
            there = [await store.has_payload(record.location) for record in records]
    assert (there, deleted, caplog.text) == ([False, False, True], [], "")


# Several runtimes -------------------------------------------------------------------------------------------


async def test_two_runtimes_may_share_the_manager():
    """Each finds the values of its own store, also when the same steps ran in both."""
    pipeline, values = Pipeline("p"), PostgresIO()

    @pipeline.asset
    async def where(context) -> str:
        return context.run_id

    async with (
        Runtime(pipeline, io={"default": values}) as one,
        Runtime(pipeline, io={"default": values}) as other,
    ):
        first, second = await one.materialize("where"), await other.materialize("where")
        assert (await one.load("where"), await other.load("where")) == (first.run_id, second.run_id)
    async with Runtime(pipeline, io={"default": values}) as third:
        assert not await third.exists("where")


async def test_nodes_load_what_others_stored(database, connection):
    """Two runtimes that write at the same time, values small and large; each loads all of them."""
    pipeline = Pipeline("sized")

    @pipeline.asset(partitions=StaticPartitions(KEYS))
    async def blob(context) -> bytes:
        return context.partition.encode().ljust(100 if context.partition < KEYS[50] else 1_100_000)

    async with Runtime(pipeline, store=database) as one, Runtime(pipeline, store=database) as other:
        await asyncio.gather(
            one.backfill("blob", partitions=KEYS[:50], max_parallel=16),
            other.backfill("blob", partitions=KEYS[50:], max_parallel=8),
        )
        for runtime in (one, other):
            found = await asyncio.gather(*(runtime.load("blob", partition=key) for key in KEYS))
            assert [value[:4].decode() for value in found] == KEYS
            assert {len(value) for value in found[:50]} == {100}
            assert {len(value) for value in found[50:]} == {1_100_000}
    assert await unpaired(connection) == (0, 0, 100)


async def test_a_value_goes_from_step_to_step(database):
    """Downstream steps load what upstream ones stored, by whichever codec."""
    pipeline = Pipeline("chain")

    @pipeline.asset
    async def numbers() -> list[int]:
        return list(range(100_000))

    @pipeline.asset
    async def total(numbers) -> int:
        return sum(numbers)

    async with Runtime(pipeline, store=database) as runtime:
        result = await runtime.materialize_all("total")
        assert result.status is Status.SUCCEEDED
        assert await result.value() == 4999950000


async def test_memory_stays_flat(database):
    """Neither storing nor loading keeps anything of a value that went through."""
    pipeline = sized(1_200_000)
    async with Runtime(pipeline, store=database) as runtime:

        async def round_trip(keys):
            await runtime.backfill("blob", partitions=keys, refresh="all")
            for key in keys:
                await runtime.load("blob", partition=key)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = await round_trip(KEYS[:10])
            after = await round_trip(KEYS[10:60])
        finally:
            tracemalloc.stop()
    assert after - before < 2_000_000
