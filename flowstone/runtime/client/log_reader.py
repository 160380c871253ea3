"""What reads the log of a run, wherever that is kept: from a store, or over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowstone.store.logs import LogPage

__all__ = ["Reader"]


class Reader(Protocol):
    """Reads the log of a run, or of a part of it."""

    async def page(self, after: int, limit: int) -> LogPage:
        """Lines after a number."""

    async def tail(self, limit: int) -> LogPage:
        """The newest lines."""
