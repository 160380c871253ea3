"""Who wants which run, over several connections to one database."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from flowstone.errors import WaitsForItself
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import Status
from flowstone.store.cluster import Notification
from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.callers import create_unless_under_way, lock_identities
from tests.store.callers_contract import asked, asks, caller
from tests.store.cluster_contract import Heard
from tests.store.facts import over


@pytest.fixture
async def stores(database):
    """Those of four processes."""
    opened = [PostgresStore(database) for _ in range(4)]
    for store in opened:
        await store.open()
    yield opened
    for store in opened:
        await store.close()


@pytest.fixture
async def store(stores):
    """One of them."""
    return stores[0]


async def reasons(store, run_id):
    """Why it was asked to cancel a run."""
    events = [event for _, event in await store.events(run_id)]
    return [event.reason for event in events if isinstance(event, RunCancelRequested)]


async def test_two_hundred_who_ask_at_once_make_one_run(stores):
    """Over four connection pools, again and again; some of them do not want to join one."""
    for turn in range(5):
        found = await asyncio.gather(
            *(asks(stores[n % 4], f"run-{turn}-{n}", asset=f"a{turn}") for n in range(200))
        )
        assert len(set(found)) == 1
    assert len(await stores[0].runs()) == 5


async def test_a_run_without_an_owner_is_queued_once(stores):
    """Whoever submits it."""
    made = await asyncio.gather(
        *(store.callers.create(asked(f"run-{n}", owner=None), None) for n, store in enumerate(stores))
    )
    assert len(set(made)) == 1
    assert [head.id for head in await stores[0].cluster.queued(["sales"], 9)] == made[:1]


async def test_the_end_of_a_joined_run_is_told(stores):
    """To all nodes, since whoever joined may be anywhere; that of other runs is not."""
    first, second, *_ = stores
    heard = Heard()
    with heard.of(second):
        await asks(first, "run-1")
        await first.create_run(asked("run-2", asset="other"))
        assert await asks(second, "run-3", node="n2") == "run-1"
        for name in ("run-2", "run-1"):
            await first.write(over(name))
        async with asyncio.timeout(10):
            while Notification("finished", "run-1") not in heard:
                await asyncio.sleep(0.01)
    assert Notification("finished", "run-2") not in heard


async def test_a_run_that_is_driven_elsewhere_is_cancelled_by_the_store(store):
    """With the reason, which its owner hears of."""
    await asks(store, "run-1")
    await asks(store, "run-2", node="n2", cancels=True)
    assert await store.callers.leave("run-1", caller("run-1")) is None
    assert await store.callers.leave("run-1", caller("run-2", "n2")) == "unwanted"
    assert await store.cluster.cancelling("n1") == ["run-1"]
    assert await reasons(store, "run-1") == ["unwanted"]


async def test_the_callers_of_a_node_that_is_gone_have_left(store):
    """The last of them cancel the run if one of them wanted that; others go on."""
    await asks(store, "run-1")
    await asks(store, "run-2", node="n2", cancels=True)
    await asks(store, "run-3", node="n2")
    await asks(store, "other-1", asset="other")
    await asks(store, "other-2", asset="other", node="n2")
    for name in ("run-1", "other-1"):
        assert await store.callers.leave(name, caller(name)) is None
    await store.callers.forget("n2")
    await store.callers.forget("n2")
    assert await reasons(store, "run-1") == ["unwanted"]
    assert await reasons(store, "other-1") == []
    assert await store.cluster.cancelling("n1") == ["run-1"]


async def test_a_node_with_callers_is_told_of(store):
    """So that whoever sees it go forgets them."""
    await store._database.fetch("join", "n1", "host", 1, "1.0", ["sales"], 4, 15.0, 0.0)
    assert [(each.node, each.calls) for each in await store.cluster.beats(["sales"])] == [("n1", False)]
    await asks(store, "run-1")
    assert [(each.node, each.calls) for each in await store.cluster.beats(["sales"])] == [("n1", True)]
    await store.callers.forget("n1")
    assert [(each.node, each.calls) for each in await store.cluster.beats(["sales"])] == [("n1", False)]


async def wants(store, run_id, asset, node, *waiting):
    """A step of these runs asks for an asset, and would join a run of it."""
    return await store.callers.create(
        asked(run_id, asset=asset, owner=node), caller(run_id, node, waiting=waiting)
    )


async def test_a_circle_over_three_nodes_is_refused(store):
    """Each waits for the next one; what the last one asked for is not on record."""
    for asset, node in (("a", "n1"), ("b", "n2"), ("c", "n3")):
        await asks(store, f"run-{asset}", asset=asset, node=node)
    assert await wants(store, "x-1", "b", "n1", "run-a") == "run-b"
    assert await wants(store, "x-2", "c", "n2", "inner", "run-b") == "run-c"
    with pytest.raises(WaitsForItself, match="run-c would wait for run run-a"):
        await wants(store, "x-3", "a", "n3", "run-c")
    assert await wants(store, "x-4", "d", "n3", "run-c") == "x-4"
    assert await store.callers.leave("run-c", caller("x-2", "n2")) is None
    assert await wants(store, "x-5", "a", "n3", "run-c") == "run-a"


async def test_of_two_who_close_a_circle_together_one_is_refused(stores):
    """They ask at the same time, on two nodes."""
    for turn in range(20):
        a, b = f"a{turn}", f"b{turn}"
        await asks(stores[0], f"run-{a}", asset=a)
        await asks(stores[1], f"run-{b}", asset=b, node="n2")
        told = await asyncio.gather(
            wants(stores[0], f"x-{turn}", b, "n1", f"run-{a}"),
            wants(stores[1], f"y-{turn}", a, "n2", f"run-{b}"),
            return_exceptions=True,
        )
        assert [type(each) for each in told if isinstance(each, BaseException)] == [WaitsForItself]


async def test_runs_are_created_within_a_transaction_of_somebody_else(store):
    """All of them or none: an error undoes them, and those under way are given instead."""
    await asks(store, "run-1", asset="a")
    given = [asked("new-1", asset="a", owner=None), asked("new-2", asset="b", owner=None)]
    with pytest.raises(ZeroDivisionError):
        async with store._database.transaction() as connection:
            await lock_identities(connection, given)
            assert [await create_unless_under_way(connection, each) for each in given] == ["run-1", "new-2"]
            raise ZeroDivisionError
    assert await store.run("new-2") is None
    async with store._database.transaction() as connection:
        await lock_identities(connection, given)
        assert [await create_unless_under_way(connection, each) for each in given] == ["run-1", "new-2"]
    assert [head.id for head in await store.cluster.queued(["sales"], 9)] == ["new-2"]
    assert (await store.run("new-2")).status is Status.QUEUED


async def test_callers_go_with_their_run(store):
    """Retention leaves none behind."""
    await asks(store, "run-1")
    await asks(store, "run-2")
    await store.write(over("run-1"))
    await store.prune(keep_versions=1, keep_runs=0)
    rows = await store._database._pool.fetch("select * from flowstone.callers")
    assert rows == []


MANY = """
insert into flowstone.runs (id, pipeline, asset, request, status, created_at)
select 'run-' || n, 'sales', 'a', json_build_object('kind', 'materialize', 'asset', 'a', 'keys',
    json_build_array(n)), 'queued', now()
