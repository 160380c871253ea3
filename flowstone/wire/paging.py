"""Lists, a page at a time: what comes after the last entry of the page before.

A cursor names that entry, and not how many there were before it: so what is added meanwhile moves nothing, never
comes twice, and leaves nothing out. It also says of which list it is, with which filters; others refuse it.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar

from pydantic import Field, TypeAdapter

from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.wire.model import MOST, Given, Model, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Count", "Listed", "Number", "Page", "cursor_refused"]

T = TypeVar("T")

_MOST: Final = 1_000

Count = Annotated[int, Field(ge=0, le=MOST)]
"""How many entries there were before, where a list is one that only grows at its end."""

Number = Annotated[int, Field(ge=0, lt=2**63)]
"""The number of an entry, as stores count them."""


class Listed(Given):
    """What every list takes."""

    limit: Annotated[int, Field(ge=1, le=_MOST)] = 100
    """How many entries at most."""
    cursor: Annotated[Text | None, Field(max_length=4_000)] = None
    """Where to go on: `next` of the page before, with the same filters."""

    def after(self, name: str, shape: Any = Text) -> Any:
        """What the cursor says: the last entry of the page before; None at the beginning.

        Args:
            name: The name of the list.
            shape: The type of what its entries are found by. Nobody but this server makes cursors, and anybody may
                send one.

        Raises:
            ArgumentError: It is no cursor, or one of another list.
        """
        if self.cursor is None:
            return None
        try:
            text = urlsafe_b64decode(self.cursor + "=" * (-len(self.cursor) % 4)).decode()
            of, place = json.loads(text)
        except (binascii.Error, ValueError, TypeError, RecursionError):
            raise cursor_refused("This is no cursor.") from None
        if of != self._of(name):
            raise cursor_refused("This is the cursor of another list, or of other filters.")
        try:
            return _checks(shape).validate_json(json.dumps(place), strict=True)
        except ValueError:
            raise cursor_refused("This is no cursor of this list.") from None

    def page(self, name: str, entries: Sequence[T], place: Callable[[T], Any]) -> Page[T]:
        """A page of entries, of which there is one more than asked for where others follow.

        Args:
            name: The name of the list.
            entries: At most `limit` + 1.
            place: What the next page is to find an entry by.
        """
        shown = list(entries[: self.limit])
        more = len(entries) > self.limit
        return Page(items=shown, next=self._cursor(name, place(shown[-1])) if more else None)

    def _cursor(self, name: str, place: Any) -> str:
        text = json.dumps([self._of(name), place], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _of(self, name: str) -> list[Any]:
        return [name, self.model_dump(mode="json", exclude={"limit", "cursor"}, exclude_none=True)]


class Page(Model, Generic[T]):
    """A page of a list."""

    items: list[T]
    """The entries."""
    next: str | None
    """The `cursor` of the next page; null if this is the last."""


@cache
def _checks(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def cursor_refused(what: str) -> ArgumentError:
    """The error for a cursor that leads nowhere."""
    return ArgumentError(
        what, remedies=Remedies(http="Leave `cursor` out, and read the list from its beginning.")
    )
