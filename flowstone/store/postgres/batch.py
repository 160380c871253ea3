"""What goes to the database at once: many writers' entries as the arguments of the function `flowstone.record`.

An *entry* is what one writer wants recorded, whole or not at all. A batch holds entries that cannot concern each
other: of one run none that touches a step another one touches, and none behind one that finishes the run; then
whether one is accepted depends on what is stored and on nothing else in the batch. What does not fit waits for
the next batch, and with it everything of its run, so that a run's entries keep their order. `refusal` is what a
writer is told where the function refuses its entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.runs.events import RunFinished, RunStarted, StepStarted, StepSucceeded
from flowstone.store import refusals
from flowstone.store.event_log import ENDINGS
from flowstone.store.memory import location_of_payload
from flowstone.store.postgres.columns import ending_texts, event_details, request_text
from flowstone.store.postgres.texts import instant_text, joined, key_of, key_text
from flowstone.store.protocol import KeyTaken, StaleWrite
from flowstone.store.run_log import OF_ATTEMPT

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

_NO_RECORD: Final = (None,) * 10

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
        start: Columns `start_run` … `start_key`, if it is the start of a first attempt and nothing else.
        rows: One tuple per event: columns `event_run` … `record_details`.
        inputs: Columns `input_asset` … `input_run`.
        finishes: Whether it finishes the run.
        payload: Location and bytes of a value to be kept with it.
    """

    epoch: int
    steps: Mapping[_Step, int]
    start: _Row | None = None
    rows: Sequence[_Row] = ()
    inputs: Sequence[_Row] = ()
    finishes: bool = False
    payload: tuple[str, bytes] | None = None

    @classmethod
    def of(
        cls, events: Sequence[Event], epoch: int, done: asyncio.Future[None], payload: bytes | None = None
    ) -> Write:
        """The entry for some events of one run, which `check_together` let pass."""
        last = events[-1]
        run_id = last.run_id
        if type(last) is StepStarted and last.attempt == 1 and len(events) == 1 and payload is None:
            asset, key = last.asset, key_text(last.partition_key)
            start = (run_id, instant_text(last.at), asset, key)
            return cls(run_id, done, epoch, {(run_id, asset, key): 1}, start)
        steps: dict[_Step, int] = {}
        rows: list[_Row] = []
        inputs: list[_Row] = []
        for event in events:
            asset, key = event.asset, key_text(event.partition_key)
            attempt = event.attempt if isinstance(event, OF_ATTEMPT) else None
            told = None if attempt is None else str(attempt)
            if isinstance(event, ENDINGS):
                rows.append((run_id, None, None, asset, key, told, *ending_texts(event)))
            else:
                rows.append((run_id, event.kind, instant_text(event.at), asset, key, told, *_rest(event)))
            if event.kind.startswith("step."):
                steps[run_id, asset, key] = attempt or 0
            if type(event) is StepSucceeded:
                inputs += [
                    (item.asset, key_text(item.partition_key), asset, key, run_id)
                    for item in event.materialization.inputs
                ]
        kept = None if payload is None else (location_of_payload(last), payload)
        return cls(run_id, done, epoch, steps, None, rows, inputs, isinstance(last, RunFinished), kept)


def _rest(event: Event) -> _Row:
    """The columns from `event_details` on, of an event that ends no step."""
    details = event_details(event)
    if isinstance(event, RunFinished):
        return (details, event.status, *_NO_RECORD[1:])
    if isinstance(event, RunStarted):
        return (details, *_NO_RECORD[:8], str(event.total), None)
    return (details, *_NO_RECORD)


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
        if isinstance(entry, Write):
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


def arguments(batch: Sequence[Entry]) -> tuple[tuple[Any, ...], list[Creation], list[Write]]:
    """The arguments of `flowstone.record` after the batch's number, with the entries in its order."""
    creations = [entry for entry in batch if isinstance(entry, Creation)]
    writes = [entry for entry in batch if isinstance(entry, Write)]
    places = [(str(place), write) for place, write in enumerate(writes, 1)]
    starts = [(place, *write.start) for place, write in places if write.start is not None]
    events = [(place, *row) for place, write in places for row in write.rows]
    inputs = [(place, *row) for place, write in places for row in write.inputs]
    payloads = [(place, write.payload) for place, write in places if write.payload is not None]
    separator, none, texts = joined(
        [
            *_columns([_run_texts(creation.run) for creation in creations], 13),
            *_columns([(write.run_id, str(write.epoch)) for write in writes], 2),
            *_columns(starts, 5),
            *_columns(events, 18),
            *_columns(inputs, 6),
            *_columns([(place, location) for place, (location, _) in payloads], 2),
        ]
    )
    return (separator, none, *texts, [content for _, (_, content) in payloads]), creations, writes


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
