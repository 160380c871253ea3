"""End a run that nobody will go on with: what was in flight is lost, the run has failed."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.assets.partition_keys import decode_partition
from flowstone.errors import StoreUnavailable
from flowstone.runs.events import RunFinished, StepCancelled, StepFailed, StepRetried, StepStarted
from flowstone.runs.records import Failure, Materialization, Status
from flowstone.runtime.guard import describe
from flowstone.store.protocol import StaleWrite, StoreRefused

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.services import Services

__all__ = ["cancel_run", "close_run", "given_up"]

_log = logging.getLogger(__name__)


async def close_run(services: Services, record: RunRecord, why: Failure | None = None) -> None:
    """Claim a run and record that it has failed, and every attempt in flight with it.

    Args:
        services: What the runtime offers.
        record: The run, at its current epoch.
        why: The failure of what was in flight, or else of its target. Default: the process was lost.

    Raises:
        StaleWrite: Somebody else has it.
        StoreUnavailable: The store is away, or refuses even the end of the run.
    """
    store = services.store
    record = await store.claim(record.id, services.node, epoch=record.epoch)
    now = services.clock.now()
    events: list[Event] = [_lost(last, now, why) for last in await _in_flight(services, record.id)]
    if why is not None and not events:
        events.append(_unplanned(record, why, now))
    end = RunFinished(now, record.id, record.request.asset, Status.FAILED)
    try:
        await store.write_many([*events, end], record.epoch)
    except (StoreRefused, StaleWrite):
        # One of the steps has its record, or the store will not have it; the run ends even so.
        await store.write(end, record.epoch)
    await _settle(services, record)
    if why is not None:
        _log.error("Run %s has failed: %s", record.id, why.message)
        return
    for event in events:
        services.failures.tell(event)


async def cancel_run(services: Services, record: RunRecord) -> None:
    """Claim a run that is to be cancelled and that nobody is there to stop, and record that it is cancelled.

    Raises:
        StaleWrite: Somebody else has it.
        StoreUnavailable: The store is away.
    """
    store = services.store
    record = await store.claim(record.id, services.node, epoch=record.epoch)
    now = services.clock.now()
    stopped: list[Event] = []
    for last in await _in_flight(services, record.id):
        made = replace(_lost(last, now, None).materialization, status=Status.CANCELLED, failure=None)
        stopped.append(StepCancelled(now, record.id, last.asset, last.partition_key, last.attempt, made))
    end = RunFinished(now, record.id, record.request.asset, Status.CANCELLED)
    await store.write_many([*stopped, end], record.epoch)
    await _settle(services, record)


async def _settle(services: Services, record: RunRecord) -> None:
    """Take back what was lent of a run that is over, so that nobody goes on with it."""
    if services.store.cluster is not None:
        with suppress(StoreUnavailable):  # It goes with the run, when retention forgets that.
            await services.store.cluster.settle(record.id, None)


def given_up(error: BaseException) -> Failure:
    """The failure of a run that this process drove and cannot go on with."""
    return Failure("store", str(error)) if isinstance(error, StoreRefused) else describe(error, None)


async def _in_flight(services: Services, run_id: str) -> list[StepStarted | StepRetried]:
    """The attempts that began and have no end on record, and those that were to be followed by another one."""
    open_attempts: dict[tuple[str, str | None], StepStarted | StepRetried] = {}
    after = 0
    while page := await services.store.events(run_id, after=after):
        for number, event in page:
            after = number
            if isinstance(event, StepStarted | StepRetried):
                open_attempts[event.asset, event.partition_key] = event
            elif hasattr(event, "materialization"):
                open_attempts.pop((event.asset, event.partition_key), None)
    return list(open_attempts.values())


def _lost(last: StepStarted | StepRetried, now: datetime, why: Failure | None) -> StepFailed:
    """What is recorded of a step whose attempt died with its process, or whose next attempt nobody makes."""
    began: datetime | None = None
    if isinstance(last, StepRetried):
        failure = last.failure
    else:
        failure, began = Failure("lost", "The process that ran this attempt died.", retryable=True), last.at
    record = Materialization(
        last.asset,
        None if last.partition_key is None else decode_partition(last.partition_key),
        last.partition_key,
        last.run_id,
        Status.FAILED,
        last.attempt,
        began,
        now,
        why or failure,
    )
    return StepFailed(now, last.run_id, last.asset, last.partition_key, last.attempt, record)


def _unplanned(run: RunRecord, why: Failure, now: datetime) -> StepFailed:
    asset = run.request.asset
    key = run.request.keys[0] if run.request.keys else None
    record = Materialization(
        asset,
        None if key is None else decode_partition(key),
        key,
        run.id,
        Status.FAILED,
        finished_at=now,
        failure=why,
    )
    return StepFailed(now, run.id, asset, key, 0, record)
