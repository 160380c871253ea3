"""`flowstone tree`: every process of a runtime, as its supervisors see them; of all nodes, or of a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from flowstone.cli.documents import json_value
from flowstone.cli.labels import duration
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, StoreUrl
from flowstone.cli.places import cluster_of, history, shares, shown
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.session import open_runtime
from flowstone.counting import count
from flowstone.runtime.client.nodes import process_of
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.actors import ProcessInfo
    from flowstone.cli.loading import Loaded
    from flowstone.runtime.client.nodes import NodeStatus
    from flowstone.store.cluster import Cluster, WatchedNode

__all__ = ["tree"]

_PATIENCE = 2.0
"""Seconds that nodes get to show themselves; one whose event loop is blocked does not."""

_LOOK = 0.05


def tree(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="MODULE:PIPELINE",
            help="Start a runtime for this pipeline instead of asking the nodes of the store.",
            show_default=False,
        ),
    ] = None,
    *,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the supervision trees of the nodes, or of a new runtime."""
    with Screen(json=json, debug=debug) as screen:
        if target is not None:
            info = run_async(_snapshot(screen, load(target)))
            screen.document(_document(info)) if screen.json else screen.show(repr(info))
            return
        if isinstance(store, ServerUrl):
            _tell_remote(screen, run_async(_asked(store)))
            return
        nodes = run_async(_nodes(store))
        if screen.json:
            screen.document({"nodes": [_node_document(node) for node in nodes]})
        elif nodes:
            screen.show(*(line for node in nodes for line in _lines(node)))
        else:
            screen.note(f"No node works with {shown(store)}: `flowstone serve MODULE:PIPELINE` is one.")


async def _asked(url: ServerUrl) -> Sequence[NodeStatus]:
    """The nodes of a server that are alive, each with its tree as it showed it last."""
    async with asked(url) as client:
        return [node for node in await client.nodes(trees=True) if node.alive]


def _tell_remote(screen: Screen, nodes: Sequence[NodeStatus]) -> None:
    if screen.json:
        shown_nodes = [
            {
                "id": node.id,
                "host": node.host,
                "pid": node.pid,
                "version": node.version,
                "pipelines": list(node.pipelines),
                "runs": node.runs,
                "joined_at": json_value(node.joined_at),
                "tree_age": None,
                "tree": None if node.tree is None else _document(node.tree),
            }
            for node in nodes
        ]
        screen.document({"nodes": shown_nodes})
        return
    for node in nodes:
        holds = f"holds {', '.join(node.pipelines)}" if node.pipelines else "takes no runs of others"
        screen.show(
            f"node {node.id} on {node.host}, process {node.pid}: {holds}, drives {count(node.runs, 'run')}"
        )
        screen.show("" if node.tree is None else f"{node.tree!r}\n")


async def _snapshot(screen: Screen, loaded: Loaded) -> ProcessInfo:
    async with open_runtime(screen, loaded, "memory://") as runtime:
        return runtime.tree()


async def _nodes(url: str) -> Sequence[WatchedNode]:
    """The nodes that are alive, each with its tree as it is now, if it answers."""
    async with history(url, to_write=True) as store:
        if store.cluster is None and shares(url):
            return []  # A database that nobody has used yet.
        return await _fresh(cluster_of(store, url))


async def _fresh(cluster: Cluster) -> Sequence[WatchedNode]:
    """Those that seem to live or answer: after a step of the database's clock even the living seem silent."""
    nodes = await cluster.nodes()
    before = {node.node.id: node.tree_at for node in nodes}

    def answers(node: WatchedNode) -> bool:
        return node.tree_at != before.get(node.node.id)

    if nodes:
        await cluster.tell(Notification("tree"))
    with anyio.move_on_after(_PATIENCE):
        while any(node.seems_alive and not answers(node) for node in nodes):
            await anyio.sleep(_LOOK)
            nodes = await cluster.nodes()
    return [node for node in nodes if node.seems_alive or answers(node)]


def _lines(watched: WatchedNode) -> list[str]:
    node = watched.node
    age = _age(watched)
    pipelines = ", ".join(node.pipelines)
    takes = f"holds {pipelines}" if pipelines else "takes no runs of others"
    head = f"node {node.id} on {node.host}, process {node.pid}: {takes}, drives {count(watched.runs, 'run')}"
    if watched.tree is None or age is None:
        return [f"{head}, has not shown its tree yet", ""]
    stale = f", as it was {duration(age)} ago: it does not answer" if age > _PATIENCE else ""
    return [f"{head}{stale}", repr(process_of(watched.tree)), ""]


def _age(watched: WatchedNode) -> float | None:
    """Seconds since it showed its tree, by the clock of the store."""
    if watched.tree_at is None:
        return None
    now = watched.beat_at.timestamp() + watched.age
    return max(0.0, now - watched.tree_at.timestamp())


def _node_document(watched: WatchedNode) -> dict[str, Any]:
    node, age = watched.node, _age(watched)
    return {
        "id": node.id,
        "host": node.host,
        "pid": node.pid,
        "version": node.version,
        "pipelines": list(node.pipelines),
        "runs": watched.runs,
        "joined_at": json_value(watched.joined_at),
        "tree_age": age,
        "tree": None if watched.tree is None else _document(process_of(watched.tree)),
    }


def _document(info: ProcessInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "kind": info.kind,
        "state": info.state,
        "restarts": info.restarts,
        "mailbox_depth": info.mailbox_depth,
        "detail": info.detail,
        "abandoned": list(info.abandoned),
        "children": [_document(child) for child in info.children],
    }
