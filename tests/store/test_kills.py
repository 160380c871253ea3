"""kill -9 at random instants: nothing that was acknowledged is lost, and nothing is half there."""

from __future__ import annotations

import asyncio
import random

from flowstone.runs.records import Status
from flowstone.store import FileStore
from tests.forks import Fork
from tests.store.deaths import write_for_ever

KILLS = 10


def live_and_be_killed(directory, life: int, words: int) -> list[list[str]]:
    """Let a process write until it has told so many lines, and is killed with the next ones; returns its ledger."""
    with Fork(write_for_ever, str(directory), f"life{life}", compacting=life % 2 == 1) as process:
        ledger = [process.stdout.readline() for _ in range(1 + words)]
        process.kill()
        ledger += process.stdout
    assert ledger[0] == b"open\n"
    return [line.decode().split() for line in ledger[1:]]


async def check(directory, ledger: list[list[str]]) -> None:
    """Everything in the ledger is there, and batches are whole."""
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


def test_kill_9_loses_nothing_acknowledged(tmp_path):
    """One directory outlives many killed processes; each one's own ledger is found in it by the next."""
    chance = random.Random(20250115)
    ledger: list[list[str]] = []
    for life in range(KILLS):
        ledger += live_and_be_killed(tmp_path, life, chance.randrange(150))
        asyncio.run(check(tmp_path, ledger))
