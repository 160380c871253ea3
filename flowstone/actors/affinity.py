"""Which event loop something belongs to. Used from another one it would wait for ever, so it says so instead.

A future wakes its waiter through the loop it was made on, and a loop does not notice what other threads put into
it. asyncio notices little of that, and only in its debug mode.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flowstone.errors import WrongLoop

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["require_loop", "running_loop", "wrong_loop"]


def _ask() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


running_loop: Callable[[], asyncio.AbstractEventLoop | None] = getattr(asyncio, "_get_running_loop", _ask)
"""The loop that runs here, or None. The public function raises where none does, which is slower."""


def require_loop(loop: asyncio.AbstractEventLoop, what: str) -> None:
    """Raise `WrongLoop` unless the caller runs on the loop that `what` belongs to."""
    if running_loop() is not loop:
        raise wrong_loop(loop, what)


def wrong_loop(loop: asyncio.AbstractEventLoop, what: str, spelling: str = "loop") -> WrongLoop:
    """The error for using `what` elsewhere than on its loop, which the user gets at by `spelling`."""
    where = "outside of any event loop" if running_loop() is None else "from another event loop"
    problem = f"{what} belongs to the event loop that started it, and was used {where}"
    remedy = (
        f"hand the coroutine over with asyncio.run_coroutine_threadsafe(coroutine, {spelling}), or a plain call "
        f"with {spelling}.call_soon_threadsafe(function)"
    )
    if loop.is_running():
        return WrongLoop(f"{problem}: {remedy}.")
    return WrongLoop(
        f"{problem}; its own does not run any more: start it and use it on one loop (in a test, give the fixture "
        f"and the test the same loop scope). While its loop runs, {remedy}."
    )
