"""Where the next page of a list begins: after the entry that the page before ended with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowstone.wire.paging import cursor_refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flowstone.errors import ArgumentError

__all__ = ["after_entry", "gone", "place_after"]

T = TypeVar("T")

_SEARCHED: Final = 1_000


def place_after(places: Sequence[Any], last: Any) -> int:
    """Where to go on in a list that is at hand, after the entry that the page before ended with.

    Raises:
        ArgumentError: It is not there any more.
    """
    if last is None:
        return 0
    try:
        return places.index(last) + 1
    except ValueError:
        raise gone() from None


async def after_entry(
    read: Callable[[int, int], Awaitable[Sequence[T]]],
    place: Callable[[T], Any],
    last: Any,
    limit: int,
) -> Sequence[T]:
    """The entries of a list that grows in front, after the one that the page before ended with.

    Args:
        read: Reads so many entries from a place on: `read(limit, offset)`.
        place: What tells entries apart.
        last: What the cursor says; None at the beginning.
        limit: How many entries.

    Raises:
        ArgumentError: The entry is not there any more.
    """
    if last is None:
        return await read(limit, 0)
    offset = 0
    while entries := await read(_SEARCHED, offset):
        found = next((number for number, each in enumerate(entries) if place(each) == last), None)
        if found is not None:
            return await read(limit, offset + found + 1)
        offset += len(entries)
    raise gone()


def gone(why: str = "The entry that the page before ended with has been removed.") -> ArgumentError:
    """The error for a cursor that leads nowhere by now."""
    return cursor_refused(why)
