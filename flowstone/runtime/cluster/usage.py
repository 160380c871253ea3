"""What this process takes of its machine: how much memory, and how busy the machine is.

Read from the system itself, in microseconds. Where it does not say, nothing is known.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["load", "memory"]

_STATM: Final = Path("/proc/self/statm")
_MEGABYTE: Final = 1_000_000


def memory() -> int | None:
    """Bytes of memory that this process holds, to the megabyte; None where the system does not say (but Linux)."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE) * _MEGABYTE
    return None


def load() -> float | None:
    """How busy the machine was in the last minute, of 1.0 for all processors; None where it does not say."""
    try:
        busy = os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
    return round(busy / (os.cpu_count() or 1), 2)
