"""The arguments and options that commands share, so that one word means one thing everywhere."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

from flowstone.cli.default_store import DefaultStore, default_store
from flowstone.cli.numbers import whole

__all__ = [
    "AssetName",
    "Debug",
    "Json",
    "LogLevel",
    "MaxParallel",
    "PartitionKey",
    "PipelineOption",
    "RefreshChoice",
    "StoreUrl",
    "Target",
]


def _chosen(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """The URL, marked if it is neither from the command line nor from the environment."""
    source = context.get_parameter_source(parameter.name or "")
    return DefaultStore(value) if source is not None and source.name.startswith("DEFAULT") else value


RefreshChoice: TypeAlias = Literal["all", "stale", "missing"]
"""Which existing values are computed again: all of them, those that are out of date, or only the missing."""

Target: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:PIPELINE",
        help="A dotted module or a .py file, and the pipeline in it; MODULE alone where it has only one.",
        show_default=False,
    ),
]
AssetName: TypeAlias = Annotated[
    str, typer.Argument(metavar="ASSET", help="The asset's name.", show_default=False)
]
PartitionKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--partition",
        metavar="KEY",
        help="The partition, such as 2025-01-15 on a daily asset.",
        show_default=False,
    ),
]
StoreUrl: TypeAlias = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="FLOWSTONE_STORE",
        default_factory=default_store,
        callback=_chosen,
        help="Where runs are remembered: postgresql://…, embedded://DIR, file://DIR, or memory:// for this "
        "command only; default: embedded://.flowstone/pg where its extra is installed, else file://.flowstone.",
        show_default=False,
    ),
]
MaxParallel: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-parallel", metavar="N", parser=whole(1), help="Steps that run at a time.", show_default=False
    ),
]
PipelineOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pipeline",
        metavar="MODULE:PIPELINE",
        help="The pipeline that defines the asset: checks the name and reads partitions by its set.",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to stdout.", show_default=False)
]
Debug: TypeAlias = Annotated[
    bool, typer.Option("--debug", help="Show tracebacks and detailed logs.", show_default=False)
]
LogLevel: TypeAlias = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="Show what is logged from this level on: debug, info, warning or error; default: info.",
        show_default=False,
    ),
]
