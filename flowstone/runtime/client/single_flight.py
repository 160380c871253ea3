"""Calls that share a run: one starts it, the others wait for it, and whoever leaves last may stop it.

Which run there is for a request, and who wants it, is decided in the store (`flowstone.store.callers`), so it is
the same for callers in one process and in many. What a run of its own is to a call, a shared run is to all of its
callers together: it is cancelled when nobody is left who wants it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from flowstone.errors import FlowstoneError, WaitsForItself
from flowstone.frozen import frozen
from flowstone.runtime.run.control import Cancel
from flowstone.store.callers import Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import RunRecord, RunSpec, Status
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.control import CancelReason
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["Ended", "SingleFlight", "Terms"]


@frozen
class Terms:
    """How a call takes part in a run.

    Attributes:
        join: Whether it joins one that is under way.
        cancels: Whether the run is cancelled if it leaves and nobody else is left.
        patience: Seconds until it leaves; None: it does not.
    """

    join: bool = False
    cancels: bool = False
    patience: float | None = None


@frozen
class Ended:
    """A run that has ended, to one of its callers.

    Attributes:
        run_id: The run.
        status: How it ended.
        cause: What its only failed step raised, if that is at hand.
    """

    run_id: str
    status: Status
    cause: BaseException | None


class _Client(Protocol):
    """What `RunClient` can do with any run."""

    def own_attempt(self) -> Attempt | None: ...
    def detach(self, run_id: str) -> None: ...
    async def queued(self, run: RunRecord, create: Callable[[RunRecord], Awaitable[str]]) -> str: ...
    async def ended_here(self, run: LiveRun) -> Status: ...
    async def ended(self, run_id: str, *, rescue: bool = False) -> BaseException | None: ...
    async def abandon(self, run: LiveRun) -> bool: ...
    async def cancel(self, run_id: str, reason: CancelReason = "asked") -> None: ...
    async def record(self, run_id: str) -> RunRecord: ...


class _Seat:
    """One call's place in a run."""

    def __init__(self, terms: Terms, node: str, waiting: tuple[str, ...]) -> None:
        self.terms = terms
        self.node = node
        self.waiting = waiting
        self.caller: Caller | None = None
        self.run_id: str | None = None
        self.went_on = True  # After it left.

    def of(self, run: RunRecord) -> Caller:
        self.caller = Caller(run.id, self.node, self.terms.cancels, self.waiting)
        return self.caller

    @property
    def joined(self) -> bool:
        """Whether it takes part in a run that somebody else started."""
        return self.caller is not None and self.run_id is not None and self.run_id != self.caller.id


