"""`flowstone assets`: what a pipeline defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.assets.selection import select
from flowstone.cli.labels import partition_label
from flowstone.cli.loading import load
from flowstone.cli.options import Debug, Json, Target
from flowstone.cli.screen import Screen
from flowstone.cli.tables import table
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.assets import Asset, PartitionSet, Pipeline

__all__ = ["assets"]


def assets(
    target: Target,
    selection: Annotated[
        str | None,
        typer.Option(
            "--select",
            metavar="SELECTION",
            help="Only those: +report, raw+, tag:team=core, 'a,b', '* -page'.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the assets of a pipeline."""
    with Screen(json=json, debug=debug) as screen:
        pipeline = load(target).pipeline
        names = pipeline.graph.order() if selection is None else select(pipeline.graph, selection)
        if screen.json:
            screen.document(_document(pipeline, names))
        else:
            screen.show(_table(pipeline, names, screen))


def _table(pipeline: Pipeline, names: Sequence[str], screen: Screen) -> Table:
    wide = screen.wide
    assets = [pipeline.graph[name] for name in names]
    # What few pipelines have is a column of those that have it.
    rare = {
        "config": [_config_label(asset) for asset in assets],
        "pool": [_pools_label(pipeline, asset, wide=wide) for asset in assets],
        "rate": [_rate_label(pipeline, asset, wide=wide) for asset in assets],
        "fresh": ["" if asset.freshness is None else str(asset.freshness) for asset in assets],
    }
    used = {name: labels for name, labels in rare.items() if any(labels)}
    columns = [
        "asset",
        "partitions",
        "depends on",
        *used,
        *(["io", "runs in"] if wide else []),
        "description",
    ]
    shown = table(screen, *columns)
    for position, asset in enumerate(assets):
        shown.add_row(
            asset.name,
            _extent(asset.partitions, wide=wide),
            ", ".join(_dependency_label(dependency) for dependency in asset.dependencies) or "-",
            *(labels[position] or "-" for labels in used.values()),
            *([asset.io, "-" if asset.is_constant else asset.run_in] if wide else []),
            asset.description or "",
        )
    return shown


def _config_label(asset: Asset[Any, Any]) -> str:
    """`threshold, label`: the fields."""
    return "" if asset.config_parameter is None else ", ".join(asset.config_parameter.model.model_fields)


def _pools_label(pipeline: Pipeline, asset: Asset[Any, Any], *, wide: bool) -> str:
    """`warehouse (1 of 4)`: how many slots it takes of those that its pools are defined with; or `warehouse`."""
    slots = {name: f" ({taken} of {pipeline.pools[name].slots:,})" for name, taken in asset.pools}
    return ", ".join(f"{name}{of if wide else ''}" for name, of in slots.items())


def _rate_label(pipeline: Pipeline, asset: Asset[Any, Any], *, wide: bool) -> str:
    """`api (10 per 1 s)`, or `api`."""
    if asset.rate is None or not wide:
        return asset.rate or ""
    rate = pipeline.rates[asset.rate]
    return f"{rate.name} ({rate.limit:,} per {rate.per:g} s)"


def _dependency_label(dependency: Any) -> str:
    return f"{dependency.asset}?" if dependency.optional else str(dependency.asset)


def _extent(partitions: PartitionSet[Any] | None, *, wide: bool) -> str:
    """`1,461 (2012-01-01 to 2015-12-31)`, or just `1,461`."""
    if partitions is None:
        return "-"
    try:
        size = len(partitions)
    except PartitionError:
        return "kept in the store"
    if size == 0 or not wide:
        return f"{size:,}"
    first, last = partition_label(partitions[0]), partition_label(partitions[-1])
    return f"{size:,} ({first} to {last})" if size > 1 else f"1 ({first})"


def _document(pipeline: Pipeline, names: Sequence[str]) -> dict[str, Any]:
    return {"pipeline": pipeline.name, "assets": [_asset_document(pipeline.graph[name]) for name in names]}


def _asset_document(asset: Asset[Any, Any]) -> dict[str, Any]:
    return {
        "name": asset.name,
        "description": asset.description,
        "partitions": _partitions_document(asset.partitions),
        "dependencies": [
            {"asset": one.asset, "optional": one.optional, "loads_value": one.parameter is not None}
            for one in asset.dependencies
        ],
        "resources": sorted(asset.requires),
        "config": None if asset.config_parameter is None else list(asset.config_parameter.model.model_fields),
        "pools": dict(asset.pools),
        "rate": asset.rate,
        "freshness": _freshness_document(asset),
        "io": asset.io,
        "run_in": asset.run_in,
        "constant": asset.is_constant,
        "attempts": asset.retry.attempts if asset.retry is not None else 1,
        "timeout": asset.timeout,
        "version": asset.version,
        "tags": dict(asset.tags),
        "source": str(asset.source),
    }


def _freshness_document(asset: Asset[Any, Any]) -> dict[str, float] | None:
    if asset.freshness is None:
        return None
    within, overdue = asset.freshness.bounds
    return {"within": within, "overdue": overdue}


def _partitions_document(partitions: PartitionSet[Any] | None) -> dict[str, Any] | None:
    if partitions is None:
        return None
    document: dict[str, Any] = {"set": type(partitions).__name__, "count": None, "first": None, "last": None}
    try:
        document["count"] = len(partitions)
    except PartitionError:
        return document  # Its keys are kept in the store.
    if document["count"]:
        document["first"] = partition_label(partitions[0])
        document["last"] = partition_label(partitions[-1])
    return document
