"""How often somebody may try to log in: what is counted is tries within a minute, of one address and of all.

No token is found by trying; this keeps those who try from costing anybody else anything. What is remembered is
bounded by the number of tries that are allowed to all.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection

__all__ = ["OF_ALL", "OF_ONE", "WITHIN", "Attempts", "address_of"]

OF_ONE: Final = 10
OF_ALL: Final = 100
WITHIN: Final = 60.0
"""Seconds within which so many tries may be made from one address, and from all of them."""

_LONGEST: Final = 100


class Attempts:
    """The tries of the last minute.

    Args:
        clock: Seconds that pass evenly.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        return len(self._made)

    def wait(self, address: str) -> int:
        """Seconds until another try may be made from there; 0: it may, and is counted."""
        now = self._clock()
        while self._made and now - self._made[0][0] >= WITHIN:
            self._made.popleft()
        own = [at for at, who in self._made if who == address]
        oldest = own[0] if len(own) >= OF_ONE else self._made[0][0] if len(self._made) >= OF_ALL else None
        if oldest is not None:
            return max(1, math.ceil(oldest + WITHIN - now))
        self._made.append((now, address))
        return 0


def address_of(connection: HTTPConnection) -> str:
    """Where somebody asks from, as far as is known: with what the nearest proxy says, if there is one.

    Who makes that up has as many addresses as they like, and no more tries than all have together.
    """
    client = "" if connection.client is None else connection.client.host
    said = connection.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return f"{client} {said[:_LONGEST]}"
