"""`serve` and `worker` as processes of their own, on a real database: work, signals, deaths, hostile assets."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.programs import finished, read_until, started
from tests.postgres import end_lingering, place_for_servers

PIPELINE = """
import asyncio, sys, threading, time
from pathlib import Path
from flowstone import Pipeline, Retry, StaticPartitions

pipeline = Pipeline("gated")
letters = StaticPartitions(list("abcd"))


def begun(what):
    print("begun", what, file=sys.stderr, flush=True)


@pipeline.asset
def quick() -> int:
    return 1


@pipeline.asset
def doubled(quick: int) -> int:
    return 2 * quick


@pipeline.asset(retry=Retry(attempts=2, delay=0.01, jitter=0))
async def broken() -> int:
    raise ValueError("no data")


@pipeline.asset(partitions=letters)
async def slow(context) -> str:
    context.progress(0.5, f"half of {context.partition}")
    begun(context.partition)
    while not Path("open").exists():
        await asyncio.sleep(0.01)
    return context.partition


@pipeline.asset
async def leaves_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(100,), daemon=False).start()
    return 1


@pipeline.asset
async def blocking() -> int:
    begun("to block")
    while True:
        time.sleep(0.01)


@pipeline.asset
async def deaf() -> int:
    begun("to be deaf")
    while True:
        try:
            await asyncio.sleep(100)
        except BaseException:
            pass


@pipeline.asset
def hanging() -> int:
    begun("to hang")
    while True:
        time.sleep(100)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the pipeline, made the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gated.py").write_text(PIPELINE)
    return tmp_path


