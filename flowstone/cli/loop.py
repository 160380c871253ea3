"""The event loop of one command: uvloop where there is one."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["has_uvloop", "run_async"]

T = TypeVar("T")


def has_uvloop() -> bool:
    """Whether uvloop is installed; it is not on Windows."""
    return importlib.util.find_spec("uvloop") is not None


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on a new event loop and return its result."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if has_uvloop():
        factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
