"""Lists of runs by status, asset and tag; what failed or is missing; the keys of dynamic partition sets."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, Pipeline, Runtime
from flowstone.runs.records import Status
from flowstone.store import FileStore
from tests.store import facts

CRM = """
from flowstone import DynamicPartitions, Pipeline

pipeline = Pipeline("crm")
customers = DynamicPartitions("customers")


@pipeline.asset(partitions=customers)
async def mail(context) -> str:
    return context.partition


@pipeline.asset
async def report(mail: dict[str, str]) -> int:
    return len(mail)
"""


@pytest.fixture
def crm(shop):
    """A pipeline with a dynamic partition set, beside the shop."""
    (shop / "crm.py").write_text(CRM)
    return shop


def ids(result):
    """Of the runs in a document."""
    return [run["id"] for run in result.document["runs"]]


def tagged(tags):
    """A run of the shop's name with these tags, from a program; its id."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    async def run():
        async with Runtime(pipeline, store="file://.flowstone") as runtime:
            return (await runtime.materialize(orders, tags=tags)).run_id

    return asyncio.run(run())


FLAKY = """
from pathlib import Path
from flowstone import Pipeline, StaticPartitions

pipeline = Pipeline("flaky")


@pipeline.asset
def one() -> int:
    return 1 / (not Path("broken").exists())


@pipeline.asset(partitions=StaticPartitions(["a", "b"]))
def two() -> int:
    return 1 / (not Path("broken").exists())
"""


