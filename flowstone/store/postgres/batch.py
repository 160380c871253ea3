"""What goes to the database at once: many writers' entries as the arguments of the function `flowstone.record`.

An *entry* is what one writer wants recorded, whole or not at all. A batch holds entries that cannot concern each
other: of one run none that touches a step another one touches, and none behind one that finishes the run; then
whether one is accepted depends on what is stored and on nothing else in the batch. What does not fit waits for
the next batch, and with it everything of its run, so that a run's entries keep their order. The places of events in
their runs are counted here, for all entries: if one is refused, the others are sent again without it. `refusal` is
what a writer is told where the function refuses its entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.runs.events import RunCancelRequested, RunFinished, RunStarted, StepStarted, StepSucceeded
from flowstone.store import refusals
from flowstone.store.event_log import ENDINGS
from flowstone.store.memory import location_of_payload
from flowstone.store.postgres.columns import ending_texts, event_details, request_text
from flowstone.store.postgres.texts import instant_text, joined, key_of, key_text
from flowstone.store.protocol import KeyTaken, StaleWrite
from flowstone.store.run_log import attempt_of_event

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Mapping, Sequence

    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord

__all__ = ["Creation", "Entry", "Write", "arguments", "gather", "refusal"]

_MOST: Final = 1_000  # Entries.
_MOST_BYTES: Final = 4_000_000  # Of payloads.
_CROWD: Final = 16  # Fewer entries are better off in one transaction than in two.

_NO_HEAD: Final = (None,) * 5
_FINAL: Final = 2
_OF_END: Final = 15  # Columns of a row of an event that ends a step.
_STATUS: Final = 5
_STATUSES: Final = ("succeeded", "failed", "skipped", "reused", "cancelled")

_Step: TypeAlias = tuple[str, str, str]
"""Run, asset and key as the column has it."""

_Row: TypeAlias = tuple[str | None, ...]


@dataclass(slots=True, eq=False)
class Entry:
    """What a writer waits for.

    Attributes:
        run_id: The run.
        done: Resolved with None, or with the refusal, when it is recorded.
    """

    run_id: str
    done: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Creation(Entry):
    """A new run."""

    run: RunRecord


@dataclass(slots=True, eq=False)
class Write(Entry):
    """Events of one run, as rows of the arrays that `flowstone.record` is given.

    Attributes:
        epoch: Under which the writer holds the run.
        steps: The steps it touches, and the last attempt of each that it tells of.
        start: Columns `start_run` … `start_key`, if it is the start of a first attempt on the node that writes, and
            nothing else.
        rows: One tuple per event: columns `event_run` … `event_details`, or `end_run` … `end_details`.
        inputs: Columns `input_asset` … `input_run`.
        head: What it changes of the run itself: columns `run_started_at` … `run_cancelling`.
        payload: Location and bytes of a value to be kept with it.
    """

    epoch: int
    steps: Mapping[_Step, int]
    start: _Row | None = None
    rows: Sequence[_Row] = ()
    inputs: Sequence[_Row] = ()
    head: _Row | None = None
    payload: tuple[str, bytes] | None = None

    @classmethod
    def of(
        cls,
        events: Sequence[Event],
        epoch: int,
        done: asyncio.Future[None],
        payload: bytes | None = None,
        writer: str = "",
    ) -> Write:
        """The entry for some events of one run, which `check_together` let pass; `writer`: the node that writes."""
        last = events[-1]
        run_id = last.run_id
        if (
            type(last) is StepStarted
            and last.attempt == 1
            and len(events) == 1
            and payload is None
            and (last.node or "") == writer
        ):
            asset, key = last.asset, key_text(last.partition_key)
            start = (run_id, instant_text(last.at), asset, key)
            return cls(run_id, done, epoch, {(run_id, asset, key): 1}, start)
        if type(last) is StepSucceeded and len(events) == 1:
            return cls._of_success(last, epoch, done, payload)
        steps: dict[_Step, int] = {}
        rows: list[_Row] = []
        inputs: list[_Row] = []
        for event in events:
            asset, key = event.asset, key_text(event.partition_key)
            attempt = attempt_of_event(event)
            told = None if attempt is None else str(attempt)
            if isinstance(event, ENDINGS):
                rows.append((run_id, asset, key, told, *ending_texts(event)))
            else:
                rows.append(
                    (run_id, event.kind, instant_text(event.at), asset, key, told, event_details(event))
                )
            if event.kind.startswith("step."):
                steps[run_id, asset, key] = attempt or 0
            if type(event) is StepSucceeded and event.materialization.inputs:
                inputs += _input_rows(event, key)
        kept = None if payload is None else (location_of_payload(last), payload)
        return cls(run_id, done, epoch, steps, None, rows, inputs, _head(events), kept)

    @classmethod
    def _of_success(
        cls, event: StepSucceeded, epoch: int, done: asyncio.Future[None], payload: bytes | None
    ) -> Write:
        """As `of`, for what is half of all entries."""
        run_id, asset, key, attempt = event.run_id, event.asset, key_text(event.partition_key), event.attempt
        row = (run_id, asset, key, str(attempt), *ending_texts(event))
        inputs = event.materialization.inputs
        return cls(
            run_id,
            done,
            epoch,
            {(run_id, asset, key): attempt},
            None,
            (row,),
            _input_rows(event, key) if inputs else (),
            None,
            None if payload is None else (location_of_payload(event), payload),
        )

    @property
    def finishes(self) -> bool:
        """Whether it finishes the run."""
        return self.head is not None and self.head[_FINAL] is not None


def _input_rows(event: StepSucceeded, key: str) -> list[_Row]:
    """What a success was computed from, each once."""
    return list(
        dict.fromkeys(
            (item.asset, key_text(item.partition_key), event.asset, key, event.run_id)
            for item in event.materialization.inputs
        )
    )


def _head(events: Sequence[Event]) -> _Row | None:
    """What events change of their run itself."""
    began: _Row = (None, None)
    over: _Row = (None, None)
    cancelling = None
    for event in events:
        if isinstance(event, RunStarted):
            began = (began[0] or instant_text(event.at), str(event.total))
        elif isinstance(event, RunFinished):
            over = (event.status, instant_text(event.at))
        elif isinstance(event, RunCancelRequested):
            cancelling = "true"
    head = (*began, *over, cancelling)
    return None if head == _NO_HEAD else head


@dataclass(slots=True)
class _Fit:
    """What a batch has so far."""

    steps: set[_Step] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    deferred: set[str] = field(default_factory=set)
    size: int = 0

    def takes(self, entry: Entry) -> bool:
        if entry.run_id in self.deferred or entry.run_id in self.finished:
            return False
        if type(entry) is Write:
            size = 0 if entry.payload is None else len(entry.payload[1])
            if self.size and self.size + size > _MOST_BYTES:
                return False
            if not self.steps.isdisjoint(entry.steps):
                return False
            self.size += size
            self.steps.update(entry.steps)
            if entry.finishes:
                self.finished.add(entry.run_id)
        return True


def gather(waiting: deque[Entry], *, half: bool = False) -> list[Entry]:
    """Take out of `waiting` what fits into one batch, in order; the rest stays, in order.

    Args:
        waiting: Entries in the order they came.
        half: Take half of them if they are many.
    """
    most = len(waiting) // 2 if half and len(waiting) >= _CROWD else _MOST
    fit = _Fit()
    batch: list[Entry] = []
    left: list[Entry] = []
    while waiting and len(batch) < min(most, _MOST):
        entry = waiting.popleft()
        if fit.takes(entry):
            batch.append(entry)
        else:
            fit.deferred.add(entry.run_id)
            left.append(entry)
    waiting.extendleft(reversed(left))
    return batch


@dataclass(slots=True)
class _Part:
    """What a batch has of one run.

    Attributes:
        events: How many.
        starts: Those of first attempts, with their entries; they follow one another, at the place of the first.
        starts_place: The place of the last one.
        head: As that of a write.
        statuses: Of the steps that end.
    """

    events: int = 0
    starts: list[_Row] = field(default_factory=list)
    starts_place: int | None = None
    head: _Row = _NO_HEAD
    statuses: list[str | None] = field(default_factory=list)

    def changes(self, head: _Row) -> None:
        began, total, *rest = head
        first, *others = self.head
        newest = [old if new is None else new for old, new in zip(others, (total, *rest), strict=True)]
        self.head = (began if first is None else first, *newest)

    def row(self, run_id: str, starts_before: int) -> _Row:
        """Columns `run_id` … `run_starts_to`."""
        counts = [str(self.statuses.count(status)) for status in _STATUSES]
        starts: _Row = (None, None, None)
        if self.starts:
            starts = (
                str(self.starts_place),
                str(starts_before + 1),
                str(starts_before + len(self.starts)),
            )
        return (run_id, str(self.events), *self.head, *counts, *starts)


def arguments(batch: Sequence[Entry]) -> tuple[tuple[Any, ...], list[Creation], list[Write]]:
    """The arguments of `flowstone.record` after the batch's number, with the entries in its order."""
    creations = [entry for entry in batch if type(entry) is Creation]
    writes = [entry for entry in batch if type(entry) is Write]
    parts: dict[str, _Part] = {}
    for place, write in enumerate(writes, 1):
        part = parts.get(write.run_id)
        if part is None:
            part = parts[write.run_id] = _Part()
        if write.start is not None:
            part.starts.append((str(place), *write.start))
        elif write.head is not None:
            part.changes(write.head)
    events, ends = _placed(writes, parts)
    runs: list[_Row] = []
    starts: list[_Row] = []
    for run_id, part in parts.items():
        runs.append(part.row(run_id, len(starts)))
        starts += part.starts
    payloads = sorted(write.payload for write in writes if write.payload is not None)
    separator, none, texts = joined(
        [
            *_columns([_run_texts(creation.run) for creation in creations], 13),
            *_columns([(write.run_id, str(write.epoch)) for write in writes], 2),
            *_columns(runs, 15),
            *_columns(starts, 5),
            *_columns(events, 9),
            *_columns(ends, 2 + _OF_END),
            *_columns([row for write in writes for row in write.inputs], 5),
            [location for location, _ in payloads],
        ]
    )
    return (separator, none, *texts, [content for _, content in payloads]), creations, writes


