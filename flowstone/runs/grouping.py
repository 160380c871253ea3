"""Items put together into batches, one after the other: pure."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flowstone.assets.each import Batch

__all__ = ["Grouping"]

_NONE: Final = object()


class Grouping:
    """Makes batches of neighbouring items. The same items give the same batches, wherever it is done again.

    Args:
        batch: What a batch is.
    """

    __slots__ = ("_batch", "_bytes", "_items", "_key")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._items: list[Any] = []
        self._bytes = 0
        self._key: Any = _NONE

    def add(self, item: Any) -> list[Any] | None:
        """Take one more item; returns the batch that is complete because of it, if one is.

        Raises whatever `by=` raises.
        """
        batch = self._batch
        size = 0 if batch.max_bytes is None else _size(item)
        key = None if batch.by is None else batch.by(item)
        full = None
        if self._items and (
            (batch.size is not None and len(self._items) >= batch.size)
            or (batch.max_bytes is not None and self._bytes + size > batch.max_bytes)
            or (batch.by is not None and key != self._key)
        ):
            full = self.rest()
        self._items.append(item)
        self._bytes += size
        self._key = key
        return full

    def rest(self) -> list[Any] | None:
        """The batch that is not complete, of which nothing more will come; None if there is none."""
        items, self._items, self._bytes, self._key = self._items, [], 0, _NONE
        return items or None


def _size(item: Any) -> int:
    """How many bytes an item is taken for."""
    if isinstance(item, str):
        return len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))
    if isinstance(item, bytes | bytearray | memoryview):
        return len(item)
    try:
        return len(pickle.dumps(item, 5))
    except Exception:  # What is in it is the user's, and need not be made for this.
        return sys.getsizeof(item)
