"""One sentence and a remedy for a program of PostgreSQL that failed, with the last words of its log."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from flowstone.store.embedded.layout import Layout

__all__ = ["failed", "refused"]

_LINES: Final = 6
_BYTES: Final = 4_000  # From the end of the log; enough for the lines.
_ROOM: Final = 64 << 20  # Bytes a new server takes on the disk, roughly.

_REMEDIES: Final = (
    (
        ("No space left on device", "Disk quota exceeded", "Check free disk space"),
        "the disk is full; make room and start again",
    ),
    (
        ("could not create shared memory segment", "could not create semaphores"),
        "the system has no shared memory left for it; raise its limits (ipcs -l) and start again",
    ),
    (
        ("Permission denied", "Operation not permitted", "wrong ownership", "has invalid permissions"),
        "its files must belong to {account} with mode 0700; give them back, or use another directory",
    ),
)
_OTHER: Final = (
    "fix what the log says, restore {directory} from a backup, or remove it to start with an empty one"
)


def failed(layout: Layout, what: str, account: str, since: int) -> StoreUnavailable:
    """The error for `what` (a sentence about the server) that the log written since then explains."""
    lines = _last_lines(layout, since)
    said = "\n".join(lines)
    words = {"account": account or "you", "directory": layout.directory}
    remedy = next((each for signs, each in _REMEDIES if any(sign in said for sign in signs)), None)
    if remedy is None and not said and shutil.disk_usage(layout.directory).free < _ROOM:
        remedy = _REMEDIES[0][1]
    log = f"; the end of {layout.log}:\n{said}" if said else ""
    return StoreUnavailable(f"{what}: {(remedy or _OTHER).format(**words)}{log}")


def refused(layout: Layout, error: OSError) -> StoreUnavailable:
    """The error for a file or directory that the operating system does not let us use."""
    reason = error.strerror or type(error).__name__
    place = error.filename or layout.directory
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StoreUnavailable(f"{place} is not a directory; give embedded Postgres a directory of its own")
    remedy = "allow it" if isinstance(error, PermissionError) else "fix that"
    return StoreUnavailable(
        f"embedded Postgres cannot use {place} ({reason}); {remedy}, or use another directory"
    )


def _last_lines(layout: Layout, since: int) -> list[str]:
    try:
        with layout.log.open("rb") as log:
            end = log.seek(0, 2)
            log.seek(max(since, end - _BYTES))
            said = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in said.splitlines() if line.strip()][-_LINES:]
