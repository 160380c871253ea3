"""What is done once is done by one task or thread of an attempt at a time; the next finds what the first did."""

from __future__ import annotations

import asyncio
import threading

__all__ = ["NoteLocks"]


class NoteLocks:
    """The locks of one attempt, wherever its function runs.

    Attributes:
        mutex: Held by the thread that does something once; it may do something else once within that.
    """

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self._locks: dict[str, asyncio.Lock] = {}

    def lock(self, name: str) -> asyncio.Lock:
        """Held by the task that does what has this name."""
        return self._locks.setdefault(name, asyncio.Lock())
