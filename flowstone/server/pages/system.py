"""What lives, what crashed, and what it took along: the nodes, and the supervision tree of one.

It is read from snapshots alone. No process is ever asked for anything, so that looking at one that is in trouble
cannot add to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from flowstone.counting import count, count_of
from flowstone.errors import RunNotFound
from flowstone.server.pages.page import Page
from flowstone.server.views.process_rows import crashes_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.actors import ProcessInfo
    from flowstone.runtime.client.nodes import NodeStatus
    from flowstone.server.asked import Asked

__all__ = ["ONE", "PAGE"]

_PACE: Final = 0.25
_SQUARES: Final = 16
_MANY: Final = 1_000
"""A limit of restarts that is none."""


async def load(asked: Asked) -> Mapping[str, Any]:
    """The nodes, and the tree of the one that the address names, or of this one."""
    runtime = asked.runtime
    nodes = await runtime.nodes(trees=True)
    chosen = _chosen(nodes, asked.path.get("node") or runtime.node)
    tree = _tree_of(asked, chosen)
    rows = [] if tree is None else rows_of(tree, asked.now)
    crashes = [] if tree is None else crashes_of(tree, asked.now)
    health = await runtime.health(ask=False) if chosen.id == runtime.node else None
    return {
        "nodes": nodes,
        "chosen": chosen,
        "here": runtime.node,
        "rows": rows,
        "crashes": crashes,
        "problems": _problems(chosen) if health is None else health.problems,
        "squares": _SQUARES,
        "many": _MANY,
        "paths": {node.id: f"/system/{quote(node.id, safe='')}" for node in nodes},
        "summary": _summary(nodes, rows),
        "not_quiet": asked.query.get("only") == "not-quiet",
    }


def _chosen(nodes: Sequence[NodeStatus], name: str) -> NodeStatus:
    found = next((node for node in nodes if node.id == name), None)
    if found is None:
        raise RunNotFound(f"There is no node {name!r:.100}: it has left, or died more than a day ago.")
    return found


def _tree_of(asked: Asked, chosen: NodeStatus) -> ProcessInfo | None:
    """Of this process as it is at this instant, of others as they have shown it."""
    return asked.runtime.tree() if chosen.id == asked.runtime.node else chosen.tree


def _problems(node: NodeStatus) -> Sequence[str]:
    retried = [f"run {run_id} is tried again: {why}" for run_id, why in node.retried.items()]
    unfit = [f"run {run_id} cannot run here: {why}" for run_id, why in node.unfit.items()]
    return [*([f"store: {node.store}"] if node.store else []), *retried, *unfit]


def _summary(nodes: Sequence[NodeStatus], rows: Sequence[Any]) -> str:
    alive = sum(node.alive for node in nodes)
    steps = sum(node.running_count for node in nodes if node.alive)
    nodes_alive = f"{count_of(alive, len(nodes), 'node')} alive"
    return " · ".join((nodes_alive, f"{len(rows):,} in the tree", count(steps, "step")))


_LIVE: Final = ("summary", "nodes", "problems", "tree", "crash", "happened")

PAGE: Final = Page("system", "/system", "system.html", load, _LIVE, pace=_PACE, idle=_PACE)
ONE: Final = Page("system", "/system/{node:path}", "system.html", load, _LIVE, pace=_PACE, idle=_PACE)
