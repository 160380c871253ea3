"""The calls of one process that ask for the same at once: one goes to the store, the others share its answer.

A *flight* is one such call and all that share with it. It is open while the first one is on its way to the store,
and then while the run it got lives in this process; of a run that is driven elsewhere only the store knows how long
it is under way. A call may have been made before a run ended and get its turn after: for as long as such calls
are on their way, flights that have ended are kept for them.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, nullcontext
from copy import copy
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

from flowstone.actors.waiters import Waiters
from flowstone.runtime.run.control import Cancel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.store.callers import Caller

__all__ = ["Flight", "Flights", "Group"]

_Kind: TypeAlias = tuple[bool, tuple[str, ...]]
_NOTHING: nullcontext[None] = nullcontext()


class Group:
    """Calls of a flight that take part in the same way: to the store they are one caller.

    Attributes:
        caller: That one; its id is that of no run.
        members: How many they are.
        written: Whether it is on record.
        lock: Held by whoever writes it down, or has it leave.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.members = 0
        self.written = False
        self.lock = asyncio.Lock()


class Flight:
    """One call on its way to the store, or the run it got, and the calls that share that.

    Attributes:
        identity: What they ask for.
        groups: The calls that share it, without the first one.
        run_id: The run, once the store has said so.
        live: The run, if it is driven here.
        gave_up: Whether the first call came back without a run: another one is to ask.
        error: Why the store could not be asked.
        ended_at: When the run ended, counted as calls are.
    """

    def __init__(self, identity: tuple[object, ...]) -> None:
        self.identity = identity
        self.groups: dict[_Kind, Group] = {}
        self.run_id: str | None = None
        self.live: LiveRun | None = None
        self.gave_up = False
        self.error: BaseException | None = None
        self.ended_at = 0
        self._waiters: Waiters[None] = Waiters()

    @property
    def known(self) -> bool:
        """Whether the first call has its answer, or will have none."""
        return self.run_id is not None or self.gave_up

    @property
    def open_to_more(self) -> bool:
        """Whether a call that is made now may share it."""
        live = self.live
        if live is None:
            return not self.known
        return not (live.parked or live.error is not None or Cancel in live.requests)

    @property
    def members(self) -> int:
        """How many share it, without the first one."""
        return sum(group.members for group in self.groups.values())

    async def answer(self) -> str | None:
        """The run, or None if another call has to ask. Raises what the store raised."""
        if not self.known:
            await self._waiters.wait()
        if self.error is not None:
            raise copy(self.error)  # Each has a traceback of its own.
        return self.run_id

    def tell(self) -> None:
        """Its answer is known."""
        self._waiters.wake(None)


class Flights:
    """The flights of one runtime."""

    def __init__(self) -> None:
        self._open: dict[tuple[object, ...], Flight] = {}
        self._ended: dict[tuple[object, ...], Flight] = {}  # In the order in which they ended.
        self._of_runs: WeakValueDictionary[str, Flight] = WeakValueDictionary()
        self._coming: dict[
            int, None
        ] = {}  # Calls that have not asked yet, in the order in which they were made.
        self._now = 0

    def coming(self, *, joins: bool) -> AbstractContextManager[int | None]:
        """A call is made, and will ask within the block; None if it shares nothing."""
        return self._made() if joins else _NOTHING

    def find(self, identity: tuple[object, ...], made: int | None) -> Flight | None:
        """The flight that serves a call that was made then."""
        flight = self._open.get(identity)
        if flight is not None:
            return flight if flight.open_to_more else None
        flight = self._ended.get(identity)
        if flight is None or made is None or flight.ended_at < made or not flight.open_to_more:
            return None
        return flight

    def has_asked(self, made: int | None) -> None:
        """A call is on its way no more; harmless if that is known."""
        if made is None or made not in self._coming:
            return
        del self._coming[made]
        oldest = next(iter(self._coming), self._now + 1)
        while self._ended:
            identity, flight = next(iter(self._ended.items()))
            if flight.ended_at > oldest:
                break
            del self._ended[identity]

    def begin(self, identity: tuple[object, ...]) -> Flight:
        """A call is about to ask the store, and others may share what it is told."""
        flight = self._open[identity] = Flight(identity)
        return flight

    def land(self, flight: Flight, run_id: str, live: LiveRun | None) -> None:
        """The store has said which run there is; `live` if it is driven here."""
        flight.run_id = run_id
        self._of_runs[run_id] = flight
        if live is None or live.over:
            self._close(flight)
        else:
            flight.live = live
            live.takers += flight.members  # Each of them is raised what its step raised.
            live.on_end = lambda: self._end(flight)
        flight.tell()

    def give_up(self, flight: Flight, error: BaseException | None = None) -> None:
        """The call that asked has no answer, if it has none: another one asks, or all of them fail like that."""
        if flight.known:
            return
        flight.gave_up = True
        flight.error = error
        self._close(flight)
        flight.tell()

    def of_run(self, run_id: str) -> Flight | None:
        """The flight whose calls wait for a run."""
        return self._of_runs.get(run_id)

    @contextmanager
    def _made(self) -> Iterator[int]:
        self._now += 1
        made = self._now
        self._coming[made] = None
        try:
            yield made
        finally:
            self.has_asked(made)

    def _end(self, flight: Flight) -> None:
        self._close(flight)
        if flight.live is None or flight.live.parked:
            return  # It may go on elsewhere.
        self._now += 1
        flight.ended_at = self._now
        if self._coming:
            self._ended.pop(flight.identity, None)
            self._ended[flight.identity] = flight

    def _close(self, flight: Flight) -> None:
        if self._open.get(flight.identity) is flight:
            del self._open[flight.identity]
