"""Steps and tasks in words: the same words in each run of a seed."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["described", "waiting"]

_NUMBERED: Final = re.compile(r"Task-\d+")
"""asyncio's own names count all tasks of the interpreter."""
_MOST: Final = 20


def described(what: object) -> str:
    """A callback by name; a step of a task by the task's."""
    owner = getattr(what, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return _task_name(owner)
    callback = getattr(what, "func", what)  # Of a `partial`.
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def _task_name(task: asyncio.Task[Any]) -> str:
    name = task.get_name()
    if not _NUMBERED.fullmatch(name):
        return name
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))


def waiting(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """Tasks that have not ended, and where each of them is, one a line."""
    lines = sorted(f"  {_task_name(task)}: {_place(task)}" for task in tasks)
    more = [f"  and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return "\n".join(lines[:_MOST] + more) or "  no task"


def _place(task: asyncio.Task[Any]) -> str:
    frame = line = None
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None) or frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    if frame is None:
        return "not begun"
    line = frame.f_lineno
    return f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_qualname}"
