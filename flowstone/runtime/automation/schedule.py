"""Drives a schedule: each tick fires once, by one change that has the run it starts in it.

The cursor is the last tick that was dealt with and the last one that fired. Ticks that wait (for the run of an
earlier one) are pending: they were accepted when they came, so they fire whatever happens until then. Ticks that
were missed are accepted late, as `catch_up` says, and wait for each other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from flowstone.actors.clock import noticed_within
from flowstone.assets.automation.schedule import Schedule, Tick
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.automation import Fire
from flowstone.runs.due_ticks import MOST_TICKS, due_ticks
from flowstone.runtime.automation.driver import Driver
from flowstone.runtime.automation.functions import ask
from flowstone.runtime.automation.requests import NoPartitionYet, new_runs
from flowstone.runtime.execution.guard import describe
from flowstone.store.automations import MOST_FIRES
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.automation.run_request import RunRequest
    from flowstone.runs.automation import AutomationRecord, NewRun
    from flowstone.runs.records import Failure
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["Asked", "Cursor", "ScheduleDriver", "ask_schedule"]


class Cursor(NamedTuple):
    """How far a schedule has got.

    Attributes:
        at: The last tick that was dealt with, or when the schedule began.
        fired: The last tick that fired, or None.
        ahead: Ticks after `at` that were dealt with: the clock that has shown them was set back.
    """

    at: datetime
    fired: datetime | None = None
    ahead: tuple[datetime, ...] = ()

    @classmethod
    def read(cls, data: dict[str, Any]) -> Cursor:
        """From JSON."""
        fired = data.get("fired")
        ahead = tuple(datetime.fromisoformat(tick) for tick in data.get("ahead", ()))
        at = datetime.fromisoformat(data["at"])
        return cls(at, None if fired is None else datetime.fromisoformat(fired), ahead)

    def reached(self, tick: datetime) -> Cursor:
        """All up to a tick is dealt with."""
        return self._replace(at=tick, ahead=tuple(each for each in self.ahead if each > tick))

    def written(self) -> dict[str, Any]:
        """As JSON has it."""
        written: dict[str, Any] = {"at": self.at.isoformat()}
        if self.fired is not None:
            written["fired"] = self.fired.isoformat()
        if self.ahead:
            written["ahead"] = [tick.isoformat() for tick in self.ahead]
        return written


class Waiting(NamedTuple):
    """A tick that was accepted.

    Attributes:
        tick: Its instant.
        late: Whether it was missed, and waits for others whatever `overlap` says.
    """

    tick: datetime
    late: bool

    @classmethod
    def read(cls, data: list[Any]) -> Waiting:
        """From JSON."""
        return cls(datetime.fromisoformat(data[0]), data[1])

    def written(self) -> list[Any]:
        """As JSON has it."""
        return [self.tick.isoformat(), self.late]


class Asked(NamedTuple):
    """What a schedule asks for at a tick: runs, or why there are none."""

    runs: Sequence[NewRun] = ()
    skipped: str = ""
    failure: Failure | None = None


class ScheduleDriver(Driver[Schedule]):
    """The process of one schedule."""

    _quiet: tuple[AutomationRecord, datetime, datetime] | None = None
    """There is no tick between these two instants; the record with which that was found out."""

    async def _drive(self, record: AutomationRecord) -> float | None:
        now = self._ctx.clock.now()
        quiet = self._quiet
        if record.pending or quiet is None or quiet[0] is not record or not quiet[1] <= now < quiet[2]:
            if await self._act(record, now):
                return 0.0
            self._quiet = quiet = record, now, self._defined.cron.after(now)
        # A clock that was set meanwhile is noticed soon.
        soon = noticed_within(self._ctx.clock, self._ctx.settings.lease)
        return min((quiet[2] - now).total_seconds(), soon)

    async def _act(self, record: AutomationRecord, now: datetime) -> bool:
        """Do the next thing that is due; False if nothing is."""
        schedule = self._defined
        cursor = Cursor.read(record.cursor)
        if cursor.at - now > timedelta(seconds=self._ctx.settings.lease):
            return await self._set_back(record, cursor, now)
        ahead = cursor.ahead
        due = due_ticks(schedule.cron, cursor.at, now, schedule.catch_up, self._ctx.settings.lease)
        accepted = [Waiting.read(each) for each in record.pending]
        self._awaited = await self._under_way() if accepted or due.late or due.on_time else frozenset()
        if due.late:
            cursor = cursor.reached(due.late[-1])
            accepted += [Waiting(tick, True) for tick in due.late if tick not in ahead]
        elif due.on_time and due.on_time[0] in ahead:
            cursor = cursor.reached(due.on_time[0])
        elif due.on_time:
            tick = due.on_time[0]  # The others come next.
            cursor = cursor.reached(tick)
            catching_up = bool(accepted) and accepted[-1].late and schedule.catch_up == "all"
            if schedule.overlap == "skip" and not catching_up and (self._awaited or accepted):
                await self._skip(record, cursor, accepted, tick)
                return True
            accepted.append(Waiting(tick, catching_up))
        elif due.reached is not None:
            cursor = cursor.reached(due.reached)
        accepted = accepted[-MOST_TICKS:]
        if accepted and not self._must_wait(accepted[0]):
            await self._fire(record, cursor, accepted)
            return True
        if due.reached is not None:
            written = _written(accepted)
            await self._move(record, cursor=cursor.written(), pending=written, succeeded=False)
            return True
        return False

    async def _set_back(self, record: AutomationRecord, cursor: Cursor, now: datetime) -> bool:
        """The clock was ahead and is set back: go on from now, but leave out the ticks that were dealt with since.

        Where more fired than are remembered, those between are taken for fired. False if nothing changes by that.
        """
        fires = await self._ctx.store.automations.fires(self._key)
        ticks = {fire.scheduled_at for fire in fires if fire.scheduled_at is not None}
        accepted = {Waiting.read(each).tick for each in record.pending}
        known = sorted({tick for tick in ticks | accepted if tick > now} | {*cursor.ahead, cursor.at})
        all_known = len(fires) < MOST_FIRES or min(ticks, default=now) <= now
        at = now if all_known else known[0]
        if at == cursor.at:
            return False
        moved = Cursor(at, cursor.fired, tuple(tick for tick in known if tick > at))
        await self._move(record, cursor=moved.written(), pending=record.pending, succeeded=False)
        return True

    def _must_wait(self, first: Waiting) -> bool:
        return bool(self._awaited) and (first.late or self._defined.overlap != "allow")

    async def _under_way(self) -> frozenset[str]:
        """Runs of earlier ticks that are not over."""
        return frozenset(await self._ctx.store.automations.under_way(self._key))

    async def _skip(
        self, record: AutomationRecord, cursor: Cursor, accepted: Sequence[Waiting], tick: datetime
    ) -> None:
        what = f"run {min(self._awaited)}, of" if self._awaited else "catching up with"
        reason = f"{what} an earlier tick, is not over"
        fire = Fire(self._ctx.clock.now(), "skipped", tick, reason=reason)
        written = _written(accepted)
        await self._move(record, cursor=cursor.written(), pending=written, fire=fire, succeeded=False)

    async def _fire(self, record: AutomationRecord, cursor: Cursor, accepted: Sequence[Waiting]) -> None:
        """Fire the first of the accepted ticks; the others wait, on record."""
        tick = accepted[0].tick
        asked = await ask_schedule(self._ctx, self._runs, self._defined, tick, cursor.fired)
        if asked.failure is not None:
            # It was accepted when it came, and stays so, however long it fails and whatever `catch_up` says.
            tried = replace(record, cursor=cursor.written(), pending=_written(accepted))
            await self._fail(tried, asked.failure, tick)
        status, reason = ("skipped", asked.skipped) if asked.skipped else ("started", "")
        await self._move(
            record,
            cursor=cursor._replace(fired=tick).written(),
            pending=_written(accepted[1:]),
            runs=asked.runs,
            fire=Fire(self._ctx.clock.now(), status, tick, reason=reason),  # type: ignore[arg-type] # one of the two above
        )


def _written(accepted: Sequence[Waiting]) -> tuple[Any, ...]:
    return tuple(each.written() for each in accepted)


async def ask_schedule(
    ctx: RuntimeContext, runs: LocalRuns, schedule: Schedule, tick: datetime, last: datetime | None
) -> Asked:
    """What a schedule asks for at a tick.

    Raises:
        StoreUnavailable: The store is away.
    """
    zone = ZoneInfo(schedule.cron.timezone)
    requests: Sequence[RunRequest]
    if schedule.function is None:
        assert schedule.request is not None, "one of the two is there"
        requests = [schedule.request]
    else:
        local = None if last is None else last.astimezone(zone)
        argument = Tick(schedule.name, tick.astimezone(zone), local)
        outcome = await ask(ctx, f"schedule {schedule.name}", schedule.function, argument)
        if not outcome[0]:
            skipped = outcome[1].kind == "skip"
            return Asked(skipped=outcome[1].message) if skipped else Asked(failure=outcome[1])
        requests = outcome[1]
    try:
        return Asked(await new_runs(ctx, runs, schedule.name, requests, tick))
    except NoPartitionYet as error:
        return Asked(skipped=str(error))
    except (StoreUnavailable, StaleWrite):
        raise
    except (FlowstoneError, TypeError, ValueError) as error:
        return Asked(failure=describe(error, None))
