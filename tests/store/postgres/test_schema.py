"""The schema: numbered migrations, applied once, by one of many; and databases that do not fit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import count

import asyncpg
import pytest

from flowstone.errors import StoreUnavailable
from flowstone.runs.events import StepStarted, StepWaiting
from flowstone.store.cluster import Node
from flowstone.store.items import UNKNOWN_IO, ItemSet
from flowstone.store.postgres import PostgresStore, schema
from flowstone.store.postgres.schema import LATEST
from flowstone.store.postgres.sql import migrations
from flowstone.store.protocol import StaleWrite
from tests.store.facts import end, over, run, start


async def do(dsn, *statements):
    """Run statements as the superuser."""
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_an_empty_database_is_migrated_once(empty_database):
    """What was applied is named; the second time there is nothing to do."""
    store = PostgresStore(empty_database)
    assert await store.migrate() == [f"{number:04d}_{name}" for number, name, _ in migrations()]
    assert await store.migrate() == []
    await store.open()
    assert await store.migrate() == []
    await store.close()


async def test_a_connection_that_breaks_in_a_migration_is_told(empty_database, monkeypatch):
    """As of a store that is not there, and the next migration does it all."""

    async def broken(connection):
        await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    store = PostgresStore(empty_database)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "install_queue", broken)
        with pytest.raises(StoreUnavailable, match="connection"):
            await store.migrate()
    assert await store.migrate() == [f"{number:04d}_{name}" for number, name, _ in migrations()]


async def test_many_processes_may_start_at_once(empty_database):
    """One of them migrates, the others wait for it."""
    stores = [PostgresStore(empty_database) for _ in range(12)]
    await asyncio.gather(*(store.open() for store in stores))
    await stores[0].create_run(run())
    assert await stores[5].run("run-1") == run()
    for store in stores:
        await store.close()


async def test_migrating_by_hand(empty_database):
    """With auto_migrate off an empty or older database is refused, and the command is named."""
    store = PostgresStore(empty_database, auto_migrate=False)
    with pytest.raises(StoreUnavailable, match=r"no schema flowstone .* Run `flowstone migrate"):
        await store.open()
    await store.migrate()
    await do(empty_database, f"delete from flowstone.migrations where number = {LATEST}")
    with pytest.raises(StoreUnavailable, match=rf"has version {LATEST - 1} .* needs version {LATEST}"):
        await store.open()


async def test_a_newer_database_is_refused(empty_database):
    """A release that does not know the schema changes nothing in it."""
    await PostgresStore(empty_database).migrate()
    await do(
        empty_database, f"insert into flowstone.migrations (number, name) values ({LATEST + 7}, 'later')"
    )
    for store in (PostgresStore(empty_database), PostgresStore(empty_database, auto_migrate=False)):
        with pytest.raises(StoreUnavailable, match=rf"version {LATEST + 7} .* newer FlowStone.* upgrade it"):
            await store.open()
        with pytest.raises(StoreUnavailable, match="upgrade it"):
            await store.migrate()


OLDER = """
insert into flowstone.runs (id, pipeline, asset, request, status, created_at)
select id, 'sales', 'a', '{"kind": "materialize", "asset": "a"}', 'running', '2025-01-15'
from unnest(array['run-3', 'run-1', 'run-4', 'run-2']) as id;
insert into flowstone.materializations (run_id, asset, key, number, status, attempt, finished_at, io, arrival)
select run_id, asset, '', 2, 'succeeded', 1, finished_at::timestamptz, 'default', arrival
from (values ('run-1', 'a', '2025-01-15 02:00', 1), ('run-2', 'a', '2025-01-15 01:00', 2),
    ('run-3', 'b', '2025-01-15 02:00', 3), ('run-4', 'b', '2025-01-15 01:00', 4)
) as made(run_id, asset, finished_at, arrival);
insert into flowstone.current (asset, key, run_id, finished_at, arrival, valid)
values ('a', '', 'run-1', '2025-01-15 02:00', 1, true), ('b', '', 'run-3', '2025-01-15 02:00', 3, false);
select setval('flowstone.arrivals', 4);
"""


async def test_an_older_database_is_put_in_order(empty_database):
    """Its runs keep their order, what was recorded last is current, what was invalid stays invalid."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "LATEST", 4)
        patch.setattr(schema, "migrations", lambda: migrations()[:4])
        await PostgresStore(empty_database).migrate()
    await do(empty_database, OLDER)
    store = PostgresStore(empty_database)
    await store.open()
    await store.create_run(run("run-0"))
    heads = await store.runs()
    assert [head.id for head in heads] == ["run-0", "run-4", "run-3", "run-2", "run-1"]
    current = await store.current([("a", None), ("b", None)])
    assert {key: found.run_id for key, found in current.items()} == {("a", None): "run-2"}
    await store.write(end("b", run_id="run-0", second=-3600))
    assert (await store.current([("b", None)]))["b", None].run_id == "run-0"
    await store.close()


