"""How time is taken: best of interleaved rounds, so that a busy second hits both sides or neither.

The best round is the one least disturbed; means and maxima of a shared machine measure its other tenants.
Garbage is collected before each round, and the collector stays on during it, as it does in a user's program.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Best", "best", "by_loop", "cpu_seconds", "seconds"]


class Best(NamedTuple):
    """The best seconds of each side."""

    bare: float
    ours: float


def by_loop(*, asyncio_: float, uvloop: float) -> float:
    """The target on the loop that runs: bare programs gain more by uvloop than ours do."""
    return uvloop if type(asyncio.get_running_loop()).__module__.startswith("uvloop") else asyncio_


async def seconds(work: Awaitable[object]) -> float:
    """How long `work` takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def cpu_seconds(work: Awaitable[object]) -> float:
    """How long `work` keeps the processor busy: where nothing waits, what it takes when nobody else is there."""
    began = time.process_time()
    await work
    return time.process_time() - began


async def best(
    rounds: int, bare: Callable[[], Awaitable[float]], ours: Callable[[], Awaitable[float]]
) -> Best:
    """The best of `rounds` of each side, taken alternately. A side returns the seconds that count."""
    bares, ourses = [], []
    for _ in range(rounds):
        gc.collect()
        bares.append(await bare())
        gc.collect()
        ourses.append(await ours())
    return Best(min(bares), min(ourses))
