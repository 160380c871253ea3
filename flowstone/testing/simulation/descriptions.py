"""Steps and tasks in words: the same words in each run of a seed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import flowstone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

__all__ = ["described", "waiting"]

_NUMBERED: Final = re.compile(r"Task-\d+")
"""asyncio's own names count all tasks of the interpreter."""
_MOST: Final = 20
_OURS: Final = str(Path(flowstone.__file__).parent)
_ASYNCIO: Final = str(Path(asyncio.__file__).parent)


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
    """Tasks that have not ended, and where each of them is, one a line; those of others than FlowStone first."""
    lines = [line for _, line in sorted(_line(task) for task in tasks)]
    more = [f"  and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return "\n".join(lines[:_MOST] + more) or "  no task"


def _line(task: asyncio.Task[Any]) -> tuple[bool, str]:
    """Whether only code of FlowStone's own waits in it; and its name and place."""
    frames = list(_frames(task.get_coro()))
    theirs = [frame for frame in frames if not frame.f_code.co_filename.startswith(_OURS)]
    frame = theirs[-1] if theirs else frames[-1] if frames else None
    if frame is None:
        return True, f"  {_task_name(task)}: not begun"
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_qualname}"
    return not theirs, f"  {_task_name(task)}: {place}"


def _frames(awaited: Any) -> Iterator[FrameType]:
    """From the outermost to the innermost, without those of asyncio."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(_ASYNCIO):
            yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
