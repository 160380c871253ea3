"""What went wrong, as people meet it: one sentence, a remedy and an exit status."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.errors import (
    ArgumentError,
    AssetNotFound,
    ConfigError,
    DefinitionError,
    FlowstoneError,
    PartitionError,
    RunNotFound,
    SelectionError,
)
from flowstone.frozen import frozen
from flowstone.masking import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BROKEN_PIPE",
    "FAILED",
    "INTERRUPTED",
    "OK",
    "WAITS",
    "WRONG_USAGE",
    "CommandError",
    "Problem",
    "describe",
]

OK = 0
FAILED = 1
WRONG_USAGE = 2
WAITS = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, and it is to be gone on with later."""
INTERRUPTED = 130
BROKEN_PIPE = 141
"""128 + SIGPIPE, as any Unix tool whose reader went away."""


class CommandError(FlowstoneError):
    """A command cannot do what was asked.

    Args:
        message: One sentence that says what is wrong.
        remedy: One sentence that says what to do about it.
        status: The exit status; default: 2, wrong usage.
        debug: Text that `--debug` shows, such as a user's traceback.
    """

    def __init__(self, message: str, remedy: str = "", *, status: int = WRONG_USAGE, debug: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        self.status = status
        self.debug = debug


@frozen
class Problem:
    """An error on its way to the user; `kind` is the exception's class name."""

    kind: str
    message: str
    remedy: str
    status: int

    def document(self) -> Mapping[str, object]:
        """The `--json` form: `{"error": {"kind", "message", "remedy"}}`."""
        return {"error": {"kind": self.kind, "message": self.message, "remedy": self.remedy}}


_USAGE = (
    ArgumentError,
    AssetNotFound,
    ConfigError,
    DefinitionError,
    PartitionError,
    RunNotFound,
    SelectionError,
)

_DISK = {
    errno.ENOSPC: "Free some space, or name another place with --store file://DIR.",
    errno.EDQUOT: "Free some space, or name another place with --store file://DIR.",
    errno.EROFS: "Name a place that can be written with --store file://DIR, or use --store memory://.",
    errno.EACCES: "Name a place that can be written with --store file://DIR, or use --store memory://.",
    errno.EPERM: "Name a place that can be written with --store file://DIR, or use --store memory://.",
}


def describe(error: BaseException) -> Problem:
    """Put an exception into words, without passwords; an unforeseen one points to `--debug`."""
    problem = _describe(_only_member(error))
    return replace(problem, message=masked(problem.message), remedy=masked(problem.remedy))


def _describe(error: BaseException) -> Problem:
    kind = type(error).__name__
    match error:
        case KeyboardInterrupt():
            return Problem(kind, "Interrupted.", "", INTERRUPTED)
        case CommandError():
            return Problem(kind, str(error), error.remedy, error.status)
        case FlowstoneError():
            remedy = "" if error.remedies is None else error.remedies.command
            status = WRONG_USAGE if isinstance(error, _USAGE) else FAILED
            return Problem(kind, error.sentence, remedy, status)
        case OSError():
            return Problem(kind, _os_sentence(error), _DISK.get(error.errno or 0, ""), FAILED)
        case _:
            text = f"{kind}: {error}" if str(error) else kind
            return Problem(kind, f"Unexpected {text}", "Run it again with --debug for the traceback.", FAILED)


def _only_member(error: BaseException) -> BaseException:
    """The exception inside nested groups of one, which structured concurrency wraps around it."""
    while (
        isinstance(error, BaseExceptionGroup)
        and not isinstance(error, FlowstoneError)
        and len(error.exceptions) == 1
    ):
        error = error.exceptions[0]
    return error


def _os_sentence(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}: {error.filename}" if error.filename is not None else reason
