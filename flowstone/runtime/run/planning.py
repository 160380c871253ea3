"""Plans made once: a service asks for the same few runs again and again.

What a run over assets without partitions consists of follows from the graph alone, so its plan serves every
later run of the same kind. With partitions it depends on the keys and on the hour; those plans are lazy anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.assets.partition_keys import decode_partition
from flowstone.runs.planner import plan_run

if TYPE_CHECKING:
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import RunSpec
    from flowstone.runtime.context import RuntimeContext

__all__ = ["PlanCache", "dynamic_keys"]

_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...], bool, str]


class PlanCache:
    """Plans by what was asked for; forgets all of them when they hold more than `most_steps` steps together."""

    def __init__(self, most_steps: int = 100_000) -> None:
        self._most_steps = most_steps
        self._steps = 0
        self._plans: dict[_Key, RunPlan] = {}

    def plan(self, view: PartitionView, request: RunSpec) -> RunPlan:
        """The plan of a request. Raises as `plan_run`."""
        if request.keys != (None,) or request.span is not None:
            return plan_run(view.graph, view, request)
        key = (request.asset, tuple(request.beside.items()), request.upstream, request.refresh)
        known = self._plans.get(key)
        if known is not None and known.graph is view.graph:
            return known.again(request, view)
        plan = plan_run(view.graph, view, request)
        if all(view.graph.assets[each.asset].partitions is None for each in plan.assets):
            self._keep(key, plan)
        return plan

    def _keep(self, key: _Key, plan: RunPlan) -> None:
        if self._steps + plan.total > self._most_steps:
            self._plans.clear()
            self._steps = 0
        if plan.total <= self._most_steps:
            self._plans[key] = plan
            self._steps += plan.total


async def dynamic_keys(ctx: RuntimeContext) -> dict[str, list[Any]]:
    """The keys, as values, of every dynamic set that the current graph uses."""
    return {
        name: [decode_partition(key) for key in await ctx.store.partitions(name)]
        for name in ctx.snapshot.dynamic
    }
