"""Whether the server that answers has been told to stop.

Streams go on for as long as a page is open, and a server that is told to stop waits for what it answers to end.
ASGI has no message for that: an application hears of it when all has ended. So a server such as uvicorn, in whose
process the pages are mounted, would wait for ever.

Uvicorn handles the signals by a method of its server, which says whether it is to exit. Rejected: to handle them
here. Only one handler can be installed for each, and whoever mounts the pages decides what is done about them.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ServerStop"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_EVERY: Final = 0.2
"""Seconds between two looks."""


class ServerStop:
    """Tells those who answer by streams once the server is to stop; looks for as long as there is one of them."""

    def __init__(self) -> None:
        self._told: dict[object, Callable[[], None]] = {}
        self._looks = False

    @contextmanager
    def telling(self, tell: Callable[[], None]) -> Iterator[None]:
        """Inside, `tell` is called when the server has been told to stop."""
        mine = object()
        self._told[mine] = tell
        if not self._looks:
            self._looks = True
            self._look()
        try:
            yield
        finally:
            del self._told[mine]

    def _look(self) -> None:
        if _is_stopping():
            for tell in self._told.values():
                tell()
        self._looks = bool(self._told)
        if self._looks:
            asyncio.get_running_loop().call_later(_EVERY, self._look)


def _is_stopping() -> bool:
    servers = (getattr(signal.getsignal(number), "__self__", None) for number in _SIGNALS)
    return any(getattr(server, "should_exit", False) is True for server in servers)
