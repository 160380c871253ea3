"""A process that says one thing of each of many waits, each at its instant.

`python -m tests.cluster.racer DSN ROLE ROUNDS START`. ROLE is what it says: `approve`,
`reject`, `expire` or `cancel`. It prints for which it was first.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from random import Random

from flowstone import AlreadyDecided
from flowstone.runs.waits import wait_id
from flowstone.store.decisions import decide
from flowstone.store.postgres import PostgresStore

__all__ = ["GAP", "JITTER", "run_id"]

GAP, JITTER = 0.02, 0.006
"""Seconds between two rounds, and by which each process misses the instant of a round."""


def run_id(number: int) -> str:
    """The run of a round."""
    return f"run-{number:05}"


async def race(dsn: str, role: str, rounds: int, start: str) -> list[bool]:
    """Say it in each round."""
    store, random = PostgresStore(dsn), Random(role)
    await store.open()
    print("ready", flush=True)
    won = []
    for number in range(rounds):
        due = datetime.fromisoformat(start) + timedelta(
            seconds=GAP * number + random.uniform(-JITTER, JITTER)
        )
        await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        won.append(await say(store, role, run_id(number)))
    await store.close()
    return won


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


if __name__ == "__main__":
    print(json.dumps(asyncio.run(race(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))))
