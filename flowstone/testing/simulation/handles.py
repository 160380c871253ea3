"""Callbacks of a simulated loop, which know the process that they belong to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from flowstone.testing.simulation.process import Process

__all__ = ["AnyHandle", "OwnedHandle", "OwnedTimer", "task_of"]


class OwnedHandle(asyncio.Handle):
    """A callback that is ready."""

    __slots__ = ("process",)

    process: Process | None
    if TYPE_CHECKING:  # What asyncio's handles have, and its stubs do not tell.
        _callback: Callable[..., object]
        _context: Context

        def _run(self) -> None: ...


class OwnedTimer(asyncio.TimerHandle):
    """A callback that waits for its instant."""

    __slots__ = ("process",)

    process: Process | None
    if TYPE_CHECKING:
        _callback: Callable[..., object]
        _context: Context
        _scheduled: bool
        _when: float

        def _run(self) -> None: ...


AnyHandle: TypeAlias = OwnedHandle | OwnedTimer


def task_of(handle: AnyHandle) -> asyncio.Task[Any] | None:
    """The task that the handle takes a step of; None for any other callback."""
    owner = getattr(handle._callback, "__self__", None)
    return owner if isinstance(owner, asyncio.Task) else None
