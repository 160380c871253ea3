"""kill -9 at random instants: nothing that was acknowledged is lost, and nothing is half there."""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowstone.runs.records import Status
from flowstone.store import FileStore

KILLS = 10
ROOT = Path(__file__).parents[2]

# Eight writers; each tells the parent what was acknowledged, and only then. `os.write` of a short line to a
# pipe is atomic, so the ledger has whole lines.
PROGRAM = """
import asyncio, os, sys
from flowstone.store import FileStore, compaction, summary
from tests.store.facts import begun, end, over, run, start

def tell(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

async def writer(store, name):
    number = 0
    while True:
        run_id = f"{name}-{number:06}"
        number += 1
        await store.create_run(run(run_id))
        tell("created", run_id)
        await store.write(begun(run_id))
        for step in "abc":
            await store.write(start(step, name, run_id=run_id))
            await store.write(end(step, name, run_id=run_id, second=number + 10))
            tell("step", run_id, step)
        await store.write_many([end("x", name, run_id=run_id), end("y", name, run_id=run_id), over(run_id)])
        tell("finished", run_id)
        await store.add_partitions("names", [run_id])
        tell("added", run_id)
        if number % 7 == 0:
            await store.prune(keep_versions=3, keep_runs=10_000)

async def main(directory, life):
    if int(life[4:]) % 2:  # Every other life compacts its journal all the time.
        compaction._LEAST = compaction._GROWTH = 0
        summary._MOST = 100.0
    store = FileStore(directory)
    await store.open()
    tell("open")
    await asyncio.gather(*(writer(store, f"{life}-{number}") for number in range(8)))

asyncio.run(main(*sys.argv[1:]))
"""


def live_and_be_killed(directory, life: str, delay: float) -> list[list[str]]:
    """Let a process write until it is killed; returns its ledger."""
    command = [sys.executable, "-c", PROGRAM, str(directory), life]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ledger, deadline = b"", None
        while deadline is None or time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 0.005)[0]:
                read = os.read(process.stdout.fileno(), 1 << 16)
                assert read, "the writer ended by itself"
                ledger += read
                deadline = deadline or time.monotonic() + delay
        process.send_signal(signal.SIGKILL)
        ledger += process.stdout.read()
    lines = ledger.decode().splitlines()
    assert lines[0] == "open"
    return [line.split() for line in lines[1:]]


async def check(directory, ledger: list[list[str]]) -> int:
    """Everything in the ledger is there, batches are whole; returns how many entries were checked."""
    store = FileStore(directory)
    await store.open()
    names = set(await store.partitions("names"))
    for what, run_id, *step in ledger:
        head = await store.run(run_id)
        assert head is not None
        match what:
            case "step":
                found = await store.step(run_id, (step[0], run_id.rpartition("-")[0]))
                assert found is not None
                assert found.status is Status.SUCCEEDED
            case "finished":
                assert head.status is Status.SUCCEEDED
                assert head.counts == {"succeeded": 5}
            case "added":
                assert run_id in names
    for head in await store.runs(limit=1_000_000):
        batch = [await store.step(head.id, (name, head.id.rpartition("-")[0])) for name in "xy"]
        assert len({found is None for found in batch}) == 1
        assert (batch[0] is not None) == (head.finished_at is not None)
    await store.close()
    return len(ledger)


@pytest.mark.timeout(120)
def test_kill_9_loses_nothing_acknowledged(tmp_path):
    """One directory outlives many killed processes; each one's own ledger is found in it by the next."""
    chance = random.Random(20250115)
    checked = 0
    ledger: list[list[str]] = []
    for life in range(KILLS):
        ledger += live_and_be_killed(tmp_path, f"life{life}", chance.uniform(0.0, 0.15))
        checked += asyncio.run(check(tmp_path, ledger))
    assert checked > 20 * KILLS
