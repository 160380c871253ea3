"""`flowstone worker`: one more node on a store that others use as well."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import typer

from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, LogLevel, StoreUrl, Target, seconds, whole
from flowstone.cli.places import no_cluster, shares
from flowstone.cli.screen import Screen
from flowstone.cli.serving import serve_node

__all__ = ["Lease", "MaxConcurrency", "MaxThreads", "ShutdownTimeout", "given", "worker"]

MaxConcurrency: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-concurrency",
        metavar="N",
        parser=whole(1),
        help="Steps that run at a time.",
        show_default=False,
    ),
]
MaxThreads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-threads",
        metavar="N",
        parser=whole(1),
        help="Synchronous assets that run at a time.",
        show_default=False,
    ),
]
Lease: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--lease",
        metavar="S",
        parser=seconds(0.1),
        help="Seconds until others take this node for dead.",
        show_default=False,
    ),
]
ShutdownTimeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--shutdown-timeout",
        metavar="S",
        parser=seconds(0),
        help="Seconds that running work gets when the node is told to stop.",
        show_default=False,
    ),
]


def worker(
    target: Target,
    *,
    store: StoreUrl,
    max_concurrency: MaxConcurrency = None,
    max_threads: MaxThreads = None,
    lease: Lease = None,
    shutdown_timeout: ShutdownTimeout = None,
    log_level: LogLevel = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Help with a pipeline's runs until told to stop."""
    with Screen(json=json, debug=debug, log_level=log_level) as screen:
        if not shares(store):
            raise no_cluster(store)
        loaded = load(target)
        settings = given(max_concurrency, max_threads, lease, shutdown_timeout)
        screen.status = run_async(serve_node(screen, loaded, store, settings))


def given(
    max_concurrency: int | None, max_threads: int | None, lease: float | None, shutdown_timeout: float | None
) -> dict[str, Any]:
    """The settings that were said on the command line, by name; None where nothing was."""
    return {
        "max_concurrency": max_concurrency,
        "max_threads": max_threads,
        "lease": lease,
        "shutdown_timeout": shutdown_timeout,
    }
