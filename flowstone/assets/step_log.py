"""`context.log`: structlog's way of speaking, the standard library's way of being heard.

An entry is a record of the logger `flowstone.asset.NAME`: the application's handlers and levels decide what
becomes of it, as of any other record. Its message is the event with the fields of the call behind it, and each
field is an attribute of the record too, as `extra` would make it. Before that, and whatever the levels, the runtime
is told of it, which keeps it with the attempt. Nothing is configured here, and an application's own configuration
of structlog is neither needed nor touched.
"""

from __future__ import annotations

import logging
import sys
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

__all__ = ["PROCESSORS", "step_log"]

_ATTEMPT: Final = ("asset", "partition", "run_id", "attempt")
_TAKEN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_LEVELS: Final = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "warning": logging.WARNING,
        "warn": logging.WARNING,
        "error": logging.ERROR,
        "exception": logging.ERROR,
        "critical": logging.CRITICAL,
        "fatal": logging.CRITICAL,
    }
)
_PASSED: Final = ("exc_info", "stack_info")


def step_log(
    asset: str,
    partition: str | None,
    run_id: str,
    attempt: int,
    keep: Callable[[int, str, Mapping[str, Any]], None] | None = None,
) -> Any:
    """The logger of one attempt, with these fields bound.

    `keep` is told of each entry, whatever the levels of loggers: its level, the event and the fields.
    """
    return structlog.wrap_logger(
        logging.getLogger(f"flowstone.asset.{asset}"),
        processors=PROCESSORS if keep is None else (partial(_keep, keep), *PROCESSORS),
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        asset=asset,
        partition=partition,
        run_id=run_id,
        attempt=attempt,
    )


def _keep(
    keep: Callable[[int, str, Mapping[str, Any]], None],
    _logger: logging.Logger,
    method: str,
    entry: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Hand on what an entry says, and leave it as it is."""
    fields = {**structlog.contextvars.get_contextvars(), **entry}
    event, arguments = fields.pop("event", ""), fields.pop("positional_args", ())
    for name in _ATTEMPT:
        if fields.get(name) == entry.get(name):
            fields.pop(name, None)
    try:
        message = str(event) % arguments if arguments else str(event)
        error = fields.pop("exc_info", None)
        if error:
            fields["exception"] = _formatted(error)
    except Exception as broken:  # The user's `__str__`, or a wrong number of arguments.
        message = f"<its message cannot be read: {type(broken).__name__}>"
    keep(_LEVELS.get(method, logging.INFO), message, fields)
    return entry


def _formatted(error: Any) -> str:
    """The traceback of what an entry calls its `exc_info`: an exception, a tuple about one, or the current one."""
    if isinstance(error, BaseException):
        error = (type(error), error, error.__traceback__)
    elif not isinstance(error, tuple):
        error = sys.exc_info()
    return "" if error[0] is None else logging.Formatter().formatException(error)


def _to_record(
    logger: logging.Logger, _method: str, entry: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    """The arguments of the standard library's logger."""
    fields = dict(entry)
    event = str(fields.pop("event", ""))
    passed: dict[str, Any] = {name: fields.pop(name) for name in _PASSED if name in fields}
    spoken = "".join(f" {name}={_shown(value)}" for name, value in fields.items() if name not in _ATTEMPT)
    extra = {f"{name}_" if name in _TAKEN else name: value for name, value in fields.items()}
    return (event + spoken,), {**passed, "extra": extra, "stacklevel": _distance(logger)}


def _shown(value: object) -> str:
    text = str(value)
    return text if text and not any(map(str.isspace, text)) else repr(value)


def _distance(logger: logging.Logger) -> int:
    """How far above the caller of the logger the user's line is, for its record to name it.

    Loggers that were made after an application configured structlog's `LoggerFactory` pass over structlog's frames
    by themselves.
    """
    if type(logger).findCaller.__module__.partition(".")[0] == "structlog":
        return 1
    frame = sys._getframe(3)
    level = 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "structlog":
        frame = frame.f_back
        level += 1
    return level


PROCESSORS: Final = (
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.PositionalArgumentsFormatter(),
    _to_record,
)
"""From an entry of structlog's to a record of the standard library's."""
