"""What the nodes compute: two assets over many partitions, a mark for each execution, and assets of other runs.

One of these does something once and waits for an approval, another one is for short runs. There are also assets
that go through items (`item_assets.py`), and branches of a route (`branch_assets.py`).

One keeps its values in the database and the other in files, so that both kinds of "the value is there before the
record says so" are tried.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from flowstone import Context, FileIO, Pipeline, StaticPartitions
from tests.chaos.branch_assets import add_branch_assets
from tests.chaos.item_assets import add_item_assets
from tests.chaos.marks import Mark, mark

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS", "PARTS", "SCRAPS", "io_managers", "make"]

PARTS = [f"p{number:03}" for number in range(200)]
SCRAPS = [f"s{number}" for number in range(5)]
OPTIONS: Mapping[str, Any] = {
    "lease": 1.5,
    "shutdown_timeout": 1.0,
    "cancel_timeout": 1.0,
    "lost_attempts": 50,  # That one step is unlucky again and again says nothing against the step here.
}


def make(place: Path) -> Pipeline:
    """The pipeline; marks go to a file in that directory."""
    pipeline, random = Pipeline("chaos"), Random()

    async def work(context: Context) -> None:
        mark(
            place / "marks",
            Mark(context.run_id, context.asset, str(context.partition_key), context.attempt, 0),
        )
        await asyncio.sleep(random.uniform(0.0, 0.15))

    parts = StaticPartitions(PARTS)

    @pipeline.asset(partitions=parts)
    async def raw(context: Context) -> dict[str, Any]:
        await work(context)
        return {"part": context.partition, "run": context.run_id, "attempt": context.attempt}

    @pipeline.asset(partitions=parts, io="files")
    async def clean(context: Context, raw: dict[str, Any]) -> list[Any]:
        await work(context)
        return [raw["part"], context.run_id, context.attempt]

    @pipeline.asset(partitions=parts)
    async def reviewed(context: Context) -> str:
        async def order() -> int:
            mark(
                place / "done", Mark(context.run_id, "calls", str(context.partition_key), context.attempt, 0)
            )
            await asyncio.sleep(random.uniform(0.0, 0.05))
            return context.attempt

        await context.once("order", order)
        mark(
            place / "done",
            Mark(context.run_id, "acknowledged", str(context.partition_key), context.attempt, 0),
        )
        await asyncio.sleep(random.uniform(0.0, 0.05))
        decision = context.approval("publish")
        await asyncio.sleep(random.uniform(0.0, 0.05))
        return str(decision.by)

    @pipeline.asset(partitions=StaticPartitions(SCRAPS))
    async def scrap(context: Context) -> dict[str, Any]:
        await asyncio.sleep(random.uniform(0.0, 0.05))
        return {"part": context.partition, "run": context.run_id, "attempt": context.attempt}

    add_item_assets(pipeline, place, random, parts)
    add_branch_assets(pipeline, place, random, parts)
    return pipeline


def io_managers(place: Path) -> dict[str, Any]:
    """The second one; the first is the default of a database."""
    return {"files": FileIO(place / "values")}
