"""Log lines on stderr, so that stdout holds nothing but the result: `14:02:30 [info] raw[2025-01-15] read rows=3`.

Only the command line configures logging; a library that did would quarrel with the application around it. It
stands while a command runs, and before the user's module is imported: what that logs, on import too, is shown from
the chosen level on. Libraries tell their life story at "info", so that of installed packages other than the
pipeline's own only warnings are, unless the level is "debug". Handlers of the user's that write elsewhere, to a
file or a collector, get what they would get without us.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from flowstone.masking import masked
from flowstone.printable import indented, one_line, printable
from flowstone.runtime.configuration import VARIABLES
from flowstone.runtime.execution.own_code import is_own
from flowstone.runtime.services.failure_log import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LogLines", "logs_on_stderr"]

_LEVELS: Final = ("debug", "info", "warning", "error")
_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"


class LogLines(logging.Handler):
    """Writes to whatever `sys.stderr` is now: above the progress bar while there is one.

    Args:
        everything: Whether libraries are heard below "warning" as well.
        colours: Whether stderr is a terminal.

    Attributes:
        packages: Top-level packages that count as the user's own although they are installed.
    """

    def __init__(self, *, everything: bool, colours: bool) -> None:
        super().__init__()
        self.packages = {"flowstone"}
        self._everything = everything
        self._colours = colours
        self.setFormatter(logging.Formatter("%(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._wanted(record):
                sys.stderr.write(f"{self._line(record)}\n")
        except Exception:  # What the user's message or field raises; the usual report would repeat it.
            sys.stderr.write(f"A log record of {one_line(record.name)} cannot be shown.\n")

    def _wanted(self, record: logging.LogRecord) -> bool:
        if record.name in {STEPS, VARIABLES}:
            return False  # Commands tell of these themselves.
        if any(map(_writes_to_terminal, logging.getLogger().handlers)):
            return False  # The user's module has brought a handler of its own for the terminal.
        if self._everything or record.levelno >= logging.WARNING:
            return True
        return record.name.partition(".")[0] in self.packages or is_own(record.pathname)

    def _line(self, record: logging.LogRecord) -> str:
        assert self.formatter is not None
        text = indented(printable(masked(self.formatter.format(record))))
        level = f"[{record.levelname.lower()}]"
        if self._colours and record.levelno >= logging.WARNING:
            level = f"{_RED if record.levelno >= logging.ERROR else _YELLOW}{level}{_PLAIN}"
        return f"{self.formatter.formatTime(record, '%H:%M:%S')} {level} {self._who(record)} {text}"

    @staticmethod
    def _who(record: logging.LogRecord) -> str:
        """The step that speaks, or the logger."""
        if not record.name.startswith("flowstone.asset."):
            return one_line(f"{record.name}:")
        asset, partition = getattr(record, "asset", None), getattr(record, "partition", None)
        return one_line(f"{asset}:" if partition is None else f"{asset}[{partition}]:")


@contextlib.contextmanager
def logs_on_stderr(level: str | None, *, colours: bool) -> Iterator[LogLines]:
    """Show log records on stderr while the block runs.

    Args:
        level: "debug", "info", "warning" or "error"; default: `FLOWSTONE_LOG_LEVEL`, else "info".
        colours: Whether stderr is a terminal.
    """
    said = (level or os.environ.get("FLOWSTONE_LOG_LEVEL") or "info").lower()
    chosen = said if said in _LEVELS else "info"  # Whoever reads the settings refuses it.
    root = logging.getLogger()
    before, level_before = root.handlers, root.level
    lines = LogLines(everything=chosen == "debug", colours=colours)
    root.handlers = [*(handler for handler in before if not _writes_to_terminal(handler)), lines]
    root.setLevel(chosen.upper())
    try:
        yield lines
    finally:
        for handler in root.handlers:
            if handler not in before:
                handler.close()
        root.handlers = before
        root.setLevel(level_before)


def _writes_to_terminal(handler: logging.Handler) -> bool:
    streams = (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    return type(handler) is logging.StreamHandler and handler.stream in streams
