"""`flowstone materialize`: compute an asset or several, or with `--upstream` everything needed as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.assets.partition_labels import partition_argument
from flowstone.cli.asset_keys import check_names
from flowstone.cli.config_options import ConfigOption, config_argument
from flowstone.cli.loading import load
from flowstone.cli.options import (
    AssetSelection,
    Debug,
    Json,
    LogLevel,
    MaxParallel,
    PartitionKey,
    RefreshChoice,
    StoreUrl,
    Target,
)
from flowstone.cli.outcome import show_outcome
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.session import compute
from flowstone.cli.submission import (
    Join,
    Key,
    Priority,
    Submit,
    leave_to_nodes,
    refuse_unless_submitted,
)
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from flowstone.runs.records import Materialization, Refresh
    from flowstone.runtime.client.handle import Run
    from flowstone.runtime.client.result import RunResult
    from flowstone.runtime.runtime import Runtime

__all__ = ["materialize"]


def materialize(
    target: Target,
    asset: AssetSelection,
    *,
    partition: PartitionKey = None,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Compute everything upstream as well.", show_default=False)
    ] = False,
    refresh: Annotated[
        RefreshChoice | None,
        typer.Option(
            "--refresh",
            help="With --upstream, which existing values to compute again; default: all.",
            show_default=False,
        ),
    ] = None,
    max_parallel: MaxParallel = None,
    config: ConfigOption = None,
    join: Join = False,
    submit: Submit = False,
    key: Key = None,
    priority: Priority = 0,
    store: StoreUrl,
    log_level: LogLevel = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute assets; with --upstream, everything they need as well."""
    with Screen(json=json, debug=debug, log_level=log_level) as screen:
        if refresh is not None and not upstream:
            raise CommandError(
                "--refresh says which upstream values to reuse, so it needs --upstream.",
                "Without --upstream the asset itself is always computed.",
            )
        refuse_unless_submitted(store, key, priority, submit=submit)
        loaded = load(target)
        key_given = partition_argument(partition)
        check_names(loaded, asset, [key_given])
        fields = config_argument(loaded, asset, config)
        wanted = _Wanted(asset, key_given, upstream, refresh or "all", max_parallel, fields, join)
        if submit:
            leave_to_nodes(screen, loaded, store, key, lambda runtime: wanted.submit(runtime, key, priority))
        else:
            show_outcome(screen, compute(screen, loaded, store, wanted.request, shared=join))


@frozen
class _Wanted:
    """What is to be computed."""

    asset: str
    partition: object
    upstream: bool
    refresh: Refresh
    max_parallel: int | None
    config: Mapping[str, Any] | None
    join: bool

    def request(self, runtime: Runtime) -> Awaitable[RunResult | Materialization]:
        if not self.upstream:
            return runtime.materialize(
                self.asset, partition=self.partition, config=self.config, join=self.join
            )
        return runtime.materialize_all(
            self.asset,
            partition=self.partition,
            refresh=self.refresh,
            max_parallel=self.max_parallel,
            config=self.config,
            join=self.join,
        )

    def submit(self, runtime: Runtime, key: str | None, priority: int) -> Awaitable[Run]:
        return runtime.submit(
            self.asset,
            partition=self.partition,
            upstream=self.upstream,
            refresh=self.refresh,
            max_parallel=self.max_parallel,
            config=self.config,
            key=key,
            priority=priority,
            join=self.join,
        )
