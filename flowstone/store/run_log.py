"""One run as the store remembers it: its head, its fences, its terminal records and its events.

Map of this file
    check, check_all    the fences; they change nothing, so that a batch is refused whole
    claim, add          what changes a run
    start, succeed      a check and an add in one, for what every step does
    head, step, steps   the questions

The log of an unfinished run is whole, because a run is resumed from it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Final

from flowstone.assets.partition_labels import step_label
from flowstone.runs.events import (
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunStarted,
    RunWaiting,
    StepFailed,
    StepKept,
    StepRetried,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepTokenIssued,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Status
from flowstone.store import refusals
from flowstone.store.event_log import ENDINGS, EventLog, event_of, says_the_same
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flowstone.runs.events import Event, StepEvent
    from flowstone.runs.records import Materialization, RunRecord, RunSpec, StepKey
    from flowstone.store.event_log import Ending, Entry, Started
    from flowstone.store.feed_log import FeedLog
    from flowstone.store.outbox import Outbox

__all__ = ["RunLog", "attempt_of_event", "check_together", "dated"]

_OF_RUN: Final = (RunQueued, RunStarted, RunWaiting, RunCancelRequested, RunFinished)
_SUCCEEDED: Final = Status.SUCCEEDED  # To look it up in the enum takes 90 ns.
# Said by an attempt or about this very one, so fenced by its number; other endings are the run's own decision.
_OF_ATTEMPT: Final = (
    StepStarted,
    StepSucceeded,
    StepFailed,
    StepRetried,
    StepWaiting,
    StepWoken,
    StepKept,
    StepTokenIssued,
)


class RunLog:
    """A run's state.

    Attributes:
        status: The run's status.
        cancelling: Whether somebody asked to cancel it.
        finished: Whether it takes no more events.
        arrival: Its place among all runs; see `History`.
        records: Its terminal step records in the order they came.
        log: Its events.
        outbox: Who is to be told of them; None while the run is restored.
        feed: Where all events come together; None likewise.
    """

    __slots__ = (
        "_attempts",
        "_base",
        "_by_status",
        "_epoch",
        "_finished_at",
        "_owner",
        "_started_at",
        "_steps",
        "_total",
        "arrival",
        "cancelling",
        "feed",
        "finished",
        "log",
        "outbox",
        "records",
        "status",
    )

    def __init__(self, run: RunRecord, arrival: int) -> None:
        self.arrival = arrival
        self._base = run
        self._epoch = run.epoch
        self._owner = run.owner
        self._started_at = run.started_at
        self._finished_at = run.finished_at
        self._total = run.total
        self.status = run.status
        self.cancelling = False
        self.finished = run.status.terminal
        self.records: list[Materialization] = []
        self._by_status: dict[Status, list[Materialization]] = {}
        self._steps: dict[str, dict[str | None, Materialization]] = {}
        self._attempts: dict[StepKey, int] = {}  # Of steps under way that were tried before.
        self.log = EventLog([_creation(run)])
        self.outbox: Outbox | None = None
        self.feed: FeedLog | None = None

    def created_as(self, run: RunRecord) -> bool:
        """Whether this run was created by that record."""
        return _essence(self._base) == _essence(run)

    @property
    def id(self) -> str:
        """The run's id."""
        return self._base.id

    @property
    def key(self) -> str | None:
        """What at most one unfinished run has."""
        return self._base.key

    @property
    def created(self) -> RunRecord:
        """Its head as it was created."""
        return self._base

    # Fences -------------------------------------------------------------------------------------------------

    def check(self, event: Event, epoch: int) -> None:
        """Refuse what a former owner or an overtaken attempt says, and what comes after the end."""
        if self.finished or epoch < self._epoch:
            self.check_open(epoch)
        # Nearly every event passes, so what only a refusal needs to know is asked last.
        steps = self._steps.get(event.asset)
        if steps is not None and event.partition_key in steps and not isinstance(event, _OF_RUN):
            raise StaleWrite(refusals.already_recorded(_name(event), self._base.id))
        latest = self._attempts.get((event.asset, event.partition_key), 0) if self._attempts else 0
        if (
            latest
            and not isinstance(event, _OF_RUN)
            and (number := attempt_of_event(event))
            and number < latest
        ):
            raise StaleWrite(refusals.overtaken(_name(event), number, latest))

    def check_open(self, epoch: int) -> None:
        """Refuse what a former owner says, and what comes after the end."""
        if self.finished:
            raise StaleWrite(refusals.finished(self._base.id))
        if epoch < self._epoch:
            raise StaleWrite(refusals.taken_over(self._base.id, self._epoch, epoch))

    def check_all(self, events: Sequence[Event], epoch: int) -> None:
        """`check` for a batch, each event as if those before it had been added."""
        for event in events:
            self.check(event, epoch)
        check_together(events)

    # Changes ------------------------------------------------------------------------------------------------

    def start(self, started: Started, epoch: int) -> None:
        """`check` and `add` of the start of an attempt, in one and with nothing made that is not kept."""
        _, _, asset, key, attempt, _ = started
        steps = self._steps.get(asset)
        if (
            attempt > 1
            or self._attempts
            or self.finished
            or epoch < self._epoch
            or (steps is not None and key in steps)
        ):
            event = StepStarted(*started)
            self.check(event, epoch)
            self.add(event)
            return
        self._keep(started)

    def succeed(self, record: Materialization, epoch: int) -> None:
        """`check` and `add` of a success, told by its record, in one."""
        asset, key = record.asset, record.partition_key
        steps = self._steps.get(asset)
        if self._attempts or self.finished or epoch < self._epoch or (steps is not None and key in steps):
            event = event_of(record)
            self.check(event, epoch)
            self.add(event)
            return
        if steps is None:
            steps = self._steps[asset] = {}
        steps[key] = record
        self.records.append(record)
        self._by_status.setdefault(_SUCCEEDED, []).append(record)
        self._keep(record)

    def claim(self, owner: str, epoch: int) -> RunRecord:
        """Give the run to `owner` if its epoch still is `epoch`, and raise the epoch by one."""
        if self.finished or self._epoch != epoch:
            state = "has finished" if self.finished else f"is at epoch {self._epoch}, not {epoch}"
            raise StaleWrite(refusals.claim_refused(owner, self._base.id, state))
        self._epoch += 1
        self._owner = owner
        return self.head()

    def park(self) -> None:
        """Nobody drives it until a step of it is woken."""
        self.status, self._owner = Status.WAITING, None

    def unpark(self) -> bool:
        """Let it be taken up; whether it was parked."""
        parked = self.status is Status.WAITING
        if parked:
            self.status = Status.RUNNING
        return parked

    def add(self, event: Event) -> Materialization | None:
        """Add an event that `check` let pass; returns the record it carries, if it ends a step."""
        if isinstance(event, ENDINGS):
            return self._end(event)
        if isinstance(event, StepStarted):
            if event.attempt > 1:
                self._attempts[event.asset, event.partition_key] = event.attempt
        elif isinstance(event, RunQueued):
            return None  # The creation of the run said that.
        elif isinstance(event, RunStarted):
            self._start(event)
        elif isinstance(event, RunCancelRequested):
            self.cancelling = True
        elif isinstance(event, RunFinished) and _terminal(event):
            self._finish(event)
        self._keep(event)
        if self.finished:
            self.log.trim()
        return None

    def restore(self, records: Iterable[Materialization]) -> None:
        """File records that were fenced in a former life."""
        for record in records:
            self._file(record)

    def restore_log(self, entries: Iterable[Entry]) -> None:
        """Take over events of a former life; call it after `restore`."""
        for entry in entries:
            self.log.entries.append(entry)
            if isinstance(entry, RunCancelRequested):
                self.cancelling = True
            elif (
                isinstance(entry, StepStarted)
                and entry.attempt > 1
                and self.step((entry.asset, entry.partition_key)) is None
            ):
                self._attempts[entry.asset, entry.partition_key] = entry.attempt

    def _end(self, event: Ending) -> Materialization:
        record = event.materialization
        if record.finished_at is None or record.finished_at.tzinfo is None:
            event = dated(event)
            record = event.materialization
        if self._attempts:
            self._attempts.pop((event.asset, event.partition_key), None)
        self._file(record)
        self._keep(record if says_the_same(event, record) else event)
        return record

    def _keep(self, entry: Entry) -> None:
        log = self.log
        log.entries.append(entry)
        if self.feed is not None:
            self.feed.add(entry)
        if self.outbox is not None and self.outbox.heard:
            base = self._base
            self.outbox.record(
                base.pipeline, base.id, log.first + len(log.entries) - 1, entry, base.request.beside
            )

    def tell_of_creation(self) -> None:
        """Let those have the first event who want it; the run is new."""
        if self.feed is not None:
            self.feed.add(self.log.entries[0])
        if self.outbox is not None and self.outbox.heard:
            base = self._base
            self.outbox.record(
                base.pipeline, base.id, self.log.first, self.log.entries[0], base.request.beside
            )

    def _file(self, record: Materialization) -> None:
        steps = self._steps.get(record.asset)
        if steps is None:
            steps = self._steps[record.asset] = {}
        steps[record.partition_key] = record
        self.records.append(record)
        like = self._by_status.get(record.status)
        if like is None:
            like = self._by_status[record.status] = []
        like.append(record)

    def _start(self, event: RunStarted) -> None:
        self.status = Status.RUNNING
        self._started_at = self._started_at or event.at
        self._total = event.total

    def _finish(self, event: RunFinished) -> None:
        self.status = event.status
        self._finished_at = event.at
        self.finished = True
        self._attempts.clear()

    # Questions ----------------------------------------------------------------------------------------------

    @property
    def request(self) -> RunSpec:
        """What was asked for."""
        return self._base.request

    def was_asked_for(self, asset: str | None, tags: Mapping[str, str | None]) -> bool:
        """Whether its request is for this asset and has these tags; None stands for any asset, or any value."""
        request = self._base.request
        if asset is not None and asset not in request.targets:
            return False
        given = request.tags
        return all(name in given and value in {None, given[name]} for name, value in tags.items())

    def head(self) -> RunRecord:
        """The run's record as of now."""
        return replace(
            self._base,
            status=self.status,
            started_at=self._started_at,
            finished_at=self._finished_at,
            owner=self._owner,
            epoch=self._epoch,
            total=self._total,
            counts={status.value: len(records) for status, records in self._by_status.items()},
        )

    def step(self, key: StepKey) -> Materialization | None:
        """The terminal record of one step, or None."""
        return self._steps.get(key[0], {}).get(key[1])

    def steps(self, status: Status | None, offset: int, limit: int | None) -> list[Materialization]:
        """Terminal records in the order they came, of one status or of all."""
        records = self.records if status is None else self._by_status.get(status, [])
        start = max(0, offset)
        return records[start:] if limit is None else records[start : start + max(0, limit)]

    def outcomes(self) -> Iterator[Materialization]:
        """Terminal records that are not successes."""
        for status, records in self._by_status.items():
            if status is not Status.SUCCEEDED:
                yield from records


