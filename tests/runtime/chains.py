"""A chain of two assets, and reading so much of what a runtime says of it."""

from __future__ import annotations

import asyncio

from flowstone import Pipeline

__all__ = ["simple", "take"]


def simple() -> Pipeline:
    """`a` → `b`."""
    pipeline = Pipeline("simple")

    @pipeline.asset
    async def a() -> int:
        return 1

    @pipeline.asset
    async def b(a: int) -> int:
        return a

    return pipeline


async def take(stream, count):
    """The next `count` of an iterator, or all there are before it ends."""
    taken = []
    async with asyncio.timeout(200):
        async for each in stream:
            taken.append(each)
            if len(taken) == count:
                break
    return taken
