"""`--server`: each command tells of a server what it tells of its store, and changes what it would change there."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from flowstone import Runtime
from flowstone.server import ServerOptions, create_app

ROOMS = """
from datetime import timedelta

from flowstone import DailyPartitions, DynamicPartitions, Each, Freshness, Pipeline

pipeline = Pipeline("rooms")
pipeline.pool("warehouse", slots=4)
days = DailyPartitions("2025-01-01", "2025-01-04")


@pipeline.asset(freshness=Freshness(within=timedelta(hours=1)))
async def orders() -> list[int]:
    print("reading orders")
    return [3, 1, 2]


@pipeline.asset
def total(orders: list[int]) -> int:
    return sum(orders)


@pipeline.asset(partitions=days, pool="warehouse")
async def visits(context) -> int:
    if context.partition.day == 3:
        raise ValueError("the counter was broken")
    return context.partition.day


@pipeline.asset(each=Each("orders", tolerate=1))
async def doubled(orders: int) -> int:
    if orders == 1:
        raise ValueError("one is none")
    return 2 * orders


@pipeline.asset(partitions=DynamicPartitions("regions"))
async def sales(context) -> str:
    return str(context.partition)


@pipeline.asset
def paid(context) -> str:
    return context.approval("pay", message="3 rows").by


pipeline.schedule("nightly", cron="0 6 * * *", asset="orders")
"""


@contextmanager
def served(store: str, **options):
    """A server of the rooms on a loop of its own, and its address."""
    import asyncio

    namespace: dict = {"__name__": "rooms"}
    exec(compile(ROOMS, "rooms.py", "exec"), namespace)
    begun = threading.Event()
    found: dict = {}

    async def serve() -> None:
        async with Runtime(namespace["pipeline"], store=store, automate=True) as runtime:
            config = uvicorn.Config(
                create_app(runtime, ServerOptions(**options)),
                host="127.0.0.1",
                port=0,
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
            server = found["server"] = uvicorn.Server(config)
            found["runtime"] = runtime
            found["loop"] = asyncio.get_running_loop()
            serving = asyncio.get_running_loop().create_task(server._serve())
            while not server.started:
                await asyncio.sleep(0)
            found["port"] = server.servers[0].sockets[0].getsockname()[1]
            begun.set()
            await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    begun.wait(60)
    try:
        yield f"http://127.0.0.1:{found['port']}", found
    finally:
        found["server"].should_exit = True
        thread.join(60)


def plain(text: str) -> str:
    """What is told, without what differs from look to look: ages, durations, the place."""
    text = re.sub(r"\d+(\.\d+)? (µs|ms|s|min|h)( ago)?", "…", text)
    text = re.sub(r"(?m)\bjust now\b", "…", text)
    return re.sub(r" +", " ", text)


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    """A folder with the pipeline, made the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rooms.py").write_text(ROOMS)
    return tmp_path


def test_commands_tell_of_a_server_what_they_tell_of_its_store(rooms, cli, database):
    """The same words, from the same records, on real Postgres."""
    with served(database) as (url, _):
        here, there = ("--store", database), ("--server", url)
        assert cli("materialize", "total", "--upstream", *there).status == 0
        failed = cli("backfill", "visits", "--json", *there)
        assert failed.status == 1
        cli("materialize", "doubled", *there)
        run = failed.document["run_id"]
        for line in (
            ["runs"],
            ["runs", "--status", "failed", "--json"],
            ["runs", "--tag", "a", "--tag", "b"],
            ["runs", "--tag", "a", "--tag", "b=1"],
            ["run", run],
            ["run", run, "--json"],
            ["logs", cli("runs", "--asset", "total", "--json", *there).document["runs"][0]["id"]],
            ["status", "total"],
            ["status", "visits", "--json"],
            ["status", "visits", "--partition", "2025-01-03"],
            ["status", "--late"],
            [
                "items",
                cli("runs", "--asset", "doubled", "--json", *there).document["runs"][0]["id"],
                "doubled",
            ],
            ["lineage", "total"],
            ["lineage", "total", "--json"],
            ["approvals"],
            ["automations", "--json"],
            ["pools"],
            ["token", "list"],
            ["audit", "--json"],
            ["partitions", "list", "regions"],
        ):
            told, known = cli(*line, *there), cli(*line, *here)
            shown = told.stderr.replace(url, "PLACE")
            place = re.sub(r"postgresql://\S+(?=[ :.]|$)", "PLACE", known.stderr)
            assert (told.status, plain(told.stdout)) == (known.status, plain(known.stdout)), line
            assert bool(shown.strip()) == bool(place.strip()), line