def _essence(run: RunRecord) -> tuple[object, ...]:
    """What a run does, which never changes. When it is its turn is no part of that."""
    return run.pipeline, run.request, run.created_at, run.key


def attempt_of_event(event: Event) -> int | None:
    """The attempt that says this about itself, or that it is said of; None of the run's own decisions."""
    if isinstance(event, _OF_ATTEMPT):
        return event.attempt
    return event.attempt or None if isinstance(event, StepSkipped) else None


def check_together(events: Sequence[Event]) -> None:
    """Refuse a batch of one run in which an earlier event rules out a later one."""
    attempts: dict[StepKey, int] = {}
    ended: set[StepKey] = set()
    finished = False
    for event in events:
        if finished:
            raise StaleWrite(f"run {event.run_id} takes no events after the one that finishes it")
        if isinstance(event, _OF_RUN):
            finished = isinstance(event, RunFinished) and _terminal(event)
            continue
        key = (event.asset, event.partition_key)
        number = attempt_of_event(event)
        if key in ended or (number is not None and number < attempts.get(key, 0)):
            raise StaleWrite(f"{_name(event)} ends twice, or goes back an attempt, within one batch")
        if isinstance(event, StepStarted):
            attempts[key] = event.attempt
        elif isinstance(event, ENDINGS):
            ended.add(key)


def _creation(run: RunRecord) -> RunQueued:
    keys = run.request.keys
    return RunQueued(
        run.created_at,
        run.id,
        run.request.asset,
        run.request,
        partition_key=keys[0] if len(keys) == 1 else None,
    )


def _terminal(event: RunFinished) -> bool:
    if not event.status.terminal:
        raise ValueError(f"a run cannot finish as {event.status}: give a terminal status")
    return True


def dated(event: Ending) -> Ending:
    """The event with an aware `finished_at` in its record; naive means UTC."""
    record = event.materialization
    finished = record.finished_at or event.at
    if finished.tzinfo is None:
        finished = finished.replace(tzinfo=UTC)
    return replace(event, materialization=replace(record, finished_at=finished))


def _name(event: StepEvent) -> str:
    return step_label(event.asset, event.partition_key)
