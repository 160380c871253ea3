"""`flowstone fire`: a schedule, a sensor or a condition acts now; where nobody else is, its runs are waited for.

Ctrl-C counts as elsewhere: the first lets the running steps end and begins no others, the second cancels the runs.
Either way it is said what was started, and what becomes of it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from flowstone.cli.interruption import Interruption, listening
from flowstone.cli.loading import load
from flowstone.cli.loop import beside, run_async
from flowstone.cli.options import AskedBy, Debug, Json, StoreUrl, Target
from flowstone.cli.places import or_by_its_holder, remembers, shares
from flowstone.cli.problem import FAILED, INTERRUPTED, OK, CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.session import open_runtime
from flowstone.counting import count
from flowstone.errors import RunCancelled, RunFailed
from flowstone.printable import one_line
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.cli.loading import Loaded
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.client.handle import Run
    from flowstone.runtime.runtime import Runtime

__all__ = ["fire"]

_FINE = frozenset({Status.QUEUED, Status.RUNNING, Status.WAITING, Status.SUCCEEDED})


def fire(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The schedule or sensor.", show_default=False)],
    *,
    by: AskedBy = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Have a schedule fire, or a sensor look, now."""
    with Screen(json=json, debug=debug) as screen:
        loaded = load(target)
        runs, interrupted = run_async(_fire(screen, loaded, store, name, by))
        screen.status = OK if all(run.status in _FINE for run in runs) else FAILED
        if interrupted:
            screen.status = INTERRUPTED
        if screen.json:
            screen.document(
                {"automation": name, "runs": [{"id": run.id, "status": str(run.status)} for run in runs]}
            )
            return
        screen.show(f"{one_line(name)} asked for {count(len(runs), 'run')}")
        for run in runs:
            # What a node makes of it meanwhile is not this command's to tell.
            screen.show(f"run {run.id} {'is submitted' if shares(store) else _left(run, loaded, store)}")


def _left(run: RunRecord, loaded: Loaded, store: str) -> str:
    if run.status.terminal or not remembers(store):
        return str(run.status)
    return f"is {run.status}: `flowstone serve {loaded.target}` goes on with it"


async def _fire(
    screen: Screen, loaded: Loaded, url: str, name: str, by: str | None
) -> tuple[Sequence[RunRecord], bool]:
    """The runs, where nobody else could take them when they are over; and whether Ctrl-C came."""
    with or_by_its_holder(url, one_line(f"fire({name!r})")):
        async with open_runtime(screen, loaded, url) as runtime:
            firing = _Firing(screen, runtime)
            with listening(firing.interruption):
                await firing.make(name, by, wait=not shares(url))
            return [await run.record() for run in firing.runs], firing.interruption.times > 0


class _Firing:
    """One fire, and how Ctrl-C ends it.

    Attributes:
        runs: What it has started so far.
        interruption: How often it was asked to stop.
    """

    def __init__(self, screen: Screen, runtime: Runtime) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._screen = screen
        self._runtime = runtime
        self._task = task
        self._asked = asyncio.Event()
        self.runs: Sequence[Run] = ()
        self.interruption = Interruption(self._finish, task.cancel)

    async def make(self, name: str, by: str | None, *, wait: bool) -> None:
        """Fire, and wait for the runs if nobody else goes on with them."""
        try:
            self.runs = await self._runtime.fire(name, by=by)
            if wait:
                async with beside(self._drain):
                    for run in self.runs:
                        with suppress(RunFailed, RunCancelled):
                            await run.wait()
        except asyncio.CancelledError:
            if not self.interruption.times:
                raise
            self._task.uncancel()
            if not self.runs:
                raise CommandError("Interrupted before a run was started.", status=INTERRUPTED) from None
            await asyncio.gather(*(run.cancel() for run in self.runs))

    def _finish(self) -> None:
        if not self.runs:
            self._task.cancel()
            return
        under_way = count(len(self._runtime.running_steps()), "running step")
        which = ", ".join(run.id for run in self.runs)
        self._screen.note(
            f"Finishing {under_way} of {count(len(self.runs), 'run')} ({which}); press Ctrl-C again to stop now.",
            "yellow",
        )
        self._asked.set()

    async def _drain(self) -> None:
        await self._asked.wait()
        await asyncio.gather(*(run.drain() for run in self.runs))
