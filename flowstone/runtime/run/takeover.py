"""From the record of a run that this node has come to own to a run that it drives."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_view import PartitionView
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.planner import plan_run
from flowstone.runs.records import Status
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.closing import cancel_run, close_run
from flowstone.runtime.run.control import Cancel, GiveUp
from flowstone.runtime.run.live_run import LiveRun
from flowstone.runtime.run.planning import dynamic_keys
from flowstone.runtime.run.redefinition import check_known, check_request

if TYPE_CHECKING:
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Cluster

__all__ = ["check", "is_known", "plan_again", "plan_or_close", "resume", "take_up", "view_for"]

_UNKNOWN_ASSET = 10.0  # Seconds for which a run whose asset is not known here is left alone.
_STILL_RUNNING = 1.0  # The same for a run of which something of an earlier time still runs here.


async def plan_again(ctx: RuntimeContext, record: RunRecord) -> RunPlan:
    """The plan of a run that was asked for earlier, perhaps elsewhere: the same steps, whatever the hour is now."""
    view = view_for(ctx, record, await dynamic_keys(ctx))
    check(view, record)
    return plan_run(view.graph, view, record.request)


def view_for(ctx: RuntimeContext, record: RunRecord, dynamic: dict[str, list[Any]]) -> PartitionView:
    """The partitions as a run sees them, whatever the hour is now; `dynamic` has the keys of dynamic sets."""
    as_of = record.request.as_of
    now = record.created_at if as_of is None else datetime.fromisoformat(as_of)
    return PartitionView(ctx.snapshot.graph, now, dynamic)


def check(view: PartitionView, record: RunRecord) -> None:
    """Check that what a run asks for is there as it was. Raises `DefinitionError` or `PartitionError`."""
    check_known(view, record.request, record.pipeline)
    check_request(view, record.request)


async def plan_or_close(
    ctx: RuntimeContext, record: RunRecord, cancel: Cancel | None = None
) -> RunPlan | None:
    """The plan of such a run; None if today's definitions have none for it.

    Then the run has failed with the reason, or has ended as cancelled if it is to be cancelled.

    Raises:
        StoreUnavailable: The store is away.
    """
    try:
        return await plan_again(ctx, record)
    except StoreUnavailable:
        raise
    except Exception as error:
        if isinstance(error, FlowstoneError):
            error.remedies = None  # The record is read in every interface, and this call was made in none.
        if cancel is not None or await _is_to_be_cancelled(ctx, record.id):
            await cancel_run(ctx, record, cancel)
        else:
            await close_run(ctx, record, describe(error, None))
        return None


async def _is_to_be_cancelled(ctx: RuntimeContext, run_id: str) -> bool:
    """Whether somebody asked for it, or its timeout did, while nobody drove the run."""
    if ctx.store.cluster is not None:
        return run_id in await ctx.store.cluster.cancelling(ctx.node)
    after = 0
    while page := await ctx.store.events(run_id, after=after):
        after = page[-1][0]
        if any(isinstance(event, RunCancelRequested) for _, event in page):
            return True
    return False


def is_known(ctx: RuntimeContext, record: RunRecord) -> bool:
    """Whether a run is one of the pipelines that there are."""
    return record.pipeline in ctx.snapshot.names


async def resume(
    ctx: RuntimeContext, runs: LocalRuns, record: RunRecord, cancel: Cancel | None = None
) -> LiveRun | None:
    """Go on with a run of a store that nobody else holds, or end it as cancelled; None if this runtime cannot.

    Raises:
        StoreUnavailable: The store is away.
    """
    if not is_known(ctx, record):
        return None
    plan = await plan_or_close(ctx, record, cancel)
    if plan is None:
        runs.parked.end(record.id)
        return None
    before = await runs.alive(record.id)  # Somebody was faster, perhaps.
    run = before
    if run is None:
        run = LiveRun(record, plan, fresh=False)
        run.outlives = ctx.store.lasts
    if cancel is not None:
        run.ask(cancel)
    return await runs.drive(run) if before is None else run


async def take_up(ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster, record: RunRecord) -> None:
    """Drive a run that this node owns, or let go of it: hand back what it cannot run, fail what nobody can plan.

    Raises:
        StaleWrite: It is somebody else's by now.
        StoreUnavailable: The store is away; the run is still this node's.
    """
    if not runs.open:
        await cluster.release(record.id, ctx.node)
        return
    if (before := await runs.alive(record.id)) is not None:
        before.ask(GiveUp())
        runs.snoozed.hold(record.id, _STILL_RUNNING)
        await cluster.release(record.id, ctx.node)
        return
    unknown = next((name for name in record.request.targets if name not in ctx.snapshot.graph), None)
    if unknown is not None:
        if await _is_to_be_cancelled(ctx, record.id):
            await cancel_run(ctx, record)  # That needs no code of it.
            return
        words = f"it waits for a node that knows the asset {unknown!r}: this one does not"
        ctx.alarms.set(f"run {record.id}", words)
        runs.snoozed.hold(record.id, _UNKNOWN_ASSET)
        await cluster.release(record.id, ctx.node)
        return
    plan = await plan_or_close(ctx, record)
    if plan is None:
        return
    run = LiveRun(record, plan, fresh=record.status is Status.QUEUED)
    run.outlives = run.taken = True
    await runs.drive(run)
