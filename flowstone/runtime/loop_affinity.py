"""Where a runtime can be used: on the event loop that entered it, from then until it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.actors.affinity import running_loop, wrong_loop
from flowstone.errors import RuntimeStopping

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopAffinity", "not_running"]


class LoopAffinity:
    """Asked first by everything public that waits for the runtime: its calls, handles of runs, results, events.

    Attributes:
        loop: The loop that the runtime belongs to.
        running: Whether the runtime has been entered, and not left.
    """

    __slots__ = ("loop", "running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.running = False

    def require(self) -> None:
        """Refuse what could only wait for ever.

        Raises:
            RuntimeStopping: The runtime has ended.
            WrongLoop: The caller is on another event loop, or on none.
        """
        if not self.running:
            raise not_running()
        self.require_loop()

    def require_loop(self) -> None:
        """The same for what still answers when the runtime has ended, and then anywhere."""
        if self.running and running_loop() is not self.loop:
            raise wrong_loop(self.loop, "This Runtime", "runtime.loop")


def not_running() -> RuntimeStopping:
    """The error for a runtime that was not entered, or has been left."""
    return RuntimeStopping("The runtime is not running: use it inside `async with Runtime(...)`.")
