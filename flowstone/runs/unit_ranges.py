"""The units of a source that is there, from any of them on: a node goes through many ranges of one step.

What is found on the way to one range is kept for the next. Otherwise each would begin at the beginning, and all of
them together would take the square of the time.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowstone.runs.grouping import Grouping
from flowstone.runs.units import Units, batch_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.each import Each

__all__ = ["UnitRanges"]


class UnitRanges:
    """Gives the units of one source from a position on, as often as it is asked.

    Args:
        each: How a step goes through the source.
        source: The list or the dict.
    """

    def __init__(self, each: Each, source: Sequence[Any] | Mapping[Any, Any]) -> None:
        self._each = each
        self._names: Sequence[Any] | None = None
        self._items: Sequence[Any]
        if isinstance(source, Mapping):
            self._items = list(source.values())
            self._names = list(source) if each.key is None and each.batch is None else None
        else:
            self._items = source if isinstance(source, list | tuple) else list(source)
        batch = each.batches
        self._grouping = None if batch is None else Grouping(batch)
        self._starts = array("Q", [0])  # Where each batch begins, of those that were looked for.
        self._looked_at = 0  # Items, for that.

    def look_for(self, position: int, most: int) -> bool:
        """Look at the next items for where a unit begins; whether that is known. Raises `UnitError`.

        Args:
            position: The unit.
            most: How many items to look at now.
        """
        if self._grouping is None:
            return True
        items, starts = self._items, self._starts
        until = min(self._looked_at + most, len(items))
        while len(starts) <= position and self._looked_at < until:
            if batch_of(self._grouping, items[self._looked_at]) is not None:
                starts.append(self._looked_at)
            self._looked_at += 1
        return len(starts) > position or self._looked_at == len(items)

    def since(self, position: int) -> Units:
        """The units from one on, where `look_for` has found it; none if there are fewer."""
        start = position
        if self._grouping is not None:
            start = self._starts[position] if position < len(self._starts) else len(self._items)
        items = map(self._items.__getitem__, range(start, len(self._items)))
        units = Units(self._each, items, len(self._items), self._names)
        units.position = position
        return units
