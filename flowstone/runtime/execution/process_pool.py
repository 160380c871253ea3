"""Worker processes for assets with `run_in="process"`: code that holds the GIL, leaks, or may crash.

Cancelling such a step kills its process and all that this one started: the one place where code that never
yields can be stopped. The asset travels as the place of its definition and is imported there, so it must be
defined at the top level of an importable module.

Each call has a thread of ours that writes to its process and waits for the answer: the same on every event
loop. Rejected: anyio's `to_process`, whose workers all runtimes of a loop share, and which end with the task
that happened to start the first of them; and the standard library's pools, in which one process that dies
fails the calls of all others.
"""

from __future__ import annotations

import asyncio
import os
import pickle  # Between processes of one program: nothing that came from a store or a network is unpickled.
import sys
import threading
from typing import TYPE_CHECKING, Any

from flowstone.assets.context import Context
from flowstone.errors import FlowstoneError
from flowstone.runs.records import Failure
from flowstone.runtime.execution.guard import describe, outcome_of
from flowstone.runtime.execution.subprocess import Subprocess
from flowstone.runtime.execution.subprocess_logs import Kept, Logged, Said, hear, keep, least_level
from flowstone.runtime.execution.subprocess_main import (
    Began,
    Done,
    Noted,
    Place,
    Progressed,
    Request,
    no_passage,
)
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.assets.asset import Asset
    from flowstone.assets.waiting import Note
    from flowstone.runtime.execution.guard import Outcome

__all__ = ["ProcessPool"]


def _nobody() -> None:
    """It is kept nowhere."""


class ProcessPool:
    """At most `limit` worker processes at work, started when they are needed and kept for the next call.

    Args:
        limit: Default: the number of processors.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._threads = Threads(limit or os.cpu_count() or 1, "flowstone-process")
        self._lock = threading.Lock()
        self._idle: list[Subprocess] = []
        self._outdated: set[Subprocess] = set()  # At work since before the last `renew`.
        self._working: set[Subprocess] = set()
        self._closed = False

    async def call(
        self,
        name: str,
        asset: Asset[..., Any],
        arguments: dict[str, Any],
        on_start: Callable[[], object] | None,
        log: Callable[[], Kept | None] = _nobody,
    ) -> Outcome:
        """Call the asset's function in a worker process. What it notes in its context comes back.

        Args:
            name: The step, as people know it.
            asset: The asset.
            arguments: The function's arguments.
            on_start: Called on the loop when a process has begun.
            log: Says where lines of this call are kept, on the thread that has the process.
        """
        context = arguments.get(asset.context_parameter or "")
        try:
            request = pickle.dumps(_request(asset, arguments))
        except BaseException as error:
            return False, _unportable(asset, error)
        work = _Work(self, name, request, context if isinstance(context, Context) else None, on_start, log)
        job = self._threads.start(name, work.run)
        job.when_cancelled(work.stop)
        try:
            return await outcome_of(job)
        finally:
            # Killed, or cancelled while it waited for a place: nothing of it may go on.
            work.stop()
            self._threads.abandon(job)

    def close(self) -> None:
        """End the idle processes. Those at work end with their calls."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
        for worker in idle:
            worker.reap()
        self._threads.close()

    def renew(self) -> None:
        """Use no process any more that may have imported assets before; those at work finish their calls."""
        with self._lock:
            self._outdated = set(self._working)
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
        for worker in idle:
            worker.reap()

    def take(self) -> Subprocess:
        """A living process that is nobody else's. It is given back, or dropped."""
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
                if worker is not None:
                    self._working.add(worker)
            if worker is None:
                worker = Subprocess()
                with self._lock:
                    self._working.add(worker)
                return worker
            if worker.alive:
                return worker
            self.drop(worker)

    def give_back(self, worker: Subprocess) -> None:
        """It has answered, and may be used again."""
        with self._lock:
            usable = not self._closed and worker not in self._outdated
            self._working.discard(worker)
            self._outdated.discard(worker)
            if usable:
                self._idle.append(worker)
                return
        worker.reap()

    def drop(self, worker: Subprocess) -> None:
        """It is not to be used again."""
        with self._lock:
            self._working.discard(worker)
            self._outdated.discard(worker)
        worker.reap()