class SingleFlight:
    """The calls of one runtime that share runs with others.

    Args:
        ctx: What the runtime offers.
        runs: What this process drives.
        client: Runs from the outside.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, client: _Client) -> None:
        self._ctx = ctx
        self._runs = runs
        self._client = client
        runs.leave = self.left

    async def compute(self, plan: RunPlan, request: RunSpec, terms: Terms) -> Ended:
        """Start a run or join the one that is under way, and wait for its end.

        Raises:
            CancelledError: The caller was cancelled; so is the run, if nobody else wants it.
            TimeoutError: `terms.patience` is over; likewise.
            WaitsForItself: A step of the run waits for the run of the caller.
        """
        attempt = self._client.own_attempt()
        by = None if attempt is None else attempt.run_id
        seat = _Seat(terms, self._ctx.node, () if by is None else self._runs.waiting_for(by))
        loop, clock = asyncio.get_running_loop(), self._ctx.clock
        try:
            async with asyncio.timeout(None) as within:
                timer = None
                if terms.patience is not None:
                    timer = clock.call_later(terms.patience, lambda: within.reschedule(loop.time()))
                try:
                    return await self._take_part(plan, request, seat, by)
                finally:
                    if timer is not None:
                        timer.cancel()
        except TimeoutError as error:
            if not within.expired():
                raise
            what = (
                "it goes on for others"
                if seat.went_on
                else "it was cancelled, since nobody else waits for it"
            )
            raise TimeoutError(
                f"{self._name(seat)} has not ended within {terms.patience:g} s; {what}."
            ) from error

    async def submit(
        self, plan: RunPlan, request: RunSpec, key: str | None, priority: int
    ) -> tuple[str, bool]:
        """Start a run that goes on without its caller, or have the one that is under way do so.

        Returns:
            Its id, and whether it is new.
        """

        async def create(run: RunRecord) -> str:
            return await self._open(lambda but: self._ctx.store.callers.create(run, None, but=but), run)

        if self._ctx.store.cluster is None:
            run_id, new = await self._runs.share(plan, request, create, key, priority)
            is_new = new is not None
        else:
            run = self._runs.describe(plan, request, key, priority)
            run_id = await self._client.queued(run, create)
            is_new = run_id == run.id
        if not is_new:
            self._client.detach(run_id)
        return run_id, is_new

    async def left(self, run_id: str) -> CancelReason | None:
        """The call that started a run waits no more: why the run is to be cancelled, or None if it goes on."""
        callers = self._ctx.store.callers
        if run_id in self._runs.detached:
            await callers.keep(run_id)
            return None
        return await callers.leave(run_id, Caller(run_id, self._ctx.node), driven_here=self._drives(run_id))

    # Inside -------------------------------------------------------------------------------------------------

    async def _take_part(self, plan: RunPlan, request: RunSpec, seat: _Seat, by: str | None) -> Ended:
        async def create(run: RunRecord) -> str:
            caller, join = seat.of(run), seat.terms.join
            seat.run_id = await self._open(
                lambda but: self._ctx.store.callers.create(run, caller, join=join, but=but), run
            )
            return seat.run_id

        run: LiveRun | None = None
        try:
            run_id, run = await self._runs.share(plan, request, create, awaited=True, within=by)
            if run is None:
                return await self._joined(run_id)
            status = await self._client.ended_here(run)
            return Ended(run_id, status, run.take_caught())
        except (asyncio.CancelledError, WaitsForItself):
            if run is not None:
                seat.went_on = not await self._client.abandon(run)
            elif seat.joined:
                await self._leave(seat)
            elif seat.run_id is not None:
                seat.went_on = False  # It was withdrawn.
            raise

    async def _open(self, create: Callable[[list[str]], Awaitable[str]], run: RunRecord) -> str:
        """The run that there is for a request; not one that this process is about to cancel."""
        but: list[str] = []
        while True:
            run_id = await create(but)
            live = self._runs.live.get(run_id)
            if run_id == run.id or live is None or Cancel not in live.requests:
                return run_id
            but.append(run_id)

    async def _joined(self, run_id: str) -> Ended:
        """Wait for a run that somebody else started."""
        live = self._runs.live.get(run_id)
        if live is not None:
            live.takers += 1  # Each of them is raised what its step raised.
        try:
            cause = await self._client.ended(run_id, rescue=True)
        except BaseException:
            if live is not None:
                live.take_caught()
            raise
        return Ended(run_id, (await self._client.record(run_id)).status, cause)

    async def _leave(self, seat: _Seat) -> None:
        """A call that joined a run waits no more; if it was the last one it may stop the run."""
        import anyio  # noqa: PLC0415 - only a cancelled caller needs it

        run_id, caller = seat.run_id, seat.caller
        assert run_id is not None
        assert caller is not None
        limit = self._ctx.settings.cancel_timeout + 2.0
        with anyio.CancelScope(shield=True), anyio.move_on_after(limit), suppress(FlowstoneError):
            leave = self._ctx.store.callers.leave
            why = await leave(run_id, caller, driven_here=self._drives(run_id))
            if why is not None:
                seat.went_on = False
                await self._client.cancel(run_id, why)

    def _drives(self, run_id: str) -> bool:
        live = self._runs.live.get(run_id)
        return live is not None and not live.over

    @staticmethod
    def _name(seat: _Seat) -> str:
        return "The run" if seat.run_id is None else f"Run {seat.run_id}"
