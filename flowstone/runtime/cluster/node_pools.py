"""Pools that all nodes of a store share, as one node has them.

Who holds a slot and who is next is decided in the store. What steps of this node ask for and give back within a
turn of the loop goes there in one call; while one is under way, the next one gathers. The answer says what was
granted. A slot that comes free on another node is granted there, and a notification tells this one to ask. For the
case that it was lost, a node with waiting steps also asks once a second. That takes no lock, but for those that
wait for several pools.

A call that breaks off may still be done, even after what it asks for has been given back. Then nobody here knows of
what is granted, and it is given back once more. So a node asks for a while after such a call.

If somebody took this node for dead, its claims were taken from it and its fence has moved. Steps that held slots
are stopped here then, as if the node were being shut down, and run again when they have slots. Those that waited
ask again.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from flowstone.counting import count
from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.services.notifications import Wakeup
from flowstone.runtime.services.pools import Above, AnyPools, nothing_above, refusal
from flowstone.store.pools import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from flowstone.alarms import Alarms
    from flowstone.runs.audit import Act
    from flowstone.runs.pools import Pool
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.services.pools import PoolUser
    from flowstone.store.cluster import Notification
    from flowstone.store.pools import Granted, PoolSlots, SharedPools

__all__ = ["NodePools", "PoolExchange"]

_LOOKS: Final = 60  # How often a node looks, once a second, what became of a call that broke off.


class _Asked:
    """Somebody who holds slots or waits for them.

    Attributes:
        sent: Whether the store may know of the claim.
        holds: Whether it is known to be granted.
    """

    __slots__ = ("claim", "granted", "holds", "sent", "user")

    def __init__(self, claim: Claim, user: PoolUser, granted: Callable[[], None]) -> None:
        self.claim = claim
        self.user = user
        self.granted = granted
        self.sent = self.holds = False


class NodePools(AnyPools):
    """The claims of one node. It is the same object for as long as the runtime lives, whatever is restarted.

    Args:
        node: The node.
        shared: Where all nodes meet.
        kept: Where the numbers of slots are kept that are set at run time.
        alarms: Where it is said that nodes do not agree.

    Attributes:
        wake: Called when there is something to be said to the store; it is to be followed by `exchange`.
    """

    def __init__(self, node: str, shared: SharedPools, kept: PoolSlots, alarms: Alarms) -> None:
        self.above: Above = nothing_above
        self.wake = Wakeup()
        self._node = node
        self._shared = shared
        self._kept = kept
        self._alarms = alarms
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}  # By the number of the claim, in their order.
        self._of: dict[int, _Asked] = {}  # By the identity of the user.
        self._waiting: dict[int, _Asked] = {}
        self._together: dict[int, _Asked] = {}  # Those of them that wait for several pools.
        self._doubtful: dict[int, _Asked] = {}  # Those that may wait for what is held for their run.
        self._new: dict[int, _Asked] = {}  # Not sent yet, or to be sent again.
        self._over: dict[int, tuple[str, ...]] = {}  # Given back, with their pools.
        self._known: dict[int, None] = {}
        self._looked: set[str] | None = None  # Pools that are to be looked at; None: there is no need to ask.
        self._definitions: dict[str, int] = {}
        self._defined: dict[str, int] | None = {}  # As the store knows them; None: nobody knows.
        self._fence: int | None = None
        self._looks = 0  # How often it looks for a call that broke off.

    # What steps want ----------------------------------------------------------------------------------------

    def define(self, slots: Iterable[tuple[str, int]]) -> None:
        """Have these pools, of which runs that were planned before may have more: the store forgets none."""
        self._definitions = dict(slots)
        self.wake()

    def ask(self, user: PoolUser, granted: Callable[[], None]) -> None:
        number = next(self._numbers)
        claim = Claim(number, user.pools, user.priority, user.run_id, user.name)
        asked = _Asked(claim, user, granted)
        self._asked[number] = self._new[number] = self._waiting[number] = self._of[id(user)] = asked
        if len(claim.pools) > 1:
            self._together[number] = asked
        self._doubt(asked)
        self.wake()

    def look_again(self) -> None:
        for asked in self._waiting.values():
            self._doubt(asked)
        if self._doubtful:
            self.wake()

    def _doubt(self, asked: _Asked) -> None:
        above = self.above(asked.user.run_id)
        if above and any(name in above for name, _ in asked.claim.pools):
            self._doubtful[asked.claim.number] = asked

    def release(self, user: PoolUser) -> None:
        self.withdraw(user)

    def withdraw(self, user: PoolUser) -> None:
        asked = self._of.pop(id(user), None)
        user.pooled = False
        if asked is None:
            return
        number = asked.claim.number
        del self._asked[number]
        for each in (self._new, self._waiting, self._together, self._doubtful, self._known):
            each.pop(number, None)
        if asked.sent:
            self._over[number] = tuple(name for name, _ in asked.claim.pools)
            self.wake()

    async def set(self, name: str, slots: int | None, act: Act | None = None) -> None:
        await self._kept.set(name, slots, defined=self._definitions.get(name, 0), act=act)

    async def show(self, names: Collection[str]) -> Sequence[Pool]:
        return await self._shared.show(names)

    # What the store says ------------------------------------------------------------------------------------

    async def begin(self) -> None:
        if self._definitions:
            await self._define()

    def heard(self, notification: Notification) -> None:
        """Claims of this node may be granted by now, or may be if its pools are looked at together."""
        looks = notification.kind == "look"
        if not (looks or notification.subject == self._node):
            return
        if self._waiting or self._over or self._looks or not looks:
            # Claims to several pools may have to be served here; all others are, by whoever frees a slot.
            self._look_at({name for asked in self._together.values() for name, _ in asked.claim.pools})
            self.wake()
        if looks and self._looks:
            self._looks -= 1

    def _look_at(self, names: Iterable[str]) -> None:
        self._looked = (self._looked or set()).union(names)

    async def exchange(self) -> None:
        """Say what is new, and let those go on that have got what they wait for. Raises `StoreUnavailable`."""
        if self._fence is None or self._defined != self._definitions:
            await self._define()
        if self._doubtful:
            await self._refuse()
        if not (self._new or self._over or self._looked is not None) or self._fence is None:
            return
        new, over, known = tuple(self._new.values()), dict(self._over), tuple(self._known)
        looked, self._looked = self._looked, None
        for asked in new:
            asked.sent = True
        concerned = set(looked or ()).union(*over.values())
        try:
            answer = await self._shared.exchange(
                self._node,
                self._fence,
                asked=[asked.claim for asked in new],
                over=tuple(over),
                known=known,
                pools=concerned,
            )
        except BaseException:
            self._look_at(looked or ())
            self._looks = _LOOKS
            raise
        if answer.fence != self._fence:
            self._lose(answer.fence)
            return
        self._said(new, over, known)
        self._grant(answer)

    def _said(self, new: Iterable[_Asked], over: Iterable[int], known: Iterable[int]) -> None:
        for asked in new:
            self._new.pop(asked.claim.number, None)
        for number in over:
            self._over.pop(number, None)
        for number in known:
            self._known.pop(number, None)

    async def _refuse(self) -> None:
        """Refuse those who would wait for ever; how many slots there are, the store knows."""
        doubtful = dict(self._doubtful)
        names = {name for asked in doubtful.values() for name, _ in asked.claim.pools}
        slots = {pool.name: pool.slots for pool in await self._shared.show(names)}
        for number, asked in doubtful.items():
            if self._doubtful.pop(number, None) is None:
                continue
            why = refusal(asked.user, self.above(asked.user.run_id), lambda name: slots.get(name, 0))
            if why is not None:
                self.withdraw(asked.user)
                asked.user.slots_refused(why)
                asked.granted()

    def _grant(self, answer: Granted) -> None:
        for number in sorted(answer.claims):
            asked = self._asked.get(number)
            if asked is None:
                self._over[number] = answer.claims[number]
                self.wake()
                continue
            self._known[number] = None
            if not asked.holds:
                asked.holds = asked.user.pooled = True
                self._waiting.pop(number)
                self._together.pop(number, None)
                self._doubtful.pop(number, None)
                asked.granted()

    async def _define(self) -> None:
        definitions = dict(self._definitions)
        fence = await self._shared.define(self._node, definitions.items())
        if self._fence is None:
            self._fence = fence
        elif fence != self._fence:
            self._lose(fence)
        self._defined = None if fence is None else definitions
        differences = await self._shared.differences(definitions)
        for name in definitions:
            if name not in differences:
                self._alarms.clear(f"pool {name}", "all nodes define it alike")
                continue
            fewest, most = differences[name]
            words = (
                f"nodes define it with {count(fewest, 'slot')} and with {most:,}: the smallest number counts"
            )
            self._alarms.set(f"pool {name}", words)

    def _lose(self, fence: int | None) -> None:
        """This node has no claims any more."""
        lost = tuple(self._asked.values())
        claims = (self._asked, self._waiting, self._together, self._doubtful, self._new)
        for each in (*claims, self._of, self._over, self._known):
            each.clear()
        self._fence, self._defined = fence, None
        for asked in lost:
            if asked.holds:
                asked.user.pooled = False
                asked.user.slots_lost()
            else:
                self.ask(asked.user, asked.granted)
        self.wake()


class PoolExchange(Poller):
    """The process that makes the calls."""

    kinds = ("pool", "look")
    unanswered = "it does not say which slots of pools this node has"

    def __init__(self, ctx: RuntimeContext, pools: NodePools) -> None:
        super().__init__(ctx)
        self._pools = pools
        self._wake = pools.wake

    def _heard(self, notification: Notification) -> None:
        self._pools.heard(notification)

    async def _poll(self) -> None:
        await self._pools.exchange()
