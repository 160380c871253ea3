"""What no run can be made of, though the rest of a look goes on: as a failure, an event and lines of the log."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowstone.counting import count
from flowstone.masking import masked
from flowstone.printable import one_line
from flowstone.runs.automation import Fire
from flowstone.runs.automation_events import AutomationFailed
from flowstone.runs.records import Failure
from flowstone.runtime.execution.guard import describe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runs.automation_events import AutomationEvent

__all__ = ["as_failure", "event_of", "fire_of"]

_log = logging.getLogger("flowstone.sensors")

_MOST_LOGGED: Final = 20  # Of one look, by name: a folder full of what is wrong has one cause.
_MOST_TOLD: Final = 3  # In one sentence, likewise.
_LONGEST: Final = 500  # Characters of what is said of one.


def as_failure(sensor: str, refused: Sequence[tuple[str, Exception | str]]) -> Failure | None:
    """What no run can be made of, as one failure, which is logged; None if there is nothing.

    Args:
        sensor: The name of the sensor.
        refused: What was found, and why no run can be made of it.
    """
    if not refused:
        return None
    told = [(masked(what)[:_LONGEST], _described(why)) for what, why in refused[:_MOST_LOGGED]]
    for what, failure in told:
        _log.warning(
            "sensor %s: no run can be made of %s: %s",
            one_line(sensor),
            one_line(what),
            one_line(failure.message),
        )
    if more := len(refused) - len(told):
        _log.warning("sensor %s: nor of %s", one_line(sensor), count(more, "other"))
    parts = [f"{what}: {failure.message[:_LONGEST]}" for what, failure in told[:_MOST_TOLD]]
    if more := len(refused) - len(parts):
        parts.append(f"and {count(more, 'other')}")
    message = f"No run can be made of {'; '.join(parts)}"
    return replace(told[0][1], message=message, retryable=False)


def _described(why: Exception | str) -> Failure:
    return Failure("error", masked(why)) if isinstance(why, str) else describe(why, None)


def fire_of(at: datetime, refused: Failure | None, *, runs: bool, by: str = "") -> Fire | None:
    """What is remembered of a look; None if it did nothing, and nobody asked for it.

    Args:
        at: When it was.
        refused: What no run can be made of.
        runs: Whether it starts runs.
        by: Who asked for it, or empty.
    """
    if refused is not None:
        return Fire(at, "started" if runs else "failed", reason=refused.message, by=by)
    return Fire(at, "started", by=by) if runs or by else None


def event_of(at: datetime, sensor: str, refused: Failure | None) -> Sequence[AutomationEvent]:
    """What is told of it to those who listen."""
    return () if refused is None else (AutomationFailed(at, sensor, refused, 0),)
