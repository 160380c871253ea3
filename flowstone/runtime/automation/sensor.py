"""Drives a sensor: it looks, and what it asked for starts together with the move of its cursor.

What one look asks for beyond its limit is pending, on record with the cursor, and started by the next ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.assets.automation.sensor import Sensor, SensorContext
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.automation import Fire
from flowstone.runtime.automation.driver import Driver
from flowstone.runtime.automation.functions import ask
from flowstone.runtime.automation.requests import new_runs
from flowstone.runtime.execution.guard import describe
from flowstone.store.automation_codec import decode_new_run, encode_new_run
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.automation import AutomationRecord, NewRun
    from flowstone.runs.records import Failure
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["Look", "SensorDriver", "look"]


class Look(NamedTuple):
    """What a look gave.

    Attributes:
        runs: The runs that start with it.
        pending: Those that the next ones start, as JSON has them.
        cursor: Where it left off.
        failure: Why it failed, or None.
    """

    runs: Sequence[NewRun]
    pending: tuple[Any, ...]
    cursor: Any
    failure: Failure | None = None


class SensorDriver(Driver[Sensor]):
    """The process of one sensor."""

    _due = 0.0  # By the monotonic clock: when the next look is due.

    async def _drive(self, record: AutomationRecord) -> float | None:
        clock = self._ctx.clock
        left = self._due - clock.monotonic()
        if left > 0 and not record.failures:
            return left
        seen = await look(self._ctx, self._runs, self._defined, record)
        if seen.failure is not None:
            await self._fail(record, seen.failure)
        if seen.runs or seen.pending != record.pending or seen.cursor != record.cursor or record.failures:
            fire = Fire(clock.now(), "started") if seen.runs else None
            await self._move(record, cursor=seen.cursor, pending=seen.pending, runs=seen.runs, fire=fire)
        self._due = clock.monotonic() + self._defined.every
        return self._defined.every


async def look(ctx: RuntimeContext, runs: LocalRuns, sensor: Sensor, record: AutomationRecord) -> Look:
    """Look once; or start more of what an earlier look asked for, if that is not all started.

    Raises:
        StoreUnavailable: The store is away.
    """
    if record.pending:
        now, rest = record.pending[: sensor.limit], record.pending[sensor.limit :]
        return Look([decode_new_run(each) for each in now], rest, record.cursor)
    at = ctx.clock.now()
    context = SensorContext(sensor.name, record.cursor, at, ctx.resource)
    outcome = await ask(ctx, f"sensor {sensor.name}", sensor.function, context)
    if not outcome[0]:
        if outcome[1].kind == "skip":
            return Look((), (), context.cursor)
        return Look((), (), record.cursor, outcome[1])
    try:
        new = await new_runs(ctx, runs, sensor.name, outcome[1], at)
    except (StoreUnavailable, StaleWrite):
        raise
    except (FlowstoneError, TypeError, ValueError) as error:
        return Look((), (), record.cursor, describe(error, None))
    rest = tuple(encode_new_run(run) for run in new[sensor.limit :])
    return Look(new[: sensor.limit], rest, context.cursor)
