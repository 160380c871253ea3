"""One line for each asset: what the tables of the overview and of the assets show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.server.render import clock
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
    from flowstone.runs.records import Status
    from flowstone.server.pages.page import Asked

__all__ = ["AssetRow", "AssetTable", "group_of", "read_assets"]

_BESIDE_ONE: Final = (("none", 39),)
"""What is right of the one value of an asset without partitions."""

_LOUDEST: Final = ("fail", "wait", "run", "queue")


@frozen
class AssetRow:
    """What a table says of an asset.

    Attributes:
        id: Of the row in the page.
        name: The asset's name.
        group: What it belongs to: its tag `group`, or empty.
        shape: The shape of its state.
        word: Its state in words.
        note: What belongs to that, or empty.
        strip: Its partitions as a drawing.
        have: How many partitions have a value.
        total: How many there are; 0 of an asset without a partition set.
        last_at: When it was computed last, as people read it.
        line: The points of a line: how long it took lately.
        took: Seconds that it took last, or None.
        next: When it is computed next, as people read it.
        state: By what the table of assets is filtered.
    """

    id: str
    name: str
    group: str
    shape: str
    word: str
    note: str
    strip: Markup
    have: int
    total: int
    last_at: str
    line: str
    took: float | None
    next: str
    state: str


@frozen
class AssetTable:
    """All assets, and what is on record of them.

    Attributes:
        rows: One for each, in the order of the graph.
        states: What has become of their partitions.
        late: Those that are late or overdue, by name.
        automations: All automations, with their last fires.
    """

    rows: Sequence[AssetRow]
    states: Mapping[str, PartitionStates]
    late: Mapping[str, FreshnessStatus]
    automations: Sequence[AutomationStatus]


async def read_assets(asked: Asked) -> AssetTable:
    """The table as it is now."""
    runtime, graph = asked.runtime, asked.runtime.graph
    known = await asked.known.read()
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
            coming,
            asked.now,
        )
        for name in graph.order()
        if name in known.states
    ]
    return AssetTable(rows, known.states, late, known.automations)


def group_of(asset: Asset[..., Any]) -> str:
    """What it belongs to, for people: its tag `group`."""
    return asset.tags.get("group", "")


def _row(
    asset: Asset[..., Any],
    states: PartitionStates,
    overlay: Mapping[str | None, Status],
    activity: AssetActivity | None,
    late: FreshnessStatus | None,
    coming: Mapping[str, datetime],
    now: datetime,
) -> AssetRow:
    spans = spans_of(overlaid(states, overlay).codes)
    counts, number = counts_of(spans), len(states)
    partitioned = asset.partitions is not None
    have = counts_of(spans_of(states.codes)).get("ok", 0)
    unit = unit_of(asset.partitions)
    shape, word, note = _state(asset, counts, number, unit, late)
    label = f"{asset.name}: {have} of {count(number, unit)}" if partitioned else f"{asset.name}: {word}"
    durations = activity.durations if activity is not None else ()
    return AssetRow(
        f"asset-{asset.name}",
        asset.name,
        group_of(asset),
        shape,
        word,
        note,
        strip((*spans, *(() if partitioned else _BESIDE_ONE)), label),
        have,
        states.total if partitioned else 0,
        clock(None if activity is None else activity.finished_at, now),
        sparkline(durations),
        durations[-1] if durations else None,
        clock(coming[asset.name], now) if asset.name in coming else _trigger(asset),
        _filter(shape, late),
    )


def _state(
    asset: Asset[..., Any], counts: Mapping[str, int], total: int, unit: str, late: FreshnessStatus | None
) -> tuple[str, str, str]:
    """Shape, word and note: the loudest thing that is true of it."""
    several = asset.partitions is not None
    for shape, word in (("fail", "failed"), ("wait", "waiting"), ("run", "running"), ("queue", "queued")):
        if number := counts.get(shape, 0):
            return shape, f"{count(number, unit)} {word}" if several else word, ""
    if late is not None:
        return "wait", late.status, ""
    have, missing = counts.get("ok", 0), counts.get("never", 0)
    if not have:
        skipped = counts.get("skipd", 0)
        return (
            ("skipd", "skipped", "")
            if skipped
            else ("never", "never made" if total else "no partitions yet", "")
        )
    fresh = "fresh" if asset.freshness is not None else ("complete" if several else "made")
    return "ok", f"{count(missing, unit)} missing" if missing else fresh, ""


def _filter(shape: str, late: FreshnessStatus | None) -> str:
    names = {"fail": "failed", "wait": "waiting", "run": "running", "queue": "running", "ok": "ok"}
    return "late" if late is not None and shape not in _LOUDEST[:1] else names.get(shape, "never")


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
