"""Small values that this process has just recorded, so that the steps behind them need not ask the database.

A location names one value and no other ever, so what is kept here is never out of date; it may only be there a
little longer than in the database. It is kept from when it is committed, until newer ones take its place.
"""

from __future__ import annotations

from typing import Final

__all__ = ["RecentPayloads"]

_MOST: Final = 4_096
_SMALL: Final = 2_048  # Bytes: eight megabytes in all.


class RecentPayloads:
    """The newest small values, by location."""

    def __init__(self) -> None:
        self._payloads: dict[str, bytes] = {}

    def add(self, location: str, payload: bytes) -> None:
        """Remember a value that is recorded."""
        if len(payload) > _SMALL:
            return
        if len(self._payloads) >= _MOST:
            del self._payloads[next(iter(self._payloads))]
        self._payloads[location] = payload

    def of(self, location: str) -> bytes | None:
        """The value, if it is among them."""
        return self._payloads.get(location)

    def clear(self) -> None:
        """Forget them: some are being deleted."""
        self._payloads.clear()
