"""Those who wait for one thing to happen. Whoever stops waiting before it happens is forgotten at once."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

__all__ = ["Waiters", "resolve"]

T = TypeVar("T")


class Waiters(Generic[T]):
    """A wait for something that may be far away: a thousand impatient callers leave nothing behind."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[T], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self) -> T:
        """Return what `wake` is called with."""
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = None
        try:
            return await waiter
        finally:
            self._waiting.pop(waiter, None)

    def wake(self, value: T) -> None:
        """It has happened: wake everyone who still waits."""
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            resolve(waiter, value)


def resolve(waiter: asyncio.Future[Any], value: object) -> None:
    """Wake who waits for this, unless nobody does any more."""
    if not waiter.done():
        waiter.set_result(value)
