"""What a page is: an address, a template, and how its values are read from the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from flowstone.server.asked import Asked

__all__ = ["Act", "Page"]

Act: TypeAlias = "Callable[[Asked, Mapping[str, str]], Awaitable[str]]"


@frozen
class Page:
    """One page.

    Attributes:
        name: Which entry of the navigation it belongs to.
        path: Its address, with parameters as FastAPI writes them.
        template: The file of its template.
        load: Reads its values.
        live: The blocks of its template that change while it is open; each stands in an element whose id it is.
        pace: Seconds between two changes of an open page, at least: longer where it takes long to read.
        news: Of a page with drawings or lists that are too long to be sent again and again: makes, for one browser
            that has received all up to an id, what is asked after each look at the blocks, and gives the named
            events since: name, id, data in one line. A script of the page takes them in.
        rows: Of a page whose table may be long, the macro that draws a row, and the value that has the rows, each
            with the `id` of its element: of these only those that changed are sent.
        idle: Seconds after which an open page is read again though nothing was heard of.
        stale: Whether it shows which values are stale, which is looked at bit by bit while it is open.
        act: What a form of it that is sent does, for those who may operate: given its fields, returns the path to
            go on at. An error of the library is said on the page.
    """

    name: str
    path: str
    template: str
    load: Callable[[Asked], Awaitable[Mapping[str, Any]]]
    live: tuple[str, ...] = ()
    pace: float = 0.1
    news: Callable[[Asked, str], Callable[[], Awaitable[Sequence[tuple[str, str, str]]]]] | None = None
    rows: tuple[str, str] | None = None
    idle: float = 1.0
    stale: bool = False
    act: Act | None = None