class _Work:
    """One call, on a thread of its own; `stop` may come from another thread, at any time."""

    def __init__(
        self,
        pool: ProcessPool,
        name: str,
        request: bytes,
        context: Context | None,
        on_start: Callable[[], object] | None,
        log: Callable[[], Kept | None],
    ) -> None:
        self._log = log
        self._pool = pool
        self._name = name
        self._request = request
        self._context = context
        self._on_start = on_start
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._worker: Subprocess | None = None
        self._stopped = False
        self._begun = False

    def stop(self) -> None:
        """Kill the process, if there is one, and let none begin."""
        with self._lock:
            self._stopped = True
            if self._worker is not None:
                self._worker.kill()

    def run(self) -> Outcome:
        """Make the call."""
        done = self._try()
        # Its process had died while it waited for work: before anything of this call began.
        while done is None:
            done = self._try()
        if isinstance(done, Failure):
            return False, done
        if self._context is not None:
            self._context.metadata.update(done.metadata)
            self._context.waits_for = done.waits_for
        return done.outcome

    def _try(self) -> Done | Failure | None:
        worker = self._pool.take()
        used = worker.used
        well = False
        try:
            if not self._begin(worker):
                return Failure("error", f"{self._name} was stopped before its process began.")
            done = self._converse(worker)
            well = isinstance(done, Done)
            return done
        except (EOFError, OSError):
            return None if used and not self._begun else self._died(worker)
        finally:
            if self._end() and well:
                self._pool.give_back(worker)
            else:
                self._pool.drop(worker)

    def _begin(self, worker: Subprocess) -> bool:
        with self._lock:
            if not self._stopped:
                self._worker = worker
            return not self._stopped

    def _end(self) -> bool:
        """From here on a stop comes too late to kill. False if one came before."""
        with self._lock:
            self._worker = None
            return not self._stopped

    def _converse(self, worker: Subprocess) -> Done | Failure:
        problem = worker.prepare(main=b"__main__" in self._request)
        if problem is not None:
            return Failure(
                "error",
                f"The worker process of {self._name} cannot import the program it belongs to ({problem}): put "
                f"what a script does under `if __name__ == '__main__':`.",
            )
        worker.send(self._request)
        while True:
            reply = pickle.loads(worker.receive())  # noqa: S301 - from a process that we started
            match reply:
                case Done():
                    return reply
                case Logged():
                    hear(reply)
                case Said():
                    keep(self._log(), reply)
                case Began():
                    self._begun = True
                    if self._on_start is not None:
                        self._loop.call_soon_threadsafe(self._on_start)
                case Noted(note) if self._context is not None:
                    worker.send(pickle.dumps(_put_down(self._context, note)))
                case Progressed(fraction, message) if self._context is not None:
                    self._context.progress(fraction, message)

    def _died(self, worker: Subprocess) -> Failure:
        status = worker.how_it_ended()
        if status is None:
            message = (
                f"The worker process of {self._name} lost its connection to the program, and was killed: its code "
                f"closed files, or wrote into files, that it had not opened."
            )
        else:
            message = (
                f"The worker process of {self._name} died ({status}): it was killed, ran out of memory, or its "
                f"code ended it."
            )
        return Failure("error", message, retryable=True)


def _put_down(context: Context, note: Note) -> str | None:
    """Put on record what the asset notes; why that failed, if it did."""
    try:
        context.put_down(note)
    except FlowstoneError as error:  # It is raised again there, and says the same.
        return str(error)
    except Exception as error:
        return describe(error, None).message
    return None


def _request(asset: Asset[..., Any], arguments: dict[str, Any]) -> Request:
    given = arguments.get(asset.context_parameter or "")
    context = None
    if isinstance(given, Context):
        facts = (
            given.asset,
            given.partition,
            given.partition_key,
            given.run_id,
            given.attempt,
            given.answers,
        )
        context = (asset.context_parameter or "", facts)
    others = {name: value for name, value in arguments.items() if name != asset.context_parameter}
    return Request(asset.name, _portable(asset), others, context, asset.retry, least_level())


def _portable(asset: Asset[..., Any]) -> Place | Callable[..., Any]:
    """The place of the asset's definition, if it can be found there; else what it calls, which may pickle."""
    names = vars(asset)
    place = Place(names["__module__"], names["__qualname__"])
    found: Any = sys.modules.get(place.module)
    file = getattr(found, "__file__", None)
    for part in place.qualname.split("."):
        found = getattr(found, part, None)
    if found is asset.function or getattr(found, "function", None) is asset.function:
        return Place(place.module, place.qualname, file)
    return asset.function


def _unportable(asset: Asset[..., Any], error: BaseException) -> Failure:
    problem = f"Asset {asset.name!r} or its arguments cannot be sent to a worker process"
    return no_passage(problem, error)
