"""However many rows something concerns, it takes as many statements, and each of them a bounded number of rows."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

import asyncpg
import pytest

from flowstone.runs.items import ItemRow
from flowstone.runs.records import Status
from flowstone.store.cluster import StepLease
from flowstone.store.postgres import database as connections
from flowstone.store.postgres import items, retention
from flowstone.store.postgres import store as stores
from flowstone.store.postgres.sql import query
from tests.store.contract import finished_run
from tests.store.facts import begun, end, over, run, start
from tests.store.postgres.test_parked_runs import rows_read
from tests.store.waits_contract import HOUR, asks, now, waiting_run, waits


@pytest.fixture
def sent(monkeypatch):
    """The statements that were sent, but for those of the journal."""
    texts = []
    execute = connections._PooledConnection._execute

    async def counting(connection, text, *arguments, **options):
        texts.append(text)
        return await execute(connection, text, *arguments, **options)

    monkeypatch.setattr(connections._PooledConnection, "_execute", counting)
    return texts


@pytest.mark.parametrize(
    "over_by",
    [
        {"kind": "signal", "deadline": now() - HOUR},
        {"kind": "approval", "deadline": now() - HOUR, "about": {"on_timeout": "reject"}},
        {"deadline": now() - HOUR},
        {"timeout": 0.0},
    ],
    ids=["signals", "approvals", "sleeps", "timeouts of runs"],
)
async def test_waits_that_end_together_take_as_many_statements_as_one(store, sent, over_by):
    """Their runs are locked meanwhile, up to five hundred of them."""
    counts = []
    for number, many in enumerate((1, 7)):
        for each in range(many):
            await waiting_run(store, f"run-{number}-{each}", **over_by)
        sent.clear()
        await store.waits.expire(now=now())
        counts.append(len(sent))
    assert counts[0] == counts[1] < 12
    woken = await store.runs(statuses=[Status.RUNNING])
    assert len(woken) == 8
    assert len(await store.cluster.queued(["sales"], 100)) == 8


async def test_a_denied_wait_of_a_step_that_has_ended_holds_up_no_other(store):
    """It is over, and the record of its step stays what it is."""
    await waiting_run(store, "run-1", kind="signal", deadline=now() - HOUR)
    await waiting_run(store, "run-2", kind="signal", deadline=now() - HOUR)
    await store.write(end(run_id="run-1"))
    await store.waits.expire(now=now())
    steps = [await store.step(run_id, ("report", None)) for run_id in ("run-1", "run-2")]
    assert [step.status for step in steps] == ["succeeded", "failed"]
    assert (await store.waits.expire(now=now())).next is None


ROWS_OF_WAITS = """
select coalesce(idx_tup_fetch, 0) + seq_tup_read from pg_stat_user_tables
where schemaname = 'flowstone' and relname = 'waits'
"""


async def test_whether_a_run_is_parked_is_known_without_counting_its_waits(store, database):
    """It is asked again with each step that is woken."""
    many = 3_000
    await store.create_run(run(owner="node", status=Status.RUNNING))
    steps = [("report", f"d:{number}") for number in range(many)]
    await store.write_many([start(*step) for step in steps])
    await store.write_many([asks(step=step, deadline=now() + timedelta(days=1)) for step in steps])
    await store.write(waits(steps=many))
    assert (await store.run("run-1")).status == "waiting"
    await store.waits.answer("run-1", steps[0], "nap", 1, now=now())
    await store.cluster.take("node", ["sales"], 1)
    await store.close()
    connection = await asyncpg.connect(database)
    await connection.execute("select pg_stat_force_next_flush()")
    before = await connection.fetchval(ROWS_OF_WAITS)
    again = stores.PostgresStore(database)
    await again.open()
    await again.write(waits(steps=many), 1)  # The owner does not know yet that a step was woken.
    assert (await again.run("run-1")).status == "running"
    await again.write(waits(steps=many - 1), 1)
    assert (await again.run("run-1")).status == "waiting"
    await again.close()
    for _ in range(50):  # The server counts when the connection has ended.
        read = await connection.fetchval(ROWS_OF_WAITS) - before
        await asyncio.sleep(0.01)
    await connection.close()
    assert read < 20


async def test_open_waits_are_counted_whatever_becomes_of_them(store, database):
    """Asked for, answered, expired and cancelled."""
    await waiting_run(store, "run-1")
    await waiting_run(store, "run-2", kind="signal", deadline=now() - HOUR)
    await waiting_run(store, "run-3", timeout=60.0)
    await waiting_run(store, "run-4")
    await store.waits.answer("run-1", ("report", None), "nap", 1, now=now())
    await store.waits.expire(now=now())
    await store.cluster.request_cancel("run-4", "asked")
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        """select runs.open_waits, (select count(*) from flowstone.waits
            where waits.run_id = runs.id and waits.status = 'open') as counted
        from flowstone.runs order by runs.id"""
    )
    await connection.close()
    assert [row["open_waits"] for row in rows] == [row["counted"] for row in rows] == [0, 0, 2, 0]


COUNT_CHANGES_OF_RUNS = """
create sequence changes_of_runs;
create function note_change() returns trigger language plpgsql as $$ begin
    perform nextval('changes_of_runs');
    return null;
