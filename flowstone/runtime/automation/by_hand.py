"""What people do to automations: look at them, pause and resume them, have a schedule fire or a sensor look now.

A schedule that is fired by hand does so beside its ticks, a sensor beside its looks, and both also while paused.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Final

from flowstone.assets.automation.asset_condition import Condition
from flowstone.assets.automation.freshness_policy import FreshnessPolicy
from flowstone.assets.automation.listener import Listener
from flowstone.assets.automation.run_request import RunRequest
from flowstone.assets.automation.schedule import Schedule
from flowstone.assets.suggest import did_you_mean
from flowstone.backoff import Backoff
from flowstone.errors import AutomationError, AutomationNotFound, StoreUnavailable
from flowstone.remedies import Remedies
from flowstone.runs.audit import Act
from flowstone.runs.automation import Fire, Move, subject_of
from flowstone.runs.automation_status import AutomationStatus, status_of
from flowstone.runtime.automation.by_hand_conditions import fire_condition
from flowstone.runtime.automation.definitions import define
from flowstone.runtime.automation.functions import apart
from flowstone.runtime.automation.refusals import event_of, fire_of
from flowstone.runtime.automation.schedule import Cursor, ask_schedule
from flowstone.runtime.automation.sensor import look
from flowstone.runtime.automation.starting import make_move
from flowstone.runtime.client.askers import asker, checked_reason
from flowstone.runtime.client.handle import Run
from flowstone.store.cluster import Notification
from flowstone.store.listener_status import with_deliveries
from flowstone.store.pausing import set_paused
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.automation.definitions import DefinedAutomation
    from flowstone.assets.automation.sensor import Sensor
    from flowstone.runs.automation import AutomationKey, AutomationRecord
    from flowstone.runs.records import Failure
    from flowstone.runtime.client.run_client import RunClient
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["ByHand"]

_TRIES: Final = (
    10  # So often a fire is decided upon anew at once because somebody else has changed the automation,
)
_FIRST_PAUSE: Final = 0.01  # and then after a while, so that somebody else is slower one day,
_LONGEST_PAUSE: Final = 1.0
_PATIENCE: Final = 30.0  # for so many seconds at most.
_FIRES: Final = 10  # Shown of one that was paused or resumed.


class ByHand:
    """The automations of a runtime, as people see and handle them.

    Args:
        ctx: What the runtime offers.
        runs: Where new runs start on a store that no other node shares.
        client: Makes handles of runs.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, client: RunClient) -> None:
        self._ctx = ctx
        self._runs = runs
        self._client = client

    async def all(self, fires: int) -> Sequence[AutomationStatus]:
        """See `Runtime.automations`."""
        snapshot, store = self._ctx.snapshot, self._ctx.store
        known = {record.key: record for record in await store.automations.records(snapshot.names)}
        defined = {(pipeline, name): each for name, (pipeline, each) in snapshot.automations.items()}
        shown = [
            replace(
                await self._status(key, defined.get(key), known.get(key), fires),
                asset=_asset_of(defined.get(key)),
            )
            for key in {**defined, **known}
        ]
        return sorted(shown, key=lambda status: (status.name, status.pipeline))

    async def set_paused(
        self, name: str, *, paused: bool, by: str | None, reason: str = ""
    ) -> AutomationStatus:
        """See `Runtime.pause` and `Runtime.resume`."""
        ctx = self._ctx
        by, reason = asker(by, ctx.actor), checked_reason(reason)
        key, defined = self._automation(name)
        before = await self._recorded(key)
        record, event = await set_paused(ctx.store, before, paused, now=ctx.clock.now(), by=by, reason=reason)
        if event is not None:
            ctx.stream.publish(event)
        self._wake(key)
        return await self._status(key, defined, record, _FIRES)

    async def fire(self, name: str, by: str | None) -> list[Run]:
        """See `Runtime.fire`."""
        by = asker(by, self._ctx.actor) or ""
        act = Act(self._ctx.clock.now(), by or None)
        self._runs.refuse_if_closed()
        key, defined = self._automation(name)
        pauses = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._ctx.random)
        given_up_at = self._ctx.clock.monotonic() + _PATIENCE
        for tries in count(1):
            asking = self._asked(defined, await self._recorded(key), by)
            asked = _asked_by(await apart(self._ctx, f"{defined.kind} {name} by hand", asking), act)
            try:
                moved = await make_move(self._ctx, self._runs, asked)
            except StaleWrite:  # It has just done something by itself, or somebody else has asked for it.
                if tries >= _TRIES:
                    if self._ctx.clock.monotonic() >= given_up_at:
                        break
                    await self._ctx.clock.sleep(pauses.pause())
                continue
            for event in asked.events:
                self._ctx.stream.publish(event)
            self._wake(key)
            if self._ctx.store.cluster is not None:
                await self._ctx.store.cluster.tell(Notification("automation", subject_of(key)))
            return [
                Run(run.id, self._client, submitted=not run.joined) for run in moved.runs if run is not None
            ]
        raise StoreUnavailable(f"{name!r} changes too often to be fired now: fire it again.")

    async def _asked(self, defined: DefinedAutomation, record: AutomationRecord, by: str) -> Move:
        if isinstance(defined, Schedule):
            return await _fire_schedule(self._ctx, self._runs, defined, record, by)
        if isinstance(defined, Listener):
            raise AutomationNotFound(
                f"{defined.name!r} is a listener, which is called for events: there is nothing to fire."
            )
        if isinstance(defined, FreshnessPolicy):
            raise AutomationNotFound(
                f"{defined.name!r} watches how old a value becomes: there is nothing to fire."
            )
        if isinstance(defined, Condition):
            return await fire_condition(self._ctx, self._runs, defined, record, by)
        return await _fire_sensor(self._ctx, self._runs, defined, record, by)

    def _automation(self, name: str) -> tuple[AutomationKey, DefinedAutomation]:
        known = self._ctx.snapshot.automations
        given: object = name
        found = known.get(given) if isinstance(given, str) else None
        if found is None:
            raise AutomationNotFound(
                f"There is no automation {name!r:.200}.{did_you_mean(str(name), known)}",
                remedies=Remedies(
                    "runtime.automations() lists them.",
                    "`flowstone automations` lists them.",
                    "`GET /api/v1/automations` lists them.",
                ),
            )
        return (found[0], name), found[1]

    async def _recorded(self, key: AutomationKey) -> AutomationRecord:
        """What the store knows of it, which is told of it if nobody drives it yet."""
        record = await self._ctx.store.automations.record(key)
        if record is None or record.gone_at is not None:
            await define(self._ctx, only=key[1])
            record = await self._ctx.store.automations.record(key)
        assert record is not None, "it was defined just now"
        if record.kind != self._ctx.snapshot.automations[key[1]][1].kind:
            raise AutomationError(
                f"{key[1]!r} is a {record.kind} as another node defines it: give both nodes the same code."
            )
        return record

    def _wake(self, key: AutomationKey) -> None:
        """Wake what drives it here."""
        self._ctx.notifications.heard(Notification("automation", subject_of(key)))

    async def _status(
        self,
        key: AutomationKey,
        defined: DefinedAutomation | None,
        record: AutomationRecord | None,
        fires: int,
    ) -> AutomationStatus:
        if record is None:
            assert defined is not None, "one of the two is there"
            return AutomationStatus(key[1], defined.kind, key[0], defined.definition, defined.paused)
        fired: Sequence[Fire] = ()
        # There may be many of some: those that have not done anything, or never fire, are not asked about.
        if fires and record.kind != "freshness" and record.version > 1:
            fired = await self._ctx.store.automations.fires(key, limit=fires)
        status = status_of(record, fired, self._ctx.clock.now())
        if isinstance(defined, Condition) and not record.paused and record.gone_at is None:
            ticks = (cron.after(self._ctx.clock.now()) for cron in defined.automation.crons)
            return replace(status, next_fire=min(ticks, default=None))
        return await with_deliveries(self._ctx.store, status)


