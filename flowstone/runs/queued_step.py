"""What a step waits for that was to begin and has not. It is said by its node, and recorded nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from flowstone.counting import count_of
from flowstone.frozen import frozen
from flowstone.runs.step_on_node import StepOnNode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.pools import Pool

__all__ = ["QueuedStep", "WaitsFor"]

WaitsFor: TypeAlias = Literal["pool", "rate", "place", "slot", "alone"]


@frozen
class QueuedStep(StepOnNode):
    """A step that begins as soon as it may, as its node last said.

    Attributes:
        run_id: Its run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The attempt's number, from 1.
        node: The node that is to execute it.
        waits_for: For slots of a `pool`; for its turn of a `rate`; for a `place` among the steps of its run
            (`max_parallel`), with all it needs of pools; or for a `slot` of its node (`max_concurrency`). Or a step
            that was in flight when its node was lost runs `alone`: this one, or the one of `names`.
        names: The names of these pools, of the rate, or of the step that runs alone.
    """

    waits_for: WaitsFor
    names: tuple[str, ...] = ()

    def told(self, pools: Mapping[str, Pool]) -> str:
        """What it waits for in words, with how full these pools are, by name."""
        match self.waits_for:
            case "pool":
                return " and ".join(_pool_label(name, pools.get(name)) for name in self.names)
            case "rate":
                return f"rate {self.names[0]}"
            case "alone" if self.names:
                return f"{self.names[0]}, which was in flight when its node was lost, to end alone"
            case "alone":
                return (
                    "all that runs on its node to end, to run alone: it was in flight when its node was lost"
                )
            case "place":
                return "another step of its run to end"
            case _:
                return "a slot of its node"


def _pool_label(name: str, pool: Pool | None) -> str:
    if pool is None:
        return f"pool {name}"
    return f"pool {name} ({count_of(pool.taken, pool.slots, 'slot')} taken)"
