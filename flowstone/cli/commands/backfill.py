"""`flowstone backfill`: one asset over many partitions, in one run."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.assets import DynamicPartitions
from flowstone.assets.partition_labels import partition_argument
from flowstone.assets.selection import selected
from flowstone.cli.asset_keys import check_names
from flowstone.cli.config_options import ConfigOption, config_argument
from flowstone.cli.loading import load
from flowstone.cli.options import (
    AssetSelection,
    Debug,
    End,
    Json,
    LogLevel,
    Partitions,
    RefreshChoice,
    Start,
    StoreUrl,
    Target,
    refuse_both,
    whole,
)
from flowstone.cli.outcome import show_outcome
from flowstone.cli.screen import Screen
from flowstone.cli.session import compute
from flowstone.cli.submission import Key, Priority, Submit, leave_to_nodes, refuse_unless_submitted

if TYPE_CHECKING:
    from flowstone.cli.loading import Loaded

__all__ = ["backfill"]


def backfill(
    target: Target,
    asset: AssetSelection,
    *,
    start: Start = None,
    end: End = None,
    partition: Partitions = None,
    max_parallel: Annotated[int, whole("--max-parallel", "Steps that run at a time.", least=1)] = 4,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Include everything upstream.", show_default=False)
    ] = False,
    refresh: Annotated[
        RefreshChoice, typer.Option("--refresh", help="Which existing values to compute again.")
    ] = "missing",
    config: ConfigOption = None,
    submit: Submit = False,
    key: Key = None,
    priority: Priority = 0,
    store: StoreUrl,
    log_level: LogLevel = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute many partitions of an asset, or of several, in one run."""
    with Screen(json=json, debug=debug, log_level=log_level) as screen:
        refuse_both(partition, start, end)
        refuse_unless_submitted(store, key, priority, submit=submit)
        loaded = load(target)
        keys = [partition_argument(text) for text in partition or ()] or None
        first, last = partition_argument(start), partition_argument(end)
        check_names(loaded, asset, keys, start=first, end=last)
        selection: dict[str, Any] = {
            "partitions": keys,
            "start": first,
            "end": last,
            "max_parallel": max_parallel,
            "upstream": upstream,
            "refresh": refresh,
            "config": config_argument(loaded, asset, config),
        }
        if submit:
            about = {**selection, "key": key, "priority": priority}
            leave_to_nodes(
                screen, loaded, store, key, lambda runtime: runtime.submit_backfill(asset, **about)
            )
        else:
            outcome = compute(screen, loaded, store, lambda runtime: runtime.backfill(asset, **selection))
            show_outcome(screen, outcome)
            if not (outcome.counts or keys):
                _show_how_keys_are_added(screen, loaded, asset)


def _show_how_keys_are_added(screen: Screen, loaded: Loaded, asset: str) -> None:
    graph = loaded.pipeline.graph
    declared = (graph[name].partitions for name in selected(graph, asset))
    if found := next((keys for keys in declared if isinstance(keys, DynamicPartitions)), None):
        screen.note(f"`flowstone partitions add {quote(found.name)} KEY ...` adds some.")
