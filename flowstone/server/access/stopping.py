"""Whether the server that answers has been told to stop.

Streams go on for as long as a page is open, and a server that is told to stop waits for what it answers to end.
ASGI has no message for that: an application hears of it when all has ended. So a server such as uvicorn, in whose
process the pages are mounted, would wait for ever.

Uvicorn handles the signals by a method of its server, which says whether it is to exit. Rejected: to handle them
here. Only one handler can be installed for each, and whoever mounts the pages decides what is done about them.
`flowstone serve`, which handles them itself, says so (`now`).
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["ServerStop"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_EVERY: Final = 0.2
"""Seconds between two looks."""


class ServerStop:
    """Tells those who answer once the server is to stop; looks for as long as one of them does so by a stream."""

    def __init__(self) -> None:
        self._told: dict[object, Callable[[], None]] = {}
        self._refused: dict[object, Callable[[], None]] = {}
        self._looks = False
        self._stops = False

    def now(self) -> None:
        """The server stops: who answers by a stream is told, and from now on at once."""
        self._stops = True
        _tell(self._told)

    def refuse(self) -> None:
        """The server does not wait any longer: whoever has not begun to answer is told."""
        _tell(self._refused)

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

    @contextmanager
    def refusing(self, refuse: Callable[[], None]) -> Iterator[None]:
        """Inside, `refuse` is called when the server waits for no answer any longer."""
        mine = object()
        self._refused[mine] = refuse
        try:
            yield
        finally:
            del self._refused[mine]

    def _look(self) -> None:
        if self._stops or _is_stopping():
            _tell(self._told)
        self._looks = bool(self._told)
        if self._looks:
            asyncio.get_running_loop().call_later(_EVERY, self._look)


def _is_stopping() -> bool:
    servers = (getattr(signal.getsignal(number), "__self__", None) for number in _SIGNALS)
    return any(getattr(server, "should_exit", False) is True for server in servers)


def _tell(told: Mapping[object, Callable[[], None]]) -> None:
    for tell in tuple(told.values()):
        tell()
