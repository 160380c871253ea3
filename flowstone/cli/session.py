"""A runtime for the length of one command, and one request to it with progress and interruption.

Map of this file
    Outcome                     how a request ended, to be told
    open_runtime                a runtime of the module's pipeline, with its IO managers and resources
    compute, perform            one request, its progress, and Ctrl-C
    _Ending                     how a request ends before its run has
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, cast

import anyio
import structlog

from flowstone.assets.step_log import PROCESSORS
from flowstone.cli import environment
from flowstone.cli.asker import asker
from flowstone.cli.default_store import file_instead, remark_once
from flowstone.cli.interruption import Interruption, listening
from flowstone.cli.loop import beside, run_async
from flowstone.cli.places import remembers, shares, store_of
from flowstone.cli.problem import CommandError
from flowstone.cli.progress import Tally, open_display
from flowstone.cli.server import ServerUrl, asked
from flowstone.counting import count
from flowstone.errors import MaterializationFailed, RunCancelled, RunFailed, StoreUnavailable
from flowstone.frozen import frozen
from flowstone.runs.records import Materialization, Status

_LOOK = 0.1
"""Seconds between two looks whether a run waits for somebody who cannot answer."""

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from flowstone.cli.loading import Loaded
    from flowstone.cli.screen import Screen
    from flowstone.io import IOManager
    from flowstone.runtime.client.result import RunResult
    from flowstone.runtime.runtime import Runtime

__all__ = ["Outcome", "check_complete", "compute", "join_structlog", "open_runtime", "perform"]


def join_structlog() -> None:
    """Hand structlog's entries to the standard library's loggers, unless the pipeline has configured it."""
    if not structlog.is_configured():
        structlog.configure(
            processors=list(PROCESSORS),
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=False,
        )


@frozen
class Outcome:
    """What a request came to.

    Attributes:
        run_id: The run; None if it was stopped before it began.
        status: How the run ended.
        seconds: From the request to its end.
        interrupted: Whether the user asked to stop.
        steps: The run's steps by how they ended.
        counts: How many ended so.
        remembered: Whether another command can ask for the run.
        left: Where it goes on once somebody has answered what it waits for, if the command left it for that.
    """

    run_id: str | None
    status: Status
    seconds: float
    interrupted: bool
    steps: Mapping[str, Sequence[Materialization]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    remembered: bool = False
    left: str | None = None

    @property
    def complete(self) -> bool:
        """Whether everything asked for is there."""
        return self.status is Status.SUCCEEDED and not self.interrupted


@contextlib.asynccontextmanager
async def open_runtime(
    screen: Screen,
    loaded: Loaded,
    store: str,
    *,
    worker: bool = False,
    automate: bool = False,
    **options: Any,
) -> AsyncIterator[Runtime]:
    """A runtime of the pipeline with this store, and the IO managers and resources its module defines.

    Args:
        screen: Gets what is worth telling.
        loaded: The pipeline.
        store: The store's URL.
        worker: Whether it takes runs that others have submitted or left behind.
        automate: Whether schedules, sensors and listeners act here.
        options: Settings that win over the environment's.
    """
    if isinstance(store, ServerUrl):
        async with asked(store) as client:
            yield cast("Runtime", client)
        return
    from flowstone.runtime.runtime import Runtime  # noqa: PLC0415 - as above

    settings = environment.settings()
    join_structlog()
    screen.listen_to(_module(loaded))
    store_of(store)  # Raises for a URL that means no store, which is wrong usage.
    managers = _managers(loaded)
    resources = _resources(loaded)
    if (remark := remark_once(store)) is not None:
        screen.note(remark)
    made = Runtime(
        loaded.pipeline,
        store=store,
        io=managers,
        resources=resources,
        settings=settings,
        worker=worker,
        automate=automate,
        # What a node does is asked for by others, or by nobody.
        actor=None if worker else asker(),
        **options,
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            runtime = await stack.enter_async_context(made)
        except StoreUnavailable as error:
            raise file_instead(store, error) from error
        yield runtime


def check_complete(loaded: Loaded) -> None:
    """Raise `CommandError` if an asset needs an IO manager or a resource that its module does not define."""
    _managers(loaded)
    _resources(loaded)


def _managers(loaded: Loaded) -> dict[str, IOManager]:
    """Those that the module defines; the runtime has a `default` that suits the store."""
    managers = dict(loaded.io)
    for asset in loaded.pipeline.assets.values():
        if asset.io not in {"default", *managers}:
            raise CommandError(
                f"The asset {asset.name!r} keeps its values in the IO manager {asset.io!r}, "
                f"which {_module(loaded)} does not define.",
                f'Write `io = {{"{asset.io}": FileIO("{asset.io}")}}` beside the pipeline.',
            )
    return managers


def _resources(loaded: Loaded) -> dict[str, Any]:
    for asset in loaded.pipeline.assets.values():
        for name in sorted(asset.requires):
            if name not in loaded.resources:
                raise CommandError(
                    f"The asset {asset.name!r} needs the resource {name!r}, "
                    f"which {_module(loaded)} does not define.",
                    f'Write `resources = {{"{name}": ...}}` beside the pipeline.',
                )
    return dict(loaded.resources)


def _module(loaded: Loaded) -> str:
    return loaded.target.rpartition(":")[0]


def compute(
    screen: Screen,
    loaded: Loaded,
    store: str,
    request: Callable[[Runtime], Awaitable[RunResult | Materialization]],
    *,
    shared: bool = False,
) -> Outcome:
    """Open a runtime, make one request to it and close it again; `shared`: of a run that others may wait for."""

    async def work() -> Outcome:
        async with open_runtime(screen, loaded, store) as runtime:
            alone = not shares(store)
            outcome = await perform(
                screen, runtime, lambda: request(runtime), alone=alone, shared=shared and not alone
            )
            left = f"flowstone serve {loaded.target}" if outcome.status is Status.WAITING else None
            return replace(outcome, remembered=remembers(store), left=left)

    return run_async(work())


async def perform(
    screen: Screen,
    runtime: Runtime,
    request: Callable[[], Awaitable[RunResult | Materialization]],
    *,
    alone: bool = False,
    shared: bool = False,
) -> Outcome:
    """Make a request, show its progress, let Ctrl-C end it; a failed step is an outcome, not an exception.

    Args:
        screen: Where it is told.
        runtime: What is asked.
        request: Asks it.
        alone: Whether no other process can answer what the run waits for while this one has the store. Then it is
            left as soon as nothing else is left of it: the command would wait for ever.
        shared: Whether others may wait for the run: then Ctrl-C ends the command, and the run if nobody does.
    """
    tally = Tally(time.perf_counter)
    async with _events_of(runtime) as events, open_display(screen, tally, events):
        return await _interruptible(screen, runtime, tally, request, alone=alone, shared=shared)


@contextlib.asynccontextmanager
async def _events_of(runtime: Runtime) -> AsyncIterator[AsyncIterator[Any]]:
    """What happens: in this process, or at a server."""
    if hasattr(runtime, "subscribe"):
        async with runtime.subscribe() as events:
            yield events
        return
    async with runtime.feed() as feed:
        yield (entry.event async for entry in feed)


async def _interruptible(
    screen: Screen,
    runtime: Runtime,
    tally: Tally,
    request: Callable[[], Awaitable[RunResult | Materialization]],
    *,
    alone: bool,
    shared: bool,
) -> Outcome:
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    ending = _Ending(screen, runtime, tally, task)
    works = [ending.drain, ending.leave] if alone else [ending.drain]
    interruption = Interruption(on_first=task.cancel if shared else ending.finish, on_second=task.cancel)
    began = time.perf_counter()
    result: RunResult | Materialization | None
    with listening(interruption):
        try:
            async with beside(*works):
                result = await request()
        except RunFailed as error:
            result = error.result
        except MaterializationFailed as error:
            result = error.materialization
        except RunCancelled as error:
            result = await _so_far(runtime, error.run_id)
        except asyncio.CancelledError:
            if not (interruption.times or ending.left):
                raise
            task.uncancel()
            result = await _so_far(runtime, tally.run_id)
    return _outcome(result, time.perf_counter() - began, interrupted=interruption.times > 0)


class _Ending:
    """How a request ends before its run has: the user asks for it, or nobody can answer what it waits for.

    Attributes:
        left: Whether the run is left parked.
    """

    def __init__(self, screen: Screen, runtime: Runtime, tally: Tally, task: asyncio.Task[Any]) -> None:
        self._screen = screen
        self._runtime = runtime
        self._tally = tally
        self._task = task
        self._asked = asyncio.Event()
        self.left = False

    def finish(self) -> None:
        """Let what runs end, and begin nothing new."""
        if self._tally.run_id is None:
            self._task.cancel()
            return
        under_way = count(len(self._tally.running), "running step")
        words = f"Finishing {under_way}; press Ctrl-C again to stop now."
        if self._tally.parked:
            words = (
                "Cancelling the run, and what it waits for; with --submit a run goes on without its command."
            )
        self._screen.note(words, "yellow")
        self._asked.set()

    async def drain(self) -> None:
        """Once that is asked for."""
        await self._asked.wait()
        await (await self._runtime.run(str(self._tally.run_id))).drain()

    async def leave(self) -> None:
        """Leave the run parked, once nothing is left of it but what somebody else is to answer."""
        while True:
            await anyio.sleep(_LOOK)
            if self._tally.needs_an_answer and not self._runtime.live_runs():
                break
        self.left = True
        (await self._runtime.run(str(self._tally.run_id))).detach()
        self._task.cancel()


async def _so_far(runtime: Runtime, run_id: str | None) -> RunResult | None:
    """What a run that was stopped has given."""
    return None if run_id is None else await (await runtime.run(run_id)).result()


def _outcome(result: RunResult | Materialization | None, seconds: float, *, interrupted: bool) -> Outcome:
    if result is None:
        return Outcome(None, Status.CANCELLED, seconds, interrupted)
    if isinstance(result, Materialization):
        steps: dict[str, Sequence[Materialization]] = {str(result.status): (result,)}
    else:
        names = ("succeeded", "reused", "failed", "skipped", "cancelled")
        steps = {name: found for name in names if (found := getattr(result, name))}
    counts = {name: len(found) for name, found in steps.items()}
    return Outcome(result.run_id, result.status, seconds, interrupted, steps, counts)
