"""Who blocks the event loop: the user's line that the main thread is in."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["blocked_in"]

_OURS = str(Path(__file__).parents[2])
_LIBRARY = str(Path(asyncio.__file__).parents[1])


def blocked_in() -> str:
    """`shop.py:12 in visits`: the innermost line of the main thread that is neither ours nor the library's."""
    ident = threading.main_thread().ident
    innermost = None if ident is None else sys._current_frames().get(ident)
    frame: FrameType | None = innermost
    while frame is not None and frame.f_code.co_filename.startswith((_OURS, _LIBRARY, "<frozen")):
        frame = frame.f_back
    frame = frame or innermost
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
