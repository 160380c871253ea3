"""Assets that go through items, of a list and of a reader that marks how far it is; each call is marked."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from flowstone import Context, Each, Retry, Skip
from flowstone.runs.items import ENDED
from flowstone.runs.records import Status
from tests.chaos.marks import Mark, mark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from random import Random

    from flowstone import Partitions, Pipeline

__all__ = ["COUNT", "SUCCEEDED", "THROUGH_ITEMS", "add_item_assets", "expected"]

COUNT = 60
THROUGH_ITEMS = ("page", "line")
FAILS, SKIPS, AGAIN = 3, 7, 5  # Of ten items these.
CALLS = "items"


def expected(position: int) -> int:
    """How an item is to end, as `ENDED` says it."""
    status = {FAILS: Status.FAILED, SKIPS: Status.SKIPPED}.get(position % 10, Status.SUCCEEDED)
    return ENDED[status]


SUCCEEDED = [position for position in range(COUNT) if position % 10 not in (FAILS, SKIPS)]


def add_item_assets(
    pipeline: Pipeline, place: Path, random: Random, parts: Partitions | None = None, pause: float = 0.03
) -> None:
    """`summary` takes `page`, which goes through a list, and `line`, which goes through what a reader yields."""
    each: dict[str, Any] = {
        "max_parallel": 4,
        "tolerate": COUNT // 10,
        "retry": Retry(attempts=2, delay=0.0, on=LookupError),
    }

    async def done(context: Context, position: int) -> list[Any]:
        mark(place / CALLS, Mark(context.run_id, context.asset, str(position), context.attempt, os.getpid()))
        await asyncio.sleep(random.uniform(0, pause))
        if position % 10 == FAILS:
            raise ValueError(f"item {position} never succeeds")
        if position % 10 == SKIPS:
            raise Skip(f"item {position} has nothing")
        if position % 10 == AGAIN and context.attempt == 1:
            raise LookupError(f"item {position} succeeds the second time")
        return [position, context.run_id]

    @pipeline.asset(partitions=parts)
    async def names() -> list[int]:
        return list(range(COUNT))

    @pipeline.asset(partitions=parts, each=Each("names", **each))
    async def page(names: int, context: Context) -> list[Any]:
        return await done(context, names)

    @pipeline.asset(partitions=parts)
    async def lines(context: Context) -> AsyncIterator[int]:
        for number in range(context.cursor or 0, COUNT):
            yield number
            await asyncio.sleep(random.uniform(0, pause / 3))
            if number % 7 == 6:
                context.checkpoint(number + 1)

    @pipeline.asset(partitions=parts, each=Each("lines", **each))
    async def line(lines: int, context: Context) -> list[Any]:
        return await done(context, lines)

    @pipeline.asset(partitions=parts)
    async def summary(page: list[Any], line: list[Any]) -> list[Any]:
        return [page, line]
