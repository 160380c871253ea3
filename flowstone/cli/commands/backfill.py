"""`flowstone backfill`: one asset over many partitions, in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flowstone.cli.asset_keys import partition_argument
from flowstone.cli.loading import load
from flowstone.cli.options import (
    AssetName,
    Debug,
    Json,
    RefreshChoice,
    StoreUrl,
    Target,
)
from flowstone.cli.outcome import show_outcome
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.selection import End, Partitions, Start, refuse_both
from flowstone.cli.session import compute

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flowstone.runtime.result import RunResult
    from flowstone.runtime.runtime import Runtime

__all__ = ["backfill"]


def backfill(
    target: Target,
    asset: AssetName,
    *,
    start: Start = None,
    end: End = None,
    partition: Partitions = None,
    max_parallel: Annotated[
        int, typer.Option("--max-parallel", metavar="N", min=1, help="Steps that run at a time.")
    ] = 4,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Include everything upstream.", show_default=False)
    ] = False,
    refresh: Annotated[
        RefreshChoice, typer.Option("--refresh", help="Which existing values to compute again.")
    ] = "missing",
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute many partitions of an asset in one run."""
    with Screen(json=json, debug=debug) as screen:
        refuse_both(partition, start, end)
        loaded = load(target)
        keys = [partition_argument(text) for text in partition or ()] or None
        defined = loaded.pipeline.assets.get(asset)
        if defined is not None and defined.partitions is None and keys is None:
            raise CommandError(
                f"The asset {asset!r} has no partition set to backfill.",
                "Name its partitions with --partition, or use `flowstone materialize` for its one value.",
            )

        def request(runtime: Runtime) -> Awaitable[RunResult]:
            return runtime.backfill(
                asset,
                partitions=keys,
                start=partition_argument(start),
                end=partition_argument(end),
                max_parallel=max_parallel,
                upstream=upstream,
                refresh=refresh,
            )

        show_outcome(screen, compute(screen, loaded, store, request))
