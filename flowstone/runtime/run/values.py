"""The value of a materialization, loaded; also one that is made up of what is kept of each item."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from flowstone.counting import are, count
from flowstone.errors import FlowstoneError
from flowstone.runs.item_values import ItemValues
from flowstone.runs.items import ENDED
from flowstone.runs.packed import PAGE, Packed
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import Materialization
    from flowstone.runtime.context import RuntimeContext

__all__ = ["ITEMS", "PAGES", "PagedValues", "StoredValues", "load_pages", "load_value"]

T = TypeVar("T")

ITEMS: Final = "items:"
"""How the location of a value begins that is made up of items: the store has theirs."""

PAGES: Final = "pages:"
"""The same, of a value that was read, and is kept page by page."""

_FEW: Final = 10_000  # Items that are loaded with the value: it can then be used like any list.
_TOGETHER: Final = 32  # Items that are loaded at a time.
_SUCCEEDED: Final = ENDED[Status.SUCCEEDED]


async def load_value(ctx: RuntimeContext, record: Materialization) -> Any:
    """The value of a success.

    Raises:
        IOManagerError: It cannot be loaded.
        StoreUnavailable: The store does not answer.
    """
    if record.location is None or not record.location.startswith((ITEMS, PAGES)):
        if record.io not in ctx.io and record.io in ctx.managers and record.location is not None:
            return await ctx.managers[record.io].load(record.location)  # The runtime has ended.
        return await ctx.io_manager(record.io).load(record)
    step = (record.asset, record.partition_key)
    manager = ctx.managers[record.io] if record.io not in ctx.io else ctx.io_manager(record.io).manager
    if record.location.startswith(PAGES):
        pages: PagedValues[Any] = PagedValues(await ctx.store.items.rows(record.run_id, step), manager.load)
        if len(pages) <= _FEW:
            await pages.all()
        return pages
    locations, count, after = Packed(), 0, -1
    while True:
        rows = await ctx.store.items.rows(record.run_id, step, code=_SUCCEEDED, after=after, limit=_FEW)
        for row in rows:
            locations.put(count, row.location)
            count += 1
            after = row.position
        if len(rows) < _FEW:
            break
    locations.pack()
    values: StoredValues[Any] = StoredValues(locations, count, manager.load)
    if count <= _FEW:
        await values.all()
    return values


async def load_pages(ctx: RuntimeContext, io: str, rows: Sequence[ItemRow]) -> AsyncIterator[list[Any]]:
    """What a reader has recorded, page by page."""
    manager = ctx.io_manager(io)
    for row in rows:
        if row.location is not None:
            page: Any = await manager.manager.load(row.location)
            yield page


class StoredValues(ItemValues[T]):
    """Values that an IO manager keeps, each by itself.

    Up to 10,000 are loaded with the sequence. More are loaded a page at a time: by `async for`, or, in a thread
    other than that of the event loop, as they are asked for.
    """

    __slots__ = ("_count", "_load", "_loaded", "_locations", "_loop", "_number", "_page")

    def __init__(self, locations: Packed, count: int, load: Callable[[str], Awaitable[Any]]) -> None:
        self._locations = locations
        self._count = count
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._loaded: list[T] | None = None
        self._number = -1
        self._page: list[T] = []

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if self._loaded is not None:
            return self._loaded[index]
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            raise IndexError(f"there {are(self._count)} {count(self._count, 'item')}, so none at {index}")
        number, at = self._find(place)
        if number != self._number:
            self._page = self._fetch(number)
            self._number = number
        return self._page[at]

    def __iter__(self) -> Iterator[T]:
        if self._loaded is not None:
            yield from self._loaded
            return
        for place in range(self._count):
            yield self[place]

    async def __aiter__(self) -> AsyncIterator[T]:
        if self._loaded is not None:
            for value in self._loaded:
                yield value
            return
        for number in range(self._pages):
            for value in await self._load_page(number):
                yield value

    async def all(self) -> list[T]:
        """All of them, loaded."""
        if self._loaded is None:
            self._loaded = [value async for value in self]
        return self._loaded

    @property
    def _pages(self) -> int:
        return -(-self._count // PAGE)

    def _find(self, place: int) -> tuple[int, int]:
        """The page of an item, and its place there."""
        return divmod(place, PAGE)

    def _fetch(self, number: int) -> list[T]:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None:
            raise FlowstoneError(
                f"These {self._count:,} items are not loaded, and loading them here would block the event loop: go "
                "through them with `async for`, or in a function that runs in a thread."
            )
        return asyncio.run_coroutine_threadsafe(self._load_page(number), self._loop).result()

    async def _load_page(self, number: int) -> list[T]:
        start = number * PAGE
        names = self._locations.page(number)[: self._count - start]
        page: list[T] = []
        for at in range(0, len(names), _TOGETHER):
            page += await asyncio.gather(*(self._load(name) for name in names[at : at + _TOGETHER]))
        return page


class PagedValues(StoredValues[T]):
    """Values that a reader has yielded, of which an IO manager keeps many as one."""

    __slots__ = ("_before", "_rows")

    def __init__(self, rows: Sequence[ItemRow], load: Callable[[str], Awaitable[Any]]) -> None:
        self._rows = [row for row in rows if row.location is not None]
        self._before = [0, *accumulate(row.attempt for row in self._rows)]
        super().__init__(Packed(), self._before[-1], load)

    @property
    def _pages(self) -> int:
        return len(self._rows)

    def _find(self, place: int) -> tuple[int, int]:
        number = bisect_right(self._before, place) - 1
        return number, place - self._before[number]

    async def _load_page(self, number: int) -> list[T]:
        location = self._rows[number].location
        assert location is not None
        page: Any = await self._load(location)
        return list(page)