UNDER_WAY = """
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, last_event)
values ('run-1', 'sales', 'report', '{"kind": "materialize_all", "asset": "report"}', 'running', '2025-01-15', 5);
insert into flowstone.events (run_id, number, kind, at, asset, key, attempt) values
    ('run-1', 2, 'step.started', '2025-01-15 00:00:01Z', 'a', '', 1),
    ('run-1', 3, 'step.started', '2025-01-15 00:00:01Z', 'b', '', 1),
    ('run-1', 5, 'step.started', '2025-01-15 00:00:01Z', 'b', '', 2);
insert into flowstone.events (run_id, number, kind, at, asset, key, attempt, details) values
    ('run-1', 4, 'step.retried', '2025-01-15 00:00:02Z', 'b', '', 1,
        '{"failure": {"kind": "lost", "message": "gone"}, "delay": 0.0}');
"""


async def test_a_run_goes_on_over_an_upgrade(empty_database):
    """Starts that an older release recorded are read, looked up and fenced as those that are recorded now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "LATEST", 12)
        patch.setattr(schema, "migrations", lambda: migrations()[:12])
        await PostgresStore(empty_database).migrate()
    await do(empty_database, UNDER_WAY)
    store = PostgresStore(empty_database)
    await store.open()
    for asset in ("c", "a", "d"):
        await store.write(start(asset))
    with pytest.raises(StaleWrite, match="overtaken"):
        await store.write(end("b", attempt=1))
    kept = [event for _, event in await store.events("run-1", after=1)]
    assert [(event.asset, event.attempt) for event in kept if isinstance(event, StepStarted)] == [
        ("a", 1),
        ("b", 1),
        ("b", 2),
        ("c", 1),
        ("a", 1),
        ("d", 1),
    ]
    wanted = {("a", None): 1, ("b", None): 2, ("c", None): 1, ("e", None): 1}
    assert set(await store.cluster.begun("run-1", wanted)) == {("a", None), ("b", None), ("c", None)}
    assert [begun for _, begun in await store.cluster.under_way(("d", None))] == [True]
    await store.close()


OLDER_ITEMS = """
insert into flowstone.runs (id, pipeline, asset, request, status, created_at)
values ('run-1', 'sales', 'a', '{"kind": "materialize", "asset": "a"}', 'running', '2025-01-15');
insert into flowstone.materializations (run_id, asset, key, number, status, attempt, finished_at, io, arrival)
values ('run-2', 'a', '', 2, 'succeeded', 1, '2025-01-15', 'files', 1);
insert into flowstone.superseded (asset, key) values ('a', '');
insert into flowstone.item_sets (run_id, asset, key)
values ('run-1', 'a', ''), ('run-2', 'a', ''), ('run-3', 'a', '');
insert into flowstone.items (set_id, position, status, attempt, location)
select id, 0, 1, 1, run_id from flowstone.item_sets;
"""


async def test_items_that_an_older_release_left_are_handed_out(empty_database):
    """Nobody needs those of a run that is forgotten and a step without a value; who keeps theirs was not noted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "LATEST", 24)
        patch.setattr(schema, "migrations", lambda: migrations()[:24])
        await PostgresStore(empty_database).migrate()
    await do(empty_database, OLDER_ITEMS)
    store = PostgresStore(empty_database)
    await store.open()
    assert await store.items.unneeded(["a"], limit=9) == [ItemSet("run-3", ("a", None), UNKNOWN_IO)]
    await store.write(over())
    await store.create_run(run("run-4"))
    await store.write_many([end("a", run_id="run-4"), over("run-4")])
    await store.prune(keep_versions=1, keep_runs=0)
    found = {one.run_id: one.io for one in await store.items.unneeded(["a"], limit=9)}
    assert found == {"run-1": UNKNOWN_IO, "run-2": "files", "run-3": UNKNOWN_IO}
    await store.close()


OLDER_WAITS = """
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, last_event)
select 'run-' || n, 'sales', 'a', '{"kind": "materialize", "asset": "a"}', 'running', '2025-01-15', 2
from generate_series(1, 3) n;
insert into flowstone.waits (run_id, asset, key, name, kind, attempt, id, asked_at)
select 'run-' || n, 'a', '', 'go', 'approval', 1, n, '2025-01-15'::timestamptz + interval '1 day' * (n * 2 % 3)
from generate_series(1, 3) n;
insert into flowstone.followers (pipeline, name, kinds) values ('sales', 'alert', '{run.queued}');
insert into flowstone.outbox (follower, lane, number)
select followers.id, 'run-' || n, 1 from flowstone.followers, generate_series(1, 2) n;
"""


