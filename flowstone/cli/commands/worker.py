"""`flowstone worker`: one more node on a store that others use as well."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, LogLevel, StoreUrl, Target, seconds, whole
from flowstone.cli.places import no_cluster, shares
from flowstone.cli.screen import Screen
from flowstone.cli.serving import serve_node

__all__ = ["Lease", "MaxConcurrency", "MaxThreads", "ShutdownTimeout", "given", "worker"]

MaxConcurrency: TypeAlias = Annotated[
    int | None,
    whole("--max-concurrency", "Steps that run at a time.", least=1),
]
MaxThreads: TypeAlias = Annotated[
    int | None,
    whole("--max-threads", "Synchronous assets that run at a time.", least=1),
]
Lease: TypeAlias = Annotated[
    float | None,
    seconds("--lease", "Seconds until others take this node for dead.", least=0.1),
]
ShutdownTimeout: TypeAlias = Annotated[
    float | None,
    seconds("--shutdown-timeout", "Seconds that running work gets when the node is told to stop.", least=0),
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
        screen.status = run_async(serve_node(screen, loaded, store, settings, automate=False))


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
