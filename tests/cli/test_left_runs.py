"""Runs that a process leaves unfinished in a `file://` store, by its death or a polite stop: real processes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter

import pytest

from flowstone.runs.events import StepRetried, StepStarted, StepSucceeded
from flowstone.store.file import FileStore
from tests.cli.programs import finished, read_until, started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

TOWN = """
import asyncio, sys, time
from pathlib import Path
from flowstone import Pipeline, StaticPartitions

pipeline = Pipeline("town")
letters = StaticPartitions(list("abcd"))


@pipeline.asset(partitions=letters)
async def slow(context) -> str:
    print("begun", context.partition, file=sys.stderr, flush=True)
    while context.partition > "b" and not Path("open").exists():
        await asyncio.sleep(0.01)
    return context.partition


@pipeline.asset
def hanging() -> int:
    print("begun to hang", file=sys.stderr, flush=True)
    while not Path("open").exists():
        time.sleep(0.01)
    return 1
"""

OTHER = """
from flowstone import Pipeline

pipeline = Pipeline("other")


@pipeline.asset
def x() -> int:
    return 1
"""


@pytest.fixture
def folder(shop):
    """A folder with two pipelines, made the current one, whose store is in a file."""
    (shop / "town.py").write_text(TOWN)
    (shop / "other.py").write_text(OTHER)
    return shop


@pytest.fixture
def killed(folder, cli):
    """The id of a backfill that was killed at its third step of four."""
    with started(folder, "backfill", "town.py", "slow", "--max-parallel", "1") as process:
        read_until(process, "begun c")
        process.kill()
        finished(process)
    (run,) = cli("runs", "--json").document["runs"]
    return run["id"]


def events(folder, run_id):
    """What is recorded of the run."""

    async def read():
        store = FileStore(folder / ".flowstone", read_only=True)
        await store.open()
        return [event for _, event in await store.events(run_id)]

    return asyncio.run(read())


def serve(folder, **variables):
    return started(
        folder, "serve", "town.py", "--shutdown-timeout", "0", FLOWSTONE_CANCEL_TIMEOUT="0.3", **variables
    )


def read_to_end(folder):
    """A node that goes on with what was left; stopped when it has told that a run succeeded."""
    (folder / "open").touch()
    with serve(folder) as process:
        said = read_until(process, "succeeded after")
        process.terminate()
        assert finished(process)[0] == 0
    return said


def test_a_killed_run_outlives_other_commands(folder, cli, killed):
    """It stays as its process left it, whatever else is computed in the store, until a node goes on with it."""
    before = events(folder, killed)
    assert cli("materialize", "other.py", "x").status == 0
    assert cli("materialize", "town.py", "slow", "--partition", "a").status == 0
    assert "status    running, no process" in cli("run", killed).stdout
    assert events(folder, killed) == before
    assert "4 succeeded" in read_to_end(folder)
    starts = Counter(e.partition_key for e in events(folder, killed) if isinstance(e, StepStarted))
    assert starts == {"a": 1, "b": 1, "c": 2, "d": 1}


def test_it_is_said_of_what_was_in_flight_that_it_runs_alone(folder, cli, killed):
    """In a line of the node's, and to whoever looks at the run from elsewhere."""
    with serve(folder) as process:
        said = read_until(process, "in flight")
        read_until(process, "begun c")
        shown = cli("run", killed).stdout
        (step,) = cli("run", killed, "--json").document["running"]
        (folder / "open").touch()
        read_until(process, "succeeded after")
        process.terminate()
        finished(process)
    assert (
        f"Run {killed}: 1 step was in flight when its node was lost (slow[c]), and runs again alone" in said
    )
    assert "slow[c], attempt 2, alone" in shown
    assert (step["attempt"], step["alone"]) == (2, True)


def test_a_killed_run_is_cancelled_without_a_node(folder, cli, killed):
    """Where no process has the store, the command ends the run itself; a process that has it is named."""
    with started(folder, "serve", "other.py") as process:
        read_until(process, "works for")
        refused = cli("cancel", killed[:12])
        assert refused.status == 1
        assert "Only the process that has file://.flowstone open can stop" in refused.stderr
        assert "status    running, no process" in cli("run", killed).stdout
        process.terminate()
        finished(process)
    done = cli("cancel", killed[:12])
    assert (done.status, done.stdout) == (0, f"run {killed} cancelled: 2 succeeded, 1 cancelled\n")
    assert cli("cancel", killed).stdout == f"run {killed} had ended already: cancelled\n"


@pytest.mark.parametrize("signals", [1, 2])
def test_a_polite_stop_leaves_a_run_as_a_kill_does(folder, cli, killed, signals):
    """As often as that happens: what was stopped with its node is nobody's failure, and no loss."""
    for _ in range(2):
        with serve(folder, FLOWSTONE_LOST_ATTEMPTS="2") as process:
            read_until(process, "begun c")
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
            status, _, err = finished(process)
        assert status in ((0,) if signals == 1 else (0, 130))
        assert "1 run left to the next `flowstone serve`" in err
        assert "status    running, no process" in cli("run", killed).stdout
    last = [event for event in events(folder, killed) if event.asset == "slow"][-1]
    assert isinstance(last, StepRetried)
    assert "4 succeeded" in read_to_end(folder)
    ends = Counter(e.partition_key for e in events(folder, killed) if isinstance(e, StepSucceeded))
    assert set(ends.values()) == {1}


def test_a_thread_that_will_not_stop_is_no_loss_either(folder, cli):
    """Its attempt is given up by name, and that is recorded before the run is let go of."""
    with started(folder, "materialize", "town.py", "hanging") as process:
        read_until(process, "begun to hang")
        process.kill()
        finished(process)
    (run,) = cli("runs", "--json").document["runs"]
    with serve(folder) as process:
        read_until(process, "begun to hang")
        process.terminate()
        _, _, err = finished(process)
    assert "left to the next `flowstone serve`" in err
    steps = [e for e in events(folder, run["id"]) if isinstance(e, StepStarted | StepRetried)]
    assert [(type(e), e.attempt) for e in steps] == [(StepStarted, 1), (StepStarted, 2), (StepRetried, 2)]
    assert "1 succeeded" in read_to_end(folder)
