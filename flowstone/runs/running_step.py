"""What is known of a step while it runs. It is said by its node, and recorded nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["RunningStep"]


@frozen
class RunningStep:
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
    """

    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    node: str
    started_at: datetime
    fraction: float | None = None
    message: str | None = None

    @property
    def partition(self) -> Any:
        """The partition as a Python value, or None."""
        return None if self.partition_key is None else decode_partition(self.partition_key)

    @property
    def name(self) -> str:
        """`asset`, or `asset[2025-01-15]` where there is a partition: as people write it."""
        return step_label(self.asset, self.partition_key)
