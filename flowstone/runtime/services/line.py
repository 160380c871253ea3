"""Those who wait, in the order in which they are served: by priority, then as they came.

Nobody is looked for: where somebody stands follows from when it came. So a thousand who leave take no longer, each,
than one does.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Line"]

_Entry = TypeVar("_Entry")
_RANK: Final = itemgetter(0)


class Line(Generic[_Entry]):
    """Those who wait, each with what is to be known of it.

    Args:
        arrivals: Numbers in ascending order; given, if the order in several lines matters.
    """

    def __init__(self, arrivals: Iterator[int] | None = None) -> None:
        self._arrivals = count() if arrivals is None else arrivals
        self._entries: list[tuple[tuple[float, int], int, _Entry]] = []
        self._ranks: dict[int, tuple[float, int]] = {}  # By the identity of who waits.

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[_Entry]:
        return (entry for _, _, entry in self._entries)

    @property
    def rank(self) -> tuple[float, int]:
        """That of the first, who has the smallest. Raises `IndexError` if nobody waits."""
        return self._entries[0][0]

    @property
    def first(self) -> _Entry:
        """Who is next. Raises `IndexError` if nobody waits."""
        return self._entries[0][2]

    def add(self, who: object, priority: float, entry: _Entry) -> None:
        """Somebody comes, who is not in the line yet."""
        self._ranks[id(who)] = rank = (-priority, next(self._arrivals))
        insort(self._entries, (rank, id(who), entry), key=_RANK)

    def pop(self) -> _Entry:
        """The first leaves the line. Raises `IndexError` if nobody waits."""
        _, who, entry = self._entries.pop(0)
        del self._ranks[who]
        return entry

    def remove(self, who: object) -> bool:
        """Somebody leaves the line; False if it is not in it."""
        rank = self._ranks.pop(id(who), None)
        if rank is None:
            return False
        del self._entries[bisect_left(self._entries, rank, key=_RANK)]
        return True
