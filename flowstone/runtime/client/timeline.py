"""The attempts of a run over time: what `runtime.timeline()` gives, read from the log of the run.

A run in progress is followed by asking again for what has changed since. Its log is whole as long as it is
unfinished. Of a finished run only the newest events are kept, so the rest is read from the records of its steps,
which say when the last attempt of each began and ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.events import StepRetried, StepStarted, StepWaiting
from flowstone.runs.records import Status
from flowstone.store.event_log import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from flowstone.runs.events import Event
    from flowstone.runs.records import Failure, Materialization, RunRecord
    from flowstone.store.protocol import Store

__all__ = ["Timeline", "TimelineAttempt", "read_timeline"]

_PAGE: Final = 2_000  # Events that are read in one turn of the loop.


@frozen
class TimelineAttempt:
    """One attempt of a step, as far as it is known; of a step that none began, the step.

    Attributes:
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        attempt: 1 for the first attempt; 0 of a step that was reused, skipped or cancelled before any.
        status: `running`, or how it ended: `succeeded`, `failed`, `waiting` (the step waits for somebody else),
            `skipped`, `reused` or `cancelled`.
        started_at: When it began (aware, UTC); None if it never did, or an earlier answer has said so.
        finished_at: When it ended (aware, UTC), or None.
        retry_after: Seconds until the next attempt, if it failed and one follows; else None.
        failure: Why it failed, or the step was skipped; or None.
        node: The node that executes it or did; None if an earlier answer has said so, or that is not on record: it
            began before nodes were, or is among the attempts of a finished run whose events are kept no more.
    """

    asset: str
    partition_key: str | None
    attempt: int
    status: Status
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retry_after: float | None = None
    failure: Failure | None = None
    node: str | None = None


@frozen
class Timeline:
    """Attempts of a run, in the order in which they changed last.

    Attributes:
        run: The run's head, read before the attempts.
        attempts: Those that have changed since `after`, each as it is now.
        position: Where to go on: `runtime.timeline(run_id, after=position)`.
        whole: Whether these are all attempts, and what was known before is to be forgotten.
        totals: How many steps of each asset the run consists of, by the definitions of now; only if `whole`, and
            empty where these do not fit the run any more.
    """

    run: RunRecord
    attempts: Sequence[TimelineAttempt]
    position: int
    whole: bool
    totals: Mapping[str, int]


async def read_timeline(
    store: Store, record: RunRecord, totals: Mapping[str, int], after: int, limit: int
) -> Timeline:
    """Read what has changed since number `after` of the run's log; of all that, the newest `limit` or more."""
    found: dict[tuple[str, str | None, int], TimelineAttempt] = {}
    whole = after == 0
    ended = sum(record.counts.values())
    # Each step that has ended has an event at least, so those before are not of the newest.
    start = max(after, ended - limit) if whole else after
    page = await store.events(record.id, after=start, limit=_PAGE)
    if record.status.terminal and page and page[0][0] > start + 1:
        whole = True
        _take_records(found, await store.steps(record.id, offset=max(0, ended - limit)))
    position = start
    while page:
        _take_events(found, (event for _, event in page))
        position = page[-1][0]
        await asyncio.sleep(0)
        page = await store.events(record.id, after=position, limit=_PAGE)
    return Timeline(record, tuple(found.values()), position, whole, totals if whole else {})


def _take_records(
    found: dict[tuple[str, str | None, int], TimelineAttempt], records: Iterable[Materialization]
) -> None:
    for record in records:
        found[record.asset, record.partition_key, record.attempt] = _ended(record, record.finished_at)


def _take_events(found: dict[tuple[str, str | None, int], TimelineAttempt], events: Iterable[Event]) -> None:
    for event in events:
        attempt = _told_by(event)
        if attempt is None:
            continue
        key = attempt.asset, attempt.partition_key, attempt.attempt
        before = found.pop(key, None)  # It is put behind the others: it has changed last.
        if before is not None and attempt.started_at is None:
            attempt = replace(attempt, started_at=before.started_at)
        if before is not None and attempt.node is None:
            attempt = replace(attempt, node=before.node)
        found[key] = attempt


def _told_by(event: Event) -> TimelineAttempt | None:
    if isinstance(event, StepStarted):
        key = event.asset, event.partition_key, event.attempt
        return TimelineAttempt(*key, Status.RUNNING, event.at, node=event.node)
    if isinstance(event, ENDINGS):
        return _ended(event.materialization, event.at)
    if isinstance(event, StepRetried):
        key = event.asset, event.partition_key, event.attempt
        return TimelineAttempt(*key, Status.FAILED, None, event.at, event.delay, event.failure)
    if isinstance(event, StepWaiting):
        key = event.asset, event.partition_key, event.attempt
        return TimelineAttempt(*key, Status.WAITING, None, event.at)
    return None


def _ended(record: Materialization, at: datetime | None) -> TimelineAttempt:
    ran = record.attempt > 0 and record.status is not Status.REUSED
    return TimelineAttempt(
        record.asset,
        record.partition_key,
        record.attempt if ran else 0,
        record.status,
        record.started_at if ran else None,
        at,
        failure=record.failure,
    )
