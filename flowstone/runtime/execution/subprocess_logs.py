"""What is logged and printed in a worker process is heard in the program: it travels with the answers.

The worker knows nothing of the program's handlers; it sends each record to where those are. Levels are the
program's as well: the worker sends what any of its loggers might take, and the program decides. What is printed,
and what is said to `context.log`, is kept with the attempt, and is for nobody else: so it travels as `Said`, and a
record of `context.log` as a record besides, for the handlers.
"""

from __future__ import annotations

import json
import logging
import os
import pickle  # Between processes of one program, see `subprocess_main.py`.
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowstone.frozen import frozen
from flowstone.runtime.execution.printed_text import PrintedText

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.runtime.execution.log_capture import Stream

__all__ = ["Logged", "Relay", "Said", "forward_logs", "hear", "keep", "least_level"]

_CONTAINERS: Final = frozenset({list, tuple, dict})
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


@frozen
class Logged:
    """A record on its way, as the attributes that it has."""

    record: dict[str, Any]


@frozen
class Said:
    """A line on its way to the log of an attempt.

    Attributes:
        at: When it was said, as seconds since 1970.
        level: The level's number.
        message: What was said.
        fields: What came with it.
        stream: The stream, if it was printed.
    """

    at: float
    level: int
    message: str
    fields: dict[str, Any]
    stream: Stream | None = None


class Relay:
    """Sends what is said in this process to the log of the attempt that its program has it work for.

    Args:
        reply: Sends a frame.
    """

    def __init__(self, reply: Callable[[bytes], None]) -> None:
        self._reply = reply
        self._process = os.getpid()
        self._printed = PrintedText()

    def hear(self, record: logging.LogRecord) -> None:
        """A logger has emitted a record: the program hears it as it handles it."""

    def printed(self, stream: Stream, text: str) -> None:
        """Text was written to a stream."""
        if os.getpid() == self._process:
            for line in self._printed.add(stream, text):
                self._send(Said(time.time(), logging.INFO, line, {}, stream))

    def say(self, level: int, message: str, fields: Mapping[str, Any]) -> None:
        """Something was said to `context.log`."""
        if os.getpid() == self._process:
            told = {name: _plain(value) for name, value in fields.items()}
            self._send(Said(time.time(), level, message, told))

    def end(self) -> None:
        """The call is over."""
        for stream, text in self._printed.rest():
            self._send(Said(time.time(), logging.INFO, text, {}, stream))

    def _send(self, said: Said) -> None:
        with suppress(OSError):  # The program is gone, and so are we in a moment.
            self._reply(pickle.dumps(said))


def keep(log: Kept | None, said: Said) -> None:
    """Keep in the program what was said in a worker process; nobody's if there is no attempt."""
    if log is None:
        return
    if said.stream is None:
        log.say(said.level, said.message, said.fields, said.at)
    else:
        log.print_line(said.stream, said.message, said.at)


class Kept(Protocol):
    """Where lines of an attempt are kept."""

    def say(self, level: int, message: str, fields: Mapping[str, Any], at: float | None = None) -> None: ...

    def print_line(self, stream: Stream, text: str, at: float | None = None) -> None: ...


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
    try:
        message = record.getMessage()
    except Exception as error:
        message = f"<its message cannot be read: {type(error).__name__}>"
    facts = {**vars(record), "msg": message, "args": None, "exc_info": None}
    if record.exc_info:
        facts["exc_text"] = logging.Formatter().formatException(record.exc_info)
    return pickle.dumps(Logged({name: _plain(value) for name, value in facts.items()}))


def _plain(value: Any) -> Any:
    """The value, or its text: the program may lack its class."""
    if type(value) in _PLAIN:
        return value
    if type(value) in _CONTAINERS:
        with suppress(Exception):
            return json.loads(json.dumps(value, default=str))
    try:
        return str(value)
    except Exception as error:
        return f"<it cannot be read: {type(error).__name__}>"
