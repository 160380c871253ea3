"""How long a blocking call waits, and that it stops waiting when nobody wants its result any more."""

from __future__ import annotations

import time
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Final

from flowstone.backoff import Backoff
from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WaitLimit"]

_FIRST: Final = 0.002  # Seconds between two looks.
_LONGEST: Final = 0.05


class WaitLimit:
    """A deadline, and an event that ends every wait before it.

    Args:
        seconds: How long all waits together may take.
        abandoned: Set by another thread when the call is no longer wanted.
    """

    def __init__(self, seconds: float, abandoned: Event | None = None) -> None:
        self._deadline = time.monotonic() + seconds
        self._abandoned = abandoned or Event()

    def until(self, condition: Callable[[], bool]) -> bool:
        """Look until the condition holds; False if the time was over first.

        Raises:
            StoreUnavailable: The call was abandoned.
        """
        backoff = Backoff(_FIRST, _LONGEST, Random(), factor=1.2)  # noqa: S311 - jitter, not secrets
        while not self._abandoned.is_set():
            if condition():
                return True
            if time.monotonic() > self._deadline:
                return False
            self._abandoned.wait(backoff.pause())
        raise StoreUnavailable("the start of embedded Postgres was abandoned; start it again")