def test_runs_are_listed_by_status_asset_and_tag(shop, cli):
    """Alone and together; of none it says so, and which asset was meant."""
    failed = cli("backfill", "shop.py", "visits", "--json").document["run_id"]
    plain = cli("materialize", "shop.py", "orders", "--json").document["run_id"]
    core = tagged({"team": "core", "by": "ada"})
    web = tagged({"team": "web"})
    assert ids(cli("runs", "--status", "failed", "--json")) == [failed]
    assert ids(cli("runs", "--status", "failed", "--status", "succeeded", "--json")) == [
        web,
        core,
        plain,
        failed,
    ]
    assert ids(cli("runs", "--asset", "orders", "--json")) == [web, core, plain]
    assert ids(cli("runs", "--tag", "team", "--json")) == [web, core]
    assert ids(cli("runs", "--tag", "team", "--tag", "team=core", "--tag", "by", "--json")) == [core]
    assert ids(cli("runs", "--tag", "team", "--before", web, "--limit", "1", "--json")) == [core]
    nothing = cli("runs", "--asset", "ordres", "--status", "failed")
    assert nothing.status == 0
    assert nothing.stderr == "No run in file://.flowstone matches. Did you mean 'orders'?\n"
    assert cli("runs", "--tag", "nobody").stderr == "No run in file://.flowstone matches.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs", "--status", "skipped"], "--status takes queued, running"),
        (["runs", "--tag", "a=b", "--tag", "a=c"], "two values of the tag 'a'"),
        (["status"], "Name an ASSET"),
        (["status", "visits", "--failed", "--missing"], "the one or the other"),
        (["status", "visits", "--failed", "--partition", "2025-01-05"], "--partition"),
        (["status", "--failed"], "--pipeline MODULE:PIPELINE"),
        (["status", "visits", "--missing"], "--pipeline MODULE:PIPELINE"),
        (["status", "vsits", "--missing", "--pipeline", "shop.py"], "Did you mean 'visits'?"),
        (["partitions", "show", "customers"], "list"),
        (["partitions", "list", "customers", "ada"], "takes no keys"),
        (["partitions", "add", "customers"], "Name the keys to add"),
        (["partitions", "add", "", "ada"], "takes a name"),
        (["partitions", "add", "custmers", "ada", "--pipeline", "crm.py"], "Did you mean 'customers'?"),
        (["partitions", "add", "customers", "ada", "--pipeline", "shop.py"], "no dynamic partition set"),
        (["partitions", "add", "customers", "ada", "--store", "memory://"], "--store"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(crm, cli, arguments, words):
    """One sentence that says what is right, and status 2."""
    result = cli(*arguments)
    assert result.status == 2
    assert words in " ".join(result.stderr.split())


def test_what_failed_last(shop, cli):
    """Of an asset, or of all of a pipeline; not what has succeeded since."""
    cli("backfill", "shop.py", "visits_doubled", "--upstream")
    shown = cli("status", "visits", "--failed")
    assert "visits[2025-01-05]" in shown.stdout
    assert "ValueError: the counter was broken" in shown.stdout
    assert shown.stdout.endswith("visits: 1 partition whose last attempt failed\n")
    assert cli("status", "orders", "--failed").stdout == "orders: 0 partitions whose last attempt failed\n"
    (step,) = cli("status", "--failed", "--pipeline", "shop.py", "--json").document["failed"]
    assert (step["asset"], step["partition_key"], step["failure"]["kind"]) == (
        "visits",
        "d:2025-01-05",
        "error",
    )
    # Of another length: what Python has compiled goes by the size of a file and the second it was written in.
    (shop / "shop.py").write_text((shop / "shop.py").read_text().replace("day == 5", "day == 50"))
    cli("backfill", "shop.py", "visits")
    assert cli("status", "visits", "--failed", "--json").document == {"failed": []}


def test_an_older_value_beside_a_failure_is_said_to_be_there(shop, cli):
    """How the last attempt ended does not tell whether there is a value."""

    def summary(*options):
        return cli("status", *options).stdout.partition("\n")[0]

    (shop / "flaky.py").write_text(FLAKY)
    assert summary("one") == "one: never"
    cli("materialize", "flaky.py", "one")
    cli("backfill", "flaky.py", "two")
    assert summary("one") == "one: succeeded"
    assert summary("two", "--partition", "a") == "two[a]: succeeded"
    (shop / "broken").touch()
    cli("materialize", "flaky.py", "one")
    cli("backfill", "flaky.py", "two", "--refresh", "all")
    assert summary("one") == "one: failed; the value of an earlier run is still current"
    assert summary("two") == "two: 2 partitions with a current value, 2 whose last attempt failed"
    assert (
        summary("two", "--partition", "a") == "two[a]: failed; the value of an earlier run is still current"
    )
    (shop / ".flowstone" / "journal.jsonl").unlink()
    cli("materialize", "flaky.py", "one")
    assert summary("one") == "one: failed, and there is no current value"


def test_what_is_missing(shop, cli):
    """What the pipeline defines and the store has no current value of; one that takes any key is left out."""
    cli("backfill", "shop.py", "visits", "--end", "2025-01-08")
    missing = cli("status", "visits", "--missing", "--pipeline", "shop.py")
    assert missing.stdout.splitlines() == [
        "visits[2025-01-05]",
        "visits[2025-01-09]",
        "visits[2025-01-10]",
        "visits: 3 of 10 values missing in file://.flowstone",
    ]
    short = cli("status", "--missing", "--pipeline", "shop.py", "--limit", "2")
    assert short.stdout.splitlines()[:2] == ["orders", "total"]
    assert "15 of 22 values missing" in short.stdout
    assert "13 more: --limit N or --json shows them." in short.stderr
    document = cli("status", "visits", "--missing", "--pipeline", "shop.py", "--json").document
    assert document["missing"][0] == {
        "asset": "visits",
        "partition": "2025-01-05",
        "partition_key": "d:2025-01-05",
    }


def asleep(asset):
    """A run whose only step sleeps, left by the program that began it; its id."""
    pipeline = Pipeline("naps")

    async def function(context: Context) -> int:
        context.sleep("nap", 86_400.0)
        return 1

    pipeline.asset(name=asset)(function)

    async def leave():
        async with Runtime(pipeline, store="file://runs") as runtime:
            run = await runtime.submit(asset)
            while await run.status() != "waiting":
                await asyncio.sleep(0)
            return run.id

    return asyncio.run(leave())


def test_what_waits(shop, cli):
    """Its run is listed as waiting, and so is the step."""
    run = asleep("nap")
    assert ids(cli("runs", "--store", "file://runs", "--status", "waiting", "--json")) == [run]
    assert cli("status", "nap", "--store", "file://runs", "--json").document["status"] == "waiting"
    assert cli("status", "nap", "--store", "file://runs").stdout == "nap: waiting\n"


def test_the_keys_of_a_dynamic_set(crm, cli):
    """They are added, listed in that order and removed; a run then has these, and what is missing follows them."""
    assert cli("partitions", "list", "customers").stderr.startswith("customers has no keys in")
    added = cli("partitions", "add", "customers", "grace", "ada", "i:7", "ada", "--pipeline", "crm.py")
    assert added.stdout == "customers: 3 keys added; it has 3\n"
    again = cli("partitions", "add", "customers", "ada", "eve")
    assert again.stdout == "customers: 1 key added, 1 was there before; it has 4\n"
    assert cli("partitions", "list", "customers").stdout == "grace\nada\n7\neve\n"
    gone = cli("partitions", "remove", "customers", "7", "eve", "nobody")
    assert gone.stdout == "customers: 2 keys removed, 1 was not there; it has 2\n"
    assert cli("partitions", "list", "customers", "--json").document == {
        "set": "customers",
        "partitions": [
            {"partition": "grace", "partition_key": "grace"},
            {"partition": "ada", "partition_key": "ada"},
        ],
    }
    assert cli("partitions", "remove", "customers", "eve", "--json").document == {
        "set": "customers",
        "removed": 0,
        "total": 2,
    }
    assert cli("status", "--missing", "--pipeline", "crm.py").stdout.splitlines()[:3] == [
        "mail[grace]",
        "mail[ada]",
        "report",
    ]
    assert cli("backfill", "crm.py", "mail", "--json").document["counts"] == {"succeeded": 2}
    assert cli("status", "mail", "--missing", "--pipeline", "crm.py", "--json").document == {"missing": []}


async def test_keys_are_not_written_to_a_store_that_another_process_holds(crm, cli):
    """It says who holds it; to look is allowed."""
    async with Runtime(Pipeline("held"), store="file://.flowstone"):
        result = await asyncio.to_thread(cli, "partitions", "add", "customers", "ada")
        assert (await asyncio.to_thread(cli, "partitions", "list", "customers")).status == 0
    assert result.status == 1
    assert "process" in result.stderr


def test_a_database_that_nobody_has_used_yet(crm, cli, empty_database, monkeypatch):
    """Adding keys makes the schema, as computing does; looking makes nothing."""
    monkeypatch.setenv("FLOWSTONE_STORE", empty_database)
    monkeypatch.setenv("FLOWSTONE_AUTO_MIGRATE", "false")
    refused = cli("partitions", "add", "customers", "ada")
    assert refused.status == 1
    assert "flowstone migrate" in refused.stderr
    monkeypatch.delenv("FLOWSTONE_AUTO_MIGRATE")
    assert cli("partitions", "add", "customers", "ada").status == 0
    assert cli("partitions", "list", "customers").stdout == "ada\n"
    assert cli("backfill", "crm.py", "mail", "--json").document["counts"] == {"succeeded": 1}
    assert cli("status", "--failed", "--pipeline", "crm.py", "--json").document == {"failed": []}
    assert ids(cli("runs", "--asset", "mail", "--status", "succeeded", "--json"))


def test_a_run_whose_process_was_killed_is_not_said_to_be_driven(cli, shop):
    """In a file nobody records that: what counts is whether a process has the store."""

    async def leave(directory):
        store = FileStore(directory)
        await store.open()
        await store.create_run(facts.run(status=Status.RUNNING, owner="node"))
        await store.write(facts.start())
        return store

    async def look_while_it_lives():
        store = await leave(shop / "left")
        try:
            return await asyncio.to_thread(cli, "run", "run-1", "--store", "file://left")
        finally:
            await store.close()

    driven = asyncio.run(look_while_it_lives())
    assert "status    running\n" in driven.stdout
    assert "\nrunning " in driven.stdout
    left = cli("run", "run-1", "--store", "file://left")
    assert "status    running, no process\n" in left.stdout
    assert "\nrunning " not in left.stdout
    assert "running, no process" in cli("runs", "--store", "file://left").stdout
