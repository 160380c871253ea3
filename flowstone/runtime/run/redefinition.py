"""Whether a run that was asked for earlier still makes sense by the definitions of today.

Between the request and the run, or the rest of it, somebody may have deployed: the asset may be partitioned now
or no longer, or its set may have lost the key. To run such a step for no partition, or for one that is not
there, would make a wrong value current; so the run fails instead, and says what has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import partition_label
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import DefinitionError, PartitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import RunSpec

__all__ = ["check_known", "check_request"]

_SHOWN = 5


def check_known(view: PartitionView, request: RunSpec, pipeline: str) -> None:
    """Check that the assets are still there.

    Raises:
        DefinitionError: One is not.
    """
    for asset in request.targets:
        if asset not in view.graph:
            raise DefinitionError(
                f"The pipeline {pipeline!r} has no asset {asset!r} any more: define it again, or ask for "
                f"another one."
            )


def check_request(view: PartitionView, request: RunSpec) -> None:
    """Check the partitions of a request against the sets of its targets as they are declared now.

    Raises:
        PartitionError: They do not fit; the message says what has changed since.
    """
    asked = request.span or request.keys
    _check_asset(view, request, request.asset, asked)
    for asset, share in request.beside.items():
        if share != "needed":
            _check_asset(view, request, asset, asked if share == "same" else (None,), own=False)


def _check_asset(
    view: PartitionView, request: RunSpec, asset: str, asked: Sequence[str | None], *, own: bool = True
) -> None:
    keys = view.set_of(asset)
    if keys is None:
        if any(key is not None for key in asked):
            _check_whole(request, asset)
        return
    if None in asked:
        raise PartitionError(
            f"Asset {asset!r} is partitioned by {keys!r} since, and was asked for without a partition: "
            f"ask for it again, at one of them."
        )
    if own or not isinstance(keys, TimePartitions):  # Of periods a further target has those that it has.
        _check_keys(asset, keys, [decode_partition(key) for key in asked if key is not None])


def _check_whole(request: RunSpec, asset: str) -> None:
    """Check that no partition is asked for that was one of a set: without a set, an asset takes any key."""
    if not request.partitioned and request.span is None:
        return
    keys = [partition_label(decode_partition(key)) for key in request.span or request.keys if key is not None]
    if keys:
        asked = f"{keys[0]} to {keys[1]}" if request.span is not None else _some(keys)
        were = "was" if len(keys) == 1 else "were"
        raise PartitionError(
            f"Asset {asset!r} has no partitions any more, and {asked} of it {were} asked for: "
            f"ask for it again."
        )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:_SHOWN]) + (f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")


def _check_keys(asset: str, keys: PartitionSet[Any], asked: Sequence[Any]) -> None:
    gone = [partition_label(key) for key in asked if keys.position_of(key) is None]
    if gone:
        raise PartitionError(
            f"Asset {asset!r} is partitioned by {keys!r}, which has no {_some(gone)} any more: ask for it again."
        )
