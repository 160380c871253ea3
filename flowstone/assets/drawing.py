"""Draws a graph as text: Mermaid, DOT, and a tree for the terminal.

A graph is given as the dependencies of each asset by name, upstream assets first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowstone.assets.asset import Dependency

__all__ = ["to_ascii", "to_dot", "to_mermaid"]

# Words that Mermaid reads as its own where the id of a node stands.
_MERMAID_WORDS = frozenset(
    {"call", "class", "classdef", "click", "default", "direction", "end", "flowchart", "graph", "href"}
    | {"linkstyle", "style", "subgraph"}
)


def to_mermaid(graph: Mapping[str, Sequence[Dependency]]) -> str:
    """A Mermaid flow chart from left to right; a dotted arrow is an optional dependency, and routes choose."""
    ids = _mermaid_ids(graph)
    lines = ["flowchart LR"]
    lines += [f'    {ids[name]}["{name}"]' for name in graph]
    for name, dependencies in graph.items():
        for dependency in dependencies:
            arrow = "-.->" if dependency.optional else "-->"
            arrow = "-->|chooses|" if dependency.takes == "choice" else arrow
            lines.append(f"    {ids[dependency.asset]} {arrow} {ids[name]}")
    return "\n".join(lines) + "\n"


def _mermaid_ids(graph: Iterable[str]) -> dict[str, str]:
    """A node id for each asset: its name, unless Mermaid has a use for that word."""
    ids: dict[str, str] = {}
    names = set(graph)
    for name in graph:
        node = name
        while node.lower() in _MERMAID_WORDS or (node != name and node in names):
            node += "_"
        ids[name] = node
    return ids


def to_dot(graph: Mapping[str, Sequence[Dependency]]) -> str:
    """A digraph from left to right; a dashed edge is optional, a dotted one loads no value, and routes choose."""
    lines = ["digraph assets {", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    lines += [f'    "{name}";' for name in graph]
    for name, dependencies in graph.items():
        for dependency in dependencies:
            style = " [style=dashed]" if dependency.optional else ""
            style = " [style=dotted]" if dependency.parameter is None else style
            style = " [label=chooses]" if dependency.takes == "choice" else style
            lines.append(f'    "{dependency.asset}" -> "{name}"{style};')
    return "\n".join([*lines, "}"]) + "\n"


def to_ascii(graph: Mapping[str, Sequence[Dependency]]) -> str:
    """A tree in which each asset hangs below the last of its upstream assets, the others named beside it.

        orders
        └─ daily_sales
           └─ report  (and customers)
        customers

    A graph is no tree, and tools that repeat a shared asset below each of its upstreams grow exponentially.
    """
    rank = {name: i for i, name in enumerate(graph)}
    children: dict[str | None, list[str]] = {None: []}
    beside: dict[str, list[str]] = {}
    for name in rank:
        needs = {dependency.asset for dependency in graph[name]}
        upstream = sorted(needs - {name}, key=rank.__getitem__)
        children.setdefault(upstream[-1] if upstream else None, []).append(name)
        beside[name] = upstream[:-1] + ["its own past"] * (name in needs)
    lines: list[str] = []
    # A stack instead of recursion: a chain of thousands of assets is a legal graph.
    stack = [(name, "", "") for name in reversed(children[None])]
    while stack:
        name, lead, indent = stack.pop()
        also = f"  (and {', '.join(beside[name])})" if beside[name] else ""
        lines.append(f"{lead}{name}{also}")
        below = children.get(name, [])
        for i, child in reversed(list(enumerate(below))):
            last = i == len(below) - 1
            stack.append(
                (child, f"{indent}{'└─ ' if last else '├─ '}", f"{indent}{'   ' if last else '│  '}")
            )
    return "\n".join(lines) + "\n" if lines else "(no assets)\n"