def _asked_by(move: Move, act: Act) -> Move:
    """The change, as somebody's doing, and its runs as well."""
    runs = [
        replace(run, record=replace(run.record, request=replace(run.record.request, by=act.by)))
        for run in move.runs
    ]
    return replace(move, runs=runs, act=act)


def _asset_of(defined: DefinedAutomation | None) -> str | None:
    """The asset that it is about, where its definition says so."""
    match defined:
        case (
            Schedule(request=RunRequest(asset=str() as name))
            | Condition(name=name)
            | FreshnessPolicy(asset=name)
        ):
            return name
        case _:
            return None


async def _fire_schedule(
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


async def _fire_sensor(
    ctx: RuntimeContext, runs: LocalRuns, sensor: Sensor, record: AutomationRecord, by: str
) -> Move:
    """The change by which a sensor looks once.

    Raises:
        AutomationError: Its function failed, or asked for what cannot be carried out.
    """
    seen = await look(ctx, runs, sensor, record)
    if seen.failure is not None:
        raise _failed(f"sensor {sensor.name!r}", seen.failure)
    now = ctx.clock.now()
    fire = fire_of(now, seen.refused, runs=bool(seen.runs), by=by) or Fire(now, "started")
    events = event_of(now, sensor.name, seen.refused)
    return Move(record.key, record.version, seen.cursor, seen.pending, seen.runs, fire, events=events)


def _failed(what: str, failure: Failure) -> AutomationError:
    return AutomationError(f"The {what} failed: {failure.message}", failure)
