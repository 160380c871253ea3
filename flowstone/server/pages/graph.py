"""The graph: how everything hangs together, and what a failure touches."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.errors import AssetNotFound
from flowstone.runs.records import Status
from flowstone.server.pages.asset_state import asset_states
from flowstone.server.pages.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.assets.graph import AssetGraph
    from flowstone.runtime.runtime import Runtime
    from flowstone.server.pages.asset_state import AssetState
    from flowstone.server.pages.page import Asked

__all__ = ["PAGE"]

_UNFOLDED: Final = 60
"""Assets up to which every group starts open; beyond it those where nothing is wrong start folded."""

_FAR: Final = 9
"""Hops of the farthest neighbourhood that can be asked for."""


async def load(asked: Asked) -> Mapping[str, Any]:
    """The assets with their states, and what is said of the one in focus."""
    runtime = asked.runtime
    graph = runtime.graph
    states = await asset_states(runtime)
    focus = asked.query.get("focus")
    if focus and focus not in graph:
        raise AssetNotFound(f"There is no asset {focus!r:.200}.")
    groups = Counter(state.group for state in states.values())
    return {
        "states": states,
        "groups": groups,
        "extent": f"{count(len(states), 'asset')} in {count(len(groups), 'group')}",
        "nodes": [_node(graph, state) for state in states.values()],
        "choice": {
            "pick": focus or None,
            "hops": _hops(asked.query.get("hops", "")),
            "open": "all" if len(states) <= _UNFOLDED else _unhealthy(states),
        },
        "focus": None if not focus else await _inspected(runtime, states, focus),
    }


def _hops(text: str) -> int:
    return min(int(text), _FAR) if text.isdecimal() and text.isascii() else 0


def _unhealthy(states: Mapping[str, AssetState]) -> list[str]:
    """The groups in which something needs somebody."""
    return sorted({state.group for state in states.values() if state.shape in ("fail", "wait")})


def _node(graph: AssetGraph, state: AssetState) -> dict[str, Any]:
    """What the drawing is given of an asset."""
    return {
        "id": state.asset,
        "g": state.group,
        "up": [each.asset for each in graph[state.asset].dependencies],
        **_drawn(state),
    }


def _drawn(state: AssetState) -> dict[str, Any]:
    return {
        "st": state.shape,
        "have": state.have,
        "total": state.total,
        "age": "",
        "parts": [[shape, number] for shape, number in state.parts],
    }


async def _inspected(runtime: Runtime, states: Mapping[str, AssetState], focus: str) -> dict[str, Any]:
    asset = runtime.graph[focus]
    newest = await runtime.history(focus, limit=1) if asset.partitions is None else []
    return {
        "asset": asset,
        "state": states[focus],
        "upstream": [states[each.asset] for each in asset.dependencies],
        "downstream": [states[name] for name in _direct(runtime.graph, focus)],
        "newest": newest[0] if newest else None,
        "failed": states[focus].counts.get(Status.FAILED, 0),
    }


def _direct(graph: AssetGraph, name: str) -> list[str]:
    """The assets that are computed from it, without those computed from these."""
    return [other for other in graph.order() if any(each.asset == name for each in graph[other].dependencies)]


PAGE: Final = Page("graph", "/graph", "graph.html", load, ("graph_data",), pace=0.5)
