"""What the doctor says of a database and of the nodes that share it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flowstone.cli.checks import checks
from flowstone.cli.database_checks import database_checks, judged
from flowstone.store.cluster import Node, NodeReport, WatchedNode
from flowstone.store.open import open_store
from flowstone.store.postgres.diagnosis import Backlog, Diagnosis
from tests.cli.programs import read_until, started
from tests.postgres import FAST

WELL = Diagnosis(
    server="18.4 (Debian)",
    schema=3,
    latest=3,
    pooled=False,
    read_only=False,
    clock_skew=0.01,
    uncertainty=0.001,
    settings={"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "autovacuum": "on"},
    connections=5,
    max_connections=100,
    size=10 << 20,
)


def node(
    name="n", *, age=5.0, gone=False, runs=0, clock_skew=0.0, version="1.0", pipelines=("shop",), **report
):
    now = datetime.now(UTC)
    about = Node(name, "web1", 7, version, pipelines, 64, 15.0)
    return WatchedNode(about, now, now, age, gone, runs, clock_skew, report=NodeReport(**report))


def found(**changed):
    """The checks of a database that differs from a healthy one, by name."""
    return {check.name: check for check in judged(replace(WELL, **changed), "postgresql://h/d")}


def test_all_is_well():
    """A healthy database with a node needs no remedy."""
    result = found(nodes=[node()])
    assert {check.verdict for check in result.values()} == {"ok"}
    assert not any(check.remedy for check in result.values())
    assert result["store"].found == "postgresql://h/d: PostgreSQL 18.4, 10.0 MiB"
    assert "holds shop) lives, last beat 5 s ago, 0 runs" in result["node"].found


@pytest.mark.parametrize(
    ("changed", "name", "verdict", "words"),
    [
        ({"read_only": True}, "store", "wrong", "Name the primary"),
        ({"schema": 0}, "schema", "note", "flowstone migrate --store postgresql://h/d"),
        ({"schema": 2}, "schema", "note", "flowstone migrate --store postgresql://h/d"),
        ({"schema": 4}, "schema", "wrong", "Upgrade it"),
        ({"settings": {**WELL.settings, "fsync": "off"}}, "durability", "wrong", "Turn fsync on"),
        ({"settings": {**WELL.settings, "synchronous_commit": "off"}}, "durability", "note", "Turn it on"),
        ({"settings": {**WELL.settings, "autovacuum": "off"}}, "vacuum", "wrong", "Turn it on"),
        ({"pooled": True}, "notifications", "note", "Connect to the server itself"),
        ({"clock_skew": -3.0}, "db clock", "note", "NTP"),
        ({"clock_skew": 300.0}, "db clock", "wrong", "NTP"),
        ({"connections": 80}, "connections", "note", "max_connections"),
        ({"dead_rows": ("events", 200_000, 10)}, "vacuum", "note", "long transactions"),
        ({"nodes": [node(clock_skew=5.0)]}, "node", "note", "NTP"),
        ({"nodes": [node(), node("m", version="1.1")]}, "versions", "note", "Upgrade them all"),
        ({"nodes": [node(age=60.0, runs=2)]}, "node", "note", "below"),
        ({"nodes": [node(age=-60.0, runs=2)]}, "node", "note", "below"),
        ({"nodes": [node(gone=True, runs=2)]}, "node", "note", "below"),
        ({"adopted": [("r1", "shop", 2, 9.0)]}, "runs", "note", "closed as failed"),
        ({"nodes": [node(store="locked (tried again)")]}, "retried", "note", "goes on by itself"),
        ({"nodes": [node(retried={"r1": "locked"})]}, "retried", "note", "closed as failed"),
        ({"nodes": [node(unfit={"r1": "no"})], "unfit": [("r1", "shop")]}, "queue", "note", "cancel r1"),
        ({"left_behind": [Backlog("shop", 2)]}, "runs", "wrong", "Start a node that holds 'shop'"),
        ({"left_behind": [Backlog("shop", 2)], "nodes": [node()]}, "runs", "note", "in a moment"),
        ({"waiting": [Backlog("shop", 2, 9.0)]}, "queue", "note", "No node holds 'shop'"),
    ],
)
def test_a_finding_has_a_remedy(changed, name, verdict, words):
    """What is not as it should be has a verdict and says what to do."""
    check = found(**changed)[name]
    assert check.verdict == verdict
    assert words in check.remedy


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"clock_skew": 5.0, "uncertainty": 4.0}, "db clock"),
        ({"dead_rows": ("events", 200_000, 1_000_000)}, "vacuum"),
        ({"waiting": [Backlog("shop", 2, 9.0)], "nodes": [node()]}, "queue"),
        ({"nodes": [node(age=60.0)]}, "node"),
        ({"nodes": [node(age=60.0, store="locked", retried={"r1": "locked"})]}, "retried"),
        ({"nodes": [node(unfit={"r1": "no"}), node("m")], "unfit": [("r1", "shop")]}, "queue"),
        ({"nodes": [node(age=60.0, unfit={"r1": "no"})], "unfit": [("r1", "shop")]}, "queue"),
        ({"nodes": [node(age=60.0, version="0.9"), node("m")]}, "versions"),
    ],
)
def test_what_is_no_finding(changed, name):
    """A slow answer is no skew, dead rows among many are none too many, and a node that left nothing is no news."""
    check = found(**changed).get(name)
    assert check is None or check.verdict == "ok"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"age": 60.0}, "beat last 1 min 0 s ago, its lease is 15 s, and left 2 runs"),
        (
            {"age": -60.0},
            "beat last 1 min 0 s after now, by a clock that was set back since, and left 2 runs",
        ),
        ({"gone": True}, "has stopped and left 2 runs"),
    ],
)
def test_what_is_said_of_a_node_that_seems_gone(changed, words):
    """Its last sign of life, as the database's clock tells it, and what it left."""
    assert words in found(nodes=[node(runs=2, **changed)])["node"].found


