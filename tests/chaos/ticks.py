"""Schedules and sensors on nodes that die: `python -m tests.chaos.ticks --minutes 10 [--nodes 4] [--seed 1]`.

One schedule fires each second and one sensor is given numbers, while nodes are killed, stopped beyond their lease,
cut off and their wall clocks are set. In the end each tick and each number has exactly one run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import asyncpg

from flowstone import decode_partition
from flowstone.store.embedded import EmbeddedServer
from tests.chaos.clocks import step
from tests.chaos.tick_node import LEASE, START
from tests.chaos.world import ROOT, reaper_of

__all__ = ["TickReport", "ticks"]

FAULTS = ("kill", "kill", "kill", "stop", "cut", "clock")
MINUTE = timedelta(minutes=1)


class TickReport:
    """What was seen."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.ticks = 0
        self.numbers = 0
        self.broken: list[str] = []

    def __str__(self) -> str:
        lines = [f"{name:45} {count:5}" for name, count in sorted(self.faults.items())]
        lines.append(f"{'ticks that fired once':45} {self.ticks:5}")
        lines.append(f"{'numbers that were looked at once':45} {self.numbers:5}")
        return "\n".join([*lines, *(f"BROKEN: {sentence}" for sentence in self.broken[:20])])


class TickNode:
    """A node, or its successor after a kill."""

    def __init__(self, url: str, place: Path, number: int) -> None:
        self.offset = place / f"clock-{number}"
        self._command = [sys.executable, "-m", "tests.chaos.tick_node", url, str(place), str(self.offset)]
        self._log = place / "log"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it is a node."""
        while await asyncio.to_thread(self._start) != b"ready\n":
            self.kill()

    def _start(self) -> bytes:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        return self.process.stdout.readline()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


async def ticks(seconds: float, nodes: int, seed: int) -> TickReport:
    """Let it live so long, then look."""
    report, random = TickReport(), Random(seed)
    place = Path(tempfile.mkdtemp(prefix="flowstone-ticks-"))
    os.chmod(place, 0o755)  # noqa: PTH101 - a path's own method is for where nothing runs beside it
    reaper = reaper_of(place)
    server = EmbeddedServer(place / "pg")
    made: list[TickNode] = []
    try:
        url = await server.open()
        (place / "begin").write_text(str(time.time()))
        (place / "last").write_text("0")
        made = [TickNode(url, place, number) for number in range(nodes)]
        await asyncio.gather(*(node.start() for node in made))
        last = await _faults(report, random, url, place, made, time.monotonic() + seconds)
        for node in made:
            step(node.offset, 0)
        await _look(report, url, last)
    finally:
        for node in made:
            node.kill()
        server.stop()
        reaper.kill()
        reaper.communicate()
        shutil.rmtree(place, ignore_errors=True)
    return report


async def _faults(
    report: TickReport, random: Random, url: str, place: Path, nodes: list[TickNode], end: float
) -> int:
    """One after the other; returns the last number that was written down."""
    last = 0
    while time.monotonic() < end:
        await asyncio.sleep(random.uniform(0.1, 1.5))
        last += random.randint(0, 20)
        beside = place / "last.new"
        beside.write_text(str(last))
        beside.rename(place / "last")
        fault, node = random.choice(FAULTS), random.choice(nodes)
        report.faults[fault] += 1
        if fault == "kill":
            node.kill()
            await asyncio.sleep(random.uniform(0, 1))
            await node.start()
        elif fault == "stop":
            node.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(LEASE * random.uniform(1.2, 2.5))
            node.process.send_signal(signal.SIGCONT)
        elif fault == "cut":
            await _cut(random, url)
        else:
            step(node.offset, random.choice((-600, -90, 90, 600)))
    return last


async def _cut(random: Random, url: str) -> None:
    """Some connections are terminated by the server."""
    with suppress(asyncpg.PostgresError, OSError):
        connection = await asyncpg.connect(url)
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
            "and datname = current_database() and random() < $1",
            random.uniform(0.3, 1),
        )
        await connection.close()


async def _look(report: TickReport, url: str, last: int) -> None:
    """Each tick from the first to the last one that fired, and each number, has one run that succeeded."""
    connection = await asyncpg.connect(url)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        counted = await connection.fetchval(
            "select count(*) from flowstone.runs where asset = 'number' and status = 'succeeded'"
        )
        left = await connection.fetchval("select count(*) from flowstone.runs where finish_order is null")
        if counted >= last and left <= 2:
            break
        await asyncio.sleep(0.2)
    rows = await connection.fetch("select asset, request -> 'keys' ->> 0 as key, status from flowstone.runs")
    cursor = await connection.fetchval(
        "select cursor ->> 'at' from flowstone.automations where name = 'each-minute'"
    )
    await connection.close()
    asked = {
        asset: Counter(decode_partition(row["key"]) for row in rows if row["asset"] == asset)
        for asset in ("tock", "number")
    }
    report.broken += [
        f"{key}: {count} runs" for found in asked.values() for key, count in found.items() if count != 1
    ]
    numbers = {str(each) for each in range(1, last + 1)}
    report.broken += [f"number {each} was lost" for each in sorted(numbers - asked["number"].keys(), key=int)]
    instants = sorted(map(datetime.fromisoformat, asked["tock"]))
    expected, each = set(), instants[0]
    while each <= datetime.fromisoformat(cursor):
        expected.add(each)
        each += MINUTE
    report.broken += [f"tick {each} was lost" for each in sorted(expected - set(instants))]
    report.broken += [f"tick {each} comes before {START}" for each in instants if each <= START]
    failed = [row for row in rows if row["status"] not in ("succeeded", "running", "queued")]
    report.broken += [f"{row['asset']} {row['key']}: {row['status']}" for row in failed]
    report.ticks, report.numbers = len(expected), len(numbers)


def main() -> int:
    """The exit status says whether all was as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.ticks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    report = asyncio.run(ticks(given.minutes * 60, given.nodes, given.seed))
    print(report)
    print("seed", given.seed)
    return bool(report.broken)


if __name__ == "__main__":
    sys.exit(main())
