"""Retention where several nodes share a database: each forgets what it can delete, and nobody waits for it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from flowstone.runs.events import StepKept, StepTokenIssued
from flowstone.store.postgres import PostgresStore, retention
from tests.store.contract import finished_run
from tests.store.facts import at, end, over, run, start


async def test_a_node_forgets_values_of_its_own_assets(store):
    """What it could not delete stays until a node asks that can."""
    for number in range(3):
        name = f"run-{number}"
        await finished_run(
            store, name, end("a", run_id=name, second=number + 1), end("b", run_id=name, second=number + 1)
        )
    gone = await store.prune(keep_versions=1, keep_runs=9, assets=["a", "c"])
    assert sorted((one.asset, one.run_id) for one in gone) == [("a", "run-0"), ("a", "run-1")]
    assert await store.prune(keep_versions=1, keep_runs=9, assets=["a"]) == []
    gone = await store.prune(keep_versions=1, keep_runs=9)
    assert sorted((one.asset, one.run_id) for one in gone) == [("b", "run-0"), ("b", "run-1")]


async def test_nodes_may_prune_at_once(store, database):
    """Each value is returned to one of them, who deletes it."""
    for number in range(6):
        name = f"run-{number}"
        await finished_run(
            store, name, *(end("a", str(key), run_id=name, second=number + 1) for key in range(20))
        )
    others = [PostgresStore(database) for _ in range(3)]
    for other in others:
        await other.open()
    answers = await asyncio.gather(*(each.prune(keep_versions=2, keep_runs=3) for each in (store, *others)))
    again = await store.prune(keep_versions=2, keep_runs=3)
    gone = [(one.partition_key, one.run_id) for answer in (*answers, again) for one in answer]
    assert len(gone) == len(set(gone)) == 20 * 4
    assert [head.id for head in await store.runs()] == ["run-5", "run-4", "run-3"]
    for other in others:
        await other.close()


async def test_a_large_run_is_forgotten_in_parts(store, monkeypatch):
    """More steps and events than one transaction takes; the values that are current stay."""
    monkeypatch.setattr(retention, "_ROWS", 7)
    await finished_run(store, "run-1", *(end("a", str(number)) for number in range(40)))
    await finished_run(store, "run-2")
    await store.prune(keep_versions=1, keep_runs=1)
    assert await store.run("run-1") is None
    assert await store.steps("run-1") == []
    assert len(await store.current_keys("a")) == 40


NO_MORE_THAN_7 = """
create function flowstone.no_more_than_7() returns trigger language plpgsql as $$ begin
    if (select count(*) from gone) > 7 then raise 'too many rows at once'; end if;
    return null;
end $$;
create trigger few after delete on flowstone.waits referencing old table as gone
    for each statement execute function flowstone.no_more_than_7();
create trigger few after delete on flowstone.tokens referencing old table as gone
    for each statement execute function flowstone.no_more_than_7();
"""


async def test_the_waits_of_a_run_are_forgotten_in_parts(store, database, monkeypatch):
    """A hundred thousand steps may have waited, each with a token."""
    monkeypatch.setattr(retention, "_ROWS", 7)
    attempt = (at(1), "run-1", "a", None, 1)
    await finished_run(
        store,
        "run-1",
        start("a"),
        *(StepKept(*attempt, f"kept {number}", number) for number in range(20)),
        *(StepTokenIssued(*attempt, f"bank {number}", f"hash {number}") for number in range(20)),
        end("a"),
    )
    await finished_run(store, "run-2")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(NO_MORE_THAN_7)
        await store.prune(keep_versions=1, keep_runs=1)
        for table in ("waits", "tokens"):
            assert await connection.fetchval(f"select count(*) from flowstone.{table}") == 0
    finally:
        await connection.close()
    assert await store.run("run-1") is None


async def test_a_long_log_is_cut(store):
    """A finished run keeps its newest events, numbered as they were."""
    await store.create_run(run())
    for chunk in range(11):
        await store.write_many([start("a", f"{chunk}-{number}") for number in range(1_000)])
    await store.write(over())
    await store.prune(keep_versions=1, keep_runs=1)
    kept = await store.events("run-1", limit=100_000)
    assert len(kept) == 10_000
    assert [number for number, _ in kept] == list(range(1_003, 11_003))


@pytest.mark.parametrize("limit", [1, 3])
async def test_what_one_call_returns_is_bounded(store, monkeypatch, limit):
    """The rest is for the next call."""
    monkeypatch.setattr(retention, "_KEYS", limit)
    monkeypatch.setattr(retention, "_FORGOTTEN", limit)
    for number in (1, 2):
        name = f"run-{number}"
        await finished_run(store, name, *(end("a", str(key), run_id=name, second=number) for key in range(6)))
    counts = []
    while gone := await store.prune(keep_versions=1, keep_runs=9):
        counts.append(len(gone))
    assert sum(counts) == 6
    assert max(counts) <= limit


async def test_no_clock_tells_which_journals_are_forgotten(store, database, monkeypatch):
    """Those that others have followed in great number; one that may wait for its answer finds its row again."""
    monkeypatch.setattr(retention, "_JOURNALS", 3)
    await store.create_run(run())
    connection = await asyncpg.connect(database)
    (own,) = await connection.fetch("select id from flowstone.journals")
    for _ in range(4):
        await connection.execute("insert into flowstone.journals values (gen_random_uuid(), 1)")
    await store.write(start("a"), 0)
    for clock in ("'-infinity'", "now()", "'infinity'"):
        await connection.execute(f"update flowstone.journals set at = {clock} where id <> '{own['id']}'")
        await store.write(start("b", clock), 0)
        await store.prune(keep_versions=1, keep_runs=1)
        left = await connection.fetch("select id from flowstone.journals")
        assert own in left
        assert len(left) == 3
    await connection.close()
