"""Blocking calls off the event loop, on daemon threads.

Our own, because asyncio, anyio and `concurrent.futures` join their threads when the interpreter exits: one call
that hangs, in an asset or on a dead network share, would hold the process for as long as it hangs.

A thread cannot be interrupted, so whoever no longer wants a call has a choice:

    withdraw    not made, if no thread has begun with it
    wait        cancelled, it goes on waiting: until it returns, the call has not stopped
    run         cancelled, it leaves: the call can ask and stop early, and its result is given to `undo`
    abandon     named in the statistics, and another thread takes the place of its own
    lend        another thread may work in its place until it takes it back

`ThreadCall` is one call (`thread_calls.py`); `Threads` starts, lends and abandons the threads. Calls begin in the
order in which they were started; a pool of one thread makes one at a time, which is all the locking that a file
needs.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flowstone.frozen import frozen
from flowstone.thread_calls import CallState, ThreadCall

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ThreadStatistics", "Threads"]

T = TypeVar("T")


@frozen
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
        idle: Seconds that a thread without work stays; None: until `close`.
    """

    def __init__(self, limit: int, name: str, *, idle: float | None = None) -> None:
        if limit < 1:
            raise ValueError(f"There must be at least one thread, not {limit}.")
        self.limit = limit
        self._name = name
        self._idle = idle
        self._calls: queue.SimpleQueue[ThreadCall[Any] | None] = queue.SimpleQueue()
        self._alive = 0
        # Idle threads that were told to end, so that another has their place, and have not ended yet: not alive.
        self._replaced = 0
        # Threads that wait or are about to, minus entries of the queue; so it may be negative.
        self._spare = 0
        self._queued = 0
        self._busy: dict[int, ThreadCall[Any]] = {}
        self._abandoned: dict[int, ThreadCall[Any]] = {}
        self._returning: deque[tuple[ThreadCall[Any], asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()
        self._serial = 0

    def start(
        self,
        name: str,
        call: Callable[[], T],
        on_start: Callable[[], object] | None = None,
        undo: Callable[[T], object] | None = None,
    ) -> ThreadCall[T]:
        """Queue a call; it begins at once if a thread is free or may be started.

        Args:
            name: Who it is for.
            call: It runs in a copy of the current context.
            on_start: Called on the loop when a thread has begun with it.
            undo: Called on a thread with a result that nobody waits for any more.
        """
        job = ThreadCall(self, name, call, on_start, undo)
        with self._lock:
            self._spare -= 1
            self._queued += 1
        self._calls.put(job)
        self._grow()
        return job

    async def run(
        self, work: Callable[[Callable[[], bool]], T], *, undo: Callable[[T], object] | None = None
    ) -> T:
        """Call `work(left)` on a thread and return its result or raise its exception; leave when cancelled.

        Args:
            work: Given a function that says whether the caller has left.
            undo: Called on a thread with the result of work that completed after the caller had left.
        """
        left = threading.Event()
        try:
            return await self.start(self._name, partial(work, left.is_set), None, undo).wait_or_leave()
        finally:
            left.set()

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Queue a call; the future is done when the call is. To cancel the future does not stop the call."""
        call = self.start(self._name, function)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        call.when_done(partial(_hand_over, future))
        return future

    def withdraw(self, job: ThreadCall[Any]) -> bool:
        """Take a call back that no thread has begun with. False if a thread is inside it."""
        with self._lock:
            if job.state is CallState.QUEUED:
                job.state = CallState.GIVEN_UP
                self._queued -= 1
                job.unwatch()
            return job.state is not CallState.RUNNING

    def abandon(self, job: ThreadCall[Any]) -> bool:
        """Give a call up. True if it goes on in its thread; another thread may take that one's place."""
        if self.withdraw(job):
            return False
        with self._lock:
            if job.state is not CallState.RUNNING:
                return False
            job.state = CallState.GIVEN_UP
            del self._busy[id(job)]
            self._abandoned[id(job)] = job
            job.unwatch()
            if not job.lent:
                self._alive -= 1
                self._place_is_free()
        self._grow()
        return True

    def lend(self, job: ThreadCall[Any]) -> None:
        """A call waits for something that may need a thread: let another one have its place meanwhile."""
        with self._lock:
            if job.lent or job.state is not CallState.RUNNING:
                return
            job.lent = True
            self._alive -= 1
            self._place_is_free()
        self._grow()

    async def take_back(self, job: ThreadCall[Any]) -> None:
        """Return when a lent place is the call's again, before anything that is queued, or the call is over."""
        with self._lock:
            if not job.lent or job.state is not CallState.RUNNING:
                return
            if self._alive < self.limit or self._spare > 0:
                if self._alive < self.limit:
                    self._alive += 1
                else:  # All that is queued has a thread, and one more is idle: it ends.
                    self._spare -= 1
                    self._replaced += 1
                    self._calls.put(None)
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
                    place.get_loop().call_soon_threadsafe(_resolve, place)
                return True
        return False

    def close(self) -> None:
        """Let the threads end after the calls they have; nothing waits for them. Later calls start new ones."""
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
                    job.fail(error)
                    job.deliver()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if self._begin(job):
                job.make()
                if not self._end(job):
                    return  # It was abandoned: another thread has taken this one's place.
                job.deliver()
                if self._is_replaced(job):
                    return
            del job  # Not for as long as this thread is idle.
            with self._lock:
                self._spare += 1
        with self._lock:
            if self._replaced:
                self._replaced -= 1
            else:
                self._alive -= 1
            left_behind = self._queued > 0
        if left_behind:  # Calls that were started after `close`.
            self._grow()

    def _next(self) -> ThreadCall[Any] | None:
        """The next call, or None if the thread is to end."""
        while True:
            try:
                return self._calls.get(timeout=self._idle)
            except queue.Empty:
                with self._lock:
                    if self._spare > 0:  # Otherwise something is just being queued for this thread.
                        self._spare -= 1
                        return None

    def _is_replaced(self, job: ThreadCall[Any]) -> bool:
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

    def _begin(self, job: ThreadCall[Any]) -> bool:
        """False if it was given up while it was queued."""
        with self._lock:
            if job.state is not CallState.QUEUED:
                return False
            job.state = CallState.RUNNING
            self._queued -= 1
            self._busy[id(job)] = job
            return True

    def _end(self, job: ThreadCall[Any]) -> bool:
        """False if it was given up while it ran."""
        with self._lock:
            self._abandoned.pop(id(job), None)
            if job.state is not CallState.RUNNING:
                return False
            del self._busy[id(job)]
            job.state = CallState.DONE
            return True


def _resolve(place: asyncio.Future[None]) -> None:
    if not place.done():
        place.set_result(None)


def _hand_over(future: asyncio.Future[T], call: ThreadCall[T]) -> None:
    if future.done():
        return  # Whoever waited was cancelled.
    try:
        future.set_result(call.result())
    except StopIteration as error:  # No future takes one.
        future.set_exception(RuntimeError(repr(error)))
    except BaseException as error:
        future.set_exception(error)
