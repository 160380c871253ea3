"""How a coordinator goes on with a run: claim it, replay what is recorded, keep what still runs on other nodes."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowstone.assets.partition_labels import step_label
from flowstone.counting import count
from flowstone.runs import endings
from flowstone.runs.endings import PlannedStep
from flowstone.runs.item_range import ItemRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.records import StepKey
    from flowstone.runs.state import RunState
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.store.cluster import Cluster, StepLease

__all__ = ["replay", "seconds_spent"]

_log = logging.getLogger(__name__)

_PAGE: Final = 1_000
_NAMED: Final = 3  # Steps that a line of the log names.


async def replay(ctx: RuntimeContext, run: LiveRun, state: RunState) -> dict[int, StepLease]:
    """Claim the run, so that an earlier incarnation can record nothing more, and replay its events.

    A step that has lost too many attempts is given up: it may be what ends its process each time.

    Returns:
        The leases, by step, of those that other nodes still execute.
    """
    store = ctx.store
    if run.taken:
        run.taken = False  # With its epoch, so that no incarnation before this one has the same.
    else:
        run.record = await store.claim(run.record.id, ctx.node, epoch=run.record.epoch)
    after = 0
    former: set[StepKey] = set()
    more = True
    while more and (page := await store.events(run.record.id, after=after, limit=_PAGE)):
        more = len(page) >= _PAGE
        after = page[-1][0]
        for _, event in page:
            state.replay(event)
            if (
                hasattr(event, "materialization")
                and run.plan.number(event.asset, event.partition_key) is None
            ):
                former.add((event.asset, event.partition_key))
    run.former = len(former)
    run.replayed = after
    lends = store.cluster is not None and run.spreads
    kept = await _keep_lent(ctx, store.cluster, run, state) if lends and store.cluster is not None else {}
    too_many = state.lost(ctx.settings.lost_attempts, kept)
    if too_many:
        now = ctx.clock.now()
        steps = [PlannedStep.of(run.record.id, run.plan, *each) for each in too_many]
        lost = [endings.lost_too_often(step, now) for step in steps]
        await ctx.record_many(lost, run.record.epoch)
        for event in lost:
            state.replay(event)
    if not state.cancelling:
        _say_what_runs_alone(run, [step for step in state.running if step not in kept])
    return kept


def _say_what_runs_alone(run: LiveRun, suspects: Sequence[int]) -> None:
    """Nothing begins on this node while a suspect runs, which nobody understands who is not told."""
    if not suspects:
        return
    keys = [run.plan.step(step) for step in suspects[:_NAMED]]
    more = f" and {len(suspects) - _NAMED:,} more" if len(suspects) > _NAMED else ""
    names = ", ".join(step_label(asset, key) for asset, _, key in keys) + more
    one = len(suspects) == 1
    _log.warning(
        "Run %s: %s in flight when %s node was lost (%s), and %s. Nothing else begins on this node until %s ended.",
        run.record.id,
        f"{count(len(suspects), 'step')} {'was' if one else 'were'}",
        "its" if one else "their",
        names,
        "runs again alone" if one else "run again one at a time",
        "it has" if one else "they have",
    )


async def _keep_lent(
    ctx: RuntimeContext, cluster: Cluster, run: LiveRun, state: RunState
) -> dict[int, StepLease]:
    """Go on with the steps that a former owner leased to nodes that live; end its other leases.

    They did not end with the owner's process, so they are no suspects. Under its epoch they could record
    nothing more, so they are leased again under the new one. Leases of items end: they are short, and what was
    done of them is on record.
    """
    running = set(state.running)
    alive = {watched.node.id for watched in ctx.peers.all_alive()}
    kept: dict[int, StepLease] = {}
    ended: list[StepKey] = []
    for lease in await cluster.outstanding(run.record.id):
        of_items = ItemRange.read(lease.partition_key) is not None
        step = None if of_items else run.plan.number(lease.asset, lease.partition_key)
        if step in running and lease.node in alive and state.attempt_of(step) == lease.attempt:
            kept[step] = replace(lease, epoch=run.record.epoch)
        else:
            ended.append((lease.asset, lease.partition_key))
    if kept:
        await cluster.grant(list(kept.values()))
    if ended:
        await cluster.delete_leases(run.record.id, ended)
    return kept


async def seconds_spent(ctx: RuntimeContext, run: LiveRun) -> float:
    """Seconds of the run's timeout that are over; 0 if it has none.

    Its owners measured them, on clocks that nobody can step, and said so once a lease; the time in which nobody
    drove it does not count. Where only one process can hold the store nobody says so, and the time since the run
    began is all there is.
    """
    cluster = ctx.store.cluster
    if run.record.request.timeout is None:
        return 0.0
    if run.driven_from is not None:
        return ctx.clock.monotonic() - run.driven_from
    if cluster is not None:
        return await cluster.spent(run.record.id)
    now = ctx.clock.now()
    return max(0.0, (now - (run.record.started_at or now)).total_seconds())