def _placed(writes: Sequence[Write], parts: Mapping[str, _Part]) -> tuple[list[_Row], list[_Row]]:
    """The rows of events that end no step, and of those that do, with their entries and their places in the run."""
    events: list[_Row] = []
    ends: list[_Row] = []
    for entry, write in enumerate(writes, 1):
        part = parts[write.run_id]
        if write.start is not None:
            if part.starts_place is None:
                part.events += len(part.starts)
                part.starts_place = part.events
            continue
        for row in write.rows:
            part.events += 1
            placed = (str(entry), str(part.events), *row)
            if len(row) == _OF_END:
                part.statuses.append(row[_STATUS])
                ends.append(placed)
            else:
                events.append(placed)
    return events, ends


def _columns(rows: Sequence[_Row], width: int) -> Sequence[_Row]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _run_texts(run: RunRecord) -> _Row:
    return (
        run.id,
        run.pipeline,
        run.request.asset,
        request_text(run),
        run.status,
        instant_text(run.created_at),
        instant_text(run.started_at),
        instant_text(run.finished_at),
        run.owner,
        str(run.epoch),
        str(run.total),
        run.key,
        str(run.priority),
    )


def refusal(row: Any, entry: Entry) -> StaleWrite:
    """The error for the writer of `entry`."""
    if isinstance(entry, Write):
        return StaleWrite(_write_refused(row, entry))
    assert isinstance(entry, Creation)
    if row["reason"] == "key":
        return KeyTaken(refusals.key_taken(row["key"], str(entry.run.key)))
    return StaleWrite(refusals.id_taken(entry.run_id))


def _write_refused(row: Any, entry: Write) -> str:
    match row["reason"]:
        case "unknown":
            return refusals.unknown_run(entry.run_id)
        case "finished":
            return refusals.finished(entry.run_id)
        case "epoch":
            return refusals.taken_over(entry.run_id, row["number"], entry.epoch)
        case "ended":
            return refusals.already_recorded(_step(row), entry.run_id)
        case _:
            return refusals.overtaken(_step(row), _attempt(row, entry), row["number"])


def _step(row: Any) -> str:
    return step_label(row["asset"], key_of(row["key"]))


def _attempt(row: Any, entry: Write) -> int:
    """The attempt that was overtaken."""
    return entry.steps.get((entry.run_id, row["asset"], row["key"]), 0)
