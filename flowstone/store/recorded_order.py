"""The records of one asset in the order in which they were recorded, at whatever partition.

Nothing else says which is newest: the clocks that records bear differ from node to node, and are set.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowstone.runs.records import Materialization

__all__ = ["RecordedOrder"]


class RecordedOrder:
    """The same records as in the timelines of the asset: eight bytes for each.

    What is forgotten is looked for only when that is half of them, so that it costs no more than to add it.

    Attributes:
        records: Oldest first, with some that were forgotten.
        gone: How many of them were.
    """

    __slots__ = ("gone", "records")

    def __init__(self) -> None:
        self.records: list[Materialization] = []
        self.gone = 0

    def forget(self, number: int, there: Callable[[], Iterable[Materialization]]) -> None:
        """So many were forgotten; `there` gives those that are left."""
        self.gone += number
        if self.gone * 2 > len(self.records):
            self.records = list(self._left(there()))
            self.gone = 0

    def all(self, there: Iterable[Materialization]) -> Iterator[Materialization]:
        """All that are left, oldest first; they are those that are `there`."""
        return self._left(there) if self.gone else iter(self.records)

    def newest(
        self, limit: int, offset: int, is_there: Callable[[Materialization], bool]
    ) -> list[Materialization]:
        """Some of those that are left, the newest first."""
        newest: Iterable[Materialization] = reversed(self.records)
        if self.gone:
            newest = filter(is_there, newest)
        return list(islice(newest, max(0, offset), max(0, offset) + max(0, limit)))

    def _left(self, there: Iterable[Materialization]) -> Iterator[Materialization]:
        left = set(map(id, there))
        return (record for record in self.records if id(record) in left)
