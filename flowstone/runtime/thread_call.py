"""One call on its way through a thread: queued, made, and its outcome handed back to the loop."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

from flowstone.runtime.guard import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.guard import Outcome
    from flowstone.runtime.threads import Threads

__all__ = ["CallState", "ThreadCall"]


class CallState(Enum):
    """Where a call to a thread stands."""

    QUEUED = auto()
    RUNNING = auto()
    DONE = auto()
    GIVEN_UP = auto()


class ThreadCall:
    """One call on its way through a thread.

    Attributes:
        name: Who it is for, as people know it.
        state: Changed under the pool's lock only, so that giving up and starting exclude each other.
        lent: Whether another thread may work in the place of its own; likewise.
    """

    __slots__ = ("_call", "_context", "_loop", "_on_start", "_outcome", "_pool", "lent", "name", "state")

    def __init__(
        self, name: str, call: Callable[[], Outcome], on_start: Callable[[], object] | None, pool: Threads
    ) -> None:
        self.name = name
        self.state = CallState.QUEUED
        self.lent = False
        self._call: Callable[[], Outcome] | None = call
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._on_start = on_start
        self._pool = pool
        self._outcome: asyncio.Future[Outcome] = self._loop.create_future()

    async def wait(self, on_cancel: Callable[[], object] | None = None) -> Outcome:
        """The call's outcome.

        Cancelled while a thread is inside the call, it goes on waiting: a thread cannot be interrupted, and
        until it returns the call has not stopped. Whoever cannot wait any longer abandons the call.

        Args:
            on_cancel: Called when that happens, to make the call return if anything can.

        Raises:
            CancelledError: Cancelled while no thread is inside the call.
        """
        while True:
            try:
                return await self._outcome
            except asyncio.CancelledError:
                if self._pool.withdraw(self):
                    raise
                if on_cancel is not None:
                    on_cancel()
                self._outcome = self._loop.create_future()  # The cancel has spoilt the one we waited for.

    def make(self) -> Outcome:
        """Make the call; on a worker thread. Nothing leaves it but an outcome."""
        call, self._call = self._call, None
        assert call is not None
        try:
            if self._on_start is not None:
                self._loop.call_soon_threadsafe(self._on_start)
            return self._context.run(call)
        except BaseException as error:  # A closed loop, or no memory left for the outcome.
            return False, describe(error, None)

    def deliver(self, outcome: Outcome) -> None:
        """Hand the outcome to the loop, from whatever thread."""
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(self._set, outcome)

    def _set(self, outcome: Outcome) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)
