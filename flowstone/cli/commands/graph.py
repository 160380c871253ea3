"""`flowstone graph`: what depends on what, drawn."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flowstone.assets.drawing import to_ascii, to_dot, to_mermaid
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, Target
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.asset import Dependency
    from flowstone.assets.description import AssetDescription

__all__ = ["graph"]


class Drawing(StrEnum):
    """How to draw."""

    ASCII = "ascii"
    MERMAID = "mermaid"
    DOT = "dot"


def graph(
    target: Target,
    format: Annotated[  # noqa: A002 - the option's name
        Drawing, typer.Option("--format", help="ascii for people, mermaid for Markdown, dot for Graphviz.")
    ] = Drawing.ASCII,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw the graph of a pipeline."""
    with Screen(json=json, debug=debug) as screen:
        name, found = _asked(target) if isinstance(target, ServerUrl) else _defined(target)
        if screen.json:
            screen.document(_document(name, found))
        else:
            screen.show(_DRAWN[format](found).rstrip("\n"))


_DRAWN: Final = {Drawing.ASCII: to_ascii, Drawing.MERMAID: to_mermaid, Drawing.DOT: to_dot}


def _defined(target: str) -> tuple[str, Mapping[str, Sequence[Dependency]]]:
    """The pipeline, and what each of its assets takes of others, upstream before downstream."""
    pipeline = load(target).pipeline
    return pipeline.name, {name: pipeline.graph.dependencies(name) for name in pipeline.graph.order()}


def _asked(url: ServerUrl) -> tuple[str, Mapping[str, Sequence[Dependency]]]:
    """The same of a server."""

    async def ask() -> Sequence[AssetDescription]:
        async with asked(url) as client:
            return await client.assets()

    found = run_async(ask())
    pipelines = dict.fromkeys(each.pipeline for each in found)
    return ", ".join(pipelines), {each.name: each.dependencies for each in found}


def _document(pipeline: str, found: Mapping[str, Sequence[Dependency]]) -> dict[str, Any]:
    return {
        "pipeline": pipeline,
        "assets": list(found),
        "edges": [
            {"from": dependency.asset, "to": name, "optional": dependency.optional}
            for name, dependencies in found.items()
            for dependency in dependencies
        ],
    }
