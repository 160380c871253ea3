"""Automations in memory: the state behind a store that one process holds. Nothing here waits or fails half-way."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from flowstone.runs.automation import AutomationRecord, Fire, FiredRun
from flowstone.runs.automation_events import pausing_among
from flowstone.store import refusals
from flowstone.store.automations import GONE_FOR, MOST_FIRES, Moved
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from flowstone.runs.automation import AutomationKey, Definition, Move, NewRun
    from flowstone.runs.automation_events import AutomationEvent, AutomationPaused
    from flowstone.runs.records import RunRecord, Status

__all__ = ["AutomationLedger", "KnownAutomation"]


class KnownAutomation:
    """One automation, what it did, and the keys by which it asked for runs.

    Attributes:
        record: Where it has got to.
        fires: What it did, oldest first.
        once: The runs that it asked for by a key.
    """

    __slots__ = ("fires", "once", "record")

    def __init__(self, record: AutomationRecord) -> None:
        self.record = record
        self.fires: deque[Fire] = deque()
        self.once: dict[str, str] = {}


class AutomationLedger:
    """All automations, by pipeline and name."""

    def __init__(self) -> None:
        self._known: dict[AutomationKey, KnownAutomation] = {}

    def define(
        self, defined: Mapping[str, Collection[Definition]], now: datetime, whole: bool = True
    ) -> list[AutomationRecord]:
        """See `Automations.define`."""
        found = [
            self._define(pipeline, definition, now)
            for pipeline, definitions in defined.items()
            for definition in definitions
        ]
        there = {record.key for record in found}
        for key, known in list(self._known.items()):
            if whole and key[0] in defined and key not in there and known.record.gone_at is None:
                known.record = replace(known.record, version=known.record.version + 1, gone_at=now)
            elif known.record.gone_at is not None and _is_long_gone(known.record.gone_at, now):
                del self._known[key]
        return found

    def _define(self, pipeline: str, definition: Definition, now: datetime) -> AutomationRecord:
        key = pipeline, definition.name
        known = self._known.get(key)
        if known is not None and (
            known.record.gone_at is None or not _is_long_gone(known.record.gone_at, now)
        ):
            known.record = _defined_again(known.record, definition)
            return known.record
        record = AutomationRecord(
            pipeline,
            definition.name,
            definition.kind,
            definition.text,
            1,
            definition.cursor,
            (),
            definition.paused,
            0,
            None,
            now,
        )
        self._known[key] = KnownAutomation(record)
        return record

    def restore(
        self, record: AutomationRecord, fires: Sequence[Fire], once: Mapping[str, str]
    ) -> KnownAutomation:
        """Take over an automation of a former life, or more of what it did."""
        known = self._known.setdefault(record.key, KnownAutomation(record))
        known.record = record
        known.fires.extend(fires)
        known.once.update(once)
        return known

    def pause(
        self, key: AutomationKey, paused: bool, events: Sequence[AutomationEvent] = ()
    ) -> AutomationRecord | None:
        """See `Automations.pause`."""
        known = self._known.get(key)
        if known is None or known.record.gone_at is not None:
            return None
        if self.would_pause(key, paused):
            record = replace(known.record, paused=paused, version=known.record.version + 1)
            record = replace(record, pausing=pausing_among(events) if paused else None)
            known.record = record if paused else replace(record, failures=0, failure=None)
        return known.record

    def would_pause(self, key: AutomationKey, paused: bool) -> bool:
        """Whether `pause` would change anything."""
        record = self.get(key)
        if record is None or record.gone_at is not None:
            return False
        return record.paused != paused or (not paused and record.failures > 0)

    def check(self, move: Move) -> None:
        """Raise `StaleWrite` if a change was decided upon another version."""
        known = self._known.get(move.key)
        if known is None or known.record.version != move.version:
            now = None if known is None else known.record.version
            raise StaleWrite(refusals.automation_moved(move.key, move.version, now))

    def move(
        self,
        move: Move,
        under_way: Callable[[RunRecord], str | None],
        create: Callable[[RunRecord], object],
        status_of: Callable[[str], Status | None],
    ) -> Moved:
        """See `Automations.move`.

        Args:
            move: The change, which `check` has let pass.
            under_way: Finds a run of the same that is under way.
            create: Writes a run down.
            status_of: What has become of a run, or None.
        """
        known = self._known[move.key]
        runs = [self._start(known, run, under_way, create) for run in move.runs]
        known.record = replace(
            known.record,
            version=move.version + 1,
            cursor=move.cursor,
            pending=move.pending,
            paused=known.record.paused if move.paused is None else move.paused,
            failures=move.failures,
            failure=move.failure,
            pausing=_pausing(known.record, move),
        )
        if move.fire is not None:
            known.fires.append(replace(move.fire, runs=tuple(run for run in runs if run is not None)))
            if len(known.fires) > MOST_FIRES:
                _prune(known.fires, status_of)
        return Moved(known.record, tuple(runs))

    def _start(
        self,
        known: KnownAutomation,
        run: NewRun,
        under_way: Callable[[RunRecord], str | None],
        create: Callable[[RunRecord], object],
    ) -> FiredRun | None:
        if run.once is not None and run.once in known.once:
            return None
        joined = under_way(run.record) if run.join else None
        if joined is None:
            create(run.record)
        fired = FiredRun(joined or run.record.id, joined=joined is not None)
        if run.once is not None:
            known.once[run.once] = fired.id
        return fired

    def under_way(self, key: AutomationKey, status_of: Callable[[str], Status | None]) -> list[str]:
        """See `Automations.under_way`."""
        known = self._known.get(key)
        if known is None:
            return []
        return [run.id for fire in known.fires for run in fire.runs if _is_under_way(status_of(run.id))]

    def get(self, key: AutomationKey) -> AutomationRecord | None:
        """One of them, or None."""
        known = self._known.get(key)
        return None if known is None else known.record

    def records(self, pipelines: Collection[str]) -> list[AutomationRecord]:
        """See `Automations.records`."""
        found = (known.record for key, known in sorted(self._known.items()))
        return [record for record in found if not pipelines or record.pipeline in pipelines]

    def fires(self, key: AutomationKey, limit: int, status_of: Callable[[str], Status | None]) -> list[Fire]:
        """See `Automations.fires`."""
        known = self._known.get(key)
        newest = [] if known is None else list(reversed(known.fires))[: max(0, limit)]
        return [
            replace(fire, runs=tuple(replace(run, status=status_of(run.id)) for run in fire.runs))
            for fire in newest
        ]

    def __len__(self) -> int:
        return len(self._known)

    def all(self) -> Iterator[KnownAutomation]:
        """Each of them, in the order they were defined."""
        yield from self._known.values()


def _pausing(record: AutomationRecord, move: Move) -> AutomationPaused | None:
    """When, by whom and why it is paused from here on."""
    if move.paused is None:
        return record.pausing
    return pausing_among(move.events) if move.paused else None


def _defined_again(record: AutomationRecord, definition: Definition) -> AutomationRecord:
    """The same record, but where the definition says otherwise: a new one begins anew."""
    if (definition.text, definition.kind) == (record.text, record.kind) and record.gone_at is None:
        return record
    # What a sensor has seen does not depend on how often it looks.
    moved = definition.kind != record.kind or (definition.text != record.text and definition.kind != "sensor")
    cursor = definition.cursor if moved else record.cursor
    return replace(
        record,
        kind=definition.kind,
        text=definition.text,
        version=record.version + 1,
        cursor=cursor,
        pending=() if moved else record.pending,
        gone_at=None,
    )


def _prune(fires: deque[Fire], status_of: Callable[[str], Status | None]) -> None:
    """Forget the oldest of too many, but none with a run that is not over."""
    for place, fire in enumerate(fires):
        if not any(_is_under_way(status_of(run.id)) for run in fire.runs):
            del fires[place]
            return


def _is_under_way(status: Status | None) -> bool:
    return status is not None and not status.terminal


def _is_long_gone(since: datetime, now: datetime) -> bool:
    return now - since >= timedelta(seconds=GONE_FOR)
