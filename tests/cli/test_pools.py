"""Pools are listed and set on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flowstone import Pipeline, Runtime, StaticPartitions
from flowstone.store.pools import Claim
from flowstone.store.postgres import PostgresStore
from tests.store.cluster_contract import node, nothing

WAREHOUSE = """
from flowstone import Pipeline

pipeline = Pipeline("warehouse")
pipeline.pool("warehouse", slots=4)
pipeline.pool("licence", slots=1)


@pipeline.asset(pool={"warehouse": 2})
async def orders() -> int:
    return 1
"""


@pytest.fixture
def warehouse(shop):
    """A pipeline with pools, and the folder it is in."""
    Path("warehouse.py").write_text(WAREHOUSE)


def test_assets_shows_pools_and_rates(shop, cli):
    """Who takes what of them, where any asset does; a rate with its period."""
    Path("limits.py").write_text(
        WAREHOUSE
        + """

pipeline.rate("api", limit=10, per=60.0)


@pipeline.asset(rate="api", pool={"warehouse": 1, "licence": 1})
async def prices() -> int:
    return 1
"""
    )
    lines = [line.split("  ") for line in cli("assets", "limits.py").stdout.splitlines()]
    head, orders, prices = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert head[3:5] == ["pool", "rate"]
    assert orders[3:5] == ["warehouse (2 of 4)", "-"]
    assert prices[3:5] == ["licence (1 of 1), warehouse (1 of 4)", "api (10 per 60 s)"]
    document = cli("assets", "limits.py", "--json").document["assets"][1]
    assert (document["pools"], document["rate"]) == ({"licence": 1, "warehouse": 1}, "api")
    assert "pool" not in cli("assets", "shop.py").stdout


@pytest.mark.usefixtures("warehouse")
def test_a_pool_that_nobody_has_checked_is_said_to_be_unchecked(cli):
    """A file store does not know which pools there are."""
    done = cli("pools", "set", "warehuose", "8", "--store", "file://runs")
    assert "--pipeline MODULE:PIPELINE checks the name" in done.stderr


@pytest.mark.usefixtures("warehouse")
def test_pools_of_a_pipeline_are_listed_and_set(cli):
    """What was set is there in the next process; `default` is what the pipeline says."""
    at = ("--store", "file://runs", "--pipeline", "warehouse.py")
    assert [line.split() for line in cli("pools", *at).stdout.splitlines()] == [
        ["name", "slots", "taken", "waiting", "holders"],
        ["licence", "1", "0", "0"],
        ["warehouse", "4", "0", "0"],
    ]
    assert cli("pools", "set", "warehouse", "8", *at).stdout == "warehouse has 8 slots, 0 of them taken\n"
    shown = cli("pools", "--store", "file://runs", "--json").document["pools"]
    assert shown == [{"name": "warehouse", "slots": 8, "taken": 0, "waiting": 0, "holders": []}]
    cli("materialize", "warehouse.py", "orders", "--store", "file://runs")
    assert "8" in cli("pools", *at).stdout
    assert "warehouse has 4 slots" in cli("pools", "set", "warehouse", "default", *at).stdout
    assert "No pools in file://runs" in cli("pools", "--store", "file://runs").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "warehouse", "0"), "0 is no number of slots"),
        (("set", "warehouse", "many"), "many is no number of slots"),
        (("set", "warehouse", "1.5"), "1.5 is no number of slots"),
        (("set", "warehouse"), "takes a name and a number"),
        (("drop", "warehouse", "1"), "takes a name and a number"),
        (("set", "warehuose", "1"), "There is no pool warehuose"),
        (("set", "warehouse", "1"), "asks for 2 slots of warehouse and could never run"),
    ],
)
@pytest.mark.usefixtures("warehouse")
def test_what_makes_no_sense_is_refused(cli, arguments, said):
    """With a remedy, and nothing has changed."""
    at = ("--store", "file://runs", "--pipeline", "warehouse.py")
    refused = cli("pools", *arguments, *at)
    assert refused.status == 2
    assert said in refused.stderr
    assert cli("pools", "--store", "file://runs", "--json").document["pools"] == []


def test_pools_of_all_nodes_are_listed(cli, database, shop):
    """With their holders; and set, for all of them."""

    async def claim():
        store = PostgresStore(database)
        await store.open()
        await store.cluster.join(node("n1"), nothing)
        await store.cluster.pools.define("n1", [("w", 4)])
        claims = [Claim(number, (("w", 1),), 0, "run-1", f"step{number}") for number in range(1, 6)]
        await store.cluster.pools.exchange("n1", 0, asked=claims)
        await store.close()

    asyncio.run(claim())
    (shown,) = cli("pools", "--store", database, "--json").document["pools"]
    assert (shown["name"], shown["slots"], shown["taken"], shown["waiting"]) == ("w", 4, 4, 1)
    assert shown["holders"][0] == "step1 of run run-1"
    assert "and 1 more" in cli("pools", "--store", database).stdout
    assert "w has 5 slots, 5 of them taken" in cli("pools", "set", "w", "5", "--store", database).stdout
    refused = cli("pools", "set", "v", "5", "--store", database)
    assert "There is no pool v" in refused.stderr


async def test_what_the_steps_of_a_run_wait_for_is_shown(cli, database):
    """Each says which pool, and how full it is; from another process, a beat later."""
    gate, begun = asyncio.Event(), asyncio.Event()
    pipeline = Pipeline("town")
    pipeline.pool("warehouse", slots=1)

    @pipeline.asset(pool="warehouse", partitions=StaticPartitions(["a", "b"]))
    async def load(context):
        begun.set()
        await gate.wait()
        return context.partition

    async with Runtime(pipeline, store=database, lease=1.0) as runtime:
        run = await runtime.submit_backfill(load, max_parallel=2)
        await begun.wait()
        arguments = ("run", run.id, "--store", database)
        async with asyncio.timeout(200):
            while not (document := (await asyncio.to_thread(cli, *arguments, "--json")).document)["queued"]:
                pass
        shown = (await asyncio.to_thread(cli, *arguments)).stdout
        (waiting,) = runtime.queued_steps()
        gate.set()
        await run.wait()
    assert document["queued"] == [
        {
            "asset": "load",
            "partition": waiting.partition,
            "partition_key": waiting.partition_key,
            "attempt": 1,
            "node": runtime.node,
            "waits_for": "pool",
            "names": ["warehouse"],
            "message": "pool warehouse (1 of 1 slot taken)",
        }
    ]
    assert f"{waiting.name}  pool warehouse (1 of 1 slot taken)" in shown
