"""The value of an asset that goes through items: a sequence of what the function returned, loaded on demand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar, overload

from flowstone.counting import are, count
from flowstone.runs.items import ENDED
from flowstone.runs.packed import PAGE
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flowstone.runs.items import ItemTable

__all__ = ["ItemValues", "PackedValues"]

T = TypeVar("T")

_SUCCEEDED = ENDED[Status.SUCCEEDED]


class ItemValues(Sequence[T]):
    """A sequence whose items are loaded a page at a time; equal to any list, tuple or sequence of equal items."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment] # as of a list

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | tuple | ItemValues):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    def __repr__(self) -> str:
        return f"<{count(len(self), 'item')}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)

    async def __aiter__(self) -> AsyncIterator[T]:
        for item in self:
            yield item


class PackedValues(ItemValues[T]):
    """The values of a table that has them; those of items that failed are left out."""

    __slots__ = ("_before", "_length", "_table")

    def __init__(self, table: ItemTable) -> None:
        self._table = table
        states = table.states
        counts = [states.count(_SUCCEEDED, start, start + PAGE) for start in range(0, len(states), PAGE)]
        self._length = sum(counts)
        self._before = [0, *accumulate(counts)]  # How many values there are before each page.

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self._at(each) for each in range(*index.indices(self._length))]
        place = index + self._length if index < 0 else index
        if not 0 <= place < self._length:
            raise IndexError(f"there {are(self._length)} {count(self._length, 'item')}, so none at {index}")
        return self._at(place)

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._before) - 1):
            yield from self._page(number)

    def _at(self, place: int) -> T:
        number = bisect_right(self._before, place) - 1
        return self._page(number)[place - self._before[number]]

    def _page(self, number: int) -> Sequence[T]:
        values, states = self._table.values, self._table.states
        assert values is not None
        first = number * PAGE
        if self._before[number + 1] == self._before[number]:
            return ()
        page: list[T] = values.page(number)
        found = self._before[number + 1] - self._before[number]
        if found == PAGE:
            return page
        return [
            value
            for value, state in zip(page, states[first : first + PAGE], strict=False)
            if state == _SUCCEEDED
        ]
