"""How often somebody may fail to log in: what is counted is failures within a minute, of one address and of all.

No token is found by trying, and who makes up addresses is to keep nobody out who has one. So an address that has
failed too often is refused whatever it brings; once all together have, only what fails is. What is remembered is
bounded.
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
"""Seconds within which so many tries from one address may fail, and from all of them."""

_LONGEST: Final = 100
_KEPT: Final = 10 * OF_ALL


class Attempts:
    """The tries of the last minute that failed.

    Args:
        clock: Seconds that pass evenly.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque(maxlen=_KEPT)

    def __len__(self) -> int:
        return len(self._failed)

    def wait(self, address: str) -> int:
        """Seconds until another try may be made from there; 0: it may."""
        now = self._clock()
        while self._failed and now - self._failed[0][0] >= WITHIN:
            self._failed.popleft()
        own = [at for at, who in self._failed if who == address]
        return self._left(own[-OF_ONE], now) if len(own) >= OF_ONE else 0

    def failed(self, address: str) -> int:
        """A try from there has failed: seconds to wait, if all together have failed too often, or 0."""
        now = self._clock()
        self._failed.append((now, address))
        return self._left(self._failed[-OF_ALL - 1][0], now) if len(self._failed) > OF_ALL else 0

    @staticmethod
    def _left(since: float, now: float) -> int:
        return max(1, math.ceil(since + WITHIN - now))


def address_of(connection: HTTPConnection) -> str:
    """Where somebody asks from, as far as is known: with what the nearest proxy says, if there is one.

    Who makes that up has as many addresses as they like.
    """
    client = "" if connection.client is None else connection.client.host
    said = connection.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return f"{client} {said[:_LONGEST]}"