async def test_what_waits_and_is_to_be_delivered_keeps_its_order(empty_database):
    """What an older release has recorded comes before what is recorded from now on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "LATEST", 38)
        patch.setattr(schema, "migrations", lambda: migrations()[:38])
        await PostgresStore(empty_database).migrate()
    await do(empty_database, OLDER_WAITS)
    store = PostgresStore(empty_database)
    await store.open()
    await store.create_run(run("run-0"))
    now = datetime.now(UTC)
    await store.write(StepWaiting(now, "run-3", "b", None, 1, "go", "approval", id="4"))
    asked = [(wait.run_id, wait.asset) for wait in await store.waits.approvals(now=now)]
    assert asked == [("run-3", "b"), ("run-1", "a"), ("run-2", "a"), ("run-3", "a")]
    pending = await store.deliveries.pending("sales", "alert", limit=9)
    assert [each.lane for each in pending] == ["run-1", "run-2", "run-0"]
    await store.close()


OLDER_STARTS = """
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, last_event)
values ('run-1', 'sales', 'a', '{"kind": "materialize", "asset": "a"}', 'running', '2025-01-15', 3);
insert into flowstone.starts (run_id, number, at, asset, key)
values ('run-1', 3, array['2025-01-15 00:00:01Z', '2025-01-15 00:00:01Z']::timestamptz[], '{a,b}', '{"",""}');
"""


async def test_the_node_of_what_an_older_release_began_is_not_known(empty_database):
    """Nor is one made up; of what begins from now on it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "LATEST", 44)
        patch.setattr(schema, "migrations", lambda: migrations()[:44])
        await PostgresStore(empty_database).migrate()
    await do(empty_database, OLDER_STARTS)
    store = PostgresStore(empty_database)
    await store.open()
    await store.cluster.join(Node("n1", "h", 1, "1", ("sales",), 8, 60.0), lambda: None)
    await store.write(start("c", node="n1"))
    found = [event for _, event in await store.events("run-1", after=1)]
    assert found == [start("a"), start("b"), start("c", node="n1")]
    assert await store.attempt_event("run-1", ("a", None)) == start("a")
    assert await store.attempt_event("run-1", ("c", None)) == start("c", node="n1")
    await store.close()


OLD_RECORD = """
with made as (
    insert into flowstone.item_sets as known (run_id, asset, key) values ('run-1', 'a', '')
    on conflict (run_id, asset, key) do update set key = excluded.key
    returning known.id
)
insert into flowstone.items (set_id, position, status, attempt, location)
select made.id, 0, 1, 1, 'somewhere' from made;
"""


async def test_items_that_a_node_of_an_older_release_records_are_handed_out(empty_database):
    """It does not name who keeps their values, which are not taken for values that are all in the database."""
    store = PostgresStore(empty_database)
    await store.migrate()
    await store.open()
    await store.create_run(run())
    await do(empty_database, OLD_RECORD)
    await store.write(over())
    await store.create_run(run("run-2"))
    await store.write(over("run-2"))
    await store.prune(keep_versions=1, keep_runs=1)
    assert await store.items.unneeded(["a"], limit=9) == [ItemSet("run-1", ("a", None), UNKNOWN_IO)]
    assert [row.location for row in await store.items.rows("run-1", ("a", None))] == ["somewhere"]
    await store.close()


async def test_a_failed_migration_leaves_nothing(empty_database):
    """All migrations of a database are one transaction."""
    await do(empty_database, "create schema flowstone", "create table flowstone.events (foreign_table int)")
    with pytest.raises(StoreUnavailable, match="already exists"):
        await PostgresStore(empty_database).migrate()
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("select to_regclass('flowstone.runs')") is None
    await connection.close()


async def test_a_schema_of_somebody_else_is_refused(empty_database):
    """Without rights on it, one sentence says whose it is to change."""
    role = f"reader_{empty_database.rpartition('test_')[2].partition('?')[0]}"
    await do(empty_database, f"create role {role} login")
    as_reader = (
        f"{empty_database}&role={role}"  # Before version 16 the server's map of users knows no name but one.
    )
    try:
        with pytest.raises(StoreUnavailable, match=f"'{role}' may not use"):
            await PostgresStore(as_reader).open()
        await PostgresStore(empty_database).migrate()
        with pytest.raises(StoreUnavailable, match=f"'{role}' may not use"):
            await PostgresStore(as_reader).open()
    finally:
        await do(empty_database, f"drop owned by {role}", f"drop role {role}")


async def test_a_read_only_database_is_refused(empty_database):
    """A standby, or one that was made read-only: the remedy is to name the primary."""
    name = empty_database.rpartition("@/")[2].partition("?")[0]
    await do(empty_database, f'alter database "{name}" set default_transaction_read_only = on')
    with pytest.raises(StoreUnavailable, match=r"is read-only.*name the primary"):
        await PostgresStore(empty_database).open()


async def test_the_head_of_a_run_is_updated_in_place(store, database):
    """Each batch changes the row of its run; an index that mentions a counter would copy it each time."""
    await store.create_run(run())
    for number in range(60):
        await store.write(end("a", str(number)))
    connection = await asyncpg.connect(database)
    async with asyncio.timeout(200):
        for number in count(60):  # Postgres counts what it did when it does more, a second later.
            await store.write(end("a", str(number)))
            row = await connection.fetchrow(
                "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'runs'"
            )
            if row["n_tup_upd"] >= 60:
                break
            await asyncio.sleep(0.05)
    await connection.close()
    assert row["n_tup_hot_upd"] >= 0.8 * row["n_tup_upd"]
