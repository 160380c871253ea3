"""Which attempt of which step a node speaks of: what it says of those that run and of those that wait has this."""

from __future__ import annotations

from typing import Any

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen

__all__ = ["StepOnNode"]


@frozen
class StepOnNode:
    """An attempt of a step, and its node.

    Attributes:
        run_id: Its run.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: The attempt's number, from 1.
        node: The node that executes it, or is to.
    """

    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    node: str

    @property
    def partition(self) -> Any:
        """The partition as a Python value, or None."""
        return None if self.partition_key is None else decode_partition(self.partition_key)

    @property
    def name(self) -> str:
        """`asset`, or `asset[2025-01-15]` where there is a partition: as people write it."""
        return step_label(self.asset, self.partition_key)