class Town:
    """A database, nodes in processes of their own, and commands in this one, which is quicker."""

    def __init__(self, folder: Path, store: str, cli, stack: ExitStack) -> None:
        self.folder = folder
        self.store = store
        self.run = cli
        self._stack = stack

    def start(self, name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """A node; returns when it works."""
        shared = {"FLOWSTONE_STORE": self.store, "FLOWSTONE_CANCEL_TIMEOUT": "0.3", **variables}
        process = self._stack.enter_context(started(self.folder, name, "gated.py", *arguments, **shared))
        if "--json" not in arguments:
            read_until(process, "works for gated.py:pipeline")
        return process

    def document(self, *arguments: str):
        return self.run(*arguments, "--json").document

    def submit(self, *arguments: str) -> str:
        """A backfill or one asset, left to the nodes; the run's id."""
        kind = "backfill" if arguments[0] == "slow" else "materialize"
        return self.document(kind, "gated.py", *arguments, "--submit")["run_id"]

    def open(self) -> None:
        (self.folder / "open").touch()


@pytest.fixture
def town(folder, database, cli, monkeypatch):
    monkeypatch.setenv("FLOWSTONE_STORE", database)
    with ExitStack() as stack:
        yield Town(folder, database, cli, stack)


def ended_by(stop: Callable[[], object], process: subprocess.Popen[str]) -> tuple[int, str]:
    """Do what stops a process; its status and what it said until its end."""
    stop()
    status, _, err = finished(process)
    assert "Traceback" not in err
    return status, err


def test_a_worker_does_what_is_submitted(town):
    """Runs left to the nodes are done, each told of in a line when it begins and when it ends; SIGTERM ends it."""
    run_id = town.submit("quick")
    worker = town.start("worker")
    assert f"run {run_id} started: materialize quick, 1 step" in read_until(worker, "started")
    assert "1 succeeded" in read_until(worker, f"run {run_id} succeeded")
    failing = town.submit("broken")
    assert "is tried again in 10 ms: ValueError: no data" in read_until(worker, "broken failed")
    assert "broken failed (error, attempt 2): ValueError: no data" in read_until(worker, "broken failed")
    read_until(worker, f"run {failing} failed")
    status, err = ended_by(worker.terminate, worker)
    assert (status, "none runs here" in err, "stopped" in err) == (0, True, True)
    assert town.document("runs")["runs"][-1]["status"] == "succeeded"
    assert (
        town.document("materialize", "gated.py", "doubled")["status"] == "succeeded"
    )  # Its input is in the database.


def test_serve_tells_a_program_what_it_does(town):
    """With --json there is a document a line on stdout."""
    node = town.start("serve", "--json")
    assert node.stdout is not None
    listening = json.loads(node.stdout.readline())
    assert listening["event"] == "node.listening"
    with urllib.request.urlopen(f"{listening['url']}/readyz", timeout=60) as answer:
        assert json.load(answer) == {"status": "ok"}
    first = json.loads(node.stdout.readline())
    assert (first["event"], first["pipeline"], first["store"]) == ("node.started", "gated", first["store"])
    run_id = town.submit("doubled", "--upstream", "--priority", "3")
    lines = [json.loads(node.stdout.readline()) for _ in range(2)]
    assert [(line["event"], line["run_id"]) for line in lines] == [
        ("run.started", run_id),
        ("run.finished", run_id),
    ]
    assert lines[1]["counts"] == {"succeeded": 2}
    node.terminate()
    status, out, _ = finished(node)
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["node.stopping", "node.stopped"]
    assert status == 0


def test_a_polite_stop_waits_for_what_runs(town):
    """The first signal says what it waits for; what ends in time is recorded, and nothing is left."""
    worker = town.start("worker", "--shutdown-timeout", "600")
    run_id = town.submit("slow", "--max-parallel", "4")
    for _ in "abcd":
        read_until(worker, "begun")
    worker.terminate()
    line = read_until(worker, "waits at most 600 s")
    assert "for 1 run (backfill slow[a to d]), now at slow[a], slow[b], slow[c] and 1 more" in line
    status, err = ended_by(town.open, worker)
    assert status == 0
    assert f"run {run_id} succeeded" in err
    assert town.document("run", run_id)["counts"] == {"succeeded": 4}


@pytest.mark.long
def test_the_steps_that_run_on_any_node(town):
    """Who looks from another process sees them, and how far they are, a beat later; until they have ended."""
    town.start("worker", "--lease", "1")
    run_id = town.submit("slow", "--max-parallel", "2")
    while len(running := town.document("run", run_id)["running"]) < 2:
        time.sleep(0.05)
    assert [(step["asset"], step["partition"], step["attempt"]) for step in running] == [
        ("slow", "a", 1),
        ("slow", "b", 1),
    ]
    assert [(step["fraction"], step["message"]) for step in running] == [
        (0.5, "half of a"),
        (0.5, "half of b"),
    ]
    assert running[0]["node"] == town.document("run", run_id)["owner"]
    shown = town.run("run", run_id).stdout
    assert "slow[a]" in shown
    assert "50%" in shown
    town.open()
    while not town.document("run", run_id)["finished_at"]:
        time.sleep(0.05)
    assert town.document("run", run_id)["running"] == []


def test_what_is_left_is_handed_over(town):
    """When the time of a polite stop is over, another node goes on at once, and no attempt counts as lost."""
    first = town.start("worker", "--shutdown-timeout", "0.2")
    run_id = town.submit("slow", "--max-parallel", "2")
    read_until(first, "begun b")
    status, err = ended_by(first.terminate, first)
    assert (status, "stopped; 1 run left to other nodes" in err) == (0, True)
    town.open()
    second = town.start("serve")
    assert "goes on here" in read_until(second, run_id)
    read_until(second, f"run {run_id} succeeded")
    assert town.document("run", run_id)["counts"] == {"succeeded": 4}


def test_the_second_signal_stops_now(town):
    """Whoever cannot wait signals twice: what runs is handed back, and the status says so."""
    worker = town.start("worker")
    run_id = town.submit("slow")
    read_until(worker, "begun")
    worker.send_signal(signal.SIGINT)
    read_until(worker, "a second signal stops now")
    status, err = ended_by(worker.terminate, worker)
    assert (status, "1 run left to other nodes" in err) == (130, True)
    assert "stops now, and cancels or hands back 1 run (backfill slow[a to d]), now at slow[" in err
    assert town.document("run", run_id)["status"] == "running"


def test_another_node_goes_on_after_a_kill(town):
    """After kill -9 the lease runs out, and the next node adopts the run."""
    first = town.start("worker", "--lease", "1")
    run_id = town.submit("slow", "--max-parallel", "2")
    read_until(first, "begun b")
    first.kill()
    town.open()
    second = town.start("worker", "--lease", "1")
    assert run_id in read_until(second, "goes on here")
    read_until(second, f"run {run_id} succeeded")
    assert town.document("run", run_id)["counts"] == {"succeeded": 4}


@pytest.mark.parametrize("asset", ["deaf", pytest.param("hanging", marks=pytest.mark.long)])
def test_assets_that_will_not_stop(town, asset):
    """An asset that swallows its cancel, or hangs in a thread, is left behind: the node ends politely."""
    worker = town.start("worker", "--shutdown-timeout", "0.2")
    town.submit(asset)
    read_until(worker, "begun")
    status, err = ended_by(worker.terminate, worker)
    assert (status, "1 run left to other nodes" in err) == (0, True)
    assert f"has waited 0.2 s, and cancels or hands back 1 run (materialize {asset}), now at {asset}" in err


@pytest.mark.long
def test_a_blocked_loop(town):
    """An asset that blocks the event loop is named, and cannot keep the process beyond its limit."""
    worker = town.start("worker", "--shutdown-timeout", "0.1")
    town.submit("blocking")
    read_until(worker, "begun")
    status, err = ended_by(worker.terminate, worker)
    assert status == 75
    assert "The event loop is blocked by" in err
    assert "gated.py" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith(
        "Ended by force, because it has not stopped in time: the main thread is in"
    )


@pytest.mark.long
def test_a_thread_that_outlives_everything(town):
    """A thread that a library left behind cannot keep the interpreter: all is done, so the status says so."""
    worker = town.start("worker", "--shutdown-timeout", "0")
    run_id = town.submit("leaves_a_thread")
    read_until(worker, f"run {run_id} succeeded")
    status, err = ended_by(worker.terminate, worker)
    assert status == 0
    assert err.splitlines()[-2].endswith("stopped")
    assert err.splitlines()[-1].startswith("Ended by force")


@pytest.mark.long
def test_nodes_help_each_other(town):
    """A backfill spreads over two nodes, and the one that helps says whom."""
    nodes = [town.start("worker", "--max-concurrency", "2") for _ in range(2)]
    run_id = town.submit("slow", "--max-parallel", "4")
    seen = {}
    for node in nodes:
        seen[node.pid] = _lines_until(node, "begun") + _lines_until(node, "begun")
    owner = town.document("run", run_id)["owner"]
    (driver,) = [node for node in nodes if f"-{node.pid}-" in owner]
    (helper,) = [node for node in nodes if node is not driver]
    town.open()
    read_until(driver, f"run {run_id} succeeded")
    helper.terminate()
    _, _, err = finished(helper)
    assert (
        f"run {run_id}: takes steps of backfill slow[a to d] for the node {owner}" in seen[helper.pid] + err
    )


def _lines_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    text = ""
    for line in process.stderr:
        text += line
        if words in line:
            return text
    raise AssertionError(f"the command ended without saying {words!r}")


@pytest.mark.long
def test_the_third_signal_ends_at_once(town):
    """Even with the loop blocked, and with a long time to stop."""
    worker = town.start("serve", "--shutdown-timeout", "600")
    town.submit("blocking")
    read_until(worker, "begun")
    worker.terminate()
    read_until(worker, "The event loop is blocked by")
    worker.terminate()
    status, err = ended_by(worker.terminate, worker)
    assert status == 75
    assert (
        "told so three times" in err or "not stopped in time" in err
    )  # Two signals at a time may count as one.


def test_a_signal_before_the_store_is_open(folder):
    """A node that is told to stop while it waits for its database ends with a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = f"postgresql://ada@127.0.0.1:{silent.getsockname()[1]}/mine"
        with started(folder, "worker", "gated.py", "--store", store) as worker:
            called, _ = silent.accept()
            with called:
                worker.terminate()
                status, _, err = finished(worker)
    assert (status, err) == (0, "Stopped before the store was open.\n")


def test_a_run_is_cancelled_from_another_process(town):
    """`cancel` reaches the node that drives the run, and returns when it has stopped."""
    worker = town.start("worker")
    run_id = town.submit("slow")
    read_until(worker, "begun")
    done = town.run("cancel", run_id[:16])
    assert (done.status, done.stdout) == (0, f"run {run_id} cancelled: 4 cancelled\n")
    # It may have stopped before the first look.
    assert done.stderr == "" or "Waiting for the node" in done.stderr
    read_until(worker, f"run {run_id} cancelled")
    again = town.run("cancel", run_id)
    assert (again.status, again.stdout) == (0, f"run {run_id} had ended already: cancelled\n")


def test_what_is_submitted_where_no_node_works_says_so(town):
    """Else whoever has started none waits for ever."""
    done = town.run("backfill", "gated.py", "slow", "--submit")
    assert done.status == 0
    assert done.stdout.endswith("is submitted\n")
    assert "It waits for a node, and none is alive: start `flowstone serve" in done.stderr


@pytest.mark.long
def test_cancelling_what_nobody_drives(town):
    """What has not begun ends at once; what a dead node left is ended by the command, if no other node is there."""
    waiting = town.submit("slow", "--key", "k")
    assert town.document("backfill", "gated.py", "slow", "--submit", "--key", "k") == {
        "run_id": waiting,
        "submitted": False,
        "key": "k",
    }
    assert "key       k\n" in town.run("run", waiting).stdout
    assert "slow[a to d], key k" in " ".join(town.run("runs").stdout.split())
    assert town.document("runs")["runs"][0]["key"] == "k"
    assert town.run("cancel", waiting).stdout == f"run {waiting} cancelled: no step has ended\n"
    worker = town.start("worker", "--lease", "0.5")
    left = town.submit("slow")
    read_until(worker, "begun")
    worker.kill()
    done = town.run("cancel", left)
    assert (done.status, done.stdout) == (0, f"run {left} cancelled: 4 cancelled\n")
    assert "is gone, and no living node holds 'gated': the run is ended here." in done.stderr
    assert town.document("cancel", left, "--no-wait")["status"] == "cancelled"


@pytest.mark.long
def test_the_trees_of_all_nodes(town):
    """`tree` shows what every node does at this moment, for people and for programs."""
    assert town.document("tree") == {"nodes": []}
    nodes = [town.start("serve"), town.start("worker")]
    run_id = town.submit("slow", "--max-parallel", "1")
    while "slow[a]  task, running" not in (shown := town.run("tree").stdout):
        pass
    assert run_id in shown
    assert [f"process {node.pid}" in shown for node in nodes] == [True, True]
    found = town.document("tree")["nodes"]
    while max(node["tree_age"] for node in found) > 1:  # A busy machine.
        found = town.document("tree")["nodes"]
    assert {node["pid"] for node in found} == {node.pid for node in nodes}
    assert {node["tree"]["name"] for node in found} == {"runtime"}


def test_serve_with_nothing_but_a_pipeline(cli, monkeypatch):
    """Without --store a node has embedded Postgres, and other commands of the folder find it there."""
    place = place_for_servers()
    try:
        monkeypatch.chdir(place)
        monkeypatch.delenv("FLOWSTONE_STORE", raising=False)
        (place / "gated.py").write_text(PIPELINE)
        town = Town(place, "", cli, ExitStack())
        with started(place, "serve", "gated.py", FLOWSTONE_STORE="") as node:
            read_until(node, "embedded://.flowstone/pg")
            run_id = town.submit("quick")
            read_until(node, f"run {run_id} succeeded")
            node.terminate()
            assert finished(node)[0] == 0
        assert town.document("status", "quick")["status"] == "succeeded"
    finally:
        end_lingering(place / ".flowstone" / "pg")
        shutil.rmtree(place)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["worker", "shop.py", "--store", "file://x"], "file://x is not shared by processes"),
        (["worker", "shop.py", "--store", "memory://"], "memory:// is not shared by processes"),
        (["materialize", "shop.py", "orders", "--submit"], "no other process can take a run"),
        (
            ["backfill", "shop.py", "visits", "--submit", "--store", "memory://"],
            "no other process can take a run",
        ),
        (["materialize", "shop.py", "orders", "--key", "k"], "Add --submit"),
        (["backfill", "shop.py", "visits", "--priority", "2"], "Add --submit"),
        (
            ["backfill", "shop.py", "visits", "--submit", "--key", "", "--store", "postgresql://h/d"],
            "'' cannot be the key of a run. --key takes text",
        ),
        (["tree"], "not shared by processes"),
    ],
)
def test_what_needs_a_database(shop, cli, arguments, words):
    """Where it could mean nothing, a command or an option is wrong usage and says what to write instead."""
    done = cli(*arguments)
    assert (done.status, done.stdout, words in done.stderr) == (2, "", True)


def test_a_run_in_a_file_is_cancelled_where_it_runs(shop, cli):
    """Nobody else can reach it; one that has ended has ended."""
    cli("materialize", "shop.py", "orders")
    (run,) = cli("runs", "--json").document["runs"]
    done = cli("cancel", run["id"][:10])
    assert (done.status, done.stdout) == (0, f"run {run['id']} had ended already: succeeded\n")
    assert cli("cancel", "nothing").status == 2
