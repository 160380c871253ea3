"""Looking at a plan against what is current now: in a few questions to the store, however many steps it has."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from flowstone.assets.partition_labels import step_label
from flowstone.counting import count
from flowstone.printable import one_line
from flowstone.runs.outlook import EVERYTHING, Outlook
from flowstone.runs.reasons import MISSING, Reason
from flowstone.runs.records import Status
from flowstone.runs.run_config import changed_config
from flowstone.runs.standing_words import failure_words
from flowstone.runtime.client.plan import Plan
from flowstone.runtime.client.staleness import stale_steps
from flowstone.runtime.run.readiness import unready

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import RunSpec, StepKey
    from flowstone.runtime.context import RuntimeContext

__all__ = ["free_keys", "preview"]

_LOOKED_UP: Final = 1_000  # Records at a time.
_LOOKED_AT: Final = 200  # Steps that would run, of which it is looked up whether they can.
_SAID: Final = 3  # Inputs without a value that are named.
_FAILURES: Final = 200  # Of an asset, that are told in their own words.


async def preview(ctx: RuntimeContext, plan: RunPlan) -> Plan:
    """What would become of the steps of a plan now."""
    outlook = await _outlook(ctx, plan)
    seconds = await ctx.store.durations([each.asset for each in plan.assets])
    parallel = plan.request.max_parallel or ctx.settings.max_concurrency
    made = Plan(plan, outlook, seconds, parallel)
    made.warnings = [*free_keys(plan.graph, plan.request), *await _unready(ctx, plan, made)]
    return made


def free_keys(graph: AssetGraph, request: RunSpec) -> list[str]:
    """That an asset without a partition set takes any partition, where it is asked for one."""
    keys = [key for key in request.keys if key is not None]
    if not keys or graph[request.asset].partitions is not None:
        return []
    name, one = one_line(request.asset), step_label(request.asset, keys[0])
    return [f"{name} has no partition set, so it takes any partition: {one} is a value of its own."]


async def _unready(ctx: RuntimeContext, plan: RunPlan, made: Plan) -> list[str]:
    """Of the first steps that would run, that what they need has no value and is no part of the plan."""
    if plan.request.upstream:
        return []
    first = (step for step in islice(made, _LOOKED_AT) if step.action == "run")
    steps = [(step.asset, step.partition, step.partition_key) for step in first]
    problems = await unready(ctx.store, plan.view, steps, lambda key: plan.number(*key) is not None)
    if not problems:
        return []
    missing = list(dict.fromkeys(each for problem in problems for each in problem.missing))
    shown = ", ".join(missing[:_SAID]) + (
        f" and {len(missing) - _SAID:,} more" if len(missing) > _SAID else ""
    )
    return [
        f"{count(len(problems), 'step')} would fail: {shown} {'has' if len(missing) == 1 else 'have'} no value."
    ]


async def _outlook(ctx: RuntimeContext, plan: RunPlan) -> Outlook:
    match plan.request.refresh:
        case "all":
            return EVERYTHING
        case "missing":
            return await _missing(ctx, plan)
        case "stale":
            return await _stale(ctx, plan)


async def _missing(ctx: RuntimeContext, plan: RunPlan) -> Outlook:
    reasons: dict[StepKey, Reason] = {}
    kept: dict[str, frozenset[str | None]] = {}
    standing = await ctx.store.keys_by_status([each.asset for each in plan.assets])
    for asset, by_status in standing.items():
        current = frozenset(_planned(plan, asset, by_status.get(Status.SUCCEEDED, ())))
        failed = _planned(plan, asset, set(by_status.get(Status.FAILED, ())) - current)
        reasons |= await _failed(ctx, asset, failed)
        await _look_at_origin(ctx, asset, current)
        if asset in plan.request.config:
            other = await _of_other_config(ctx, plan, asset, current)
            current -= {key for _, key in other}
            reasons |= other
        kept[asset] = current
    return Outlook(reasons, kept, MISSING)


def _planned(plan: RunPlan, asset: str, keys: Iterable[str | None]) -> list[str | None]:
    return [key for key in keys if plan.number(asset, key) is not None]


async def _failed(ctx: RuntimeContext, asset: str, failed: Sequence[str | None]) -> dict[StepKey, Reason]:
    """Steps without a value whose last attempt failed, with its message where there are not too many."""
    if not failed:
        return {}
    told = {
        record.partition_key: f"its last attempt failed: {failure_words(record.failure)}"
        for record in await ctx.store.failures(asset, limit=_FAILURES)
    }
    return {(asset, key): Reason("failed", told.get(key, "its last attempt failed")) for key in failed}


async def _look_at_origin(ctx: RuntimeContext, asset: str, kept: Collection[str | None]) -> None:
    """Warn if another pipeline has computed a value of an asset that would be reused."""
    if ctx.memory is None and kept and not ctx.origins.knows(asset):
        first = [(asset, key) for key in islice(kept, 1)]
        await ctx.look_at_origins((await ctx.store.current(first)).values())


async def _of_other_config(
    ctx: RuntimeContext, plan: RunPlan, asset: str, keys: Iterable[str | None]
) -> dict[StepKey, Reason]:
    """The steps whose values were computed with another config than the one that the run is given, and how."""
    now = plan.configs[asset].record
    wanted = [(asset, key) for key in keys]
    changed: dict[StepKey, Reason] = {}
    for first in range(0, len(wanted), _LOOKED_UP):
        found = await ctx.store.current(wanted[first : first + _LOOKED_UP])
        for key, record in found.items():
            if (how := changed_config(record.config, now)) is not None:
                changed[key] = Reason("config", how)
    return changed


async def _stale(ctx: RuntimeContext, plan: RunPlan) -> Outlook:
    reasons: dict[StepKey, Reason] = {}
    async for records in stale_steps(ctx.store, plan, reasons):
        await ctx.look_at_origins(records)
    standing = await ctx.store.keys_by_status([each.asset for each in plan.assets])
    for asset, by_status in standing.items():
        failed = _planned(plan, asset, by_status.get(Status.FAILED, ()))
        # One that has a value beside its failure runs for the reason that its value has.
        missing = [key for key in failed if reasons.get((asset, key)) is MISSING]
        reasons |= await _failed(ctx, asset, missing)
    return Outlook(reasons, {}, None)
