"""Runs whose caller was cancelled: they are cancelled as well, unless somebody else wants them.

A caller that is told so has to be able to rely on it: a run that is parked would be woken by the next answer, and
go on to succeed. So the cancel is on record before the caller has its `CancelledError`. A store that is slow, or
away, would hold the caller for ever. When its patience is over, what is left to do goes on as a process of its own,
until it is done or the runtime has stopped, also over a restart of the part of the tree that it is in. The end of
the runtime waits for it as for a run, and whoever answers a step of the run in this process comes after it
(`settled`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from flowstone.actors import ActorDown
from flowstone.backoff import Backoff
from flowstone.errors import FlowstoneError, RuntimeStopping, StoreUnavailable
from flowstone.runtime.run.control import Cancel
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.actors import Runnable
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.control import CancelReason
    from flowstone.runtime.run.live_run import LiveRun

__all__ = ["AbandonedRuns"]

_LEAVING: Final = 1.0  # Seconds in which the store is to say whether others want a run.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0


class _Runs(Protocol):
    """What `LocalRuns` can do."""

    live: dict[str, LiveRun]
    open: bool

    async def drive(self, run: LiveRun, *, at_once: bool = False) -> LiveRun: ...
    async def start_beside(self, name: str, make: Callable[[], Runnable]) -> None: ...
    def gone(self) -> None: ...


class AbandonedRuns:
    """What becomes of the runs of one runtime whose callers were cancelled.

    Args:
        ctx: What the runtime offers.
        runs: What this process drives.

    Attributes:
        detached: Runs that go on without the call that waits for them.
        leave: Says that the call that started a run waits no more; why the run is to be cancelled, if it is.
        cancel: Cancels a run that this process does not drive now, and returns when it has stopped.
        goes_on: Whether a run that this process gave up for that reason goes on, or is left as it was.
    """

    def __init__(self, ctx: RuntimeContext, runs: _Runs) -> None:
        self._ctx = ctx
        self._runs = runs
        self.detached: set[str] = set()  # Few: whoever detaches a run is about to go.
        self.leave: Callable[[str], Awaitable[CancelReason | None]] | None = None
        self.cancel: Callable[[str, Cancel], Awaitable[None]] | None = None
        self.goes_on: Callable[[BaseException | None], bool] = _is_left
        self._under_way: dict[int, _Work] = {}  # What goes on without its caller.
        self._driven: set[int] = set()  # What has a process.
        self._started = 0
        self._over = asyncio.Event()

    @property
    def left(self) -> bool:
        """Whether something goes on whose caller has gone."""
        return bool(self._under_way)

    async def settled(self, run_id: str) -> None:
        """Return when nothing goes on that has to do with a run and whose caller has gone."""
        while any(work.run_id == run_id for work in self._under_way.values()):
            self._over.clear()
            await self._over.wait()

    async def abandon(self, run: LiveRun, *, unstarted: bool = False) -> bool:
        """Cancel a run whose caller was cancelled; whether it is cancelled. With `unstarted` nobody drives it yet.

        It is not if it is detached, or others want it.
        """
        why: Cancel | None = Cancel("caller")
        to_drive, on_record = unstarted, False
        cluster = self._ctx.store.cluster

        async def cancel(waits: bool) -> None:
            nonlocal why, to_drive, on_record
            if on_record:
                return  # Whoever drives the run then ends it.
            why = await self._leave(run)
            if why is not None:
                run.ask(why)
            if to_drive:
                to_drive = False  # If that is interrupted, it abandons the run itself.
                await self._runs.drive(run)
            if why is None:
                return
            on_record = why.recorded
            if on_record and not waits:
                return
            await run.wait()
            if self.cancel is not None and (run.parked or self.goes_on(run.error)):
                if cluster is not None and not on_record:
                    await cluster.request_cancel(run.record.id, why.reason)
                    on_record = True
                if waits or cluster is None:
                    await self.cancel(run.record.id, why)

        await self.see_through(run.record.id, cancel)
        return why is not None

    async def withdraw(self, run: LiveRun, create: Callable[[RunRecord], Awaitable[str]]) -> None:
        """The caller was cancelled while the run was written, which may or may not have been done.

        Whoever opens the store next would go on with it; so it is written for certain, and ends cancelled unless
        somebody has joined it.
        """
        run.fresh = False

        async def end(_waits: bool) -> None:
            if await create(run.record) == run.record.id:
                await self.abandon(run, unstarted=True)

        await self.see_through(run.record.id, end)

    async def see_through(self, run_id: str, work: Callable[[bool], Awaitable[None]]) -> None:
        """Do what a cancelled caller leaves to be done; if it takes too long, it goes on when this has returned.

        Shielded from a scope that cancels again and again.

        Args:
            run_id: The run that it has to do with.
            work: Does it; given is whether somebody waits for the run to stop, for which it need not wait otherwise
                once the cancel is on record for whoever drives the run. It is safe to repeat: what was interrupted
                is done again from its beginning.
        """
        import anyio  # noqa: PLC0415 - only a cancelled caller needs it

        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(self._ctx.settings.cancel_timeout + _LEAVING):
                if await self._tried(run_id, work, waits=True):
                    return
            await self._go_on(run_id, work)

    async def _leave(self, run: LiveRun) -> Cancel | None:
        """How to cancel a run whose caller has left; a store that is away cannot say who else wants it."""
        run_id = run.record.id
        alone = None if run.takers or run_id in self.detached else Cancel("caller")
        if self.leave is None:
            return alone
        try:
            async with asyncio.timeout(_LEAVING):
                why = await self.leave(run_id)
        except (TimeoutError, FlowstoneError):
            return alone
        return None if why is None else Cancel(why, recorded=self._ctx.store.cluster is not None)

    async def resume_interrupted(self) -> None:
        """Go on with what was stopped by a restart above it."""
        for number in [number for number in self._under_way if number not in self._driven]:
            await self._start(number)

    async def _go_on(self, run_id: str, work: Callable[[bool], Awaitable[None]]) -> None:
        number = self._started = self._started + 1
        self._under_way[number] = _Work(run_id, work)
        await self._start(number)

    async def _start(self, number: int) -> None:
        name = f"cancel:{self._under_way[number].run_id}:{number}"
        begun = asyncio.Event()  # Only then it may ask those for something who start it.
        try:
            await self._runs.start_beside(name, lambda: _WithoutCaller(partial(self._finish, number, begun)))
        except ActorDown:  # The runtime has stopped.
            self._ended(number)
        finally:
            begun.set()

    async def _finish(self, number: int, begun: asyncio.Event) -> None:
        run_id, work = self._under_way[number]
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._ctx.random)
        self._driven.add(number)
        try:
            await begun.wait()
            while not await self._tried(run_id, work, waits=False):
                await self._ctx.clock.sleep(backoff.pause())
        except asyncio.CancelledError:
            if not self._runs.open:
                self._ended(number)
            raise  # Else it is started again.
        except BaseException:
            self._ended(number)
            raise
        else:
            self._ended(number)
        finally:
            self._driven.discard(number)

    async def _tried(self, run_id: str, work: Callable[[bool], Awaitable[None]], *, waits: bool) -> bool:
        """Whether there is nothing left to be done. A store that is away is asked again."""
        alarm = f"cancel of run {run_id}"
        try:
            await work(waits)
        except StoreUnavailable as error:
            self._ctx.alarms.set(alarm, f"it is not on record yet: {error}")
            return isinstance(error, StoreRefused)
        except FlowstoneError as error:  # The run is gone, or the runtime has stopped.
            self._ctx.alarms.clear(alarm, str(error))
        else:
            self._ctx.alarms.clear(alarm, "it is done")
        return True

    def _ended(self, number: int) -> None:
        self._under_way.pop(number, None)
        self._over.set()
        self._runs.gone()


class _Work(NamedTuple):
    """What a caller has left to be done."""

    run_id: str
    work: Callable[[bool], Awaitable[None]]


class _WithoutCaller:
    """The process of something that goes on when its caller has gone."""

    def __init__(self, finish: Callable[[], Awaitable[None]]) -> None:
        self._finish = finish

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await self._finish()


def _is_left(error: BaseException | None) -> bool:
    """Where no other node shares the store: it stays unfinished until somebody ends it."""
    return error is not None and not isinstance(error, RuntimeStopping)
