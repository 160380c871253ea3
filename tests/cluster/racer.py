"""A process that says one thing of each of many waits, at the same time as others."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from random import Random

from flowstone import AlreadyDecided
from flowstone.runs.waits import wait_id
from flowstone.store.decisions import decide
from flowstone.store.postgres import PostgresStore

__all__ = ["JITTER", "main", "run_id"]

JITTER = 0.004
"""Seconds by which each process may be late in a round: about as long as it takes to say something."""


def run_id(number: int) -> str:
    """The run of a round."""
    return f"run-{number:05}"


def main(dsn: str, role: str) -> None:
    """Say it in each round whose number comes as a line, and print whether it was the first.

    Args:
        dsn: The database.
        role: What it says: `approve`, `reject`, `expire` or `cancel`.
    """
    asyncio.run(race(dsn, role))


async def race(dsn: str, role: str) -> None:
    store, random = PostgresStore(dsn), Random(role)
    await store.open()
    while line := await asyncio.to_thread(sys.stdin.readline):
        await asyncio.sleep(random.uniform(0, JITTER))
        print(await say(store, role, run_id(int(line))), flush=True)
    await store.close()


async def say(store: PostgresStore, role: str, run: str) -> bool:
    """Whether it was the first."""
    now = datetime.now(UTC)
    if role == "expire":
        await store.waits.expire(now=now)
        return False
    if role == "cancel":
        await store.cluster.request_cancel(run, "asked")
        return False
    asked = wait_id(run, "asked", None, "publish")
    try:
        await decide(store, asked, approve=role == "approve", by=role, reason=None, data=None, now=now)
    except AlreadyDecided:
        return False
    return True
