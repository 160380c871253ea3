"""Rates: turns that come one after another at even intervals, whoever takes them.

A rate of 10 per second has a turn each tenth of a second; none is saved up: after a pause there is one, not ten.
Those who wait have their turns by priority, then in the order they came. A turn that comes late, because the loop
was busy, is made up for if it is by less than a fiftieth of the period: otherwise each delay would add to all later
turns, and the rate would never be reached.

Whoever has the turn may have to wait for something else before it starts. It keeps the turn meanwhile, and those
behind it wait: two that had it would start together.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from contextlib import asynccontextmanager
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from flowstone.actors import Clock
    from flowstone.actors.clock import Timer

__all__ = ["Rates"]

_MADE_UP: Final = 0.02  # Share of the period by which a turn may be late and is made up for.
_SOON: Final = 1e-9  # Seconds that are none: what is left of a delay when its timer has rung.


class _Rate:
    """One rate.

    Attributes:
        interval: Seconds between two turns.
        slack: Seconds by which a turn may be late and is made up for.
    """

    def __init__(self, clock: Clock) -> None:
        self.interval = self.slack = 0.0
        self._clock = clock
        self._next = -1e18  # When the next turn is.
        self._waiting: list[tuple[tuple[int, int], float, object, Callable[[], object]]] = []
        self._arrivals = count()
        self._turn: object = None  # Whose it is.
        self._asked = 0.0  # When it asked.
        self._timer: Timer | None = None
        self._serving = False

    def ask(self, who: object, priority: int, go: Callable[[], object]) -> None:
        entry = (-priority, next(self._arrivals)), self._clock.monotonic(), who, go
        insort(self._waiting, entry, key=itemgetter(0))
        self._serve()

    def started(self, who: object) -> None:
        if self._turn is not who:
            return
        self._turn, now = None, self._clock.monotonic()
        waited = self._asked < self._next
        at = max(self._next, now - self.slack) if waited else now
        self._next = at + self.interval
        self._serve()

    def withdraw(self, who: object) -> None:
        if self._turn is who:
            self._turn = None
        else:
            self._waiting = [entry for entry in self._waiting if entry[2] is not who]
        self._serve()

    def _serve(self) -> None:
        if self._serving:
            return  # By the loop below, which sees what has changed.
        self._serving = True
        try:
            while self._turn is None and self._timer is None and self._waiting:
                delay = self._next - self._clock.monotonic()
                if delay > _SOON:
                    self._timer = self._clock.call_later(delay, self._due)
                else:
                    _, self._asked, self._turn, go = self._waiting.pop(0)
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
        self._rates: dict[str, _Rate] = {}

    def define(self, rates: Iterable[tuple[str, int, float]]) -> None:
        """Have these rates: names, turns, seconds. Those that were there stay, for runs that know them."""
        for name, limit, per in rates:
            rate = self._rates.setdefault(name, _Rate(self._clock))
            rate.interval, rate.slack = per / limit, per * _MADE_UP

    def ask(self, name: str, who: object, priority: int, go: Callable[[], object]) -> None:
        """Call `go()` when it has the turn. It keeps it until it says that it has started, or withdraws."""
        self._rates[name].ask(who, priority, go)

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
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        rate.ask(mine, priority, lambda: mine.set_result(None))
        try:
            await mine
        except BaseException:
            rate.withdraw(mine)
            raise
        rate.started(mine)
        yield
