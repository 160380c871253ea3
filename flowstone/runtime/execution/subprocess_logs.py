"""What is logged in a worker process is heard in the program: records travel with the answers.

The worker knows nothing of the program's handlers; it sends each record to where those are. Levels are the
program's as well: the worker sends what any of its loggers might take, and the program decides.
"""

from __future__ import annotations

import logging
import os
import pickle  # Between processes of one program, see `subprocess_main.py`.
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Logged", "forward_logs", "hear", "least_level"]

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


@frozen
class Logged:
    """A record on its way, as the attributes that it has."""

    record: dict[str, Any]


def least_level() -> int:
    """The lowest level that any logger of this process takes."""
    root = logging.getLogger()
    known = [
        logger for logger in tuple(root.manager.loggerDict.values()) if isinstance(logger, logging.Logger)
    ]
    return min(logger.level for logger in (root, *known) if logger.level or logger is root)


def hear(logged: Logged) -> None:
    """Let the handlers of this process have the record."""
    with suppress(Exception):  # They are the application's.
        record = logging.makeLogRecord(logged.record)
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


def forward_logs(reply: Callable[[bytes], None]) -> None:
    """Send what this process logs to the other end."""
    logging.getLogger().handlers = [_Forwarder(reply)]


class _Forwarder(logging.Handler):
    def __init__(self, reply: Callable[[bytes], None]) -> None:
        super().__init__()
        self._reply = reply
        self._process = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() != self._process:  # A process that the asset forked has no part in the conversation.
            sys.stderr.write(f"{self.format(record)}\n")
            return
        try:
            data = _frame(record)
        except Exception:
            self.handleError(record)
            return
        with suppress(OSError):  # The program is gone, and so are we in a moment.
            self._reply(data)


def _frame(record: logging.LogRecord) -> bytes:
    """With message, exception and fields as text, but for plain values: the program may lack a class."""
    facts = {**vars(record), "msg": record.getMessage(), "args": None, "exc_info": None}
    if record.exc_info:
        facts["exc_text"] = logging.Formatter().formatException(record.exc_info)
    facts = {name: value if type(value) in _PLAIN else str(value) for name, value in facts.items()}
    return pickle.dumps(Logged(facts))
