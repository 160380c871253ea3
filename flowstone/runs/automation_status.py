"""What people see of an automation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.assets.automation.cron import Cron
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runs.automation import AutomationKind, AutomationRecord, Fire
    from flowstone.runs.records import Failure

__all__ = ["AutomationStatus", "status_of"]


@frozen
class AutomationStatus:
    """An automation as it is now.

    Attributes:
        name: Its name.
        kind: `schedule`, `sensor`, `listener`, `condition` or `freshness`.
        pipeline: The pipeline that defines it.
        text: What decides when it acts: of a schedule its cron expression and time zone.
        paused: Whether it does nothing until it is resumed.
        next_fire: The next tick (aware, UTC); None if it is paused, gone, or has no cron expression.
        last_fires: What it did, the newest first, each with its runs and what has become of them.
        failures: How many times it has failed in a row; ten pause it.
        failure: Why it failed the last time; None after it has succeeded. Of a listener: why it was given up the
            last time, if it ever was.
        since: When it was seen for the first time (aware, UTC); None if it was not yet.
        gone_at: Since when no pipeline defines it (aware, UTC); None: one does.
        pending: How many events a listener is still to be told of; of others 0.
        given_up: How many events a listener was never told of, because it failed each time; of others 0.
        attempts: How many times a listener was told of a pending event in vain, at most; of others 0.
        failing: Why it failed the last time, if one of these is told again; else None.
        oldest: When the oldest pending event happened (aware, UTC); None if there is none.
        paused_at: Since when it is paused (aware, UTC); None if it is not, or was defined so.
        paused_by: Who paused it, if anybody said so; None where too many failures have.
        paused_because: Why, for people; empty: no reason was given.
        asset: The asset that it computes or watches, where its definition says so: of a schedule without a
            function, which may name a selection of several, of a condition and of what watches freshness; None of
            others.
    """

    name: str
    kind: AutomationKind
    pipeline: str
    text: str
    paused: bool = False
    next_fire: datetime | None = None
    last_fires: tuple[Fire, ...] = ()
    failures: int = 0
    failure: Failure | None = None
    since: datetime | None = None
    gone_at: datetime | None = None
    pending: int = 0
    given_up: int = 0
    attempts: int = 0
    failing: Failure | None = None
    oldest: datetime | None = None
    paused_at: datetime | None = None
    paused_by: str | None = None
    paused_because: str = ""
    asset: str | None = None


def status_of(record: AutomationRecord, fires: Sequence[Fire], now: datetime) -> AutomationStatus:
    """What people see of an automation that a store knows, whoever asks and without its code."""
    pausing = record.pausing
    return AutomationStatus(
        record.name,
        record.kind,
        record.pipeline,
        record.text,
        record.paused,
        _next_fire(record, now),
        tuple(fires),
        record.failures,
        record.failure,
        record.since,
        record.gone_at,
        paused_at=None if pausing is None else pausing.at,
        paused_by=None if pausing is None else pausing.by,
        paused_because="" if pausing is None else pausing.reason,
    )


def _next_fire(record: AutomationRecord, now: datetime) -> datetime | None:
    if record.kind != "schedule" or record.paused or record.gone_at is not None:
        return None
    expression, _, timezone = record.text.rpartition(" ")
    try:
        return Cron.of(expression, timezone).after(now)
    except DefinitionError:
        return None  # A node with another database of time zones has defined it.
