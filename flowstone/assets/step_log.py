"""`context.log`: structlog's way of speaking, the standard library's way of being heard.

An entry is a record of the logger `flowstone.asset.NAME`: the application's handlers and levels decide what
becomes of it, as of any other record. Its message is the event with the fields of the call behind it, and each
field is an attribute of the record too, as `extra` would make it. Nothing is configured here, and an application's
own configuration of structlog is neither needed nor touched.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["PROCESSORS", "step_log"]

_ATTEMPT: Final = ("asset", "partition", "run_id", "attempt")
_TAKEN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PASSED: Final = ("exc_info", "stack_info")


def step_log(asset: str, partition: str | None, run_id: str, attempt: int) -> Any:
    """The logger of one attempt, with these fields bound."""
    return structlog.wrap_logger(
        logging.getLogger(f"flowstone.asset.{asset}"),
        processors=PROCESSORS,
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        asset=asset,
        partition=partition,
        run_id=run_id,
        attempt=attempt,
    )


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