from generate_series(1, 20000) n;
insert into flowstone.callers (run_id, id, node, cancels, waiting)
select 'run-' || n, 'call-' || n, 'n1', false, array['outer-' || n] from generate_series(1, 20000) n;
analyze;
"""


STEPS = (
    "select flowstone.run_under_way(flowstone.identity('sales', '{json}'), '{{}}')",
    "select flowstone.want('run-5', 'z', 'n2', true, '{{run-9}}')",
    "select flowstone.closes_circle('run-5', '{{run-9}}')",
    "select flowstone.leave_run('run-5', 'z', 'n2', true)",
)


async def test_each_step_looks_at_few_of_many_runs(database, store):
    """Of 20,000 that are unfinished; to read them all it would be more than a thousand blocks."""
    assert store.is_open
    connection = await asyncpg.connect(database)
    await connection.execute(MANY)
    for step in STEPS:
        asked_for = step.format(json='{"kind": "materialize", "asset": "a", "keys": [77]}')
        for _ in range(2):  # The first time it reads the catalogue as well.
            rows = await connection.fetch(f"explain (analyze, buffers, format json) {asked_for}")
        plan = json.loads(rows[0][0])[0]["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 150, step
    await connection.close()


async def test_who_attends_a_run_closes_no_circle_either(store):
    """A call that shares the run of another one of its process is refused as one that asked itself."""
    await asks(store, "run-a", asset="a")
    await asks(store, "run-b", asset="b", node="n2")
    await store.callers.attend("run-b", caller("x-1", "n1", waiting=("run-a",)))
    with pytest.raises(WaitsForItself, match="run-b would wait for run run-a"):
        await store.callers.attend("run-a", caller("x-2", "n2", waiting=("run-b",)))
    await store.callers.attend("run-a", caller("x-3", "n2", waiting=("other",)))
    assert await store.callers.leave("run-a", caller("run-a")) is None
    assert await store.callers.leave("run-a", caller("x-3", "n2")) is None
