"""Which node drives an automation, where several share a store: one of them, until it is gone.

A node that is gone has stopped beating for a lease, as others have seen by their own clocks. Two that drive an
automation at a time, for a moment, do no harm: each change of it names the version that it was decided upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowstone.runs.automation import AutomationKey
    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.cluster import Notification

__all__ = ["Leadership", "subject_of"]


def subject_of(key: AutomationKey) -> str:
    """What an automation is called in notifications and duties."""
    return "/".join(key)


class Leadership:
    """Whether this node drives an automation.

    Args:
        ctx: What the runtime offers.
        key: Which automation.
    """

    def __init__(self, ctx: RuntimeContext, key: AutomationKey) -> None:
        self._ctx = ctx
        self._duty = f"automation:{subject_of(key)}"
        self._holder: str | None = None

    @property
    def held(self) -> bool:
        """Whether it does, as far as is known."""
        return self._ctx.store.cluster is None or self._holder == self._ctx.node

    async def take(self) -> bool:
        """Whether it does, after having asked for it if nobody does. Raises `StoreUnavailable`."""
        cluster = self._ctx.store.cluster
        if cluster is not None and not self.held and self.is_vacant:
            gone = self._holder
            self._holder = await cluster.take_duty(self._duty, self._ctx.node, gone)
        return self.held

    @property
    def is_vacant(self) -> bool:
        """Whether nobody drives it, as far as is known."""
        return self._holder is None or self._ctx.peers.gone(self._holder)

    def concerns(self, notification: Notification) -> bool:
        """Whether something that was heard may have made it vacant."""
        return notification.kind in {"nodes", "look"} and not self.held and self.is_vacant
