"""What a schedule or a sensor does when somebody asks for it: beside its ticks and looks, and also while paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import AutomationError
from flowstone.runs.automation import Fire, Move
from flowstone.runtime.automation.schedule import Cursor, ask_schedule
from flowstone.runtime.automation.sensor import look

if TYPE_CHECKING:
    from flowstone.assets.automation.schedule import Schedule
    from flowstone.assets.automation.sensor import Sensor
    from flowstone.runs.automation import AutomationRecord
    from flowstone.runs.records import Failure
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["fire_schedule", "fire_sensor"]


async def fire_schedule(
    ctx: RuntimeContext, runs: LocalRuns, schedule: Schedule, record: AutomationRecord, by: str
) -> Move:
    """The change by which a schedule fires for this instant; its cursor stays where it is.

    Raises:
        AutomationError: Its function failed, or asked for what cannot be carried out.
    """
    now = ctx.clock.now()
    asked = await ask_schedule(ctx, runs, schedule, now, Cursor.read(record.cursor).fired)
    if asked.failure is not None:
        raise _failed(f"schedule {schedule.name!r}", asked.failure)
    fire = Fire(now, "skipped" if asked.skipped else "started", reason=asked.skipped, by=by)
    return Move(record.key, record.version, record.cursor, record.pending, asked.runs, fire)


async def fire_sensor(
    ctx: RuntimeContext, runs: LocalRuns, sensor: Sensor, record: AutomationRecord, by: str
) -> Move:
    """The change by which a sensor looks once.

    Raises:
        AutomationError: Its function failed, or asked for what cannot be carried out.
    """
    seen = await look(ctx, runs, sensor, record)
    if seen.failure is not None:
        raise _failed(f"sensor {sensor.name!r}", seen.failure)
    fire = Fire(ctx.clock.now(), "started", by=by)
    return Move(record.key, record.version, seen.cursor, seen.pending, seen.runs, fire)


def _failed(what: str, failure: Failure) -> AutomationError:
    return AutomationError(f"The {what} failed: {failure.message}", failure)
