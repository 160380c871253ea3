"""Everything a store without a database remembers: runs, asset-partitions, dynamic partition sets.

Plain synchronous state that neither waits nor fails half-way. A command that raises has changed nothing, and
the same commands in the same order give the same state: that is what lets the file store keep a journal of
commands and replay it.

Map of this file
    create_run ... prune        commands
    find ... all_runs           questions
    "Parts"                     what an event changes beside its run: the ledger, keys, waits
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections import deque
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import RunNotFound
from flowstone.runs.audit import AuditTarget
from flowstone.runs.endings import denied
from flowstone.runs.events import (
    RunCancelRequested,
    RunWaiting,
    StepKept,
    StepProgressed,
    StepTokenIssued,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.items import ItemTable
from flowstone.runs.waits import status_when_over
from flowstone.store import refusals
from flowstone.store.audit_log import AuditLog
from flowstone.store.automation_ledger import AutomationLedger
from flowstone.store.deliveries import follower_of
from flowstone.store.feed_log import FeedLog
from flowstone.store.ledger import Ledger
from flowstone.store.outbox import Outbox
from flowstone.store.protocol import KeyTaken, StaleWrite
from flowstone.store.run_log import RunLog
from flowstone.store.runs_under_way import RunsUnderWay
from flowstone.store.token_ledger import TokenLedger
from flowstone.store.wait_ledger import WaitLedger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from flowstone.runs.audit import Act
    from flowstone.runs.automation import AutomationKey, AutomationRecord, Definition, Move
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runs.events import Event
    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import Materialization, RunRecord, Status, StepKey
    from flowstone.runs.waits import Wait, WaitStatus
    from flowstone.store.automations import Moved
    from flowstone.store.deliveries import Follower
    from flowstone.store.event_log import EventLog

__all__ = ["History"]


class History:
    """The state behind `MemoryStore`.

    Attributes:
        ledger: The asset-partitions.
        partitions: Dynamic partition sets: name to encoded keys, in the order they were added.
        waits: What steps of unfinished runs wait for.
        items: What became of the items that steps went through: by run, asset and partition key.
        unneeded: The items of these nobody needs any more, in the order in which their values are to be deleted.
        pool_slots: How many slots pools were given at run time.
        automations: Schedules, sensors and the like.
        outbox: What is to be delivered to who follows events.
        feed: The newest events of all.
        tokens: Access tokens and sessions.
        audit: Who did what.
        under_way: The unfinished runs, by what they were asked for.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.partitions: dict[str, dict[str, None]] = {}
        self.waits = WaitLedger()
        self.items: dict[tuple[str, str, str | None], ItemTable] = {}
        self.unneeded: dict[tuple[str, str, str | None], None] = {}
        self.pool_slots: dict[str, int] = {}
        self.automations = AutomationLedger()
        self.feed = FeedLog()
        self.audit = AuditLog()
        self.outbox = Outbox(self.feed, self.audit)
        self.tokens = TokenLedger(self.audit)
        self.under_way = RunsUnderWay()
        self._runs: dict[str, RunLog] = {}
        self._keys: dict[str, str] = {}  # Key to id, of the unfinished runs that have one.
        self._order: list[RunLog] = []  # By arrival.
        self._arrived = 0
        self._finished: deque[str] = deque()  # In the order they finished: retention takes the first.

    # Commands -----------------------------------------------------------------------------------------------

    def create_run(self, run: RunRecord, but: Collection[str] | None = None) -> str:
        """Remember a new run; the same record again changes nothing.

        Args:
            run: The run.
            but: Where given, nothing changes either if a run is under way for the same request, or one has the key;
                these runs are not joined.

        Returns:
            The id of the run that there is then.
        """
        known = self._runs.get(run.id)
        if known is not None:
            if known.created_as(run):
                return run.id
            raise StaleWrite(refusals.id_taken(run.id))
        if but is not None:
            found = self._keys.get(run.key) if run.key is not None else None
            found = found or self.under_way.find(run, but)
            if found is not None:
                return found
        self._take_key(run)
        created = RunLog(run, self._arrived + 1)
        self._admit(created)
        created.tell_of_creation()
        self.audit.asked_for(run)
        return run.id

    def restore_run(self, run: RunRecord, log: EventLog, arrival: int) -> None:
        """Take over a run of a former life: its head, an event log to be filled, and its place among the runs.

        A journal that numbered no runs gives 0 for all of them: they are the oldest, in the order of their ids.
        """
        self._take_key(run)
        restored = RunLog(run, arrival)
        restored.log = log
        self._admit(restored)

    def restore_waits(
        self,
        run_id: str,
        waits: Sequence[Wait],
        timeout: datetime | None,
        tokens: Sequence[tuple[str, str | None, str, str]] = (),
    ) -> None:
        """Take over what a run waited for in a former life, and when its timeout is over, if it is parked.

        Of a token asset, key and name of the wait are given, and the hash.
        """
        self.waits.restore(run_id, waits, tokens)
        self.waits.park(run_id, timeout)

    def claim(self, run_id: str, owner: str, epoch: int) -> RunRecord:
        """Give a run to another owner; see `Store.claim`."""
        return self._known(run_id).claim(owner, epoch)

    def write(self, event: Event, epoch: int) -> None:
        """Record one event."""
        if type(event) is StepProgressed:
            return
        run = self._writable(event.run_id)
        run.check(event, epoch)
        self._add(run, event)

    def log_of(self, run_id: str) -> RunLog:
        """The log of a run: for starts, and for successes if `ledger.record` follows. Raises `StaleWrite`."""
        return self._runs.get(run_id) or self._writable(run_id)

    def write_many(self, events: Sequence[Event], epoch: int) -> None:
        """Record a batch of one run's events, all or none."""
        events = [event for event in events if not isinstance(event, StepProgressed)]
        if not events:
            return
        run = self._writable(events[0].run_id)
        run.check_all(events, epoch)
        for event in events:
            self._add(run, event)

    def answer(
        self,
        run_id: str,
        step: StepKey,
        name: str,
        answer: Any,
        now: datetime,
        status: WaitStatus,
        by: str | None = None,
    ) -> tuple[Wait, Event | None]:
        """Answer an open wait, and wake its step or have it fail; see `Waits.answer`."""
        run = self._writable(run_id)
        wait = self.waits.answerable(run_id, step, name, now)
        if run.step(step) is not None:
            raise StaleWrite(f"the step of the wait {name!r} in run {run_id} is over")
        closed = self.waits.close(wait, status, answer, now)
        self.audit.answered(closed, now, by)
        return closed, self._go_on(run, closed, now) if wait.status == "open" else None

    def expire(self, now: datetime, runs: Collection[str] | None, limit: int) -> list[Event]:
        """End waits whose deadline has passed, and have parked runs cancelled whose timeout is over; so many."""
        due, overdue = self.waits.take_due(now, runs, limit)
        events: list[Event] = []
        for wait in due:
            closed = self.waits.close(wait, status_when_over(wait.kind, wait.about), None, now)
            events.append(self._go_on(self._runs[wait.run_id], closed, now))
        for run_id in overdue:
            run = self._runs[run_id]
            if run.unpark():
                events.append(RunCancelRequested(now, run_id, run.head().request.asset, "timeout"))
                self._add(run, events[-1])
            self.waits.unpark(run_id)
        return events

    def record_items(
        self, run_id: str, step: StepKey, epoch: int, rows: Sequence[ItemRow], io: str | None
    ) -> None:
        """Record how items ended, and which IO manager keeps values of them; see `Items.record`."""
        self._writable(run_id).check_open(epoch)
        self.restore_items(run_id, step, rows, io)

    def restore_items(
        self, run_id: str, step: StepKey, rows: Sequence[ItemRow], io: str | None, *, unneeded: bool = False
    ) -> None:
        """Take over items of a former life."""
        table = self.items_of(run_id, step)
        table.record(rows)
        if io is not None:
            table.io = table.io or io
        if unneeded:
            self.unneeded[(run_id, *step)] = None

    def items_of(self, run_id: str, step: StepKey) -> ItemTable:
        """The items of a step, to be added to."""
        return self.items.setdefault((run_id, *step), ItemTable())

    def forget_items(self, run_id: str, step: StepKey, up_to: int | None = None) -> None:
        """Forget the items of a step, or those up to a position."""
        key = (run_id, *step)
        if up_to is None:
            self.items.pop(key, None)
            self.unneeded.pop(key, None)
        elif key in self.items:
            self.items[key].forget(up_to)

    def invalidate(self, keys: Collection[StepKey], act: Act | None = None) -> int:
        """Make current values no longer current; see `Store.invalidate`."""
        if act is not None:
            self.audit.invalidated(self.ledger.current(keys), act)
        return self.ledger.invalidate(keys)

    def add_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        """Add keys to a dynamic set; returns how many were new."""
        known = self.partitions.setdefault(name, {})
        before = len(known)
        known.update(dict.fromkeys(keys))
        new = len(known) - before
        if act is not None and new:
            self.audit.add("partitions.added", act, AuditTarget(name=name), {"keys": new})
        return new

    def remove_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        """Remove keys from a dynamic set; returns how many were there."""
        known = self.partitions.get(name, {})
        there = [key for key in dict.fromkeys(keys) if key in known]
        for key in there:
            del known[key]
        if act is not None and there:
            self.audit.add("partitions.removed", act, AuditTarget(name=name), {"keys": len(there)})
        return len(there)

    def define_automations(
        self, defined: Mapping[str, Collection[Definition]], now: datetime, whole: bool = True
    ) -> list[AutomationRecord]:
        """Say which automations there are; see `Automations.define`. What is gone is told of nothing new."""
        before = self.automations.records(())
        found = self.automations.define(defined, now, whole)
        followed = {(record.pipeline, follower_of(record)) for record in self.automations.records(())}
        for old in before:
            new = self.automations.get(old.key)
            name = follower_of(old)
            if new is None:
                if (old.pipeline, name) not in followed:
                    self.outbox.drop(old.pipeline, name)
            elif name == old.name and new.gone_at is not None and old.gone_at is None:
                self.outbox.silence(old.pipeline, name)
            elif name == old.name and new.since != old.since:  # It was gone for too long.
                self.outbox.empty(old.pipeline, name)
        return found

    def follow(self, pipeline: str, followers: Sequence[Follower]) -> None:
        """Say who follows a pipeline's events; see `Deliveries.follow`."""
        kept = {follower_of(record) for record in self.automations.records([pipeline])}
        self.outbox.follow(pipeline, followers, kept)

    def move(self, move: Move, but: Collection[str] = ()) -> Moved:
        """Make a change of an automation, with the runs that it starts; see `Automations.move`.

        Args:
            move: The change.
            but: Runs that are not joined: they are about to be cancelled.
        """
        self.tell_of(move)
        return self.make(move, but)

    def tell_of(self, move: Move) -> None:
        """The first half of a change: whatever is told and noted of it, if it can be made."""
        for run in move.runs:
            if run.record.id in self._runs:
                raise StaleWrite(refusals.id_taken(run.record.id))
        self.automations.check(move)
        self.outbox.done(move.key[0], move.follower or move.key[1], move.delivered)
        self.outbox.add(move.key[0], move.events)
        if move.act is not None:
            pipeline, name = move.key
            self.audit.add("automation.fired", move.act, AuditTarget(name=name), {"pipeline": pipeline})

    def make(self, move: Move, but: Collection[str]) -> Moved:
        """The second half: the automation and its runs."""
        return self.automations.move(
            move, lambda run: self.under_way.find(run, but), self.create_run, self.status_of
        )

    def pause(
        self, key: AutomationKey, paused: bool, events: Sequence[AutomationEvent]
    ) -> AutomationRecord | None:
        """Pause or resume an automation; see `Automations.pause`."""
        if self.automations.would_pause(key, paused):
            self.outbox.add(key[0], events)
        return self.automations.pause(key, paused, events)

    def set_pool(self, name: str, slots: int | None, act: Act | None = None) -> None:
        """Give a pool so many slots, or as many as its pipeline says."""
        if act is not None and self.pool_slots.get(name) != slots:
            self.audit.add("pool.changed", act, AuditTarget(name=name), {"slots": slots})
        if slots is None:
            self.pool_slots.pop(name, None)
        else:
            self.pool_slots[name] = slots

    def may_prune(self, keep_versions: int, keep_runs: int) -> bool:
        """Whether `prune` would have anything to look at."""
        return len(self._finished) > keep_runs or self.ledger.may_prune(keep_versions)

    def prune(self, keep_versions: int, keep_runs: int) -> list[Materialization]:
        """Apply retention; see `Store.prune`."""
        forgotten: set[str] = set()
        while len(self._finished) > keep_runs:
            run_id = self._finished.popleft()
            forgotten.add(run_id)
            run = self._runs.pop(run_id)
            self.ledger.forget(run.outcomes())
            self.waits.forget(run_id)
            del self._order[self._place(run)]
        gone = self.ledger.prune(keep_versions, self._is_unfinished)
        if self.items:
            self._release_items(forgotten, gone)
        return gone

    def _is_unfinished(self, run_id: str) -> bool:
        run = self._runs.get(run_id)
        return run is not None and not run.finished

    def _release_items(self, forgotten: Collection[str], gone: Sequence[Materialization]) -> None:
        """Items of these successes, and of steps of forgotten runs that have none, are needed no more."""
        for record in gone:
            key = (record.run_id, record.asset, record.partition_key)
            if key in self.items:
                self._release(key, record.io)
        if not forgotten:
            return
        for key in [key for key in self.items if key[0] in forgotten and key not in self.unneeded]:
            if all(record.run_id != key[0] for record in self.ledger.history(key[1:], sys.maxsize, 0)):
                self._release(key, None)

    def _release(self, key: tuple[str, str, str | None], io: str | None) -> None:
        """The items of a step are needed no more: they go when what is kept of them elsewhere is deleted."""
        table = self.items[key]
        if not table.is_located:
            del self.items[key]
            return
        if table.io is not None:
            table.io = table.io or io or ""
        self.unneeded[key] = None

    # Questions ----------------------------------------------------------------------------------------------

    def find(self, run_id: str) -> RunLog | None:
        """One run, or None."""
        return self._runs.get(run_id)

    def status_of(self, run_id: str) -> Status | None:
        """What has become of a run, or None if nothing is known of it."""
        run = self._runs.get(run_id)
        return None if run is None else run.status

    def with_key(self, key: str) -> RunRecord | None:
        """The head of the unfinished run that has this key, or None."""
        run_id = self._keys.get(key)
        return None if run_id is None else self._runs[run_id].head()

    def runs(
        self,
        statuses: Collection[Status],
        asset: str | None,
        tags: Mapping[str, str | None],
        limit: int,
        before: str | None,
    ) -> list[RunRecord]:
        """Heads of runs, newest first; see `Store.runs`."""
        place = len(self._order) if before is None else self._place(self._known(before))
        found = (self._order[index] for index in range(place - 1, -1, -1))
        fitting = (
            run.head()
            for run in found
            if (not statuses or run.status in statuses) and run.was_asked_for(asset, tags)
        )
        return list(islice(fitting, max(0, limit)))

    def beginning(self, prefix: str, limit: int) -> list[RunRecord]:
        """Heads of runs whose ids begin so."""
        found = (run.head() for run_id, run in self._runs.items() if run_id.startswith(prefix))
        return list(islice(found, max(0, limit)))

    def all_runs(self) -> Iterator[RunLog]:
        """Every run: the finished ones in the order they finished, then the others by age."""
        yield from (self._runs[run_id] for run_id in self._finished)
        yield from (run for run in self._order if not run.finished)

    # Parts --------------------------------------------------------------------------------------------------

    def _admit(self, run: RunLog) -> None:
        self._runs[run.id] = run
        run.outbox, run.feed = self.outbox, self.feed
        if not self._order or _by_arrival(self._order[-1]) < _by_arrival(run):
            self._order.append(run)
        else:
            insort(self._order, run, key=_by_arrival)
        self._arrived = max(self._arrived, run.arrival)
        if run.finished:
            self._finished.append(run.id)
        else:
            self.under_way.add(run)

    def _place(self, run: RunLog) -> int:
        return bisect_left(self._order, _by_arrival(run), key=_by_arrival)

    def _known(self, run_id: str) -> RunLog:
        run = self._runs.get(run_id)
        if run is None:
            raise RunNotFound(f"no run {run_id}: its id is mistyped, or retention removed it")
        return run

    def _take_key(self, run: RunRecord) -> None:
        if run.key is None or run.status.terminal:
            return
        holder = self._keys.setdefault(run.key, run.id)
        if holder != run.id:
            raise KeyTaken(refusals.key_taken(holder, run.key))

    def _writable(self, run_id: str) -> RunLog:
        run = self._runs.get(run_id)
        if run is None:
            raise StaleWrite(refusals.unknown_run(run_id))
        return run

    def _add(self, run: RunLog, event: Event) -> None:
        if type(event) is StepKept:
            self.waits.keep(event)
            event = replace(event, value=None)
        if type(event) is RunCancelRequested and not run.cancelling:
            self.audit.cancelled(event)
        record = run.add(event)
        if record is not None:
            self.ledger.record(record)
        elif run.finished:
            self._finished.append(event.run_id)
            self.ledger.run_finished()
            self.under_way.remove(run)
            self.waits.finish(event.run_id, event.at)
            if run.key is not None:
                del self._keys[run.key]
        elif type(event) in _ABOUT_WAITS:
            self._waits(run, event)

    def _waits(self, run: RunLog, event: Event) -> None:
        match event:
            case StepWaiting():
                wait = self.waits.ask(event)
                if wait.status == "answered":  # Before the step came to wait for it.
                    self._go_on(run, replace(wait, attempt=event.attempt), event.at)
                elif run.cancelling:
                    self.waits.close_all(run.id, event.at)
            case StepWoken():
                self.waits.woke(event)
            case StepTokenIssued():
                self.waits.issue(event)
                if run.cancelling:
                    self.waits.close_all(run.id, event.at)
            case RunCancelRequested():
                self.waits.close_all(run.id, event.at)
            case RunWaiting() if self.waits.open_in(run.id) == event.steps and not run.cancelling:
                run.park()
                timeout = event.timeout
                self.waits.park(run.id, None if timeout is None else event.at + timedelta(seconds=timeout))
            case _:
                pass  # A step was woken meanwhile: the run goes on.

    def _go_on(self, run: RunLog, wait: Wait, now: datetime) -> Event:
        """What becomes of a step whose wait is over, and of its run if that is parked."""
        event: Event
        if wait.status == "answered":
            by = wait.answer.get("by") if wait.kind == "approval" and wait.answer else None
            event = StepWoken(now, run.id, *wait.step, wait.attempt, wait.name, by)
            run.add(event)
        else:
            event = denied(wait, now)
            self._add(run, event)
        if run.unpark():
            self.waits.unpark(run.id)
        return event


_ABOUT_WAITS: Final = frozenset({StepWaiting, StepWoken, StepTokenIssued, RunWaiting, RunCancelRequested})


def _by_arrival(run: RunLog) -> tuple[int, str]:
    return run.arrival, run.id
