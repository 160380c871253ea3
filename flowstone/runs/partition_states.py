"""What has become of all partitions of an asset, as few bytes as that takes."""

from __future__ import annotations

from dataclasses import field
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

from flowstone.frozen import frozen
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["PartitionCounts", "PartitionStates", "Skips", "StatusCounts", "counts_of", "states_of"]

_CODES: Final = tuple(Status)
_NUMBERS: Final[Mapping[Status, int]] = {status: number for number, status in enumerate(_CODES)}


StatusCounts: TypeAlias = "Mapping[Status, tuple[int, int]]"
"""Of each status how many partitions there are whose newest record says so, and how many of these have a value."""

Skips: TypeAlias = "Mapping[str | None, Sequence[str | None]]"
"""Keys that were skipped last and have no value, by the step that was the cause; None: by choice."""


@frozen
class PartitionCounts:
    """How many partitions of an asset stand how.

    Attributes:
        asset: The asset's name.
        total: How many partitions there are; without a partition set how many have a record, at least 1.
        have: How many have a current value, also if they have failed since.
        counts: How many there are of each status.
    """

    asset: str
    total: int
    have: int
    counts: Mapping[Status, int]


def counts_of(asset: str, total: int | None, known: StatusCounts) -> PartitionCounts:
    """From what a store counts: a failure says more than a value, and a value more than a skip.

    Args:
        asset: The asset's name.
        total: How many partitions its set has, or None without one.
        known: What the store counts; `succeeded` are all that have a current value.
    """
    have = known.get(Status.SUCCEEDED, (0, 0))[0]
    failed, failed_since = known.get(Status.FAILED, (0, 0))
    counts = {Status.SUCCEEDED: have - failed_since, Status.FAILED: failed}
    for status in (Status.SKIPPED, Status.CANCELLED):
        number, with_value = known.get(status, (0, 0))
        counts[status] = number - with_value
    settled = sum(counts.values())
    of_all = max(1, settled) if total is None else total
    counts[Status.NEVER] = max(0, of_all - settled)
    return PartitionCounts(
        asset, of_all, have, {status: number for status, number in counts.items() if number}
    )


@frozen
class PartitionStates:
    """The status of each partition of an asset, in the order of its partition set.

    Attributes:
        asset: The asset's name.
        keys: The encoded partition keys; of an asset without a partition set those with a record, or just None.
        codes: For each key the place of its status in `Status`.
        total: How many partitions there are, also where only the latest of them are in `keys`.
        skips: Those that were skipped and have no value, by the step whose failure was the cause, as `asset` or
            `asset[key]`; under None those that were skipped by choice, which is no failure.
    """

    asset: str
    keys: Sequence[str | None]
    codes: bytes
    total: int
    skips: Skips = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, place: int) -> Status:
        return _CODES[self.codes[place]]

    def latest_of(self, status: Status, limit: int) -> Sequence[str | None]:
        """The keys of at most so many partitions of one status, the last ones first."""
        found: list[str | None] = []
        place = len(self.codes)
        while len(found) < limit and (place := self.codes.rfind(_NUMBERS[status], 0, place)) >= 0:
            found.append(self.keys[place])
        return found

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many partitions there are of each status."""
        return {_CODES[code]: self.codes.count(code) for code in set(self.codes)}

    @property
    def held_up(self) -> int:
        """How many partitions are skipped because of a failure: they are still to be made."""
        return sum(len(keys) for cause, keys in self.skips.items() if cause is not None)

    @property
    def spans(self) -> Sequence[tuple[Status, int, int]]:
        """Neighbours of one status together: the status, the place of the first, and how many."""
        spans, place = [], 0
        for code, alike in groupby(self.codes):
            length = sum(1 for _ in alike)
            spans.append((_CODES[code], place, length))
            place += length
        return spans


def states_of(
    asset: str,
    places: Mapping[str | None, int],
    known: Iterable[tuple[Status, Iterable[str | None]]],
    total: int,
    skips: Skips,
) -> PartitionStates:
    """What is known of the partitions at these places.

    Args:
        asset: The asset's name.
        places: Where each partition key stands.
        known: Keys by status; of a key that comes twice the later one counts. Others were never computed.
        total: How many partitions there are in all.
        skips: Keys that were skipped and have no value, by the cause.
    """
    codes = bytearray(len(places))  # `never` is the first of all.
    for status, keys in known:
        code = _NUMBERS[status]
        for key in keys:
            place = places.get(key)
            if place is not None:
                codes[place] = code
    by_cause = {cause: [key for key in keys if key in places] for cause, keys in skips.items()}
    return PartitionStates(
        asset, tuple(places), bytes(codes), total, {cause: keys for cause, keys in by_cause.items() if keys}
    )
