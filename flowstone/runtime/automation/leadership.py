"""Which node drives an automation, where several share a store: one of them, until it is gone.

A node that is gone has stopped beating for a lease, as others have seen by their own clocks. Two that drive an
automation at a time, for a moment, do no harm: each change of it names the version that it was decided upon.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from flowstone.runs.automation import duty_of

if TYPE_CHECKING:
    from flowstone.runs.automation import AutomationKey
    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.cluster import Notification

__all__ = ["ASKS_AGAIN", "Leadership"]

ASKS_AGAIN: Final = 60.0
"""Seconds after which a node asks again who drives an automation, though it has heard nothing."""


class Leadership:
    """Whether this node drives an automation.

    Args:
        ctx: What the runtime offers.
        key: Which automation.
    """

    def __init__(self, ctx: RuntimeContext, key: AutomationKey) -> None:
        self._ctx = ctx
        self._duty = duty_of(key)
        self._holder: str | None = None
        self._asked = -math.inf
        self._outages = 0

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
        return self.held

    async def give_up(self) -> None:
        """Let another node drive it. Raises `StoreUnavailable`."""
        cluster = self._ctx.store.cluster
        if cluster is not None and self.held:
            await cluster.give_up_duty(self._duty, self._ctx.node)
        self._holder = None

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
