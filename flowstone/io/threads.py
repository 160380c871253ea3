"""Blocking work off the event loop, on daemon threads.

Why not `asyncio.to_thread` or anyio's worker threads: both are joined when the interpreter exits, so one read
that hangs on a dead network share holds the exit for ever. Daemon threads do not.

A thread cannot be cancelled. When the caller stops waiting, its work is *abandoned*: the work can ask and
stop early, and if it completes all the same its result is given to `undo`, because nobody else will ever hear
of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Threads", "ThreadsStatistics"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ThreadsStatistics:
    """Attributes: `alive` threads, of which `idle` wait for work, and `queued` pieces of work."""

    alive: int
    idle: int
    queued: int


class _Job(Generic[T]):
    """One piece of work on its way to a thread and its outcome on the way back."""

    __slots__ = ("abandoned", "future", "loop", "undo", "work")

    def __init__(self, work: Callable[[Callable[[], bool]], T], undo: Callable[[T], object] | None) -> None:
        self.work = work
        self.undo = undo
        self.abandoned = False
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[tuple[T | None, BaseException | None]] = self.loop.create_future()


class Threads:
    """At most `limit` daemon threads, started when needed and gone after `idle` seconds without work.

    Args:
        name: What the threads are called in a debugger.
        limit: Threads at a time; further work waits its turn.
        idle: Seconds a thread without work stays.
    """

    def __init__(self, name: str, *, limit: int = 8, idle: float = 10.0) -> None:
        if limit < 1:
            raise ValueError(f"There must be at least one thread, not {limit}.")
        self._name = name
        self._limit = limit
        self._idle_seconds = idle
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._alive = 0
        self._idle = 0
        self._retiring = False

    def statistics(self) -> ThreadsStatistics:
        """How many threads there are and how much work waits."""
        with self._wake:
            return ThreadsStatistics(self._alive, self._idle, len(self._jobs))

    def retire(self) -> None:
        """Let every thread end once the queue is empty. Later work starts new ones."""
        with self._wake:
            self._retiring = True
            self._wake.notify_all()

    async def run(
        self, work: Callable[[Callable[[], bool]], T], *, undo: Callable[[T], object] | None = None
    ) -> T:
        """Call `work(abandoned)` on a thread and return its result or raise its exception.

        Args:
            work: Given a function that says whether the caller has stopped waiting.
            undo: Called on a thread with the result of work that completed after the caller had gone.
        """
        job = _Job(work, undo)
        self._submit(lambda: self._perform(job))
        received = False
        try:
            result, error = await job.future
            received = True
        finally:
            # Not `except CancelledError`: a coroutine that is closed instead of cancelled ends here as well.
            if not received:
                self._abandon(job)
        if error is not None:
            try:
                raise error
            finally:
                del error  # The traceback holds this frame, the frame the error: a cycle for every failure.
        return result  # type: ignore[return-value]  # an outcome without an error has a result of type T

    def _abandon(self, job: _Job[T]) -> None:
        job.abandoned = True
        if job.future.done() and not job.future.cancelled():
            # The outcome was delivered and then lost to a cancel in the same turn of the loop.
            self._undo(job, *job.future.result())

    def _perform(self, job: _Job[T]) -> None:
        result: T | None = None
        error: BaseException | None = None
        if job.abandoned:
            return
        try:
            result = job.work(lambda: job.abandoned)
        except BaseException as caught:
            error = caught
        try:
            job.loop.call_soon_threadsafe(self._deliver, job, result, error)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            if error is None and job.undo is not None:
                _call_quietly(job.undo, result)

    def _deliver(self, job: _Job[T], result: T | None, error: BaseException | None) -> None:
        if job.abandoned or job.future.done():
            self._undo(job, result, error)
        else:
            job.future.set_result((result, error))

    def _undo(self, job: _Job[T], result: T | None, error: BaseException | None) -> None:
        undo = job.undo
        if error is None and undo is not None:
            self._submit(lambda: _call_quietly(undo, result))

    def _submit(self, job: Callable[[], None]) -> None:
        with self._wake:
            self._retiring = False
            self._jobs.append(job)
            if len(self._jobs) > self._idle and self._alive < self._limit:
                self._start()
            else:
                self._wake.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"{self._name}-{self._alive}", daemon=True)
        self._alive += 1
        try:
            thread.start()
        except RuntimeError:  # The system has no more threads; those we have will come round to it.
            self._alive -= 1
            if not self._alive:
                self._jobs.pop()
                raise

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Callable[[], None] | None:
        with self._wake:
            self._idle += 1
            self._wake.wait_for(lambda: self._jobs or self._retiring, timeout=self._idle_seconds)
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._alive -= 1
            return None


def _call_quietly(undo: Callable[[T], object], result: T | None) -> None:
    """Tidying up after a caller who left: there is nobody to hear of a failure, and the thread must live."""
    with suppress(BaseException):
        undo(result)  # type: ignore[arg-type]  # called only with the result of work that succeeded
