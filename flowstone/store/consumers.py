"""Lineage read backwards: which asset-partitions were computed from this one.

A large backfill gives a million inputs one consumer each, so a lone consumer is kept bare and a dict (used
as an ordered set) appears only with the second. A dict for each would cost 230 bytes an input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowstone.runs.records import Input, StepKey

__all__ = ["Consumers"]


class Consumers:
    """For each input, the asset-partitions whose current materialization was computed from it."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[StepKey, StepKey | dict[StepKey, None]] = {}

    def of(self, key: StepKey) -> list[StepKey]:
        """The direct consumers of one asset-partition, in the order they were added."""
        known = self._of.get(key)
        if known is None:
            return []
        return list(known) if isinstance(known, dict) else [known]

    def replace(self, consumer: StepKey, before: tuple[Input, ...], after: tuple[Input, ...]) -> None:
        """The consumer's current inputs change from `before` to `after`; either may be empty."""
        new = {(item.asset, item.partition_key): None for item in after}
        for item in before:
            key = (item.asset, item.partition_key)
            if key not in new:
                self._remove(consumer, key)
        for key in new:  # Those it already had stay in their place.
            known = self._of.setdefault(key, consumer)
            if isinstance(known, dict):
                known[consumer] = None
            elif known != consumer:
                self._of[key] = {known: None, consumer: None}

    def _remove(self, consumer: StepKey, key: StepKey) -> None:
        known = self._of.get(key)
        if isinstance(known, dict):
            known.pop(consumer, None)
            if not known:
                del self._of[key]
        elif known == consumer:
            del self._of[key]
