"""End a run that nobody will go on with: as failed, for a reason, or as cancelled."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from flowstone.errors import StoreUnavailable
from flowstone.runs import endings
from flowstone.runs.endings import PlannedStep
from flowstone.runs.events import RunFinished, StepRetried, StepStarted, StepWaiting, StepWoken
from flowstone.runs.records import Failure, Status
from flowstone.runtime.execution.guard import describe
from flowstone.store.protocol import StaleWrite, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.control import Cancel
    from flowstone.store.protocol import Store

__all__ = ["cancel_run", "close_run", "end_cancelled", "given_up"]

_log = logging.getLogger(__name__)

_Last: TypeAlias = StepStarted | StepRetried | StepWaiting | StepWoken
_BEGAN: Final = (StepStarted, StepRetried)
_WAITED: Final = (StepStarted, StepRetried, StepWaiting, StepWoken)


async def close_run(ctx: RuntimeContext, record: RunRecord, why: Failure) -> None:
    """Claim a run and record that it has failed, and every attempt in flight with it.

    Args:
        ctx: What the runtime offers.
        record: The run, at its current epoch.
        why: The failure of what was in flight, or else of its target.

    Raises:
        StaleWrite: Somebody else has it.
        StoreUnavailable: The store is away, or refuses even the end of the run.
    """
    store = ctx.store
    record = await store.claim(record.id, ctx.node, epoch=record.epoch)
    now = ctx.clock.now()
    left = await _in_flight(store, record.id)
    events: list[Event] = [endings.failed(PlannedStep.last(last), now, why) for last in left]
    if not events:
        events.append(endings.failed(PlannedStep.target(record), now, why))
    end = RunFinished(now, record.id, record.request.asset, Status.FAILED)
    try:
        await ctx.record_many([*events, end], record.epoch)
    except (StoreRefused, StaleWrite):
        # One of the steps has its record, or the store will not have it; the run ends even so.
        await ctx.record(end, record.epoch)
    await _delete_leases(store, record)
    _log.error("Run %s has failed: %s", record.id, why.message)


async def cancel_run(ctx: RuntimeContext, record: RunRecord, why: Cancel | None = None) -> None:
    """Claim a run that is to be cancelled and that nobody is there to stop, and record that it is cancelled.

    Args:
        ctx: What the runtime offers.
        record: The run, at its current epoch.
        why: That it is to be; None: the store knows that.

    Raises:
        StaleWrite: Somebody else has it.
        StoreUnavailable: The store is away.
    """
    ctx.learn(await end_cancelled(ctx.store, ctx.node, record, ctx.clock.now(), why))


async def end_cancelled(
    store: Store, owner: str, record: RunRecord, now: datetime, why: Cancel | None = None
) -> Sequence[Event]:
    """As `cancel_run`, by somebody who has the store and no runtime.

    Its epoch is raised first, so that whoever drove it records nothing any more.

    Args:
        store: The store.
        owner: Who has the run from then on.
        record: The run, at its current epoch.
        now: The time, for people.
        why: That it is to be cancelled; None: the store knows that.

    Returns:
        What was recorded: that it is to be cancelled, and the ends of the steps that had begun and of the run. Of
        the others only its plan knows.
    """
    record = await store.claim(record.id, owner, epoch=record.epoch)
    left = await _in_flight(store, record.id, waiting=True)
    ends: list[Event] = [] if why is None else [why.event(record, now)]
    ends += [endings.cancelled(PlannedStep.last(last), now) for last in left]
    ends.append(RunFinished(now, record.id, record.request.asset, Status.CANCELLED))
    await store.write_many(ends, record.epoch)
    await _delete_leases(store, record)
    return ends


async def _delete_leases(store: Store, record: RunRecord) -> None:
    """Delete the step leases of a run that is over, so that nobody goes on with it."""
    if store.cluster is not None:
        with suppress(StoreUnavailable):  # It goes with the run, when retention forgets that.
            await store.cluster.delete_leases(record.id, None)


def given_up(error: BaseException) -> Failure:
    """The failure of a run that this process drove and cannot go on with."""
    return Failure("store", str(error)) if isinstance(error, StoreRefused) else describe(error, None)


async def _in_flight(store: Store, run_id: str, *, waiting: bool = False) -> list[_Last]:
    """The attempts that began and have no end on record, and those that were to be followed by another one.

    Args:
        store: The store.
        run_id: The run.
        waiting: Whether steps that wait, or were woken, are among them.
    """
    kinds = _WAITED if waiting else _BEGAN
    open_attempts: dict[tuple[str, str | None], _Last] = {}
    after = 0
    while page := await store.events(run_id, after=after):
        for number, event in page:
            after = number
            if isinstance(event, kinds):
                open_attempts[event.asset, event.partition_key] = event
            elif hasattr(event, "materialization") or isinstance(event, StepWaiting):
                open_attempts.pop((event.asset, event.partition_key), None)
    return list(open_attempts.values())
