"""A store so simple that it is obviously right: it keeps what it accepted and searches it for each answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flowstone.runs.events import (
    RunFinished,
    RunQueued,
    RunStarted,
    StepFailed,
    StepRetried,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Status


class Refused(Exception):
    """The model refuses a write."""


@dataclass
class ModelRun:
    """One run: its first record and everything accepted since."""

    base: object
    epoch: int = 0
    owner: str | None = None
    events: list = field(default_factory=list)

    @property
    def finished(self):
        return next((event for event in self.events if isinstance(event, RunFinished)), None)

    @property
    def records(self):
        return [event.materialization for event in self.events if hasattr(event, "materialization")]


@dataclass
class Filed:
    """One terminal record."""

    record: object
    invalid: bool = False


class Model:
    """The same questions and commands as a store, without waiting."""

    def __init__(self) -> None:
        self.runs: dict[str, ModelRun] = {}
        self.filed: list[Filed] = []
        self.finished: list[str] = []
        self.sets: dict[str, list[str]] = {}

    # Commands

    def create_run(self, run) -> None:
        if run.id in self.runs:
            if self.runs[run.id].base != run:
                raise Refused
            return
        if run.key is not None and self.with_key(run.key):
            raise Refused
        queued = RunQueued(run.created_at, run.id, run.request.asset, run.request)
        self.runs[run.id] = ModelRun(run, events=[queued])

    def with_key(self, key):
        """The id of the unfinished run with a key."""
        return next(
            (name for name, run in self.runs.items() if run.base.key == key and not run.finished), None
        )

    def claim(self, run_id, owner, epoch) -> None:
        run = self.runs.get(run_id)
        if run is None or run.finished or run.epoch != epoch:
            raise Refused
        run.epoch, run.owner = epoch + 1, owner

    def write_many(self, events, epoch) -> None:
        """Try on a copy, keep it if nothing was refused."""
        run = self.runs.get(events[0].run_id)
        if run is None:
            raise Refused
        trial = replace(run, events=list(run.events))
        for event in events:
            self._fence(trial, event, epoch)
            trial.events.append(event)
        run.events = trial.events
        for event in events:
            if hasattr(event, "materialization"):
                self._file(event.materialization)
            if isinstance(event, RunFinished):
                self.finished.append(event.run_id)

    def _fence(self, run, event, epoch) -> None:
        if run.finished or epoch < run.epoch:
            raise Refused
        if isinstance(event, RunStarted | RunFinished):
            return
        step = (event.asset, event.partition_key)
        if any((record.asset, record.partition_key) == step for record in run.records):
            raise Refused
        told_by_attempt = StepStarted | StepSucceeded | StepFailed | StepRetried | StepWaiting | StepWoken
        # A step that an attempt of its own skipped names it; one that its upstream or a route skipped has none.
        if isinstance(event, told_by_attempt) or (isinstance(event, StepSkipped) and event.attempt):
            begun = [
                past.attempt
                for past in run.events
                if isinstance(past, StepStarted) and (past.asset, past.partition_key) == step
            ]
            if begun and event.attempt < begun[-1]:
                raise Refused

    def _file(self, record) -> None:
        self.filed.append(Filed(record))

    def invalidate(self, keys) -> int:
        count = 0
        for key in keys:
            if self.current_of(key) is not None:
                count += 1
                for filed in self._successes(key):
                    filed.invalid = True
        return count

    def add(self, name, keys) -> int:
        known = self.sets.setdefault(name, [])
        new = [key for key in dict.fromkeys(keys) if key not in known]
        known.extend(new)
        return len(new)

    def remove(self, name, keys) -> int:
        known = self.sets.get(name, [])
        there = [key for key in set(keys) if key in known]
        for key in there:
            known.remove(key)
        return len(there)

    def prune(self, versions, runs) -> list:
        for run_id in self.finished[: max(0, len(self.finished) - runs)]:
            self.finished.remove(run_id)
            del self.runs[run_id]
            self.filed = [
                filed
                for filed in self.filed
                if filed.record.run_id != run_id or filed.record.status is Status.SUCCEEDED
            ]
        gone = [filed for key in self.keys() for filed in self._superseded(key, versions)]
        self.filed = [filed for filed in self.filed if filed not in gone]
        return [filed.record for filed in gone]

    def _superseded(self, key, versions) -> list:
        newest_first = self._successes(key)[::-1]
        current = self.current_of(key)
        return [
            filed
            for filed in newest_first[versions:]
            if filed.record is not current and not self._needed(key, filed.record)
        ]

    def _needed(self, key, record) -> bool:
        """Whether an unfinished run computed it, or reuses it."""
        told = [filed.record for filed in self.filed_at(key)]
        of_unfinished = [one for one in told if (run := self.runs.get(one.run_id)) and not run.finished]
        return record in of_unfinished or any(
            one.location is not None and one.location == record.location for one in of_unfinished
        )

    # Questions

    def keys(self) -> set:
        return {(filed.record.asset, filed.record.partition_key) for filed in self.filed}

    def filed_at(self, key) -> list[Filed]:
        """In the order of arrival, which no instant in them changes."""
        return [filed for filed in self.filed if (filed.record.asset, filed.record.partition_key) == key]

    def _successes(self, key) -> list[Filed]:
        return [filed for filed in self.filed_at(key) if filed.record.status is Status.SUCCEEDED]

    def current_of(self, key):
        valid = [filed.record for filed in self._successes(key) if not filed.invalid]
        return valid[-1] if valid else None

    def history(self, key) -> list:
        return [filed.record for filed in self.filed_at(key)][::-1]

    def downstream(self, key) -> set:
        found = {consumer: self.current_of(consumer) for consumer in self.keys()}
        return {
            consumer
            for consumer, record in found.items()
            if record is not None and key in {(item.asset, item.partition_key) for item in record.inputs}
        }

    def head(self, run_id):
        """The run's record, from its events."""
        run = self.runs.get(run_id)
        if run is None:
            return None
        head = replace(run.base, epoch=run.epoch, owner=run.owner)
        started = [event for event in run.events if isinstance(event, RunStarted)]
        if started:
            head = replace(head, status=Status.RUNNING, started_at=started[0].at, total=started[-1].total)
        if run.finished:
            head = replace(head, status=run.finished.status, finished_at=run.finished.at)
        statuses = [record.status for record in run.records]
        return replace(head, counts={status.value: statuses.count(status) for status in set(statuses)})