end $$;
create trigger note_change after update on flowstone.runs for each row execute function note_change();
"""


async def test_the_row_of_a_run_changes_as_often_for_many_steps_that_come_to_wait_as_for_one(store, database):
    """Its versions of one transaction are gone through with each change."""
    steps = [("report", f"d:{number}") for number in range(301)]
    await store.create_run(run(owner="node", status=Status.RUNNING))
    await store.write_many([start(*step) for step in steps])
    connection = await asyncpg.connect(database)
    await connection.execute(COUNT_CHANGES_OF_RUNS)
    changes = []
    for some in (steps[:1], steps[1:]):
        before = await connection.fetchval("select nextval('changes_of_runs')")
        await store.write_many([asks(step=step, deadline=now() + HOUR) for step in some])
        changes.append(await connection.fetchval("select nextval('changes_of_runs')") - before)
    assert changes[0] == changes[1]
    assert await connection.fetchval("select open_waits from flowstone.runs") == len(steps)
    await connection.close()


NO_MORE_THAN_7 = """
create function flowstone.no_more_than_7() returns trigger language plpgsql as $$ begin
    if (select count(*) from gone) > 7 then raise 'too many rows at once'; end if;
    return null;
end $$;
"""
FEW = """
create trigger few after delete on flowstone.{} referencing old table as gone
    for each statement execute function flowstone.no_more_than_7();
"""


@pytest.fixture
async def seven(store, monkeypatch):
    """No statement may delete more than seven rows of a table, and none is to."""
    monkeypatch.setattr(retention, "_ROWS", 7)
    monkeypatch.setattr(items, "_FORGOTTEN", 7)
    async with store._database.transaction() as connection:
        tables = ("items", "payloads", "events", "starts", "materializations")
        await connection.execute(NO_MORE_THAN_7 + "".join(FEW.format(table) for table in tables))


async def left(store, table):
    """How many rows a table has."""
    async with store._database.transaction() as connection:
        return await connection.fetchval(f"select count(*) from flowstone.{table}")


async def with_items(store, run_id, many=20):
    """A run of which a step went through items, each with a value."""
    await store.create_run(run(run_id))
    rows = [ItemRow(position, 1, 1, None, None, f"{run_id}/{position}") for position in range(many)]
    payloads = [(row.location, b"value") for row in rows]
    await store.items.record(run_id, ("a", None), 0, rows, payloads)


@pytest.mark.usefixtures("seven")
async def test_the_items_of_a_value_are_forgotten_in_parts(store):
    """With what is kept of them, and those of no other."""
    await with_items(store, "run-1")
    await with_items(store, "run-2", 3)
    await store.items.forget("run-1", ("a", None))
    assert await store.items.rows("run-1", ("a", None)) == []
    assert [await left(store, table) for table in ("item_sets", "items", "payloads")] == [1, 3, 3]
    await store.items.forget("run-1", ("a", None))


@pytest.mark.usefixtures("seven")
async def test_runs_are_forgotten_in_parts(store):
    """Those of several at once, with the items of steps that came to nothing."""
    for name in ("run-1", "run-2", "run-3"):
        await with_items(store, name)
        await store.write_many([start("a", f"{number}", run_id=name) for number in range(20)])
        await store.write(over(name, Status.FAILED))
    await finished_run(store, "run-4")
    await store.prune(keep_versions=1, keep_runs=1)
    assert [each.id for each in await store.runs()] == ["run-4"]
    assert [await left(store, table) for table in ("item_sets", "items", "payloads", "starts")] == [0] * 4


NO_MORE_THAN_7_CHANGE = """
create trigger few_changes after update on flowstone.item_sets referencing old table as gone
    for each statement execute function flowstone.no_more_than_7();
