"""What each partition of an asset is drawn as: what is on record, and over it what is under way."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.calendar_partitions import DailyPartitions, MonthlyPartitions, WeeklyPartitions
from flowstone.assets.hourly_partitions import HourlyPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flowstone.assets.partition_set import PartitionSet
    from flowstone.runs.partition_states import PartitionStates
    from flowstone.runtime.runtime import Runtime

__all__ = ["counts_of", "overlaid", "shapes_of", "spans_of", "under_way", "unit_of"]

_SHAPES: Final[Mapping[Status, str]] = {
    Status.NEVER: "never",
    Status.SUCCEEDED: "ok",
    Status.FAILED: "fail",
    Status.SKIPPED: "skipd",
    Status.CANCELLED: "cancel",
    Status.REUSED: "ok",
    Status.RUNNING: "run",
    Status.QUEUED: "queue",
    Status.WAITING: "wait",
}
_UNITS: Final = (
    (DailyPartitions, "day"),
    (WeeklyPartitions, "week"),
    (MonthlyPartitions, "month"),
    (HourlyPartitions, "hour"),
)


async def under_way(runtime: Runtime) -> Mapping[str, Mapping[str | None, Status]]:
    """The steps that run, are to begin, or wait for something, by asset and encoded partition key."""
    found: dict[str, dict[str | None, Status]] = {}
    nodes = [node for node in await runtime.nodes() if node.alive]
    for node in nodes:
        for queued in node.queued:
            found.setdefault(queued.asset, {})[queued.partition_key] = Status.QUEUED
    for wait in await runtime.waits(limit=1000):
        key = None if wait.partition is None else encode_partition(wait.partition)
        found.setdefault(wait.asset, {})[key] = Status.WAITING
    for node in nodes:
        for running in node.running:
            found.setdefault(running.asset, {})[running.partition_key] = Status.RUNNING
    return found


def overlaid(
    states: PartitionStates, overlay: Mapping[str | None, Status], stale: Collection[str | None] = ()
) -> PartitionStates:
    """What is on record, over it which values are stale, and over that what is under way.

    Args:
        states: What is on record.
        overlay: What is under way, by encoded partition key.
        stale: The keys of stale values.
    """
    if not overlay and not stale:
        return states
    places = {key: place for place, key in enumerate(states.keys)}
    codes = bytearray(states.codes)
    for key in stale:
        place = places.get(key)
        if place is not None and codes[place] == _CURRENT:
            codes[place] = _STALE
    for key, status in overlay.items():
        if (place := places.get(key)) is not None:
            codes[place] = _STATUSES.index(status)
    return replace(states, codes=bytes(codes))


def shapes_of(codes: bytes) -> Sequence[str]:
    """The shape of each partition."""
    return [_CODED[code] for code in codes]


@lru_cache(maxsize=4096)
def spans_of(codes: bytes) -> tuple[tuple[str, int], ...]:
    """Neighbours of one shape together; most assets are alike, so that few are worked out."""
    return tuple((_CODED[code], sum(1 for _ in alike)) for code, alike in groupby(codes))


def counts_of(spans: Sequence[tuple[str, int]]) -> Mapping[str, int]:
    """How many there are of each shape."""
    counts: dict[str, int] = {}
    for shape, length in spans:
        counts[shape] = counts.get(shape, 0) + length
    return counts


def unit_of(partitions: PartitionSet[Any] | None) -> str:
    """What a partition of it is called."""
    return next((unit for kind, unit in _UNITS if isinstance(partitions, kind)), "partition")


_STATUSES: Final = tuple(Status)
_CURRENT: Final = _STATUSES.index(Status.SUCCEEDED)
_STALE: Final = len(_STATUSES)
_CODED: Final = (*(_SHAPES[status] for status in Status), "stale")
