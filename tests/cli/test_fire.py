"""`flowstone fire`: interrupted, and while another process has the store."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from flowstone import Pipeline, Runtime
from tests.cli.programs import finished, read_until, started

SLOW = """
import asyncio, sys
from pathlib import Path
from flowstone import Pipeline

pipeline = Pipeline("slow")


@pipeline.asset
async def first() -> int:
    print("begun", file=sys.stderr, flush=True)
    while not Path("open").exists():
        await asyncio.sleep(0.01)
    return 1


@pipeline.asset
async def second(first: int) -> int:
    return first


pipeline.schedule("nightly", cron="0 6 * * *", asset="second")
"""

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def slow(shop):
    """A folder with a pipeline whose first step waits for a file."""
    Path("slow.py").write_text(SLOW)
    return shop


@posix
def test_ctrl_c_lets_the_step_end_and_says_what_becomes_of_the_run(slow, cli):
    """What was started is named at once; what was not begun is cancelled."""
    with started(slow, "fire", "slow.py", "nightly") as process:
        read_until(process, "begun")
        process.send_signal(signal.SIGINT)
        said = read_until(process, "Finishing")
        (slow / "open").touch()
        status, out, _ = finished(process)
    (run,) = cli("runs", "--json", "--store", "file://.flowstone").document["runs"]
    assert f"Finishing 1 running step of 1 run ({run['id']}); press Ctrl-C again" in said
    assert (status, out) == (130, f"nightly asked for 1 run\nrun {run['id']} cancelled\n")
    assert run["counts"] == {"succeeded": 1, "cancelled": 1}


@posix
def test_ctrl_c_twice_cancels_the_run(slow, cli):
    """At once, with the step that runs."""
    with started(slow, "fire", "slow.py", "nightly") as process:
        read_until(process, "begun")
        process.send_signal(signal.SIGINT)
        read_until(process, "Finishing")
        process.send_signal(signal.SIGINT)
        status, out, _ = finished(process)
    (run,) = cli("runs", "--json", "--store", "file://.flowstone").document["runs"]
    assert (status, out) == (130, f"nightly asked for 1 run\nrun {run['id']} cancelled\n")
    assert run["counts"] == {"cancelled": 2}


@pytest.mark.parametrize("command", ["pause", "resume", "fire"])
async def test_while_a_process_has_the_store_it_is_said_that_it_can_do_it_itself(slow, cli, command):
    """The program calls the runtime, which needs no other process to end."""
    scope: dict[str, Pipeline] = {}
    exec(SLOW, scope)
    target = ["slow.py"] if command == "fire" else []
    async with Runtime(scope["pipeline"], store="file://runs"):
        done = await asyncio.to_thread(cli, command, *target, "nightly", "--store", "file://runs")
    assert done.status == 1
    assert "is in use by another store of this process" in done.stderr
    assert (
        f"Or have the program that has it open do that: `await runtime.{command}('nightly')`." in done.stderr
    )
    assert slow
