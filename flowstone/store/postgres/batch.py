"""What goes to the database at once: many writers' entries as the arguments of the function `flowstone.record`.

An *entry* is what one writer wants recorded, whole or not at all. A batch holds entries that cannot concern each
other: of one run none that touches a step another one touches, and none behind one that finishes the run; then
whether one is accepted depends on what is stored and on nothing else in the batch. What does not fit waits for
the next batch, and with it everything of its run, so that a run's entries keep their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowstone.runs.events import RunFinished, RunStarted, StepSucceeded
from flowstone.store.event_log import ENDINGS
from flowstone.store.memory import location_of_payload
from flowstone.store.postgres.columns import ending_columns, event_details, request_text, utc
from flowstone.store.postgres.texts import key_text
from flowstone.store.run_log import OF_ATTEMPT

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Sequence

    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord

__all__ = ["Creation", "Entry", "Write", "arguments", "gather"]

_MOST: Final = 1_000  # Entries.
_MOST_BYTES: Final = 4_000_000  # Of payloads.
_CROWD: Final = 16  # Fewer entries are better off in one transaction than in two.

_NO_RECORD: Final = (None,) * 10


class _Step(NamedTuple):
    run_id: str
    asset: str
    key: str


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
    """Events of one run.

    Attributes:
        epoch: Under which the writer holds the run.
        rows: One tuple per event: the columns `event_run` … `record_details` of `flowstone.record`.
        inputs: Columns `input_asset` … `input_run`.
        steps: The steps it touches.
        finishes: Whether it finishes the run.
        payload: Location and bytes of a value to be kept with it.
    """

    epoch: int
    rows: list[tuple[Any, ...]]
    inputs: list[tuple[Any, ...]]
    steps: tuple[_Step, ...]
    finishes: bool
    payload: tuple[str, bytes] | None = None

    @classmethod
    def of(
        cls, events: Sequence[Event], epoch: int, done: asyncio.Future[None], payload: bytes | None = None
    ) -> Write:
        """The entry for some events of one run, which `check_together` let pass."""
        run_id = events[0].run_id
        inputs = [
            (item.asset, key_text(item.partition_key), event.asset, key_text(event.partition_key), run_id)
            for event in events
            if isinstance(event, StepSucceeded)
            for item in event.materialization.inputs
        ]
        steps = [
            _Step(run_id, event.asset, key_text(event.partition_key))
            for event in events
            if event.kind.startswith("step.")
        ]
        kept = None
        if payload is not None:
            kept = (location_of_payload(events[-1]), payload)
        return cls(
            run_id,
            done,
            epoch,
            [_row(event) for event in events],
            inputs,
            tuple(steps),
            isinstance(events[-1], RunFinished),
            kept,
        )


def _row(event: Event) -> tuple[Any, ...]:
    attempt = event.attempt if isinstance(event, OF_ATTEMPT) else None
    head = (event.run_id, event.kind, utc(event.at), event.asset, key_text(event.partition_key), attempt)
    if isinstance(event, ENDINGS):
        return head + ending_columns(event)
    details = event_details(event)
    if isinstance(event, RunFinished):
        return (*head, details, event.status.value, *_NO_RECORD[1:])
    if isinstance(event, RunStarted):
        return (*head, details, *_NO_RECORD[:8], event.total, None)
    return (*head, details, *_NO_RECORD)


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
    places = list(enumerate(writes, 1))
    events = [(place, *row) for place, write in places for row in write.rows]
    inputs = [(place, *row) for place, write in places for row in write.inputs]
    payloads = [(place, *write.payload) for place, write in places if write.payload is not None]
    return (
        (
            *_columns([_run_columns(creation.run) for creation in creations], 13),
            *_columns([(write.run_id, write.epoch) for write in writes], 2),
            *_columns(events, 18),
            *_columns(inputs, 6),
            *_columns(payloads, 3),
        ),
        creations,
        writes,
    )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    """A column of nothing but NULL is an empty one: `unnest` fills up, and the driver has less to look at."""
    if not rows:
        return [()] * width
    return [() if column.count(None) == len(rows) else column for column in zip(*rows, strict=True)]


def _run_columns(run: RunRecord) -> tuple[Any, ...]:
    return (
        run.id,
        run.pipeline,
        run.request.asset,
        request_text(run),
        run.status.value,
        utc(run.created_at),
        utc(run.started_at),
        utc(run.finished_at),
        run.owner,
        run.epoch,
        run.total,
        run.key,
        run.priority,
    )
