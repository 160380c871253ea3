"""One line for each asset: what the tables of the overview and of the assets show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.server.render import clock
from flowstone.server.views.asset_standing import standing_of
from flowstone.server.views.partition_shapes import counts_of, overlaid, spans_of, under_way, unit_of
from flowstone.server.views.strips import sparkline, strip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from flowstone.assets.asset import Asset
    from flowstone.runs.asset_activity import AssetActivity
    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.partition_states import PartitionStates
    from flowstone.runs.reasons import Reason
    from flowstone.runs.records import Status
    from flowstone.server.asked import Asked
    from flowstone.server.views.asset_standing import Standing

__all__ = ["AssetRow", "AssetTable", "group_of", "read_assets"]

_BESIDE_ONE: Final = (("none", 39),)
"""What is right of the one value of an asset without partitions."""


@frozen
class AssetRow:
    """What a table says of an asset.

    Attributes:
        id: Of the row in the page.
        name: The asset's name.
        group: What it belongs to: its tag `group`, or empty.
        standing: How it stands.
        strip: Its partitions as a drawing.
        have: How many partitions have a value.
        total: How many there are; 0 of an asset without a partition set.
        last_at: When it was computed last, as people read it.
        line: The points of a line: how long it took lately.
        took: Seconds that it took last, or None.
        next: When it is computed next, as people read it.
    """

    id: str
    name: str
    group: str
    standing: Standing
    strip: Markup
    have: int
    total: int
    last_at: str
    line: str
    took: float | None
    next: str

    @property
    def shape(self) -> str:
        """The shape of how it stands."""
        return self.standing.shape

    @property
    def word(self) -> str:
        """How it stands in words."""
        return self.standing.word


@frozen
class AssetTable:
    """All assets, and what is on record of them.

    Attributes:
        rows: One for each, in the order of the graph.
        states: What has become of their partitions.
        late: Those that are late or overdue, by name.
        automations: All automations, with their last fires.
        stale: Why values are stale, by asset and encoded partition key.
        not_looked_at: How many assets have yet to be looked at for stale values.
    """

    rows: Sequence[AssetRow]
    states: Mapping[str, PartitionStates]
    late: Mapping[str, FreshnessStatus]
    automations: Sequence[AutomationStatus]
    stale: Mapping[str, Mapping[str | None, Reason]]
    not_looked_at: int


async def read_assets(asked: Asked, *first: str) -> AssetTable:
    """The table as it is now.

    Args:
        asked: Who asks.
        first: Assets whose stale values are to be looked at before those of others.
    """
    runtime, graph = asked.runtime, asked.runtime.graph
    known = await asked.known.read(*first)
    late = {each.asset: each for each in known.late}
    overlay = await under_way(runtime)
    coming = _next_fires(known.automations)
    rows = [
        _row(
            graph[name],
            known.states[name],
            overlay.get(name, {}),
            known.activity.get(name),
            late.get(name),
            known.stale.get(name, {}),
            coming,
            asked.now,
        )
        for name in graph.order()
        if name in known.states
    ]
    return AssetTable(rows, known.states, late, known.automations, known.stale, known.not_looked_at)


def group_of(asset: Asset[..., Any]) -> str:
    """What it belongs to, for people: its tag `group`."""
    return asset.tags.get("group", "")


def _row(
    asset: Asset[..., Any],
    states: PartitionStates,
    overlay: Mapping[str | None, Status],
    activity: AssetActivity | None,
    late: FreshnessStatus | None,
    stale: Mapping[str | None, Reason],
    coming: Mapping[str, datetime],
    now: datetime,
) -> AssetRow:
    spans = spans_of(overlaid(states, overlay, stale).codes)
    by_choice = len(states.skips.get(None, ()))
    standing = standing_of(asset, counts_of(spans), late, _newest(stale), by_choice)
    partitioned = asset.partitions is not None
    have = counts_of(spans_of(states.codes)).get("ok", 0)
    unit = unit_of(asset.partitions)
    said = f"{have} of {count(len(states), unit)}" if partitioned else standing.word
    durations = activity.durations if activity is not None else ()
    return AssetRow(
        f"asset-{asset.name}",
        asset.name,
        group_of(asset),
        standing,
        strip((*spans, *(() if partitioned else _BESIDE_ONE)), f"{asset.name}: {said}"),
        have,
        states.total if partitioned else 0,
        clock(None if activity is None else activity.finished_at, now),
        sparkline(durations),
        durations[-1] if durations else None,
        clock(coming[asset.name], now) if asset.name in coming else _trigger(asset),
    )


def _newest(stale: Mapping[str | None, Reason]) -> str:
    """Why the last of them is stale."""
    return list(stale.values())[-1].because if stale else ""


def _next_fires(automations: Sequence[AutomationStatus]) -> dict[str, datetime]:
    """When each asset is computed next by a schedule or by its condition."""
    coming: dict[str, datetime] = {}
    for each in automations:
        if each.asset is not None and each.next_fire is not None:
            coming[each.asset] = min(each.next_fire, coming.get(each.asset, each.next_fire))
    return coming


def _trigger(asset: Asset[..., Any]) -> str:
    """What it waits for, where no instant is known."""
    if asset.automation is None:
        return ""
    said = repr(asset.automation)
    known = {"on_upstream_change": "on upstream", "on_missing": "when missing", "on_code_change": "on code"}
    return next((words for name, words in known.items() if name in said), "by rule")
