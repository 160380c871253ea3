"""Slots of pools in several processes: never two holders, and none lost with the process that holds it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from bisect import bisect_left
from pathlib import Path
from statistics import median

import pytest

from flowstone.store.postgres import PostgresStore
from tests.cluster.caller import LIMIT
from tests.cluster.conftest import LEASE
from tests.cluster.taker import POOL

ALWAYS, LONG = 200, 3_000
"""How often each of four processes takes the slot."""


def started(command):
    """A process, and what it prints."""
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


class Takers:
    """Processes that take a slot."""

    def __init__(self, dsn, file):
        self.dsn, self.file = dsn, file
        file.touch()
        self.all = []

    def start(self, rounds):
        command = [
            sys.executable,
            "-m",
            "tests.cluster.taker",
            self.dsn,
            f"{LEASE}",
            f"{rounds}",
            f"{self.file}",
        ]
        taker = started(command)
        self.all.append(taker)
        return taker

    async def said(self, taker):
        """What a process says in the end."""
        output, _ = await asyncio.to_thread(taker.communicate, None, 1_400)
        return json.loads(output.splitlines()[-1])

    def end(self):
        for taker in self.all:
            if taker.poll() is None:
                taker.send_signal(signal.SIGCONT)
                taker.kill()
            taker.wait()
            taker.stdout.close()


@pytest.fixture
def takers(database, tmp_path):
    takers = Takers(database, tmp_path / "held")
    yield takers
    takers.end()


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("rounds", [ALWAYS, pytest.param(LONG, marks=pytest.mark.long)])
async def test_four_processes_never_hold_one_slot_at_a_time(takers, rounds):
    """Each gets it as often as it asks."""
    told = await asyncio.gather(*(takers.said(takers.start(rounds)) for _ in range(4)))
    assert [each["taken"] for each in told] == [rounds] * 4
    assert [each["twice"] for each in told] == [0] * 4
    waits = [wait for each in told for wait in each["waits"]]
    print(f"{len(waits):,} hand-overs to another process, p50 {median(waits):.1f} ms")


async def shown(store):
    pools = await store.cluster.pools.show([])
    return next((pool for pool in pools if pool.name == POOL), None)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_the_slot_of_a_process_that_is_gone_is_free_within_its_lease(takers, how):
    """Whoever it is, and wherever in taking it; one that comes back holds nothing."""
    store = PostgresStore(takers.dsn)
    await store.open()
    processes = [takers.start(1_000_000) for _ in range(3)]
    for process in processes:
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
    for victim in processes[:2]:
        await until_held_by(store, victim.pid)
        victim.send_signal(how)
        async with asyncio.timeout(200):  # A lease later; how soon, the tests with a clock of their own say.
            while (await shown(store)).holders == (f"taker of run process {victim.pid}",):
                await asyncio.sleep(0.02)
        await until_held_by(store, processes[2].pid)
    for process in processes:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
    polite = processes if how is signal.SIGSTOP else processes[2:]
    for process in polite:
        told = await takers.said(process)
        assert told["taken"]
    # One that was killed may have stood in line: it is next until its lease is over, which nobody is left to see.
    left = await shown(store)
    assert left is None or not {f"taker of run process {each.pid}" for each in polite} & {*left.holders}
    await store.close()


async def until_held_by(store, pid):
    """Until a process holds the slot."""
    async with asyncio.timeout(200):
        while (await shown(store)).holders != (f"taker of run process {pid}",):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.long)])
async def test_four_processes_keep_to_one_rate(database, seconds):
    """No second has more than 100 turns. That the rate is reached, a test with a clock of its own says."""
    command = [sys.executable, "-m", "tests.cluster.caller", database, f"{seconds}"]
    callers = [started(command) for _ in range(4)]
    try:
        told = await asyncio.gather(*(asyncio.to_thread(each.communicate, None, 200) for each in callers))
    finally:
        for each in callers:
            each.kill()
            each.wait()
            each.stdout.close()
    of_each = [json.loads(output) for output, _ in told]
    turns = sorted(turn for each in of_each for turn in each)
    most = max(bisect_left(turns, turn + 1.0) - number for number, turn in enumerate(turns))
    print(f"{len(turns):,} turns, at most {most} in one second")
    assert all(of_each)
    assert most <= LIMIT