def test_what_is_tried_again_or_waits_in_vain_is_named():
    """Which node or run, and the reason in its words."""
    nodes = [node(store="locked (tried again)", retried={"r1": "it says no"}, unfit={"r2": "no such asset"})]
    result = [check.found for check in judged(replace(WELL, nodes=nodes, unfit=[("r2", "shop")]), "s")]
    assert "node n cannot reach all of the store: locked (tried again)" in result
    assert "run r1 is tried again by node n: it says no" in result
    assert "run r2 of shop waits, and no living node can run it: no such asset" in result


def test_only_workers_are_work_for_the_queue():
    """A command that only drives its own run takes none of others."""
    result = found(nodes=[node(pipelines=())], waiting=[Backlog("shop", 1, 3.0)])
    assert "No node holds 'shop'" in result["queue"].remedy
    assert "none works" in result["nodes"].found


async def test_looking_at_a_new_database_changes_nothing(empty_database):
    """An empty database is told to be empty, and stays so."""
    result = {check.name: check async for check in database_checks(empty_database)}
    assert "none yet" in result["schema"].found
    assert "fsync" in result["durability"].found  # The tests' own server.
    assert FAST["fsync"] == "off"
    again = {check.name: check async for check in database_checks(empty_database)}
    assert again["schema"] == result["schema"]


async def test_a_database_that_is_not_there():
    """The error of the store is the finding, and the other checks are made."""
    result = {check.name: check async for check in checks("postgresql://ada:secret@127.0.0.1:1/d", None)}
    assert result["store"].verdict == "wrong"
    assert "nobody answers at postgresql://ada@127.0.0.1:1/d" in result["store"].found
    assert "disk" in result


async def test_an_embedded_database_that_is_not_there_yet(tmp_path, monkeypatch):
    """It is not made; whether it could be is known."""
    url = f"embedded://{tmp_path}/pg"
    monkeypatch.setattr("flowstone.store.embedded.fitness.barred", lambda _account, _directory: None)
    result = {check.name: check async for check in checks(url, None)}
    assert (result["store"].verdict, "can be created" in result["store"].found) == ("ok", True)
    monkeypatch.setattr("flowstone.store.embedded.fitness.barred", lambda _account, _directory: "closed")
    result = {check.name: check async for check in checks(url, None)}
    assert (result["store"].verdict, "closed" in result["store"].found) == ("wrong", True)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_seen_of_real_nodes(database, shop):
    """A node that lives, one that died with a run, and a run that waits."""
    (shop / "endless.py").write_text(
        "import asyncio, sys\nfrom flowstone import Pipeline\npipeline = Pipeline('endless')\n"
        "@pipeline.asset\nasync def wait() -> int:\n"
        "    print('begun', file=sys.stderr, flush=True)\n    await asyncio.sleep(1000)\n"
    )
    with started(
        shop, "materialize", "endless.py", "wait", "--store", database, FLOWSTONE_LEASE="0.3"
    ) as dying:
        read_until(dying, "begun")
        dying.kill()
    with started(shop, "worker", "shop.py", "--store", database) as worker:
        read_until(worker, "works for")
        async with Opened(database) as store:
            while any(each.seems_alive for each in await store.cluster.nodes() if each.runs):
                pass
        result = {check.name: check async for check in database_checks(database)}
    assert "1 unfinished run of the pipeline 'endless' whose node is gone" in result["runs"].found
    assert f"process {worker.pid}" in result["node"].found
    assert result["queue"].found == "empty"


class Opened:
    """A store, open while the block lasts."""

    def __init__(self, url):
        self._store = open_store(url)

    async def __aenter__(self):
        await self._store.open()
        return self._store

    async def __aexit__(self, *_):
        await self._store.close()
