"""Ctrl-C, once and twice: the first asks the run to finish what it has begun, the second stops it now.

SIGTERM counts as Ctrl-C. The handlers are plain ones that wake the loop, rather than the loop's own: an
asset that blocks the event loop would otherwise make Ctrl-C dead. If even the second one is not answered
because the loop is blocked, the third is Python's own `KeyboardInterrupt`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["Interruption", "listening"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """How often the user asked to stop.

    Args:
        on_first: Called on the loop at the first signal: begin nothing new.
        on_second: Called on the loop at the second: stop.

    Attributes:
        times: Signals so far.
    """

    def __init__(self, on_first: Callable[[], object], on_second: Callable[[], object]) -> None:
        self.times = 0
        self._actions = (on_first, on_second)

    def signalled(self, schedule: Callable[[Callable[[], object]], object]) -> None:
        """A signal arrived; `schedule` runs a function on the loop."""
        self.times += 1
        if self.times > len(self._actions):
            raise KeyboardInterrupt
        schedule(self._actions[self.times - 1])


@contextlib.contextmanager
def listening(interruption: Interruption) -> Iterator[None]:
    """Hand SIGINT and SIGTERM to `interruption` until the block ends."""
    loop = asyncio.get_running_loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        interruption.signalled(loop.call_soon_threadsafe)

    before = [(number, signal.signal(number, handle)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
