"""What a supervisor tells people: crashes, late shutdowns, abandoned tasks; clean exits only where none may be."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeAlias

from flowstone.actors.exits import Crashed, Exit
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OnReport", "Report", "log_report"]

ReportKind: TypeAlias = Literal[
    "start_failed", "crashed", "ended", "shutdown_error", "gave_up", "abandoned", "hook_failed"
]

_LONGEST = 10_000

_log = logging.getLogger("flowstone.actors")

_SENTENCE: dict[ReportKind, str] = {
    "start_failed": "could not be started",
    "crashed": "ended unexpectedly",
    "ended": "ended by itself although it is permanent",
    "shutdown_error": "did not shut down cleanly",
    "gave_up": "crashed too often; its supervisor gives up",
    "abandoned": "cannot be stopped and was abandoned",
    "hook_failed": "has a callback that raised",
}


@frozen
class Report:
    """One thing worth knowing about a child.

    Attributes:
        kind: `start_failed`, `crashed`, `ended` (a permanent child, cleanly), `shutdown_error`, `gave_up`,
            `abandoned` or `hook_failed`.
        supervisor: Path of the supervisor, as in `root.runs`.
        child: Name of the child (or of the task it left behind).
        exit: How it ended; None for an abandoned task, which has not ended.
    """

    kind: ReportKind
    supervisor: str
    child: str
    exit: Exit | None = None

    def __str__(self) -> str:
        why = "" if self.exit is None else f" ({self.exit})"
        return f"{self.supervisor}.{self.child} {_SENTENCE[self.kind]}{why}"


OnReport: TypeAlias = "Callable[[Report], object]"


def log_report(report: Report) -> None:
    """The default: an error in the log `flowstone.actors`, with the traceback of a crash."""
    error = report.exit.error if isinstance(report.exit, Crashed) else None
    with suppress(BaseException):  # The handlers of a log are the application's.
        _log.error("%s", report, exc_info=error if error is None or _is_printable(error) else None)


def _is_printable(error: BaseException) -> bool:
    """Whether a traceback, which ends in str(error), may be printed: that is user code."""
    try:
        return len(str(error)) <= _LONGEST
    except BaseException:
        return False
