"""What the database refuses for good: told once, in its words, to whom it concerns; nothing is retried for ever."""

from __future__ import annotations

import asyncio
import random
import string
from contextlib import asynccontextmanager

import asyncpg
import pytest

from flowstone import (
    DynamicPartitions,
    MaterializationFailed,
    PartitionError,
    Pipeline,
    RunFailed,
    Runtime,
    StoreUnavailable,
)
from flowstone.cli.database_checks import database_checks

PERMANENT = ["54000", "22021", "22003", "23514", "42501", "42703", "0A000", "XX000", "P0001"]

REFUSE = """
create function flowstone.refuse() returns trigger language plpgsql as $$
begin
    raise exception 'not this one' using errcode = '{code}';
end $$;
create trigger refuse before insert on flowstone.{table} for each row when ({when})
    execute function flowstone.refuse();
"""


def shop() -> Pipeline:
    """`good` and `bad`, which do the same, and `both`, which needs them."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    def good() -> int:
        return 1

    @pipeline.asset
    def bad() -> int:
        return 2

    @pipeline.asset
    def both(good: int, bad: int) -> int:
        return good + bad

    @pipeline.asset(partitions=DynamicPartitions("customers"))
    def orders(context) -> str:
        return context.partition_key

    return pipeline


@asynccontextmanager
async def entered(dsn, pipeline=None, **options):
    """A runtime that must be left within bounded time, whatever its store has come to."""
    runtime = Runtime(pipeline or shop(), store=dsn, lease=2.0, connect_timeout=5.0, **options)
    await runtime.__aenter__()
    try:
        async with asyncio.timeout(200):
            yield runtime
    finally:
        async with asyncio.timeout(200):
            await runtime.__aexit__(None, None, None)


@pytest.fixture
async def connection(database):
    """A connection of the test's own, of the database's owner."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def refuse(connection, table, when, code="54000"):
    """Have the database refuse some rows."""
    await connection.execute(REFUSE.format(table=table, when=when, code=code))


@pytest.mark.parametrize("code", PERMANENT)
async def test_a_refused_success_fails_its_step(database, connection, code):
    """Once, as `store`, in the server's words; the others are recorded, and the run ends."""
    await refuse(connection, "materializations", "new.asset = 'bad' and new.status = 'succeeded'", code)
    async with entered(database) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("both")
        (failed,) = caught.value.failures
        assert (failed.asset, failed.attempt, failed.failure.kind) == ("bad", 1, "store")
        assert "not this one" in failed.failure.message
        assert code in failed.failure.message or code == "42501"
        assert await runtime.load("good") == 1
        assert (await runtime.health()).store is None
    assert await connection.fetchval("select max(epoch) from flowstone.runs") == 0


async def test_a_refused_start_fails_its_step(database, connection):
    """An attempt whose start cannot be recorded is not made, and not tried again."""
    await refuse(connection, "starts", "'bad' = any (new.asset)")
    async with entered(database) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("bad")
        assert caught.value.failure.kind == "store"


async def test_what_a_node_tries_again_is_seen_by_the_doctor(database, connection):
    """What is refused for now only is tried again, and said in the meantime to whoever looks from outside."""
    await refuse(connection, "starts", "'bad' = any (new.asset)", "55P03")
    async with entered(database) as runtime:
        run = await runtime.submit("bad")
        while not (said := await tried_again(database)):
            await asyncio.sleep(0.1)
        assert "not this one" in said[0]
        assert "(tried again since " in said[0]
        await connection.execute("drop trigger refuse on flowstone.starts")
        await run.wait()
        while await tried_again(database):
            await asyncio.sleep(0.1)


async def tried_again(dsn):
    """What the doctor finds to be tried again."""
    return [check.found async for check in database_checks(dsn) if check.name == "retried"]


async def test_a_failure_that_is_refused_too_ends_the_run(database, connection):
    """For its caller at once, and on record as soon as something of it can be recorded: that it failed."""
    await refuse(connection, "materializations", "new.asset = 'bad'")
    async with entered(database) as runtime:
        with pytest.raises(StoreUnavailable, match="not this one"):
            await runtime.materialize("bad")
        run = await runtime.submit("bad")
        with pytest.raises((RunFailed, StoreUnavailable)):
            await run.wait()
        while await connection.fetchval("select count(*) from flowstone.runs where status <> 'failed'"):
            await asyncio.sleep(0.02)
    assert await connection.fetchval("select max(epoch) from flowstone.runs") <= 3


async def test_a_run_that_cannot_even_end_is_left(database, connection, caplog):
    """It is not taken up again, and whoever waits is told."""
    await refuse(connection, "materializations", "new.asset = 'bad'")
    await connection.execute(
        "create trigger refuse before insert on flowstone.events for each row "
        "when (new.kind = 'run.finished') execute function flowstone.refuse()"
    )
    async with entered(database) as runtime:
        with pytest.raises(StoreUnavailable, match="not this one"):
            await runtime.materialize("bad")
        while "is left as it is" not in caplog.text:
            await asyncio.sleep(0.02)
    assert await connection.fetchval("select max(epoch) from flowstone.runs") <= 1


