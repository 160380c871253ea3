"""How fresh an asset is at this instant: by what the store has, and by what was told of it if somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.freshness_policy import FRESHNESS
from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.runs.asset_freshness import FreshnessRecord, longest_late, never_seen, of_one_value, shown
from flowstone.runtime.client.requests import asset_named, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.assets.automation.freshness import Freshness
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.asset_freshness import FreshnessStatus, NewestSuccess
    from flowstone.runs.automation import AutomationRecord
    from flowstone.runtime.context import RuntimeContext

__all__ = ["freshness", "late"]


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
    return _of_asset(name, policy, watched, newest, now)


async def late(ctx: RuntimeContext) -> Sequence[FreshnessStatus]:
    """See `Runtime.late`."""
    snapshot = ctx.snapshot
    policies = {
        asset.name: asset.freshness for asset in snapshot.graph.assets.values() if asset.freshness is not None
    }
    if not policies:
        return ()
    watched = {record.key: record for record in await ctx.store.automations.records(snapshot.names)}
    newest, now = await ctx.store.newest_successes(list(policies)), ctx.clock.now()
    found = [
        _of_asset(
            name, policy, watched.get((snapshot.pipelines[name], FRESHNESS + name)), newest.get(name), now
        )
        for name, policy in policies.items()
    ]
    return longest_late(found)


def _of_asset(
    name: str,
    policy: Freshness,
    watched: AutomationRecord | None,
    newest: NewestSuccess | None,
    now: datetime,
) -> FreshnessStatus:
    if watched is None or watched.gone_at is not None or watched.text != str(policy):
        return never_seen(name, policy.bounds, newest, now)
    return shown(name, FreshnessRecord.read(watched.cursor), newest, now)
