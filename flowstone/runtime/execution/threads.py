"""Daemon threads for synchronous assets.

Our own, because library pools join their threads when the interpreter exits: one asset that hangs in a thread
would hold the process for as long as it hangs. Here a thread that is given up is *abandoned*: it is named in
`runtime.tree()`, another one takes its place, and it ends when its call returns, or with the process.

`ThreadCall` is one call on its way through a thread: queued, made, and its outcome handed back to the loop.
`Threads` starts, lends and abandons the threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from flowstone.actors.waiters import resolve
from flowstone.runtime.execution.guard import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.execution.guard import Outcome

__all__ = ["CallState", "ThreadCall", "ThreadStatistics", "Threads"]


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


@dataclass(frozen=True, slots=True)
class ThreadStatistics:
    """How busy the threads are.

    Attributes:
        limit: Threads that may work at a time.
        threads: Threads alive that are not abandoned.
        busy: Calls under way, lent places not counted.
        queued: Calls waiting for a thread.
        abandoned: Names of calls that were given up and have not returned.
    """

    limit: int
    threads: int
    busy: int
    queued: int
    abandoned: tuple[str, ...]


class Threads:
    """At most `limit` daemon threads, started when they are needed.

    Args:
        limit: Calls that may be under way at a time, abandoned ones not counted.
        name: What the threads are called, followed by a number.
    """

    def __init__(self, limit: int, name: str = "flowstone-asset") -> None:
        self.limit = limit
        self._name = name
        self._calls: queue.SimpleQueue[ThreadCall | None] = queue.SimpleQueue()
        self._alive = 0
        self._spare = (
            0  # Threads that wait or are about to, minus entries of the queue; so it may be negative.
        )
        self._queued = 0
        self._busy: dict[int, ThreadCall] = {}
        self._abandoned: dict[int, ThreadCall] = {}
        self._returning: deque[tuple[ThreadCall, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()
        self._serial = 0

    def start(
        self, name: str, call: Callable[[], Outcome], on_start: Callable[[], object] | None = None
    ) -> ThreadCall:
        """Queue a call; it begins at once if a thread is free or may be started.

        Args:
            name: Who it is for.
            call: Returns the outcome. It runs in a copy of the current context.
            on_start: Called on the loop when a thread has begun with it.
        """
        job = ThreadCall(name, call, on_start, self)
        with self._lock:
            self._spare -= 1
            self._queued += 1
        self._calls.put(job)
        self._grow()
        return job

    def withdraw(self, job: ThreadCall) -> bool:
        """Take a call back that no thread has begun with. False if a thread is inside it."""
        with self._lock:
            if job.state is CallState.QUEUED:
                job.state = CallState.GIVEN_UP
                self._queued -= 1
            return job.state is not CallState.RUNNING

    def abandon(self, job: ThreadCall) -> bool:
        """Give a call up. True if it goes on in its thread; another thread may take that one's place."""
        if self.withdraw(job):
            return False
        with self._lock:
            if job.state is not CallState.RUNNING:
                return False
            job.state = CallState.GIVEN_UP
            del self._busy[id(job)]
            self._abandoned[id(job)] = job
            if not job.lent:
                self._alive -= 1
                self._place_is_free()
        self._grow()
        return True

    def lend(self, job: ThreadCall) -> None:
        """A call waits for something that may need a thread: let another one have its place meanwhile."""
        with self._lock:
            if job.lent or job.state is not CallState.RUNNING:
                return
            job.lent = True
            self._alive -= 1
            self._place_is_free()
        self._grow()

    async def take_back(self, job: ThreadCall) -> None:
        """Return when a lent place is the call's again, before anything that is queued, or the call is over."""
        with self._lock:
            if not job.lent or job.state is not CallState.RUNNING:
                return
            if self._alive < self.limit or self._spare > 0:
                if (
                    self._alive >= self.limit
                ):  # All that is queued has a thread, and one more is idle: it ends.
                    self._spare -= 1
                    self._calls.put(None)
                self._alive += 1
                job.lent = False
                return
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._returning.append((job, place))
        await place

    def _place_is_free(self) -> bool:
        """Give it to whoever waits longest for its own, under the lock. False if nobody does."""
        while self._returning:
            job, place = self._returning.popleft()
            if job.lent and job.state is CallState.RUNNING:
                job.lent = False
                self._alive += 1
                with suppress(RuntimeError):  # The loop is closed.
                    place.get_loop().call_soon_threadsafe(resolve, place, None)
                return True
        return False

    def close(self) -> None:
        """Let idle threads end. Calls under way go on; nothing waits for them."""
        with self._lock:
            alive = self._alive
            self._spare -= alive
        for _ in range(alive):
            self._calls.put(None)

    def statistics(self) -> ThreadStatistics:
        with self._lock:
            return ThreadStatistics(
                limit=self.limit,
                threads=self._alive,
                busy=sum(not job.lent for job in self._busy.values()),
                queued=self._queued,
                abandoned=tuple(job.name for job in self._abandoned.values()),
            )

    def _grow(self) -> None:
        with self._lock:
            if self._spare >= 0 or self._alive >= self.limit:
                return
            self._alive += 1
            self._spare += 1
            self._serial += 1
            thread = threading.Thread(target=self._work, name=f"{self._name}-{self._serial}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._cannot_grow(error)

    def _cannot_grow(self, error: RuntimeError) -> None:
        """The system gives us no more threads. Those we have do the work; without any it fails."""
        with self._lock:
            self._alive -= 1
            self._spare -= 1
            if self._alive > 0:
                return
        with suppress(queue.Empty):
            while True:
                job = self._calls.get_nowait()
                with self._lock:
                    self._spare += 1
                if job is not None and self._begin(job):
                    self._end(job)
                    job.deliver((False, describe(error, None)))

    def _work(self) -> None:
        while (job := self._calls.get()) is not None:
            if self._begin(job):
                outcome = job.make()
                if not self._end(job):
                    return  # It was abandoned: another thread has taken this one's place.
                job.deliver(outcome)
                del outcome  # Not for as long as this thread is idle.
                if self._is_replaced(job):
                    return
            del job
            with self._lock:
                self._spare += 1
        with self._lock:
            self._alive -= 1

    def _is_replaced(self, job: ThreadCall) -> bool:
        """Whether another thread works, or goes on, in the place of the one that made this call."""
        with self._lock:
            if job.lent:
                return True
            if not self._returning:
                return False
            self._alive -= 1
            if self._place_is_free():
                return True
            self._alive += 1
            return False

    def _begin(self, job: ThreadCall) -> bool:
        """False if it was given up while it was queued."""
        with self._lock:
            if job.state is not CallState.QUEUED:
                return False
            job.state = CallState.RUNNING
            self._queued -= 1
            self._busy[id(job)] = job
            return True

    def _end(self, job: ThreadCall) -> bool:
        """False if it was given up while it ran."""
        with self._lock:
            self._abandoned.pop(id(job), None)
            if job.state is not CallState.RUNNING:
                return False
            del self._busy[id(job)]
            job.state = CallState.DONE
            return True
