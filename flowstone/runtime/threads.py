"""Daemon threads for synchronous assets.

Our own, because library pools join their threads when the interpreter exits: one asset that hangs in a thread
would hold the process for as long as it hangs. Here a thread that is given up is *abandoned*: it is named in
`runtime.tree()`, another one takes its place, and it ends when its call returns, or with the process.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.guard import Outcome

__all__ = ["ThreadCall", "ThreadStatistics", "Threads"]


class _State(Enum):
    QUEUED = auto()
    RUNNING = auto()
    DONE = auto()
    ABANDONED = auto()


class ThreadCall:
    """One call on its way through a thread.

    Attributes:
        name: Who it is for, as people know it.
        outcome: A future with the call's outcome; it never carries an exception.
    """

    __slots__ = ("_call", "_context", "_lock", "_loop", "_state", "name", "outcome")

    def __init__(self, name: str, call: Callable[[], Outcome], lock: threading.RLock) -> None:
        self.name = name
        self._call: Callable[[], Outcome] | None = call
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._state = _State.QUEUED
        self._lock = lock  # The pool's: giving up and naming it abandoned are one step.

    @property
    def running(self) -> bool:
        """Whether a thread is inside the call."""
        return self._state is _State.RUNNING

    def give_up(self) -> bool:
        """Stop caring. True if a thread is inside the call and cannot be stopped."""
        with self._lock:
            was = self._state
            if was is not _State.DONE:
                self._state = _State.ABANDONED
        return was is _State.RUNNING

    async def wait(self) -> Outcome:
        """The outcome.

        Cancelled while a thread is inside the call, it goes on waiting: a thread cannot be interrupted, and
        until it returns the call has not stopped. Whoever cannot wait abandons the call.
        """
        while True:
            try:
                return await self.outcome
            except asyncio.CancelledError:
                if not self.running:
                    self.give_up()
                    raise
                self.outcome = self._loop.create_future()  # The cancel has spoilt the one we waited for.

    def run(self) -> bool:
        """Make the call, on a worker thread. False if it was given up meanwhile."""
        with self._lock:
            if self._state is not _State.QUEUED:
                return True
            self._state = _State.RUNNING
            call, self._call = self._call, None
        assert call is not None
        outcome = self._context.run(call)
        with self._lock:
            wanted = self._state is _State.RUNNING
            self._state = _State.DONE
        if wanted:
            self._deliver(outcome)
        return wanted

    def _deliver(self, outcome: Outcome) -> None:
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(self._set, outcome)

    def _set(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


@dataclass(frozen=True, slots=True)
class ThreadStatistics:
    """How busy the threads are.

    Attributes:
        limit: Threads that may work at a time.
        threads: Threads alive that are not abandoned.
        busy: Calls under way.
        queued: Calls waiting for a thread.
        abandoned: Names of calls that were given up and have not returned.
    """

    limit: int
    threads: int
    busy: int
    queued: int
    abandoned: tuple[str, ...]


class Threads:
    """At most `limit` daemon threads, started when they are needed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._calls: queue.SimpleQueue[ThreadCall | None] = queue.SimpleQueue()
        self._alive = 0
        self._idle = 0
        self._busy: dict[int, ThreadCall] = {}
        self._abandoned: dict[int, ThreadCall] = {}
        self._lock = threading.RLock()
        self._serial = 0

    def start(self, name: str, call: Callable[[], Outcome]) -> ThreadCall:
        """Queue a call; it begins at once if a thread is free or may be started."""
        job = ThreadCall(name, call, self._lock)
        self._calls.put(job)
        self._grow()
        return job

    def abandon(self, job: ThreadCall) -> bool:
        """Give a call up. True if it goes on in its thread; another thread takes that one's place."""
        with self._lock:
            stuck = job.give_up()
            if stuck:
                self._busy.pop(id(job), None)
                self._abandoned[id(job)] = job
                self._alive -= 1
        if stuck:
            self._grow()
        return stuck

    def close(self) -> None:
        """Let idle threads end. Calls under way go on; nothing waits for them."""
        with self._lock:
            alive = self._alive
        for _ in range(alive):
            self._calls.put(None)

    def statistics(self) -> ThreadStatistics:
        with self._lock:
            return ThreadStatistics(
                limit=self.limit,
                threads=self._alive,
                busy=len(self._busy),
                queued=self._calls.qsize(),
                abandoned=tuple(job.name for job in self._abandoned.values()),
            )

    def _grow(self) -> None:
        with self._lock:
            if self._calls.qsize() <= self._idle or self._alive >= self.limit:
                return
            self._alive += 1
            self._serial += 1
            name = f"flowstone-asset-{self._serial}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._calls.get()
            with self._lock:
                self._idle -= 1
                if job is None:
                    self._alive -= 1
                    return
                self._busy[id(job)] = job
            wanted = job.run()
            with self._lock:
                self._busy.pop(id(job), None)
                self._abandoned.pop(id(job), None)
            if not wanted:
                return  # It was abandoned: another thread has taken this one's place.
