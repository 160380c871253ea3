"""Which steps of a run need not run, because a current value is good enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.assets.partition_labels import step_label
from flowstone.runs import endings
from flowstone.runs.freshness import stale_reason
from flowstone.runs.run_config import changed_config
from flowstone.runtime.run.inputs import needs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.events import StepReused
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun

__all__ = ["find_reusable", "known_to_be_needed", "reason_to_run"]


async def find_reusable(
    ctx: RuntimeContext, run: LiveRun, epoch: int, steps: Sequence[int]
) -> tuple[list[tuple[int, StepReused]], tuple[int, ...]]:
    """Look up, record and publish the reuses among steps whose upstream is done; return the others beside them."""
    keys = {step: _key(run.plan, step) for step in steps}
    current = await ctx.store.current(list(keys.values()))
    reused: list[tuple[int, StepReused]] = []
    needed: list[int] = []
    now = ctx.clock.now()
    for step, key in keys.items():
        found = current.get(key)
        if found is None or await reason_to_run(ctx, run.plan, step, found) is not None:
            needed.append(step)
        else:
            reused.append((step, endings.reused(found, run.record.id, now)))
    if reused:
        await ctx.record_many([event for _, event in reused], epoch)
    return reused, tuple(needed)


def known_to_be_needed(ctx: RuntimeContext, plan: RunPlan, steps: Sequence[int]) -> list[int]:
    """Those of the steps that have no value at all, where all values are in memory; none where they are not."""
    if ctx.memory is None:
        return []
    ledger = ctx.memory.ledger
    return [
        step
        for step in steps
        if not ledger.knows(plan.of(step).asset) or ledger.newest(*_key(plan, step)) is None
    ]


async def reason_to_run(
    ctx: RuntimeContext,
    plan: RunPlan,
    step: int,
    current: Materialization | None,
    pending: Mapping[StepKey, str] | None = None,
) -> str | None:
    """Why a step must run although it has a current value, or None if the value may be reused.

    Args:
        ctx: What the runtime offers.
        plan: The plan the step belongs to.
        step: The step's number.
        current: Its current materialization, if it has one.
        pending: Upstream steps that will run before it, by key; only a preview has any.
    """
    asset_plan = plan.of(step)
    if current is None:
        return "it has no current value"
    config = plan.configs.get(asset_plan.asset) if plan.configs else None
    recorded = None if config is None else config.record
    if asset_plan.refresh == "missing":
        # Of a config that the run was given, there is a value only if it was computed with that one.
        given = asset_plan.asset in plan.request.config
        return changed_config(current.config, recorded) if given else None
    if asset_plan.refresh == "all":
        return "everything is computed again"
    asset = plan.graph.assets[asset_plan.asset]
    needs = needs_of(plan.graph, plan.view, asset, current.partition, current.partition_key)
    keys = [key for need in needs for key in need.keys]
    if pending:
        for key in keys:
            if key in pending:
                return f"upstream {step_label(*key)} will be computed again"
    upstream = await ctx.store.current(keys) if keys else {}
    return stale_reason(current, asset.version, {key: upstream.get(key) for key in keys}, recorded)


def _key(plan: RunPlan, step: int) -> StepKey:
    asset, _, key = plan.step(step)
    return asset, key
