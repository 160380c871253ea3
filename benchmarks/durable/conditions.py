"""What follows from one change upstream on Postgres: from the end of the change to the last value that follows.

*Bare* is the same number of runs of the same assets, submitted by hand at once: what deciding costs, and asking for
runs, is the difference.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from benchmarks.figure import Figure
from benchmarks.functions import function
from benchmarks.postgres import database
from benchmarks.timing import best, seconds
from flowstone import Automation, Pipeline, Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["measure"]

WIDE: Final = 100
SOURCE: Final = "import random; return random.random()"  # An equal value would be no change.


def pipeline(wide: int) -> Pipeline:
    """A source that one asset follows, and one that many follow."""
    made = Pipeline("conditions")
    for source, number in (("raw", 1), ("wide", wide)):
        made.asset(function(source, body=SOURCE))
        for narrow in followers(source, number):
            made.asset(function(narrow, [source]), automation=Automation.on_upstream_change())
    return made


def followers(source: str, number: int) -> list[str]:
    """The assets that follow a source."""
    return [f"{source}_{each}" for each in range(number)]


async def until_computed(runtime: Runtime, number: int) -> None:
    """Until so many runs more have succeeded."""
    async with runtime.subscribe("run.succeeded") as ends:
        async for _ in ends:
            number -= 1
            if not number:
                return


async def by_condition(runtime: Runtime, source: str, number: int) -> float:
    """Seconds from the end of a change until all that follow are computed."""
    following = asyncio.create_task(until_computed(runtime, number + 1))
    await asyncio.sleep(0)
    await runtime.materialize(source)
    took = await seconds(following)
    await asyncio.sleep(0.2)  # What is written down afterwards is no part of the next round.
    return took


async def by_hand(runtime: Runtime, assets: Sequence[str]) -> float:
    """Seconds that the same runs take that are submitted at once."""
    following = asyncio.create_task(until_computed(runtime, len(assets)))
    await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*(runtime.submit(asset, upstream=False, refresh="all") for asset in assets))
        await following

    took = await seconds(all_of_them())
    await asyncio.sleep(0.2)
    return took


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds after a change that one asset follows, and after one that a hundred follow."""
    wide, rounds = (10, 2) if quick else (WIDE, 7)
    with database() as url:
        async with Runtime(pipeline(wide), store=url, automate=True) as runtime:
            await runtime.materialize("raw")
            await runtime.materialize("wide")
            await asyncio.sleep(1.0)
            one = await best(
                rounds,
                lambda: by_hand(runtime, followers("raw", 1)),
                lambda: by_condition(runtime, "raw", 1),
            )
            many = await best(
                rounds,
                lambda: by_hand(runtime, followers("wide", wide)),
                lambda: by_condition(runtime, "wide", wide),
            )
    return [
        Figure("a change that one asset follows", "ms", one.ours * 1e3, one.bare * 1e3, at_most=30),
        Figure(f"a change that {wide} assets follow", "ms", many.ours * 1e3, many.bare * 1e3, at_most=300),
    ]
