"""What is known of a step while it runs. It is said by its node, and recorded nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen
from flowstone.runs.step_on_node import StepOnNode

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["RunningStep"]


@frozen
class RunningStep(StepOnNode):
    """A step that runs, as its node last said.

    Attributes:
        run_id: Its run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The attempt's number, from 1.
        node: The node that executes it.
        started_at: When the attempt started (aware, UTC), by the node's clock.
        fraction: How much of it is done, from 0 to 1, as `context.progress` said last; None if it said nothing.
        message: What it said with that, or None.
        alone: Whether nothing else begins on its node until it has ended: it was in flight when its node was lost.
    """

    started_at: datetime
    fraction: float | None = None
    message: str | None = None
    alone: bool = False
