"""The graph: how everything hangs together, and what a failure touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.errors import AssetNotFound
from flowstone.server.pages.page import Page
from flowstone.server.views.asset_rows import read_assets
from flowstone.server.views.asset_standing import worst_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.graph import AssetGraph
    from flowstone.server.asked import Asked
    from flowstone.server.views.asset_rows import AssetRow

__all__ = ["PAGE"]

_UNFOLDED: Final = 60
"""Assets up to which every group starts open; beyond it those where nothing is wrong start folded."""

_FAR: Final = 9
"""Hops of the farthest neighbourhood that can be asked for."""


async def load(asked: Asked) -> Mapping[str, Any]:
    """The assets as they stand, and what is said of the one in focus."""
    runtime = asked.runtime
    graph = runtime.graph
    focus = asked.query.get("focus")
    if focus and focus not in graph:
        raise AssetNotFound(f"There is no asset {focus!r:.200}.")
    rows = {row.name: row for row in (await read_assets(asked, *filter(None, (focus,)))).rows}
    grouped: dict[str, list[AssetRow]] = {}
    for row in rows.values():
        grouped.setdefault(row.group or runtime.pipeline_of(row.name), []).append(row)
    return {
        "grouped": grouped,
        "worst": {group: worst_of(row.shape for row in members) for group, members in grouped.items()},
        "extent": f"{count(len(rows), 'asset')} in {count(len(grouped), 'group')}",
        "nodes": [_node(graph, group, row) for group, members in grouped.items() for row in members],
        "choice": {
            "pick": focus or None,
            "hops": _hops(asked.query.get("hops", "")),
            "open": "all" if len(rows) <= _UNFOLDED else _unhealthy(grouped),
        },
        "focus": None if not focus else _inspected(graph, rows, focus),
    }


def _hops(text: str) -> int:
    return min(int(text), _FAR) if text.isdecimal() and text.isascii() else 0


def _unhealthy(grouped: Mapping[str, Sequence[AssetRow]]) -> list[str]:
    """The groups in which something needs somebody."""
    return sorted(
        group for group, rows in grouped.items() if any(row.shape in ("fail", "wait") for row in rows)
    )


def _node(graph: AssetGraph, group: str, row: AssetRow) -> dict[str, Any]:
    """What the drawing is given of an asset."""
    return {
        "id": row.name,
        "g": group,
        "up": [each.asset for each in graph[row.name].dependencies],
        "st": row.shape,
        "word": row.word,
        "have": row.have,
        "total": row.total,
        "age": row.last_at,
        "parts": row.standing.parts,
    }


def _inspected(graph: AssetGraph, rows: Mapping[str, AssetRow], focus: str) -> dict[str, Any]:
    asset = graph[focus]
    return {
        "asset": asset,
        "row": rows[focus],
        "upstream": [rows[each.asset] for each in asset.dependencies],
        "downstream": [rows[name] for name in graph.dependents(focus)],
    }


PAGE: Final = Page("graph", "/graph", "graph.html", load, ("graph_data",), pace=0.5, stale=True)
