"""How far the window of a run has come in the plan of each asset."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowstone.runs.plan import AssetPlan

__all__ = ["AssetCursor"]


class AssetCursor:
    """How far the window has come in one asset's plan.

    Attributes:
        plan: The asset's plan.
        position: All steps before it have been examined.
        end: The number after the last step.
        live: How many steps are live.
        deferred: How many steps are deferred.
        queued: Whether it is about to be moved; at the beginning all are.
    """

    __slots__ = ("deferred", "end", "live", "plan", "position", "queued")

    def __init__(self, plan: AssetPlan, *, walked: bool) -> None:
        self.plan = plan
        self.position = plan.end if walked else plan.offset
        self.end = plan.end
        self.live = 0
        self.deferred = 0
        self.queued = not walked

    def counterpart(self, upstream: AssetCursor, step: int) -> int | None:
        """The only step of this asset that may depend on a step of that one; None if there may be several."""
        for edge in self.plan.edges:
            if edge.upstream is upstream.plan and edge.aligned:
                return step - upstream.plan.offset + self.plan.offset
        return None
