"""`flowstone graph`: what depends on what, drawn."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.loading import load
from flowstone.cli.options import Debug, Json, Target
from flowstone.cli.screen import Screen

if TYPE_CHECKING:
    from flowstone.assets import Pipeline

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
        pipeline = load(target).pipeline
        if screen.json:
            screen.document(_document(pipeline))
        else:
            screen.show(_drawing(pipeline, format).rstrip("\n"))


def _drawing(pipeline: Pipeline, drawing: Drawing) -> str:
    match drawing:
        case Drawing.ASCII:
            return pipeline.graph.to_ascii()
        case Drawing.MERMAID:
            return pipeline.graph.to_mermaid()
        case Drawing.DOT:
            return pipeline.graph.to_dot()


def _document(pipeline: Pipeline) -> dict[str, Any]:
    order = pipeline.graph.order()
    return {
        "pipeline": pipeline.name,
        "assets": order,
        "edges": [
            {"from": dependency.asset, "to": name, "optional": dependency.optional}
            for name in order
            for dependency in pipeline.graph.dependencies(name)
        ],
    }
