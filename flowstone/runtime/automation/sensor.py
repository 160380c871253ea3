"""Drives a sensor: it looks, and what it asked for starts together with the move of its cursor.

What one look asks for beyond its limit is pending, on record with the cursor, and started by the next ones.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowstone.assets.automation.sensor import Sensor, SensorContext
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runtime.automation.driver import Driver
from flowstone.runtime.automation.functions import ask
from flowstone.runtime.automation.packs import pack, taken, text_of
from flowstone.runtime.automation.refusals import as_failure, event_of, fire_of
from flowstone.runtime.automation.requests import NoPartitionYet, new_run, view_at
from flowstone.runtime.execution.guard import describe
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flowstone.assets.automation.run_request import RunRequest
    from flowstone.runs.automation import AutomationRecord, NewRun
    from flowstone.runs.records import Failure
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["LastLook", "Look", "SensorDriver", "look"]

_AT_ONCE: Final = 20  # Runs that are described in one turn of the loop.


class Look(NamedTuple):
    """What a look gave.

    Attributes:
        runs: The runs that start with it.
        pending: Those that the next ones start, as JSON has them.
        cursor: Where it left off.
        failure: Why it failed, or None.
        skipped: Why it gave nothing, if it said so.
        refused: What no run can be made of, though it did not fail as a whole.
    """

    runs: Sequence[NewRun]
    pending: tuple[Any, ...]
    cursor: Any
    failure: Failure | None = None
    skipped: str = ""
    refused: Failure | None = None


class LastLook:
    """The last look of a sensor that did not fail; it outlives the process, which ends when one fails.

    Attributes:
        at: When it was, by the monotonic clock; None: there was none yet.
        cursor: Where it left off.
    """

    def __init__(self) -> None:
        self.at: float | None = None
        self.cursor: Any = None


class SensorDriver(Driver[Sensor]):
    """The process of one sensor."""

    _due = 0.0  # By the monotonic clock: when the next look is due.

    def __init__(self, *given: Any, looks: LastLook, restarted: bool) -> None:
        super().__init__(*given, restarted=restarted)
        self._looks = looks

    async def _drive(self, record: AutomationRecord) -> float | None:
        clock = self._ctx.clock
        left = self._due - clock.monotonic()
        if left > 0 and not record.failures:
            return left
        begun = clock.monotonic()
        seen = await look(self._ctx, self._runs, self._defined, record, self._since(record, begun))
        if seen.failure is not None:
            await self._fail(record, seen.failure)
        self._say(seen.skipped)
        now, refused = clock.now(), seen.refused
        fire = fire_of(now, refused, runs=bool(seen.runs))
        if (
            fire is not None
            or (seen.pending, seen.cursor) != (record.pending, record.cursor)
            or record.failures
        ):
            await self._move(
                record,
                cursor=seen.cursor,
                pending=seen.pending,
                runs=seen.runs,
                fire=fire,
                events=event_of(now, record.name, refused),
            )
            record = self._record or record
        self._looks.at, self._looks.cursor = begun, record.cursor
        self._due = clock.monotonic() + self._defined.every
        return self._defined.every

    def _since(self, record: AutomationRecord, now: float) -> float | None:
        """Seconds since the last look that did not fail, if nobody else has looked since."""
        looks = self._looks
        return None if looks.at is None or looks.cursor != record.cursor else now - looks.at

    def _say(self, skipped: str) -> None:
        subject = f"{self._subject} (skips)"
        if skipped:
            self._ctx.alarms.set(subject, skipped)
        else:
            self._ctx.alarms.clear(subject, "it looks again")


async def look(
    ctx: RuntimeContext, runs: LocalRuns, sensor: Sensor, record: AutomationRecord, since: float | None = None
) -> Look:
    """Look once; or start more of what an earlier look asked for, if that is not all started.

    Args:
        ctx: What the runtime offers.
        runs: Describes runs.
        sensor: What looks.
        record: Where it has got to.
        since: Seconds since its last look, if that is known.

    Raises:
        StoreUnavailable: The store is away.
    """
    if record.pending:
        return Look(*taken(record.pending, sensor.limit), record.cursor)
    at = ctx.clock.now()
    assets = ctx.snapshot.graph.assets
    context = SensorContext(sensor.name, record.cursor, at, ctx.resource, assets, since)
    outcome = await ask(ctx, f"sensor {sensor.name}", sensor.function, context)
    if not outcome[0] and outcome[1].kind != "skip":
        return Look((), (), record.cursor, outcome[1])
    try:
        if not outcome[0]:
            return Look((), (), context.left_at(), skipped=outcome[1].message)
        context.left_at()  # A look whose cursor is none adds no partitions.
        for name, keys in context.added().items():
            await ctx.store.add_partitions(name, keys)
        found = [chunk async for chunk in _chunks(ctx, runs, sensor, outcome[1], context)]
        cursor = context.left_at()
    except (StoreUnavailable, StaleWrite):
        raise
    except NoPartitionYet as error:
        return Look((), (), record.cursor, skipped=str(error))
    except (FlowstoneError, TypeError, ValueError) as error:
        return Look((), (), record.cursor, describe(error, None))
    refused = as_failure(sensor.name, context.refused())
    return Look(found[0] if found else (), tuple(found[1:]), cursor, refused=refused)


async def _chunks(
    ctx: RuntimeContext,
    runs: LocalRuns,
    sensor: Sensor,
    requests: Sequence[RunRequest],
    context: SensorContext,
) -> AsyncIterator[Any]:
    """What starts with this look, as it is; then what starts with each later one, as text.

    Raises:
        FlowstoneError, TypeError, ValueError: A request cannot be carried out, and that is not tolerated.
    """
    if not requests:
        return
    view = await view_at(ctx, context.now)
    first = True
    chunk: list[Any] = []
    for number, request in enumerate(requests, 1):
        if not number % _AT_ONCE:
            await asyncio.sleep(0)
        try:
            run = new_run(runs, view, sensor.name, request)
        except (FlowstoneError, TypeError, ValueError) as error:
            if not context.tolerates(request, error):
                raise
            continue
        if len(chunk) == sensor.limit:
            yield chunk if first else pack(chunk)
            first, chunk = False, []
        chunk.append(run if first else text_of(run))
    if chunk:
        yield chunk if first else pack(chunk)
