"""The event loop of one command (uvloop where there is one), and work beside a block of it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

__all__ = ["beside", "has_uvloop", "run_async"]

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


@contextlib.asynccontextmanager
async def beside(*works: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run `works` while the block runs.

    A task group alone would wrap the block's exception in an `ExceptionGroup`, so `except RunFailed` around
    it would not see a failed run. If one of the works fails, the block is cancelled and the failure raised.
    """
    raised: BaseException | None = None
    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(work)
        try:
            yield
        except BaseException as error:
            raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised
