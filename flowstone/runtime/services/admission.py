"""Admission: how an attempt gets what it needs to start, wherever it was ordered and whichever run it belongs to.

What it needs is a slot: the limit on steps that run at a time is the runtime's, shared by all runs, first come
first served. A step may need to run *exclusively*: it starts when no other step of this process runs, and none
starts until it is done. It waits its turn like every other one, and those behind it wait as well: were they let
past, there might always be one that runs.

It may need slots of *pools* as well (pools.py). Those come first and the slot last, so that a step that waits for a
pool takes nothing from others meanwhile. Between the two comes its turn of a *rate* (rates.py), which it has used
when it starts: were that before the slot, those that wait for slots would start together.

A step that waits for a pool or a rate gives its *place* among the steps of its run to another one meanwhile
(`runtime/run/step_places.py`), and asks for one when it is served. Until there is one, it keeps its slots of pools,
but not its turn: that goes to whoever is next, and with its place the step has the first turn there is.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from flowstone.frozen import frozen
from flowstone.runtime.services.pools import PoolUser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.runtime.services.pools import AnyPools
    from flowstone.runtime.services.rates import Rates

__all__ = ["Admission", "AdmissionStatistics", "Applicant", "Places"]


class Places(Protocol):
    """Whoever lets so many steps of a run begin at a time."""

    def take(self, applicant: Any, go: Callable[[], None]) -> bool:
        """Whether there is a place for one that had none; if not, `go()` is called when there is."""


class Applicant(PoolUser, Protocol):
    """What is to be admitted.

    Attributes:
        rate: The name of the rate it keeps to when it starts, or None.
        rated: Whether it has its turn and has not started; set by `Admission` alone.
        exclusive: Whether it needs to be the only one that is admitted.
        admitted: Whether it holds what it needs; set by `Admission` alone.
        places: Where it asks for a place before it starts; None if it has one, or needs none.
    """

    places: Places | None
    rate: str | None
    rated: bool
    exclusive: bool
    admitted: bool


SomeApplicant = TypeVar("SomeApplicant", bound=Applicant)


@frozen
class AdmissionStatistics:
    """How full the runtime is: slots in all, taken, and steps waiting for one; whether one step has all."""

    limit: int
    taken: int
    waiting: int
    exclusive: bool = False


class Admission:
    """A counting semaphore for callbacks: a step that finds a slot free starts in the same turn of the loop.

    An `asyncio.Semaphore` would cost a waiting task per step, and hand slots over a turn later.

    Args:
        limit: How many may be admitted at a time.
        pools: The pools of the runtime.
        rates: Its rates.

    Attributes:
        pools, rates: As given.
        alone: Who holds the one slot that is taken, if it runs exclusively.
    """

    def __init__(self, limit: int, pools: AnyPools, rates: Rates) -> None:
        self.limit = limit
        self.pools = pools
        pools.above = self._held_above
        self.rates = rates
        self._waited_for: dict[str, list[Applicant]] = {}  # Who waits for the end of a run, by its id.
        self._placeless: dict[int, Applicant] = {}  # They have been served and wait for a place; by identity.
        self._too_late: dict[int, Applicant] = {}  # They hold a slot and wait for another turn; by identity.
        self._taken = 0
        self.alone: Applicant | None = None
        # By identity. A plain dict that loses its first again and again looks ever longer for the next.
        self._waiting: OrderedDict[int, tuple[Callable[[Any], bool], Any]] = OrderedDict()

    def admit(self, applicant: SomeApplicant, start: Callable[[SomeApplicant], bool]) -> None:
        """Call `start(applicant)` when it has what it needs, now or later; False hands all of it back.

        Args:
            applicant: Who applies.
            start: Called once, unless `withdraw(applicant)` comes first.
        """
        if applicant.pools:
            if not applicant.pooled:
                self.pools.ask(applicant, partial(self.admit, applicant, start))
                return
            if applicant.rate is None:
                if not self._has_place(applicant, start):
                    return
                if _lacks_slots(applicant):  # It has lost them for its place.
                    self.pools.ask(applicant, partial(self.admit, applicant, start))
                    return
        if applicant.rate is not None and not applicant.rated:
            again = partial(self._have_turn, applicant, start)
            self.rates.ask(applicant.rate, applicant, applicant.priority, again)
            return
        if self._taken < self.limit and not (applicant.exclusive or self._waiting or self.alone is not None):
            self._taken += 1
            applicant.admitted = True
            if not start(applicant):
                self.leave(applicant)
        else:
            self._waiting[id(applicant)] = (start, applicant)
            self._serve()

    def _has_place(self, applicant: SomeApplicant, start: Callable[[SomeApplicant], bool]) -> bool:
        if applicant.places is None:
            return True
        self._placeless[id(applicant)] = applicant
        if not applicant.places.take(applicant, partial(self._have_place, applicant, start)):
            return False
        self._placeless.pop(id(applicant), None)
        return True

    def _have_place(self, applicant: SomeApplicant, start: Callable[[SomeApplicant], bool]) -> None:
        self._placeless.pop(id(applicant), None)
        if applicant.rate is None or _lacks_slots(applicant):
            self.admit(applicant, start)
        else:  # Its turn went to somebody else.
            self.rates.ask(applicant.rate, applicant, math.inf, partial(self._have_turn, applicant, start))

    def give_back(self, run_id: str) -> None:
        """Have those of a run that wait for a place give back their slots, and ask again when they have one.

        Otherwise they would wait for ever, if those that have the places wait for these slots.
        """
        for applicant in [each for each in self._placeless.values() if each.run_id == run_id]:
            if applicant.pooled:
                self.pools.release(applicant)

    def _have_turn(self, applicant: SomeApplicant, start: Callable[[SomeApplicant], bool]) -> None:
        assert applicant.rate is not None
        if not self._has_place(applicant, start):
            self.rates.withdraw(applicant.rate, applicant)
            return
        if _lacks_slots(applicant):  # It has lost them for its place.
            self.rates.withdraw(applicant.rate, applicant)
            self.admit(applicant, start)
            return
        applicant.rated = True
        self.admit(applicant, partial(self._start_in_turn, start))

    def _start_in_turn(self, start: Callable[[SomeApplicant], bool], applicant: SomeApplicant) -> bool:
        assert applicant.rate is not None
        if not self.rates.in_time(applicant.rate, applicant):
            # Its turn has passed while it waited for a slot. It keeps that, or it might meet this again and again.
            self._too_late[id(applicant)] = applicant
            again = partial(self._start_late, applicant, start)
            self.rates.ask(applicant.rate, applicant, math.inf, again)
            return True
        applicant.rated = False
        if start(applicant):
            self.rates.started(applicant.rate, applicant)
            return True
        self.rates.withdraw(applicant.rate, applicant)
        return False

    def _start_late(self, applicant: SomeApplicant, start: Callable[[SomeApplicant], bool]) -> None:
        del self._too_late[id(applicant)]
        if _lacks_slots(applicant):  # It has lost them meanwhile.
            self.leave(applicant)
            self.admit(applicant, start)
        elif not self._start_in_turn(start, applicant):
            self.leave(applicant)

    def leave(self, applicant: Applicant) -> None:
        """Give back what it holds, if it holds anything; that goes to whoever waits longest."""
        if applicant.pooled:
            self.pools.release(applicant)
        if not applicant.admitted:
            return
        applicant.admitted = False
        self._taken -= 1
        self.alone = None  # If there was one it was this, because no other slot was taken.
        if self._waiting:
            self._serve()

    def lend(self, applicant: Applicant, run_id: str) -> None:
        """Give back the slot alone, to have one again when a run is over: what a pool guards may still be in use.

        So nothing in that run may need the slots that it holds, or the run would wait for ever.
        """
        self._waited_for.setdefault(run_id, []).append(applicant)
        if applicant.pooled:
            applicant.pooled = False
            self.leave(applicant)
            applicant.pooled = True
        else:
            self.leave(applicant)
        self.give_back(applicant.run_id)
        self.pools.look_again()

    def waits_no_more(self, applicant: Applicant, run_id: str) -> None:
        """The run that it waited for is over."""
        waiting = self._waited_for[run_id]
        waiting.remove(applicant)
        if not waiting:
            del self._waited_for[run_id]

    def _held_above(self, run_id: str) -> Mapping[str, int]:
        """The slots of pools held by those who wait for a run, and for whose runs others wait."""
        held: dict[str, int] = {}
        if not self._waited_for:
            return held
        runs, seen = [run_id], {run_id}
        holders: dict[int, Applicant] = {}
        for each in runs:  # It grows while it is read.
            for waiting in self._waited_for.get(each, ()):
                holders[id(waiting)] = waiting
                if waiting.run_id not in seen:
                    seen.add(waiting.run_id)
                    runs.append(waiting.run_id)
        for holder in holders.values():
            for name, slots in holder.pools if holder.pooled else ():
                held[name] = held.get(name, 0) + slots
        return held

    def withdraw(self, applicant: Applicant) -> None:
        """It does not wait any more. Without this it keeps its place, and may keep the others from theirs."""
        if applicant.pools:
            self.pools.withdraw(applicant)
        self._placeless.pop(id(applicant), None)
        too_late = self._too_late.pop(id(applicant), None) is not None
        if applicant.rate is not None and (too_late or not applicant.admitted):
            applicant.rated = False
            self.rates.withdraw(applicant.rate, applicant)
        if too_late:
            self.leave(applicant)
        if self._waiting.pop(id(applicant), None) is not None:
            self._serve()

    def statistics(self) -> AdmissionStatistics:
        return AdmissionStatistics(self.limit, self._taken, len(self._waiting), self.alone is not None)

    def held_up(self) -> Mapping[int, Applicant]:
        """Who waits for a slot because of one that runs exclusively, or is to and came first; by identity."""
        alone = self.alone
        found: dict[int, Applicant] = {}
        for key, (_, applicant) in self._waiting.items():
            if alone is not None:
                found[key] = alone
            elif applicant.exclusive:
                alone = applicant
        return found

    def _serve(self) -> None:
        """Let those in that may, in their order."""
        while self._waiting and self.alone is None:
            start, applicant = next(iter(self._waiting.values()))
            if self._taken >= (1 if applicant.exclusive else self.limit):
                return
            self._waiting.popitem(last=False)
            if _lacks_slots(applicant):  # It has lost them meanwhile.
                self.pools.ask(applicant, partial(self.admit, applicant, start))
                continue
            self._taken += 1
            self.alone = applicant if applicant.exclusive else None
            applicant.admitted = True
            if not start(applicant):
                applicant.admitted = False
                self._taken -= 1
                self.alone = None
                if applicant.pooled:
                    self.pools.release(applicant)


def _lacks_slots(applicant: Applicant) -> bool:
    """Whether it needs slots of pools and does not hold them, or not any more."""
    return bool(applicant.pools) and not applicant.pooled
