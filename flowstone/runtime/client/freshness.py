"""How fresh an asset is at this instant: by what the store has, and by what was told of it if somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.freshness_policy import FRESHNESS
from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.runs.asset_freshness import FreshnessRecord, never_seen, of_one_value, shown
from flowstone.runtime.client.requests import asset_named, encoded

if TYPE_CHECKING:
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runtime.context import RuntimeContext

__all__ = ["freshness"]


async def freshness(ctx: RuntimeContext, view: PartitionView, asset: Any, partition: Any) -> FreshnessStatus:
    """See `Runtime.freshness`."""
    name = asset_named(view.graph, asset).name
    policy = view.graph[name].freshness
    if policy is None:
        raise ArgumentError(
            f"{name!r} has no freshness: nothing says how old its value may become.",
            remedies=Remedies("Define it with freshness=Freshness(within=…)."),
        )
    now = ctx.clock.now()
    if partition is not None:
        key = (name, encoded(view, name, partition))
        record = (await ctx.store.current([key])).get(key)
        finished_at = None if record is None else record.finished_at
        return of_one_value(name, partition, policy.bounds, finished_at, now)
    watched = await ctx.store.automations.record((ctx.snapshot.pipelines[name], FRESHNESS + name))
    newest = (await ctx.store.newest_successes([name])).get(name)
    if watched is None or watched.gone_at is not None or watched.text != str(policy):
        return never_seen(name, policy.bounds, newest, now)
    return shown(name, FreshnessRecord.read(watched.cursor), newest, now)
