"""One asset: is it right and fresh over all its partitions, and if not, why not?"""

from __future__ import annotations

import asyncio
from itertools import islice
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import key_label
from flowstone.assets.selection import selected
from flowstone.errors import FlowstoneError
from flowstone.server.addresses import launch_path
from flowstone.server.pages.page import Page
from flowstone.server.partition_ranges import example_of
from flowstone.server.views.asset_rows import group_of, read_assets
from flowstone.server.views.explained import chain_of
from flowstone.server.views.history import history_of
from flowstone.server.views.metadata_series import series_of
from flowstone.server.views.partition_map import drawing_of, kind_of, table_of
from flowstone.server.views.partition_shapes import (
    counts_of,
    overlaid,
    shapes_of,
    spans_of,
    under_way,
    unit_of,
)
from flowstone.server.views.source_code import code_of, definition_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.asset import Asset
    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.asset_activity import AssetActivity
    from flowstone.runs.partition_states import PartitionStates
    from flowstone.server.asked import Asked

__all__ = ["PAGE"]

_RECORDS: Final = 400
_HISTORY: Final = 20
_DIGITS: Final = 9
_EXAMPLE: Final = 10
_RUNS: Final = 200
_EXPLAINED: Final = (("fail", 3), ("wait", 2), ("stale", 1), ("skipd", 1))
_MOST_EXPLAINED: Final = 4
_LINKS: Final = 5
_LATELY: Final = 30
_SHAPES: Final = ("ok", "stale", "run", "wait", "queue", "fail", "skipd", "cancel", "never")


async def load(asked: Asked) -> Mapping[str, Any]:
    """Its partitions, what became of them, what it is made of and what is made of it."""
    runtime = asked.runtime
    asset = runtime.graph[asked.path["name"]]
    table, records, runs, overlay, stored, activity = await asyncio.gather(
        read_assets(asked, asset.name),
        runtime.recent(asset, limit=_RECORDS),
        runtime.runs(limit=_RUNS),
        under_way(runtime),
        runtime.partition_states(asset),
        runtime.activity(asset, limit=100),
    )
    stale = table.stale.get(asset.name, {})
    states = overlaid(stored[asset.name], overlay.get(asset.name, {}), stale)
    automations = table.automations
    by_name = {row.name: row for row in table.rows}
    counts = counts_of(spans_of(states.codes))
    return {
        "asset": asset,
        "row": by_name[asset.name],
        "group": group_of(asset),
        "unit": unit_of(asset.partitions),
        "counts": [(shape, counts[shape]) for shape in _SHAPES if counts.get(shape)],
        "launch": launch_path(asset.name),
        "automations": [
            each
            for each in automations
            if each.kind != "freshness" and _is_about(runtime.graph, each.asset, asset.name)
        ],
        "freshness": None if asset.freshness is None else await runtime.freshness(asset),
        "usually": _usually(activity.get(asset.name)),
        "reasons": [
            chain_of(await runtime.why(asset, _partition(key)), _LINKS) for key in _to_explain(states)
        ],
        "history": history_of(records[:_HISTORY], runs, automations),
        "lately": list(reversed(records[:_LATELY])),
        "series": series_of(records, states.keys),
        "of_newest": len(records) if len(records) == _RECORDS else 0,
        "upstream": [by_name[each.asset] for each in asset.dependencies if each.asset in by_name],
        "downstream": [by_name[name] for name in runtime.graph.dependents(asset.name) if name in by_name],
        "definition": list(definition_of(asset)),
        "code": code_of(asset.function),
        "stale": stale,
        **_partitions(asset, states, asked.query),
    }


def _partitions(
    asset: Asset[..., Any], states: PartitionStates, query: Mapping[str, str]
) -> Mapping[str, Any]:
    """What is drawn of them, and the table that says the same."""
    kind = kind_of(asset.partitions)
    drawing = drawing_of(asset.partitions, states, query.get("until", ""))
    shown = kind if drawing is not None and query.get("view") != "table" else "table"
    state = query.get("state", "")
    page = query.get("page", "")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < _DIGITS else 1
    listing = table_of(states, state, number)
    return {
        "kind": kind,
        "shown": shown,
        "drawing": drawing,
        "listing": listing if shown == "table" else None,
        "only": state,
        "example": example_of([key_label(key) for key in states.keys[-_EXAMPLE:]]),
    }


def _is_about(graph: AssetGraph, what: str | None, asset: str) -> bool:
    """Whether an automation that names an asset, or a selection of several, is about this one."""
    if what is None:
        return False
    try:
        return asset in selected(graph, what)
    except FlowstoneError:
        return False  # It means nothing by now.


def _usually(activity: AssetActivity | None) -> tuple[float, float] | None:
    """How long it takes, and what nine of ten stay below; None if it was never computed."""
    durations = () if activity is None else activity.durations
    if not durations:
        return None
    nine = quantiles(durations, n=10, method="inclusive")[-1] if len(durations) > 1 else durations[0]
    return median(durations), nine


def _to_explain(states: PartitionStates) -> Sequence[str | None]:
    """Some of the partitions that are not as they should be: of each shape the last ones, the loudest first."""
    shapes = shapes_of(states.codes)
    found: list[str | None] = []
    for shape, most in _EXPLAINED:
        places = (place for place in range(len(shapes) - 1, -1, -1) if shapes[place] == shape)
        found += [states.keys[place] for place in islice(places, most)]
    return found[:_MOST_EXPLAINED]


def _partition(key: str | None) -> Any:
    return None if key is None else decode_partition(key)


PAGE: Final = Page(
    "assets",
    "/assets/{name}",
    "asset.html",
    load,
    (
        "state",
        "lately",
        "counted",
        "cells",
        "beyond",
        "listing",
        "cause",
        "plots",
        "happened",
        "fresh",
        "neighbours",
    ),
    pace=0.5,
    stale=True,
)