def long_key(size=2_700):
    """A key that no index of the database can take, and that does not compress."""
    return "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=size))


async def test_a_long_partition_key_is_refused_before_it_is_stored(database):
    """By every door, as a `PartitionError` that says how long it may be."""
    async with entered(database) as runtime:
        for call in (
            runtime.add_partitions("customers", ["ada", long_key()]),
            runtime.materialize("orders", partition=long_key()),
            runtime.submit("orders", partition=long_key()),
            runtime.backfill("orders", partitions=[long_key()]),
            runtime.load("orders", partition=long_key()),
        ):
            with pytest.raises(PartitionError):
                await call
        assert await runtime.add_partitions("customers", [long_key(1_024)]) == 1
        result = await runtime.backfill("orders")
        assert len(result.succeeded) == 1
        with pytest.raises(ValueError, match="1 to 200 characters"):
            await runtime.submit("good", key=long_key(5_000))


TO_CLERK = (
    "grant usage on schema flowstone to clerk",
    "grant select, insert, update, delete on all tables in schema flowstone to clerk",
    "grant usage on all sequences in schema flowstone to clerk",
)


@pytest.fixture
async def clerk(database, connection):
    """The URL of the database for a user who owns nothing and has just the rights that are needed."""
    await connection.execute("create role clerk login")
    for statement in TO_CLERK:
        await connection.execute(statement)
    yield database.replace("postgres@", "clerk@", 1)
    await connection.execute("drop owned by clerk")
    await connection.execute("drop role clerk")


async def no_schema(connection):
    await connection.execute("drop schema flowstone cascade")


async def no_rights(connection):
    await connection.execute("revoke all on all tables in schema flowstone from clerk")


async def no_usage(connection):
    await connection.execute("revoke all on schema flowstone from clerk")


async def no_login(connection):
    await connection.execute("alter role clerk nologin")
    await connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'clerk'")


def waiting_shop(entered: asyncio.Event, go: asyncio.Event) -> Pipeline:
    """`slow`, which waits until it is told to go."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def slow() -> int:
        entered.set()
        await go.wait()
        return 1

    return pipeline


async def all_are_told(dsn, make_wrong) -> None:
    """Whoever waits for a run, here and on another node, is told once the store has been made wrong."""
    begun, go = asyncio.Event(), asyncio.Event()
    async with entered(dsn, waiting_shop(begun, go)) as runtime, entered(dsn, worker=False) as other:
        run = await runtime.submit("slow")
        await begun.wait()
        waits = run.wait(), (await other.run(run.id)).wait()
        waiting = asyncio.gather(*waits, return_exceptions=True)
        await make_wrong
        go.set()
        async with asyncio.timeout(200):
            assert [isinstance(told, StoreUnavailable) for told in await waiting] == [True, True]
            for call in (run.cancel, run.status, lambda: runtime.materialize("slow")):
                with pytest.raises(StoreUnavailable):
                    await call()
        assert (await runtime.health()).status == "degraded"


@pytest.mark.parametrize("wrong", [no_schema, no_rights, no_usage, no_login])
async def test_whoever_waits_is_told_that_the_store_is_wrong(clerk, connection, wrong):
    """Not that it is away: `wait`, `cancel`, `status` and `materialize` end, and so does the runtime."""
    await all_are_told(clerk, wrong(connection))


async def test_whoever_waits_is_told_that_the_database_was_dropped(database, postgres_server):
    """As one that is not there; and leaving the runtime takes no longer than otherwise."""
    name = database.rpartition("@/")[2].partition("?")[0]
    administrator = await asyncpg.connect(postgres_server.dsn)
    await all_are_told(database, administrator.execute(f'drop database "{name}" with (force)'))
    await administrator.close()


async def test_a_database_that_lacks_a_right_is_refused_on_opening(clerk, connection):
    """The table and the statements that help are named."""
    await connection.execute("revoke insert on flowstone.payloads from clerk")
    with pytest.raises(StoreUnavailable, match=r'no right to payloads.*GRANT SELECT.* TO "clerk"'):
        await Runtime(shop(), store=clerk).__aenter__()
    await connection.execute("revoke usage on schema flowstone from clerk")
    with pytest.raises(StoreUnavailable, match='GRANT USAGE ON SCHEMA flowstone TO "clerk"'):
        await Runtime(shop(), store=clerk).__aenter__()


async def test_a_database_that_cannot_hold_every_text_is_refused_on_opening(postgres_server):
    """The encoding and the statement that makes a better one are named, and nothing is changed."""
    name = "test_latin"
    connection = await asyncpg.connect(postgres_server.dsn)
    await connection.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
    try:
        with pytest.raises(StoreUnavailable, match=r"LATIN1.*CREATE DATABASE test_latin ENCODING 'UTF8'"):
            await Runtime(shop(), store=postgres_server.url(name)).__aenter__()
    finally:
        await connection.execute(f"drop database {name} with (force)")
        await connection.close()
