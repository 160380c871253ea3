"""Pools: slots with a name, which steps of all runs take while they run.

Whoever asks gets all it asks for or nothing, so two that ask for the same pools never wait for each other. Waiters
are served by priority, then in the order they came. One that cannot be served yet keeps those behind it out of the
pools it asks for, or one that needs several slots would wait for ever; they pass it in every other pool. One that
asks for more than there is at present keeps nobody waiting. One whose run is waited for by the holders of what it
asks for would wait for ever, and is refused.

Those who ask for the same wait in one line, of which only the first is looked at: if it cannot be served, nor can
those behind it. So it does not matter how many wait.

`Pools` are those of one process. Where several nodes share a store, `runtime/cluster/node_pools.py` stands in their
place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from flowstone.counting import are, count
from flowstone.runs.pools import Pool
from flowstone.runtime.services.line import Line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from flowstone.runs.audit import Act
    from flowstone.store.pools import PoolSlots

__all__ = ["Above", "AnyPools", "PoolUser", "Pools", "nothing_above", "refusal"]

_Waiter: TypeAlias = "tuple[PoolUser, Callable[[], None]]"


class PoolUser(Protocol):
    """What takes slots of pools.

    Attributes:
        pools: Which, and how many of each.
        pooled: Whether it holds them; set by the pools alone.
        priority: Higher ones are served first.
        run_id: The run that it is of.
    """

    pools: tuple[tuple[str, int], ...]
    pooled: bool
    priority: int
    run_id: str

    @property
    def name(self) -> str: ...

    def slots_lost(self) -> None:
        """What it holds was taken from it, and somebody else may hold it."""

    def slots_refused(self, why: str) -> None:
        """It would never get what it asks for: it asks for nothing any more, and fails."""


Above = Callable[[str], Mapping[str, int]]
"""The slots of pools that are held by those who wait for the end of a run, by its id."""


def refusal(user: PoolUser, above: Mapping[str, int], slots: Callable[[str], int]) -> str | None:
    """Why somebody would wait for ever, if it would: those who wait for its run hold what it asks for.

    Args:
        user: Who asks.
        above: What those hold.
        slots: How many slots a pool has.
    """
    for name, asked in user.pools:
        held, there = above.get(name, 0), slots(name)
        if held and asked <= there < held + asked:
            return (
                f"WaitsForItself: {user.name} needs {asked:,} of the {count(there, 'slot')} of the pool {name!r}, "
                f"and {held:,} {are(held)} held by what waits for run {user.run_id}: give the pool more slots, or "
                f"start that run from an asset that holds none."
            )
    return None


def nothing_above(run_id: str) -> Mapping[str, int]:
    """Nobody waits for any run."""
    del run_id
    return {}


class AnyPools(Protocol):
    """The pools of a runtime, whoever else shares them.

    Attributes:
        above: Set by whoever knows who waits for what.
    """

    above: Above

    async def begin(self) -> None:
        """Learn what is known of them. Raises `StoreUnavailable`."""

    def define(self, slots: Iterable[tuple[str, int]]) -> None:
        """Have these pools. Those that were there stay: runs that were planned before take slots of them."""

    def ask(self, user: PoolUser, granted: Callable[[], None]) -> None:
        """Call `granted()` when it holds what it asks for, now or later, unless it withdraws before."""

    def release(self, user: PoolUser) -> None:
        """It needs them no more; they go to whoever is next."""

    def withdraw(self, user: PoolUser) -> None:
        """It does not want them any more, whether it holds them or waits."""

    def look_again(self) -> None:
        """Somebody waits for a run now: refuse those who would wait for what that holds."""

    async def set(self, name: str, slots: int | None, act: Act | None = None) -> None:
        """Give a pool another number of slots, or as many as it is defined with. Whoever holds one keeps it.

        `act`: who does it, for the audit log.
        """

    async def show(self, names: Collection[str]) -> Sequence[Pool]:
        """Pools as they are now: these at least, by name."""


class Pools(AnyPools):
    """The pools of one runtime, and who holds slots of them.

    Args:
        kept: Where the numbers of slots are kept that are set at run time.
    """

    def __init__(self, kept: PoolSlots | None = None) -> None:
        self.above: Above = nothing_above
        self._kept = kept
        self._defined: dict[str, int] = {}
        self._set: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._holders: dict[int, PoolUser] = {}
        self._lines: dict[
            tuple[tuple[str, int], ...], Line[_Waiter]
        ] = {}  # By what they ask for; none is empty.
        self._arrivals = itertools.count()
        self._serving = False

    async def begin(self) -> None:
        if self._kept is not None:
            self._set.update(await self._kept.given())

    def define(self, slots: Iterable[tuple[str, int]]) -> None:
        self._defined.update(slots)
        self._serve()

    async def set(self, name: str, slots: int | None, act: Act | None = None) -> None:
        if self._kept is not None:
            await self._kept.set(name, slots, defined=self._defined.get(name, 0), act=act)
        self.give(name, slots)

    def give(self, name: str, slots: int | None) -> None:
        """As `set`, and nothing is kept."""
        if slots is None:
            self._set.pop(name, None)
        else:
            self._set[name] = slots
        self._serve()

    def slots(self, name: str) -> int:
        """How many slots a pool has."""
        return self._set.get(name) or self._defined.get(name, 0)

    def ask(self, user: PoolUser, granted: Callable[[], None]) -> None:
        why = refusal(user, self.above(user.run_id), self.slots)
        if why is not None:
            user.slots_refused(why)
            granted()
            return
        line = self._lines.get(user.pools)
        if line is None:
            line = self._lines[user.pools] = Line(self._arrivals)
        line.add(user, user.priority, (user, granted))
        self._serve()

    def look_again(self) -> None:
        for user, granted in [waiter for line in self._lines.values() for waiter in line]:
            why = refusal(user, self.above(user.run_id), self.slots)
            if why is not None:
                self.withdraw(user)
                user.slots_refused(why)
                granted()

    def release(self, user: PoolUser) -> None:
        if self._holders.pop(id(user), None) is None:
            return
        user.pooled = False
        for name, slots in user.pools:
            self._taken[name] -= slots
        self._serve()

    def withdraw(self, user: PoolUser) -> None:
        if user.pooled:
            self.release(user)
            return
        line = self._lines.get(user.pools)
        if line is not None and line.remove(user):
            self._drop_empty(user.pools)
            self._serve()

    async def show(self, names: Collection[str]) -> Sequence[Pool]:
        return [self.shown(name) for name in sorted(names)]

    def shown(self, name: str) -> Pool:
        """A pool as it is now."""
        holders = [
            f"{user.name} of run {user.run_id}" for user in self._holders.values() if name in dict(user.pools)
        ]
        waiting = sum(len(line) for pools, line in self._lines.items() if name in dict(pools))
        return Pool(name, self.slots(name), self._taken.get(name, 0), waiting, tuple(holders))

    def _serve(self) -> None:
        """Give what is free to those whose turn it is."""
        if self._serving:
            return  # Whoever is being served has given something back: the loop below sees it.
        self._serving = True
        try:
            while (line := self._next()) is not None:
                user, granted = line.pop()
                self._drop_empty(user.pools)
                user.pooled = True
                self._holders[id(user)] = user
                for name, slots in user.pools:
                    self._taken[name] = self._taken.get(name, 0) + slots
                granted()
        finally:
            self._serving = False

    def _next(self) -> Line[_Waiter] | None:
        """The line of the first one that can be served; None if there is none."""
        kept_out: set[str] = set()
        for pools, line in sorted(self._lines.items(), key=lambda each: each[1].rank):
            if any(slots > self.slots(name) for name, slots in pools):
                continue
            names = [name for name, _ in pools]
            if kept_out.isdisjoint(names) and all(
                self._taken.get(name, 0) + slots <= self.slots(name) for name, slots in pools
            ):
                return line
            kept_out.update(names)
        return None

    def _drop_empty(self, pools: tuple[tuple[str, int], ...]) -> None:
        if not self._lines[pools]:
            del self._lines[pools]
