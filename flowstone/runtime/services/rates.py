"""Rates: turns that come one after another at even intervals, whoever takes them.

A rate of 10 per second has a turn each tenth of a second; none is saved up: after a pause there is one, not ten.
Those who wait have their turns by priority, then in the order they came. A turn that comes late, because the loop
was busy, moves those after it only if it is late by more than a fiftieth of the period: otherwise each delay would
add to all later turns, and the rate would never be reached. So that it is never exceeded either, no turn comes
within a period of the one that was as many turns before it as the rate allows.

Whoever has the turn may have to wait for something else before it starts. It keeps the turn meanwhile, and those
behind it wait: two that had it would start together.

`Rates` are those of one process. Where several nodes share a store, `runtime/cluster/node_rates.py` stands in their
place.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowstone.assets.suggest import did_you_mean
from flowstone.runtime.services.line import Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from flowstone.actors import Clock
    from flowstone.actors.clock import Timer

__all__ = ["SOON", "Rate", "Rates", "Waiting"]

SOON: Final = 1e-9
"""Seconds that are none: what is left of a delay when its timer has rung."""

_LATE: Final = 0.02  # Share of the period by which a turn may be late and moves no other.
_MOST_REMEMBERED: Final = (
    10_000  # Turns that are remembered; of a higher rate, those of a part of its period.
)


class Rate(Protocol):
    """One rate, as those see it who want turns of it."""

    def define(self, limit: int, per: float) -> None:
        """So many turns within so many seconds, from now on."""

    def ask(self, who: object, priority: float, go: Callable[[], object]) -> None:
        """Call `go()` when it has the turn. It keeps it until it says that it has started, or withdraws."""

    def in_time(self, who: object) -> bool:
        """Whether it may make use of its turn now; if not, it has none any more and asks again."""

    def started(self, who: object) -> None:
        """It has made use of its turn."""

    def withdraw(self, who: object) -> None:
        """It wants no turn any more."""


class Waiting:
    """Those who wait for a turn, in the order in which they have it."""

    def __init__(self) -> None:
        self._line: Line[tuple[float, object, Callable[[], object]]] = Line()

    def __len__(self) -> int:
        return len(self._line)

    def add(self, who: object, priority: float, now: float, go: Callable[[], object]) -> None:
        """Somebody asks at this instant."""
        self._line.add(who, priority, (now, who, go))

    def pop(self) -> tuple[float, object, Callable[[], object]]:
        """Whose turn it is: when it asked, who it is, and what to call."""
        return self._line.pop()

    def remove(self, who: object) -> None:
        """It waits no more, if it did."""
        self._line.remove(who)


class _OwnRate(Rate):
    """A rate of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._interval = self._slack = self._window = 0.0
        self._starts: deque[float] = deque()
        self._even = self._next = -math.inf  # When the next turn is, by the interval alone and in truth.
        self._waiting = Waiting()
        self._turn: object = None  # Whose it is.
        self._asked = 0.0  # When it asked.
        self._timer: Timer | None = None
        self._serving = False

    def define(self, limit: int, per: float) -> None:
        self._interval, self._slack = per / limit, per * _LATE
        remembered = min(limit, _MOST_REMEMBERED)
        self._window = per * (remembered / limit)
        self._starts = deque(self._starts, maxlen=remembered)

    def ask(self, who: object, priority: float, go: Callable[[], object]) -> None:
        self._waiting.add(who, priority, self._clock.monotonic(), go)
        self._serve()

    def in_time(self, who: object) -> bool:
        return self._turn is who

    def started(self, who: object) -> None:
        if self._turn is not who:
            return
        self._turn, now = None, self._clock.monotonic()
        waited = self._asked < self._next
        self._even = (max(self._even, now - self._slack) if waited else now) + self._interval
        self._starts.append(now)
        self._next = self._even
        if len(self._starts) == self._starts.maxlen:
            self._next = max(self._even, self._starts[0] + self._window)
        self._serve()

    def withdraw(self, who: object) -> None:
        if self._turn is who:
            self._turn = None
        else:
            self._waiting.remove(who)
        self._serve()

    def _serve(self) -> None:
        if self._serving:
            return  # By the loop below, which sees what has changed.
        self._serving = True
        try:
            while self._turn is None and self._timer is None and self._waiting:
                delay = self._next - self._clock.monotonic()
                if delay > SOON:
                    self._timer = self._clock.call_later(delay, self._due)
                else:
                    self._asked, self._turn, go = self._waiting.pop()
                    go()
        finally:
            self._serving = False

    def _due(self) -> None:
        self._timer = None
        self._serve()


class Rates:
    """The rates of one runtime.

    Args:
        clock: Its clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rates: dict[str, Rate] = {}

    def define(self, rates: Iterable[tuple[str, int, float]]) -> None:
        """Have these rates: names, turns, seconds. Those that were there stay, for runs that know them."""
        for name, limit, per in rates:
            if name not in self._rates:
                self._rates[name] = self._make(name)
            self._rates[name].define(limit, per)

    def _make(self, name: str) -> Rate:
        """A rate that is new."""
        del name
        return _OwnRate(self._clock)

    def ask(self, name: str, who: object, priority: float, go: Callable[[], object]) -> None:
        """Call `go()` when it has the turn. It keeps it until it says that it has started, or withdraws."""
        self._rates[name].ask(who, priority, go)

    def in_time(self, name: str, who: object) -> bool:
        """Whether it may make use of its turn now; if not, it has none any more and asks again."""
        return self._rates[name].in_time(who)

    def started(self, name: str, who: object) -> None:
        """It has made use of its turn."""
        self._rates[name].started(who)

    def withdraw(self, name: str, who: object) -> None:
        """It wants no turn any more."""
        self._rates[name].withdraw(who)

    @asynccontextmanager
    async def turn(self, name: Any, priority: int) -> AsyncIterator[None]:
        """Wait for a turn.

        Raises:
            ValueError: There is no such rate.
        """
        rate = self._rates.get(name) if isinstance(name, str) else None
        if rate is None:
            hint = did_you_mean(str(name), self._rates)
            raise ValueError(
                f"There is no rate {name!r:.250}.{hint} Define it: pipeline.rate({name!r:.250}, limit=…, per=…)."
            )
        mine = await _turn(rate, priority)
        while not rate.in_time(mine):
            mine = await _turn(rate, math.inf)
        rate.started(mine)
        yield


async def _turn(rate: Rate, priority: float) -> object:
    """Wait for a turn; whose it is."""
    mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    rate.ask(mine, priority, lambda: mine.set_result(None))
    try:
        await mine
    except BaseException:
        rate.withdraw(mine)
        raise
    return mine