"""


@pytest.mark.usefixtures("seven")
async def test_items_whose_values_are_elsewhere_are_released_in_parts(store):
    """A run may have many steps that went through items; so may the steps of an asset that are superseded."""
    async with store._database.transaction() as connection:
        await connection.execute(NO_MORE_THAN_7_CHANGE)
    await store.create_run(run("run-1"))
    steps = [("a", f"s:{number}") for number in range(20)]
    for step in steps:
        rows = [ItemRow(position, 1, 1, None, None, f"{step}/{position}") for position in range(9)]
        await store.items.record("run-1", step, 0, rows, io="files")
    await store.write(over("run-1", Status.FAILED))
    await store.prune(keep_versions=1, keep_runs=0)
    assert await store.runs() == []
    found = []
    while portion := await store.items.unneeded(["a"], limit=6):
        assert len(portion) <= 6
        for one in portion:
            await store.items.forget(one.run_id, one.step, up_to=4)
            assert [row.position for row in await store.items.rows(*one[:2])] == [5, 6, 7, 8]
            await store.items.forget(one.run_id, one.step)
        found += [one.step for one in portion]
    assert sorted(found) == sorted(steps)
    assert [await left(store, table) for table in ("item_sets", "items")] == [0, 0]


UNNEEDED = """
insert into flowstone.item_sets (run_id, asset, key, io, unneeded)
select 'run-' || n, 'a' || n % 3, '', 'files', case when n % 10 > 0 then n % 7 end from generate_series(1, 20000) n;
analyze flowstone.item_sets
"""


async def test_a_look_for_items_that_nobody_needs_reads_what_it_hands_out(store, database):
    """However many others there are, of these assets and of those whose values are deleted elsewhere."""
    connection = await asyncpg.connect(database)
    await connection.execute(UNNEEDED)
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(f"prepare look as {query('unneeded_items')}")
    for assets, most in (("{a1}", 150), ("{a1,a2,b}", 250), ("{b}", 20)):
        (row,) = await connection.fetch(f"explain (analyze, format json) execute look('{assets}', 20)")
        assert rows_read(json.loads(row[0])[0]["Plan"]) < most
    await connection.close()
    handed_out = await asyncio.gather(*(store.items.unneeded(["a0"], limit=20) for _ in range(4)))
    found = [one.run_id for portion in handed_out for one in portion]
    assert len(found) == len(set(found)) >= 20


@pytest.mark.usefixtures("seven")
async def test_a_long_log_is_cut_in_parts(store, monkeypatch):
    """Its newest events stay."""
    monkeypatch.setattr(retention, "EVENTS_KEPT", 9)
    for name in ("run-1", "run-2"):
        await store.create_run(run(name))
        await store.write_many([start("a", f"{number}", run_id=name) for number in range(40)])
        await store.write(over(name))
    async with store._database.transaction() as connection:
        await connection.execute("update flowstone.runs set long = true")
    await store.prune(keep_versions=1, keep_runs=2)
    for name in ("run-1", "run-2"):
        assert [number for number, _ in await store.events(name)] == list(range(34, 43))
    assert await left(store, "events") == 2 * 9
    assert await left(store, "runs where long") == 0


async def test_as_many_statements_forget_twenty_runs_as_one(store, sent):
    """The transaction holds locks, and a round trip takes longer than a row."""
    counts = []
    for many in (1, 20):
        for each in range(many):
            await finished_run(
                store, f"run-{many}-{each}", end("a", f"{many}-{each}", run_id=f"run-{many}-{each}")
            )
        sent.clear()
        await store.prune(keep_versions=1, keep_runs=0)
        counts.append(len(sent))
    assert counts[0] == counts[1]


async def test_many_keys_go_in_parts(store, sent, monkeypatch):
    """A statement that takes longer than its answer is waited for would be sent again and again."""
    monkeypatch.setattr(stores, "_KEYS", 10)
    names = [f"k{number}" for number in reversed(range(25))]
    sent.clear()
    assert await store.add_partitions("set", names) == 25
    assert len(sent) == 3
    assert await store.partitions("set") == names
    assert await store.remove_partitions("set", [*names[:12], "other"]) == 12
    assert len(sent) == 3 + 1 + 2
    await finished_run(store, "run-1", *(end("a", name) for name in names))
    sent.clear()
    assert await store.invalidate([("a", name) for name in names]) == 25
    assert len(sent) == 3


STARTS = """
insert into flowstone.starts (run_id, number, at, asset, key)
select 'run-1', 25 * n, array_agg(now()), array_agg('a'::text), array_agg('d:' || m)
from generate_series(1, 4000) n, generate_series(1, 25) m group by n;
update flowstone.runs set last_event = 100000;
analyze flowstone.starts
"""


async def test_whether_a_leased_attempt_was_begun_is_looked_for_behind_its_lease(store, database):
    """A run of a million steps has forty thousand rows of starts; the death of a node asks for a few attempts."""
    await store.create_run(run())
    connection = await asyncpg.connect(database)
    await connection.execute(STARTS)
    lease = StepLease("run-1", "a", "new", 1, 0, "n1")
    await store.cluster.grant([lease, StepLease("run-1", "a", "other", 1, 0, "n1")])
    await store.write(start("a", "new"))
    await store.cluster.grant([lease])  # Who adopts a run says so again.
    attempts = {("a", "new"): 1, ("a", "other"): 1}
    assert list(await store.cluster.begun("run-1", attempts)) == [("a", "new")]
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(f"prepare begun as {query('begun')}")
    explain = "explain (analyze, format json) execute begun('run-1', '{a,a}', '{new,other}', '{1,1}')"
    (row,) = await connection.fetch(explain)
    assert rows_read(json.loads(row[0])[0]["Plan"]) < 10
    assert list(await store.cluster.begun("run-1", {("a", "d:1"): 1})) == [("a", "d:1")]  # Of no lease.
    await connection.close()


async def test_the_end_of_a_lease_is_found_by_a_later_attempt(store):
    """Of a second attempt, what is behind its own lease counts."""
    await store.create_run(run())
    await store.write(begun())
    lease = StepLease("run-1", "a", None, 1, 0, "n1")
    await store.cluster.grant([lease])
    await store.write(start("a", attempt=1))
    await store.cluster.grant([StepLease("run-1", "a", None, 2, 0, "n1")])
    assert list(await store.cluster.begun("run-1", {("a", None): 2})) == []
    assert list(await store.cluster.begun("run-1", {("a", None): 1})) == [("a", None)]
    await store.write(start("a", attempt=2))
    assert list(await store.cluster.begun("run-1", {("a", None): 2})) == [("a", None)]


REQUEST = """'{"kind": "materialize", "asset": "a"}'"""
QUEUED = f"""
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, submitted)
select 'queued-' || lpad(n::text, 5, '0'), 'sales', 'a', {REQUEST}, 'queued', now(), true
from generate_series(1, 6000) n;
insert into flowstone.queue (entrypoint, payload, priority, status, dedupe_key)
select 'sales', id::bytea, 0, 'queued', id from flowstone.runs where id <> 'queued-05000';
insert into flowstone.runs (id, pipeline, asset, request, status, created_at, owner)
select 'left-' || n, 'sales', 'a', {REQUEST}, 'running', now(), 'gone' from generate_series(1, 3) n;
update flowstone.runs set status = 'running' where id = 'queued-00001';
analyze
"""


async def test_a_look_for_orphans_goes_through_a_part_of_the_queue(store, database):
    """It has hardly ever lost a run, and may be long; what a node has left is found at once."""
    connection = await asyncpg.connect(database)
    await connection.execute(QUEUED)
    found = []
    for _ in range(4):
        orphans = await store.cluster.orphans(["sales"], ["gone"])
        assert {run.id for run in orphans} >= {"left-1", "left-2", "left-3"}
        found.append("queued-05000" in {run.id for run in orphans})
    assert found == [False, False, True, False]
    assert await store.cluster.orphans(["other"], ["gone"]) == []
    await connection.execute("set plan_cache_mode = force_generic_plan")
    asked = {
        "orphans": "('{sales}', '{gone}', 100, 0, 100)",
        "take_one": "('node', 'queued-00001')",
        "cancel_unstarted": "('{queued-00001,queued-00002}')",
    }
    read = {}
    for name, given in asked.items():
        await connection.execute(f"prepare {name} as {query(name)}")
        (row,) = await connection.fetch(f"explain (analyze, format json) execute {name}{given}")
        read[name] = rows_read(json.loads(row[0])[0]["Plan"])
    await connection.close()
    assert {name: rows for name, rows in read.items() if rows > 400} == {}


IMPORTED = """
import asyncio, sys
from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.database import Database
from tests.store.facts import run

begin = Database.transaction
seen = []

def noted(database, **options):
    seen.append("pgqueuer.queries" in sys.modules)
    return begin(database, **options)

async def main():
    store = PostgresStore(sys.argv[1])
    await store.open()
    Database.transaction = noted
    await store.cluster.submit(run())
    await store.close()
    assert seen and all(seen), seen

asyncio.run(main())
"""


async def test_nothing_is_imported_in_the_middle_of_a_transaction(store, database):
    """On a slow machine that takes seconds, in which locks are held, and the server ends what idles."""
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", IMPORTED, database)
    assert await program.wait() == 0
