"""Logs of pipelines and of FlowStone itself: to stderr, so that stdout holds nothing but the result.

Only the command line configures logging; a library that did would quarrel with the application around it.
"""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["configure_logs"]

_LEVELS = logging.getLevelNamesMapping()


class _Stderr:
    """Writes to whatever `sys.stderr` is now: above the progress bar while there is one."""

    def msg(self, message: str) -> None:
        sys.stderr.write(f"{message}\n")

    log = debug = info = warning = warn = error = err = critical = fatal = exception = failure = msg


class _StderrHandler(logging.Handler):
    """The same for the standard library's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")


def configure_logs(level: str, *, colours: bool) -> None:
    """Send structlog's and the standard library's logs to stderr.

    Args:
        level: "debug", "info", "warning" or "error"; the standard library's loggers get "warning" at least
            unless it is "debug", because libraries tell their life story at "info".
        colours: Whether stderr is a terminal.
    """
    least = _LEVELS[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: _Stderr(),
        cache_logger_on_first_use=False,
    )
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(least if level == "debug" else max(least, logging.WARNING))