def test_what_is_defined_is_told_as_of_the_module(rooms, cli):
    """The same table, drawing and documents, without the code."""
    with served("memory://") as (url, _):
        for line in (
            ["assets"],
            ["assets", "--json"],
            ["assets", "--select", "+total"],
            ["graph"],
            ["graph", "--json"],
            ["graph", "--format", "mermaid"],
            ["graph", "--format", "dot"],
        ):
            told, known = cli(*line, "--server", url), cli(line[0], "rooms.py", *line[1:])
            assert (told.status, told.stdout) == (known.status, known.stdout), line


def test_commands_change_what_a_server_has(rooms, cli):
    """Of a store in memory, which no other process sees."""
    with served("memory://") as (url, _):
        there = ("--server", url)
        assert "2 steps" in cli("materialize", "total", "--upstream", *there).stdout
        assert cli("materialize", "totl", *there).status == 2
        assert "is submitted" in cli("materialize", "total", "--submit", *there).stdout
        assert (
            cli("partitions", "add", "regions", "eu", "us", *there).stdout
            == "regions: 2 keys added; it has 2\n"
        )
        assert cli("partitions", "remove", "regions", "us", *there).status == 0
        assert "3 steps" in cli("backfill", "visits", "--end", "2025-01-03", *there).stdout
        assert "4 steps: 4 to run" in cli("plan", "visits", "--refresh", "all", *there).stdout
        assert cli("why", "visits", "--partition", "2025-01-03", *there).stdout.startswith(
            "visits[2025-01-03]: failed"
        )
        assert "1 value" in cli("invalidate", "total", *there).stdout
        assert cli("pools", "set", "warehouse", "7", *there).stdout.startswith("warehouse has 7 slots")
        assert "is paused" in cli("pause", "nightly", "--by", "ada", *there).stdout
        assert "nightly asked for 1 run" in cli("fire", "nightly", *there).stdout
        assert "is resumed" in cli("resume", "nightly", *there).stdout
        assert cli("token", "create", "--role", "read", "--name", "ci", *there).stdout.startswith("fst_")
        assert "is worth nothing" in cli("token", "revoke", "ci", *there).stdout
        run = cli("materialize", "paid", "--submit", "--json", *there).document["run_id"]
        while not (found := cli("approvals", "--json", *there).document["approvals"]):
            time.sleep(0.05)
        assert "is approved by ada" in cli("approve", found[0]["id"][:8], "--by", "ada", *there).stdout
        while cli("run", run, "--json", *there).document["status"] != "succeeded":
            time.sleep(0.05)
        assert "had ended already" in cli("cancel", run, *there).stdout
        failed = cli("runs", "--status", "failed", "--json", *there).document["runs"][0]["id"]
        assert cli("retry", failed[:20], *there).status == 1
        assert "runtime" in cli("tree", *there).stdout


def test_a_token_comes_from_the_environment_or_a_file(rooms, cli, monkeypatch):
    """And is in no word of the line, and in nothing that is told."""
    with served("memory://", open_on_loopback=False) as (url, found):
        import asyncio

        token = asyncio.run_coroutine_threadsafe(
            found["runtime"].create_token("ci", "read"), found["loop"]
        ).result(60)
        refused = cli("runs", "--server", url)
        assert refused.status == 1
        assert "FLOWSTONE_TOKEN or --token-file" in refused.stderr
        monkeypatch.setenv("FLOWSTONE_SERVER", url)
        (rooms / "token").write_text(f"{token}\n")
        assert cli("runs", "--token-file", "token").status == 0
        monkeypatch.setenv("FLOWSTONE_TOKEN", token)
        assert cli("runs").status == 0
        role = cli("materialize", "total")
        assert (role.status, token in role.stderr) == (1, False)
        assert "may read; this needs one that may operate" in role.stderr
        assert "cannot be read" in cli("runs", "--token-file", "nowhere").stderr


def test_what_makes_no_sense_is_refused(rooms, cli, monkeypatch):
    """In one sentence, with what to do."""
    for line in (["serve", "rooms.py"], ["worker", "rooms.py"], ["migrate"]):
        refused = cli(*line, "--server", "http://127.0.0.1:1")
        assert refused.status == 2
        assert "leave --server out" in refused.stderr
    with served("memory://") as (url, _):
        for line in (["status", "visits", "--failed"], ["status", "total", "--pipeline", "rooms.py"]):
            refused = cli(*line, "--server", url)
            assert (refused.status, "not through a server" in refused.stderr) == (2, True), refused.stderr
    both = cli("runs", "--server", "http://127.0.0.1:1", "--store", "file://.flowstone")
    assert (both.status, "two places" in both.stderr) == (2, True)
    assert "cannot be reached" in cli("runs", "--server", "http://127.0.0.1:1").stderr
    assert "no address" in cli("runs", "--server", "flow.example.com").stderr
    monkeypatch.setenv("FLOWSTONE_SERVER", "http://127.0.0.1:1")
    assert cli("runs", "--store", "file://.flowstone").status == 0
    assert cli("materialize", "rooms.py", "total", "--store", "file://.flowstone", "--upstream").status == 0
