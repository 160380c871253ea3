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
from functools import partial
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
    """One piece of work on its way to a thread and its outcome on the way back.

    The future only says that there is an outcome. The outcome itself, a result or an error, is taken out of
    the job by whoever wants it: frames that the error's traceback keeps alive lead to the job, and must not
    lead from there to the error.
    """

    __slots__ = ("_outcome", "abandoned", "done", "loop", "undo", "work")

    def __init__(self, work: Callable[[Callable[[], bool]], T], undo: Callable[[T], object] | None) -> None:
        self.work = work
        self.undo = undo
        self.abandoned = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self._outcome: tuple[T | None, BaseException | None] = (None, None)

    def perform(self) -> None:
        """Do the work, on a thread."""
        try:
            self._outcome = (self.work(self.abandoned.is_set), None)
        except BaseException as error:  # A StopIteration, set on a future, would leave its caller waiting.
            self._outcome = (None, error)

    def result(self) -> T:
        """What the work returned, or raise what it raised; once."""
        (result, error), self._outcome = self._outcome, (None, None)
        if error is None:
            return result  # type: ignore[return-value]  # an outcome without an error has a result of type T
        try:
            raise error
        finally:
            del error

    def undo_result(self) -> None:
        """Tidy up after work whose caller has left: nobody is there to hear of a failure."""
        with suppress(BaseException):
            result = self.result()
            if self.undo is not None:
                self.undo(result)


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
        self._submit(partial(self._perform, job))
        received = False
        try:
            await job.done
            received = True
        finally:
            # Not `except CancelledError`: a coroutine that is closed instead of cancelled ends here as well.
            if not received:
                self._abandon(job)
        return job.result()

    def _abandon(self, job: _Job[T]) -> None:
        job.abandoned.set()
        if job.done.done() and not job.done.cancelled():
            # The outcome was delivered and then lost to a cancel in the same turn of the loop.
            self._submit(job.undo_result)

    def _perform(self, job: _Job[T]) -> None:
        if job.abandoned.is_set():
            return
        job.perform()
        try:
            job.loop.call_soon_threadsafe(self._deliver, job)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            job.undo_result()

    def _deliver(self, job: _Job[T]) -> None:
        if job.abandoned.is_set() or job.done.done():
            self._submit(job.undo_result)
        else:
            job.done.set_result(None)

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
        while self._perform_next():
            pass

    def _perform_next(self) -> bool:
        # A function of its own, so that a thread which waits for work holds no value of the last one.
        job = self._next()
        if job is None:
            return False
        job()
        return True

    def _next(self) -> Callable[[], None] | None:
        with self._wake:
            self._idle += 1
            self._wake.wait_for(lambda: self._jobs or self._retiring, timeout=self._idle_seconds)
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._alive -= 1
            return None
