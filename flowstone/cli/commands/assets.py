"""`flowstone assets`: what a pipeline defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.assets.description import describe_asset
from flowstone.assets.selection import select
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, Target
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.assets.asset import Dependency
    from flowstone.assets.description import AssetDescription, PartitionExtent

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
        found = _asked(target, selection) if isinstance(target, ServerUrl) else _defined(target, selection)
        pipelines, assets_found = found
        if screen.json:
            document = [_asset_document(asset) for asset in assets_found]
            screen.document({"pipeline": pipelines, "assets": document})
        else:
            screen.show(_table(assets_found, screen))


def _defined(target: str, selection: str | None) -> tuple[str, Sequence[AssetDescription]]:
    """What the module's pipeline defines."""
    pipeline = load(target).pipeline
    names = pipeline.graph.order() if selection is None else select(pipeline.graph, selection)
    pools = {name: pool.slots for name, pool in pipeline.pools.items()}
    rates = {name: (rate.limit, rate.per) for name, rate in pipeline.rates.items()}
    return pipeline.name, [
        describe_asset(pipeline.graph[name], pipeline.name, pools, rates) for name in names
    ]


def _asked(url: ServerUrl, selection: str | None) -> tuple[str, Sequence[AssetDescription]]:
    """What the pipelines of a server define."""

    async def ask() -> Sequence[AssetDescription]:
        async with asked(url) as client:
            return await client.assets(selection)

    found = run_async(ask())
    return ", ".join(dict.fromkeys(each.pipeline for each in found)), found


def _table(assets: Sequence[AssetDescription], screen: Screen) -> Table:
    wide = screen.wide
    # What few pipelines have is a column of those that have it.
    rare = {
        "config": [", ".join(asset.config or ()) for asset in assets],
        "pool": [_pools_label(asset, wide=wide) for asset in assets],
        "rate": [_rate_label(asset, wide=wide) for asset in assets],
        "fresh": [asset.fresh or "" for asset in assets],
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
            *([asset.io, "-" if asset.constant else asset.run_in] if wide else []),
            asset.description or "",
        )
    return shown


def _pools_label(asset: AssetDescription, *, wide: bool) -> str:
    """`warehouse (1 of 4)`: how many slots it takes of those that its pools are defined with; or `warehouse`."""
    slots = {name: f" ({taken} of {asset.pool_slots[name]:,})" for name, taken in asset.pools.items()}
    return ", ".join(f"{name}{of if wide else ''}" for name, of in slots.items())


def _rate_label(asset: AssetDescription, *, wide: bool) -> str:
    """`api (10 per 1 s)`, or `api`."""
    rate = asset.rate
    if rate is None or not wide:
        return "" if rate is None else rate.name
    return f"{rate.name} ({rate.limit:,} per {rate.per:g} s)"


def _dependency_label(dependency: Dependency) -> str:
    return f"{dependency.asset}?" if dependency.optional else dependency.asset


def _extent(partitions: PartitionExtent | None, *, wide: bool) -> str:
    """`1,461 (2012-01-01 to 2015-12-31)`, or just `1,461`."""
    if partitions is None:
        return "-"
    size = partitions.count
    if size is None:
        return "kept in the store"
    if size == 0 or not wide:
        return f"{size:,}"
    first, last = partitions.first, partitions.last
    return f"{size:,} ({first} to {last})" if size > 1 else f"1 ({first})"


def _asset_document(asset: AssetDescription) -> dict[str, Any]:
    return {
        "name": asset.name,
        "description": asset.description,
        "partitions": _partitions_document(asset.partitions),
        "dependencies": [
            {"asset": one.asset, "optional": one.optional, "loads_value": one.parameter is not None}
            for one in asset.dependencies
        ],
        "resources": list(asset.resources),
        "config": None if asset.config is None else list(asset.config),
        "pools": dict(asset.pools),
        "rate": None if asset.rate is None else asset.rate.name,
        "freshness": _freshness_document(asset),
        "io": asset.io,
        "run_in": asset.run_in,
        "constant": asset.constant,
        "attempts": asset.attempts,
        "timeout": asset.timeout,
        "version": asset.version,
        "tags": dict(asset.tags),
        "source": asset.source,
    }


def _freshness_document(asset: AssetDescription) -> dict[str, float] | None:
    if asset.freshness is None:
        return None
    within, overdue = asset.freshness
    return {"within": within, "overdue": overdue}


def _partitions_document(partitions: PartitionExtent | None) -> dict[str, Any] | None:
    if partitions is None:
        return None
    return {
        "set": partitions.set,
        "count": partitions.count,
        "first": partitions.first,
        "last": partitions.last,
    }
