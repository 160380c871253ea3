"""Pools and rates of a `SharedMemory`, in the order and by the rules of the functions in the database."""

from __future__ import annotations

from dataclasses import dataclass

from flowstone.runs.audit import AuditTarget
from flowstone.runs.pools import Pool
from flowstone.store.cluster import Notification
from flowstone.store.pools import Granted
from flowstone.store.rates import Reserved

__all__ = ["SharedSlots", "SharedTurns"]


@dataclass
class _Pool:
    """A pool: its slots as nodes define it, and as somebody set them."""

    defined: int
    set_slots: int | None = None

    @property
    def slots(self):
        return self.defined if self.set_slots is None else self.set_slots


@dataclass
class _Claimed:
    """A claim to slots."""

    node: str
    claim: object
    rank: tuple
    granted: bool = False
    known: bool = False

    @property
    def pools(self):
        return dict(self.claim.pools)


class SharedSlots:
    """The pools, by one connection."""

    def __init__(self, store):
        self._store = store
        self.shared = store.shared

    async def set(self, name, slots, *, defined, act=None):
        await self._store._pass("set")
        pool = self.shared.pools.setdefault(name, _Pool(defined))
        if act is not None and pool.set_slots != slots:
            target = AuditTarget(name=name)
            self.shared.history.audit.add("pool.changed", act, target, {"slots": slots})
        pool.set_slots = slots
        self._serve([name], None)

    async def given(self):
        await self._store._pass("given")
        pools = self.shared.pools.items()
        return {name: pool.set_slots for name, pool in pools if pool.set_slots is not None}

    async def define(self, node_id, pools):
        await self._store._pass("define")
        if node_id not in self.shared.nodes:
            return None
        before = self.shared.definitions.get(node_id, {})
        self.shared.definitions[node_id] = dict(pools)
        if not pools:
            del self.shared.definitions[node_id]
        for name, slots in pools:
            self.shared.pools.setdefault(name, _Pool(slots))
        self._redefine([*before, *dict(pools)])
        return self.shared.fences.get(node_id, 0)

    async def exchange(self, node_id, fence, *, asked=(), over=(), known=(), pools=()):
        await self._store._pass("exchange")
        here = self.shared.fences.get(node_id, 0) if node_id in self.shared.nodes else None
        if here != fence:
            return Granted(here, {})
        self.shared.claims = [
            each for each in self.shared.claims if each.node != node_id or each.claim.number not in over
        ]
        mine = {each.claim.number: each for each in self.shared.claims if each.node == node_id}
        for number in known:
            if number in mine:
                mine[number].known = True
        for claim in sorted(asked, key=lambda claim: claim.number):
            if claim.number not in mine:
                rank = (-claim.priority, next(self.shared.arrivals))
                self.shared.claims.append(_Claimed(node_id, claim, rank))
        self.shared.claims.sort(key=lambda each: each.rank)
        self._serve({*pools, *(name for claim in asked for name, _ in claim.pools)}, node_id)
        mine = (each for each in self.shared.claims if each.node == node_id)
        news = (each.claim for each in mine if each.granted and not each.known)
        return Granted(here, {claim.number: tuple(sorted(name for name, _ in claim.pools)) for claim in news})

    async def forget(self, node_id):
        await self._store._pass("forget")
        self.free(node_id)

    def free(self, node_id):
        """Take from a node that is gone what it holds, wants and defines."""
        had = [name for each in self.shared.claims if each.node == node_id for name in each.pools]
        concerned = [*had, *self.shared.definitions.pop(node_id, {})]
        if concerned:
            self.shared.fences[node_id] = self.shared.fences.get(node_id, 0) + 1
            self.shared.claims = [each for each in self.shared.claims if each.node != node_id]
            self._redefine(concerned)

    async def differences(self, names):
        await self._store._pass("differences")
        told = {name: self._definitions(name) for name in names}
        return {name: (min(of), max(of)) for name, of in told.items() if of and min(of) != max(of)}

    async def show(self, names):
        await self._store._pass("show")
        shown = {*names, *(name for each in self.shared.definitions.values() for name in each)}
        shown |= {name for each in self.shared.claims for name in each.pools}
        pools = sorted(self.shared.pools.items())
        return [self._shown(name) for name, pool in pools if name in shown or pool.set_slots is not None]

    def _shown(self, name):
        of = [each for each in self.shared.claims if name in each.pools]
        held = sorted((each for each in of if each.granted), key=lambda each: each.rank[1])
        holders = tuple(f"{each.claim.step} of run {each.claim.run_id}" for each in held)
        return Pool(name, self._slots(name), self._taken(name), len(of) - len(held), holders)

    def _definitions(self, name):
        return [each[name] for each in self.shared.definitions.values() if name in each]

    def _redefine(self, names):
        for name in names:
            numbers = self._definitions(name)
            if numbers:
                self.shared.pools[name].defined = min(numbers)
        self._serve(names, None)

    def _slots(self, name):
        return self.shared.pools[name].slots if name in self.shared.pools else 0

    def _taken(self, name):
        return sum(each.pools.get(name, 0) for each in self.shared.claims if each.granted)

    # Who is next --------------------------------------------------------------------------------------------

    def _serve(self, names, caller):
        """Give what is free of these pools to those whose turn it is, and tell their nodes."""
        locked = [name for name in sorted(set(names)) if name in self.shared.pools]
        told = set()
        again = bool(self.shared.claims)
        while again:
            again = False
            for name in sorted(locked):
                while (head := self._head(name)) is not None:
                    more = [other for other in head.pools if other not in locked]
                    locked += more
                    again = again or bool(more)
                    if not self._may_have(head):
                        break
                    head.granted = again = True
                    told.add(head.node)
        for node_id in sorted(told - {caller}):
            self.shared.tell(Notification("pool", node_id))

    def _head(self, name):
        """Who is first in the line of a pool of which something is free."""
        if self._taken(name) >= self._slots(name):
            return None
        return next((each for each in self.shared.claims if self._waits_for(each, name)), None)

    def _waits_for(self, each, name):
        """Whether a claim is in the line of a pool, and does not ask for more than there is."""
        pools = each.pools
        return not each.granted and name in pools and all(n <= self._slots(of) for of, n in pools.items())

    def _may_have(self, head):
        """Whether all that it asks for is free, and nobody is before it."""
        return all(
            self._taken(name) + slots <= self._slots(name)
            and next(each for each in self.shared.claims if self._waits_for(each, name)) is head
            for name, slots in head.pools.items()
        )


class SharedTurns:
    """The rates, by one connection."""

    def __init__(self, store):
        self._store = store

    async def reserve(self, wanted):
        await self._store._pass("reserve")
        return [self._reserve(each) for each in sorted(wanted, key=lambda each: each.rate)]

    def _reserve(self, wanted):
        shared = self._store.shared
        now = shared.now().timestamp()
        ahead = max(2 * wanted.gap, 2.0)
        at = min(shared.turns.get(wanted.rate, 0.0), now + 2 * ahead)
        shared.turns[wanted.rate] = at
        at = max(at, now + wanted.lead)
        if at > now + ahead:
            return Reserved(wanted.rate, now, at - ahead / 2, 0)
        if wanted.count > 0:
            shared.turns[wanted.rate] = at + wanted.count * wanted.gap
            return Reserved(wanted.rate, now, at, wanted.count)
        return Reserved(wanted.rate, now, at - ahead / 2, 0)
