"""`flowstone plan`: what a request would run, what it would reuse, and why; nothing is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.asset_keys import partition_argument
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import (
    DEFAULT_STORE,
    AssetName,
    Debug,
    Json,
    RefreshChoice,
    StoreUrl,
    Target,
)
from flowstone.cli.screen import Screen
from flowstone.cli.selection import End, Partitions, Start, refuse_both
from flowstone.cli.session import open_runtime

if TYPE_CHECKING:
    from flowstone.cli.loading import Loaded

__all__ = ["plan"]


def plan(
    target: Target,
    asset: AssetName,
    *,
    start: Start = None,
    end: End = None,
    partition: Partitions = None,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Include everything upstream.", show_default=False)
    ] = False,
    refresh: Annotated[
        RefreshChoice, typer.Option("--refresh", help="Which existing values would be computed again.")
    ] = "missing",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many steps to list.")] = 50,
    store: StoreUrl = DEFAULT_STORE,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what would run and why, without running it."""
    with Screen(json=json, debug=debug) as screen:
        refuse_both(partition, start, end)
        run_async(_look(screen, load(target), store, asset))


async def _look(screen: Screen, loaded: Loaded, store: str, asset: str) -> Any:
    async with open_runtime(screen, loaded, store) as runtime:
        return await runtime.plan(asset)
