"""Which node drives an automation, where several share a store: one of them, until it is gone.

A node that is gone has stopped beating for a lease, as others have seen by their own clocks. Two that drive an
automation at a time, for a moment, do no harm: each change of it names the version that it was decided upon.

A node hands over what it drives when it drains, and when another one with other code has defined it otherwise. The
latter is left for a while to whoever defines it so; if nobody drives it then, because that node has gone or drives
nothing, the node that takes it back defines it as it has it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from flowstone.runs.automation import duty_of, subject_of
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from flowstone.runs.automation import AutomationKey
    from flowstone.runtime.context import RuntimeContext

__all__ = ["ASKS_AGAIN", "Leadership"]

ASKS_AGAIN: Final = 60.0
"""Seconds after which a node asks again who drives an automation, though it has heard nothing."""

_YIELDS: Final = 2.0  # Leases for which a node leaves an automation to whoever defines it otherwise.


class Leadership:
    """Whether this node drives an automation.

    Args:
        ctx: What the runtime offers.
        key: Which automation.
    """

    def __init__(self, ctx: RuntimeContext, key: AutomationKey) -> None:
        self._ctx = ctx
        self._subject = subject_of(key)
        self._duty = duty_of(key)
        self._holder: str | None = None
        self._asked = -math.inf
        self._outages = 0
        self._may_hold = True  # A former incarnation may have taken it.
        self._yields_until = -math.inf  # By the monotonic clock.

    @property
    def held(self) -> bool:
        """Whether it does, as far as is known."""
        return self._ctx.store.cluster is None or self._holder == self._ctx.node

    async def take(self) -> bool:
        """Whether it does, after having asked for it if nobody does. Raises `StoreUnavailable`.

        It asks again when this node has been away, and once a minute: one that was taken for dead goes on until it
        hears that it was.
        """
        cluster = self._ctx.store.cluster
        now = self._ctx.clock.monotonic()
        outages = self._ctx.peers.outages
        if cluster is None or not (
            self.is_vacant or now - self._asked >= ASKS_AGAIN or outages != self._outages
        ):
            return self.held
        gone = self._holder if self.is_vacant else None
        self._holder = await cluster.take_duty(self._duty, self._ctx.node, gone)
        if self.is_vacant:  # That it is a node which is gone, was heard only now.
            self._holder = await cluster.take_duty(self._duty, self._ctx.node, self._holder)
        self._asked, self._outages = now, outages
        self._may_hold = self.held
        return self.held

    async def take_back(self) -> bool:
        """As `take`, unless it is left to others for a while."""
        return self._ctx.clock.monotonic() >= self._yields_until and await self.take()

    async def hand_over(self) -> None:
        """Let another node drive it, and say so. Raises `StoreUnavailable`."""
        cluster = self._ctx.store.cluster
        if cluster is None or not self._may_hold:
            return
        await cluster.give_up_duty(self._duty, self._ctx.node)
        self._holder, self._may_hold = None, False
        await cluster.tell(Notification("automation", self._subject))

    async def stand_back(self) -> None:
        """Hand it over to whoever defines it otherwise, and leave it to others for a while."""
        self._yields_until = self._ctx.clock.monotonic() + _YIELDS * self._ctx.settings.lease
        await self.hand_over()

    @property
    def patience(self) -> float:
        """Seconds after which to ask again, though nothing was heard."""
        left = self._yields_until - self._ctx.clock.monotonic()
        return left if 0 < left < ASKS_AGAIN else ASKS_AGAIN

    def ask_again(self) -> None:
        """It may have changed hands though whoever had it is still there: `take` asks."""
        self._asked = -math.inf

    @property
    def is_vacant(self) -> bool:
        """Whether nobody drives it, as far as is known."""
        return self._holder is None or self._ctx.peers.gone(self._holder)

    def concerns(self, notification: Notification) -> bool:
        """Whether something that was heard may have made it vacant."""
        return notification.kind in {"nodes", "look"} and not self.held and self.is_vacant
