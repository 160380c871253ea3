"""Rates that all nodes of a store share, as one node has them.

The store keeps how far the turns of a rate are reserved. A node reserves those that come next for whoever waits
here, a few at a time and a moment ahead, so that nodes share a rate while both want it. It uses each at its
instant. Within the node they go by priority, then to those who came first.

Instants are the store's, so a node has to know how its own clock and the store's differ. Whatever comes from the
store tells it, as exactly as the call was fast; an answer that contradicts what is known tells of a step of that
clock.

A turn that is given back goes to whoever is next on the node. One that is not used in time is lost: if it were used
later, it might meet the turns of other nodes, and the rate would be exceeded. So that those that are a little late,
as all are, do not exceed it either, turns are farther apart than the rate says, by as much in a period as a turn
may be late.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.services.notifications import Wakeup
from flowstone.runtime.services.rates import SOON, Rate, Rates, Waiting
from flowstone.store.rates import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.actors import Clock
    from flowstone.actors.clock import Timer
    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.cluster import Notification
    from flowstone.store.rates import Reserved, SharedRates

__all__ = ["NodeRates", "TurnReservation"]

_LATE: Final = 0.01  # Share of the period by which a turn may be late, and by which turns are farther apart.
_JITTER: Final = 0.005  # Seconds by which every turn may be late: less is not known of the store's clock.
_AHEAD: Final = 0.2  # Seconds for which turns are reserved at a time.
_EXACT: Final = 0.002  # Seconds: where the store's clock is known worse than this, it is asked again first,
_TRIES: Final = 4  # so many times at most: a store may be too far away for that.


class _SharedRate(Rate):
    """A rate of several nodes.

    Args:
        name: Its name.
        clock: The node's clock.
        wake: Called when it wants turns.
    """

    def __init__(self, name: str, clock: Clock, wake: Callable[[], None]) -> None:
        self._name = name
        self._clock = clock
        self._wake = wake
        self._gap = self._late = 0.0
        self._allowed = 0.0  # Seconds by which a turn may be late, by what is known of its instant.
        self._waiting = Waiting()
        self._reserved: deque[float] = deque()  # Instants of the node's clock.
        self._given: dict[object, float] = {}  # Who has a turn and has not started.
        self._not_before = 0.0  # When to ask again, if others have reserved too much.
        self._timer: Timer | None = None
        self._serving = False

    def define(self, limit: int, per: float) -> None:
        self._gap = per * (1 + _LATE) / limit
        self._late = self._allowed = max(per * _LATE, _JITTER)

    def ask(self, who: object, priority: float, go: Callable[[], object]) -> None:
        self._waiting.add(who, priority, self._clock.monotonic(), go)
        self.serve()

    def in_time(self, who: object) -> bool:
        at = self._given.get(who)
        if at is not None and self._clock.monotonic() - at <= self._allowed:
            return True
        self._given.pop(who, None)
        return False

    def started(self, who: object) -> None:
        self._given.pop(who, None)

    def withdraw(self, who: object) -> None:
        at = self._given.pop(who, None)
        if at is None:
            self._waiting.remove(who)
        else:
            self._reserved.appendleft(at)  # If it is not too late, it is the next one's.
            self.serve()

    def wanted(self, lead: float) -> Wanted | None:
        """What it wants of the store now."""
        now = self._clock.monotonic()
        lacking = len(self._waiting) - len(self._reserved)
        if lacking < 1 or now < self._not_before:
            return None
        if self._reserved and self._reserved[-1] - now > _AHEAD / 2:
            return None
        return Wanted(self._name, self._gap, min(lacking, max(1, int(_AHEAD / self._gap))), lead)

    def reserved(self, first: float, count: int, within: float) -> None:
        """It has so many turns, from this instant, known so exactly; none: it may ask again then."""
        self._allowed = max(self._late - 2 * within, self._late / 2)
        if count:
            self._reserved.extend(first + number * self._gap for number in range(count))
        else:
            self._not_before = first
        self.serve()

    def serve(self) -> None:
        """Give the turns that are due to those who wait, and see to it that there will be others."""
        if self._serving:
            return  # The loop below sees what has changed.
        self._serving = True
        try:
            while self._waiting and self._reserved:
                now = self._clock.monotonic()
                if self._reserved[0] - now > SOON:
                    break
                at = self._reserved.popleft()
                if now - at <= self._allowed:
                    _, who, go = self._waiting.pop()
                    self._given[who] = at
                    go()
        finally:
            self._serving = False
        self._set_timer()
        if self.wanted(0.0) is not None:
            self._wake()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        now = self._clock.monotonic()
        if self._reserved:
            self._timer = self._clock.call_later(max(0.0, self._reserved[0] - now), self._due)
        elif self._not_before > now:
            self._timer = self._clock.call_later(self._not_before - now, self._due)

    def _due(self) -> None:
        self._timer = None
        self.serve()


class _StoreClock:
    """How the store's clock and the node's differ, as far as is known.

    Attributes:
        trip: Seconds that the last call took.
        within: Seconds by which what is known may be wrong.
    """

    def __init__(self) -> None:
        self.trip = 0.005
        self.within = math.inf
        self._behind = 0.0  # Seconds by which the node's clock is behind the store's.

    def learn(self, sent: float, received: float, shown: float) -> None:
        """Between these instants of the node's clock the store's showed this."""
        self.trip = received - sent
        behind, within = shown - (sent + received) / 2, self.trip / 2
        if within <= self.within or abs(behind - self._behind) > within + self.within:
            self._behind, self.within = behind, within
        else:
            self.within *= 1.01  # The clocks do not go exactly alike: what was known becomes less sure.

    def here(self, instant: float) -> float:
        """An instant of the store's clock, by the node's."""
        return instant - self._behind


class NodeRates(Rates):
    """The rates of one node. It is the same object for as long as the runtime lives, whatever is restarted.

    Args:
        clock: The node's clock.
        shared: Where all nodes meet.

    Attributes:
        wake: Called when turns are to be reserved; it is to be followed by `reserve`.
    """

    def __init__(self, clock: Clock, shared: SharedRates) -> None:
        super().__init__(clock)
        self.wake = Wakeup()
        self._shared = shared
        self._store_clock = _StoreClock()
        self._of_node: dict[str, _SharedRate] = {}

    def _make(self, name: str) -> Rate:
        made = self._of_node[name] = _SharedRate(name, self._clock, self.wake)
        return made

    def heard(self) -> None:
        """The store may be back: reserve what is still wanted."""
        for rate in self._of_node.values():
            rate.serve()

    async def reserve(self) -> None:
        """Reserve what is wanted. Raises `StoreUnavailable`."""
        clock = self._store_clock
        lead = 1.5 * clock.trip + 0.001  # So that the first one has not passed when the answer comes.
        wanted = [each for rate in self._of_node.values() if (each := rate.wanted(lead)) is not None]
        for _ in range(_TRIES):
            if not wanted or clock.within <= _EXACT:
                break
            await self._ask([replace(wanted[0], count=0)])
        for answer in await self._ask(wanted) if wanted else ():
            first = clock.here(answer.first)
            self._of_node[answer.rate].reserved(first, answer.count, clock.within)

    async def _ask(self, wanted: Sequence[Wanted]) -> Sequence[Reserved]:
        sent = self._clock.monotonic()
        answers = await self._shared.reserve(wanted)
        self._store_clock.learn(sent, self._clock.monotonic(), answers[0].now)
        return answers


class TurnReservation(Poller):
    """The process that makes the calls."""

    kinds = ("look",)
    unanswered = "it does not say when it is this node's turn"

    def __init__(self, ctx: RuntimeContext, rates: NodeRates) -> None:
        super().__init__(ctx)
        self._rates = rates
        self._wake = rates.wake

    def _heard(self, notification: Notification) -> None:
        del notification
        self._rates.heard()

    async def _poll(self) -> None:
        await self._rates.reserve()
