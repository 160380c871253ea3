"""The one thread that may wait for the disk, so that the event loop never does.

Jobs run one at a time in the order given, which is all the locking that a file needs. A daemon thread,
because a disk that hangs must not hold the interpreter's exit; not the loop's executor, whose threads do.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DiskThread"]

T = TypeVar("T")
_Job: TypeAlias = "Callable[[], None]"


class DiskThread:
    """Runs blocking functions for coroutines of one event loop. Made on that loop; `stop` ends it."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Queue a job; the future is done when the job is. Cancelling the future does not stop the job."""
        future: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                settle = partial(_succeed, future, function())
            except BaseException as error:
                settle = partial(_fail, future, error)
            # A closed loop: nobody is left to be told.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(settle)

        self._jobs.put(job)
        return future

    def stop(self) -> None:
        """End the thread after the jobs it has."""
        self._jobs.put(None)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()


# Whoever waited may have been cancelled, hence `done`.


def _succeed(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
