"""Calls that share a run: one starts it, the others wait for it, and whoever leaves last may stop it.

Which run there is for a request, and who wants it, is decided in the store (`flowstone.store.callers`), so it is
the same for callers in one process and in many. What a run of its own is to a call, a shared run is to all of its
callers together: it is cancelled when nobody is left who wants it.

Map of this file
    compute, submit, left       what a call does, and what the call that started a run does when it leaves
    _take_part                  ask, or share what another call of this process asks (`client/flights.py`)
    _lead, _follow              the one, and the other
    _attend, _write_down, _leave            what the store is to know of that
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from flowstone.errors import StoreUnavailable, WaitsForItself
from flowstone.frozen import frozen
from flowstone.runs.identity import identity_of_request
from flowstone.runtime.client.flights import Flight, Flights, Group
from flowstone.runtime.run.control import Cancel
from flowstone.store.callers import Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

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
        made: Which of the calls that join it is, by when it was made.
    """

    join: bool = False
    cancels: bool = False
    patience: float | None = None
    made: int | None = None


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
    async def cancel(self, run_id: str, why: Cancel) -> None: ...
    async def record(self, run_id: str) -> RunRecord: ...


class _SharedCall:
    """One call, and the run it takes part in."""

    def __init__(self, terms: Terms, node: str, waiting: tuple[str, ...]) -> None:
        self.terms = terms
        self.node = node
        self.waiting = waiting
        self.caller: Caller | None = None
        self.run_id: str | None = None
        self.flight: Flight | None = None  # That others share with it.
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

    Attributes:
        flights: Those that ask for the same in this process.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, client: _Client) -> None:
        self._ctx = ctx
        self._runs = runs
        self._client = client
        self.flights = Flights()
        runs.abandoned.leave = self.left

    async def compute(self, plan: RunPlan, request: RunSpec, terms: Terms) -> Ended:
        """Start a run or join the one that is under way, and wait for its end.

        Raises:
            CancelledError: The caller was cancelled; so is the run, if nobody else wants it.
            TimeoutError: `terms.patience` is over; likewise.
            WaitsForItself: A step of the run waits for the run of the caller.
        """
        attempt = self._client.own_attempt()
        by = None if attempt is None else attempt.run_id
        call = _SharedCall(terms, self._ctx.node, () if by is None else self._runs.nested.waiting_for(by))
        loop, clock = asyncio.get_running_loop(), self._ctx.clock
        try:
            async with asyncio.timeout(None) as within:
                timer = None
                if terms.patience is not None:
                    timer = clock.call_later(terms.patience, lambda: within.reschedule(loop.time()))
                try:
                    return await self._take_part(plan, request, call, by)
                finally:
                    if timer is not None:
                        timer.cancel()
        except TimeoutError as error:
            if not within.expired():
                raise
            what = (
                "it goes on for others"
                if call.went_on
                else "it was cancelled, since nobody else waits for it"
            )
            raise TimeoutError(
                f"{self._name(call)} has not ended within {terms.patience:g} s; {what}."
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
        if run_id in self._runs.abandoned.detached:
            await callers.keep(run_id)
            return None
        await self._write_down(self.flights.of_run(run_id))
        return await callers.leave(run_id, Caller(run_id, self._ctx.node))

    # Inside -------------------------------------------------------------------------------------------------

    async def _take_part(self, plan: RunPlan, request: RunSpec, call: _SharedCall, by: str | None) -> Ended:
        if not call.terms.join:
            return await self._lead(plan, request, call, by)
        identity = identity_of_request(self._ctx.snapshot.pipelines.get(request.asset, ""), request)
        while True:
            flight = self.flights.find(identity, call.terms.made)
            if flight is None:
                break
            self.flights.has_asked(call.terms.made)
            ended = await self._follow(flight, call)
            if ended is not None:
                return ended
        flight = call.flight = self.flights.begin(identity)
        self.flights.has_asked(call.terms.made)
        try:
            return await self._lead(plan, request, call, by)
        finally:
            self.flights.give_up(flight)

    async def _lead(self, plan: RunPlan, request: RunSpec, call: _SharedCall, by: str | None) -> Ended:
        """Ask the store, for this call and those that share with it."""

        async def create(run: RunRecord) -> str:
            caller, join = call.of(run), call.terms.join
            with self._telling(call.flight):
                call.run_id = await self._open(
                    lambda but: self._ctx.store.callers.create(run, caller, join=join, but=but), run
                )
            if call.flight is not None and call.run_id != run.id and not call.flight.known:
                self.flights.land(call.flight, call.run_id, self._runs.live.get(call.run_id))
            return call.run_id

        def on_new(run: LiveRun) -> None:
            if call.flight is not None:
                self.flights.land(call.flight, run.record.id, run)

        run: LiveRun | None = None
        try:
            run_id, run = await self._runs.share(
                plan, request, create, awaited=True, within=by, on_new=on_new
            )
            if run is None:
                return await self._joined(run_id)
            status = await self._client.ended_here(run)
            return Ended(run_id, status, run.take_caught())
        except (asyncio.CancelledError, WaitsForItself):
            if run is not None:
                call.went_on = not await self._runs.abandoned.abandon(run)
            elif call.joined:
                assert call.run_id is not None
                assert call.caller is not None
                await self._leave(call, call.run_id, call.caller, call.flight, nullcontext())
            elif call.run_id is not None:
                call.went_on = False  # It was withdrawn.
            raise

    @contextmanager
    def _telling(self, flight: Flight | None) -> Iterator[None]:
        """A store that is away is away for all who share; where the call itself has to go, another one asks."""
        try:
            yield
        except BaseException as error:
            if flight is not None:
                self.flights.give_up(flight, error if isinstance(error, StoreUnavailable) else None)
            raise

    async def _follow(self, flight: Flight, call: _SharedCall) -> Ended | None:
        """Share what another call of this process is told, or was; None if this one has to ask itself."""
        kind = (call.terms.cancels, call.waiting)
        group = flight.groups.get(kind)
        if group is None:
            caller = Caller(f"{self._ctx.random.getrandbits(96):024x}", self._ctx.node, *kind)
            group = flight.groups[kind] = Group(caller)
        group.members += 1
        if flight.live is not None:
            flight.live.takers += 1
        took = False  # What its step raised.
        try:
            call.run_id = await flight.answer()
            if call.run_id is None:
                return None
            if flight.live is None:
                await self._attend(call.run_id, group)
                return await self._joined(call.run_id)
            live = flight.live
            if not live.over:
                live.awaited = live.raises = True
                await self._attend(call.run_id, group)
            status = await self._client.ended_here(live)
            took = True
            return Ended(call.run_id, status, live.take_caught())
        except (asyncio.CancelledError, WaitsForItself):
            if group.members == 1 and flight.run_id is not None:
                del flight.groups[kind]
                await self._leave(call, flight.run_id, group.caller, flight, group.lock)
            raise
        finally:
            group.members -= 1
            if not group.members and flight.groups.get(kind) is group:
                del flight.groups[kind]
            if not took and flight.live is not None:
                flight.live.take_caught()

    async def _attend(self, run_id: str, group: Group) -> None:
        """To the store all calls of a group are one caller."""
        async with group.lock:
            if not group.written:
                await self._ctx.store.callers.attend(run_id, group.caller)
                group.written = True

    async def _write_down(self, flight: Flight | None) -> None:
        """Before somebody of a flight leaves, the store knows who else waits."""
        if flight is None or flight.run_id is None:
            return
        for group in tuple(flight.groups.values()):
            if group.members:
                await self._attend(flight.run_id, group)

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

    async def _leave(
        self,
        call: _SharedCall,
        run_id: str,
        caller: Caller,
        flight: Flight | None,
        lock: AbstractAsyncContextManager[None],
    ) -> None:
        """A caller that joined a run waits no more; if it was the last one it may stop the run."""

        async def leave(waits: bool) -> None:
            await self._write_down(flight)
            async with lock:
                why = await self._ctx.store.callers.leave(run_id, caller)
            if why is not None:
                call.went_on = False
                if (
                    waits or self._ctx.store.cluster is None
                ):  # Else it is on record, for whoever drives the run.
                    await self._client.cancel(run_id, Cancel(why))

        await self._runs.abandoned.see_through(run_id, leave)

    @staticmethod
    def _name(call: _SharedCall) -> str:
        return "The run" if call.run_id is None else f"Run {call.run_id}"
