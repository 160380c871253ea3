"""What becomes of a step in the runs that other nodes drive, or that nobody drives yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.assets.partition_keys import decode_partition
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import RunRequest, StepKey
    from flowstone.store.protocol import Store

__all__ = ["status_elsewhere"]


async def status_elsewhere(store: Store, view: PartitionView, key: StepKey) -> Status | None:
    """`running` if the step has begun in an unfinished run, `queued` if one was asked for it, else None.

    A step upstream of what a run was asked for is not known before it begins: only its owner has the plan.
    """
    if store.cluster is None:
        return None
    found = await store.cluster.under_way(key)
    if any(begun for _, begun in found):
        return Status.RUNNING
    return Status.QUEUED if any(_asks_for(run.request, view, key) for run, _ in found) else None


def _asks_for(request: RunRequest, view: PartitionView, key: StepKey) -> bool:
    asset, partition_key = key
    if request.asset != asset:
        return False
    if request.span is None or partition_key is None:
        return partition_key in request.keys
    keys = view.set_of(asset)
    if keys is None:
        return False
    first, last = (decode_partition(end) for end in request.span)
    return decode_partition(partition_key) in keys.between(first, last)
