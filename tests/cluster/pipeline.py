"""The pipeline that the nodes of these tests hold: steps that take a moment, and one that ends its process."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from flowstone import Context, Pipeline, StaticPartitions

PARTS = [f"p{number:02}" for number in range(24)]

pipeline = Pipeline("works")


@pipeline.asset(partitions=StaticPartitions(PARTS))
async def raw(context: Context) -> str:
    """Takes a moment, and says who made it."""
    await asyncio.sleep(0.15)
    return f"{os.getpid()}:{context.attempt}"


@pipeline.asset(partitions=StaticPartitions(PARTS))
async def clean(context: Context, raw: str) -> str:
    """Needs `raw`."""
    await asyncio.sleep(0.05)
    return raw.upper()


@pipeline.asset
async def slow() -> int:
    """Does not end by itself."""
    await asyncio.Event().wait()
    return 1


@pipeline.asset(run_in="loop")
def blocking() -> int:
    """Lets nothing else of its node run for longer than two leases."""
    time.sleep(4.5)
    return os.getpid()


@pipeline.asset(partitions=StaticPartitions(PARTS))
async def rested(context: Context) -> str:
    """Sleeps twice, and holds nothing meanwhile."""
    await asyncio.sleep(0.02)
    context.sleep("nap", 0.5)
    await asyncio.sleep(0.02)
    context.sleep("another", 0.5)
    return f"{os.getpid()}:{context.attempt}"


def did(what: str) -> None:
    """Note something where every process finds it."""
    with Path(os.environ["FLOWSTONE_TEST_DONE"]).open("a") as file:
        file.write(f"{what}\n")


@pipeline.asset(partitions=StaticPartitions(PARTS))
async def reviewed(context: Context) -> dict:
    """Does something once, and waits for an approval."""
    step = f"{context.run_id} {context.partition}"

    async def order() -> int:
        did(f"calls {step}")
        await asyncio.sleep(0.02)
        return os.getpid()

    await context.once("order", order)
    did(f"acknowledged {step}")
    await asyncio.sleep(0.02)
    decision = context.approval("publish")
    await asyncio.sleep(0.02)
    return {"data": decision.data, "by": decision.by}


@pipeline.asset(partitions=StaticPartitions(PARTS))
async def reviewed_in_time(context: Context) -> str | None:
    """Waits for an approval, for less than an hour."""
    return context.approval("publish", timeout=1800.0).by


@pipeline.asset
async def quick() -> int:
    """Who made it."""
    return os.getpid()


@pipeline.asset(partitions=StaticPartitions(PARTS[:6]))
async def deadly(context: Context) -> str:
    """One of its partitions ends the process that computes it."""
    await asyncio.sleep(0.05)
    if context.partition == "p02":
        os._exit(9)
    return "alive"
