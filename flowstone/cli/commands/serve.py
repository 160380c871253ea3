"""`flowstone serve`: a node that lives until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from flowstone.cli.commands.worker import Lease, MaxConcurrency, MaxThreads, ShutdownTimeout, given
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, LogLevel, StoreUrl, Target, whole
from flowstone.cli.places import remembers, shares, shown
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.serving import serve_node

__all__ = ["serve"]


def serve(
    target: Target,
    *,
    store: StoreUrl,
    host: Annotated[
        str | None, typer.Option("--host", help="Not yet: this release has no HTTP API.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        whole("--port", "Not yet: this release has no HTTP API.", least=0),
    ] = None,
    automate: Annotated[
        bool,
        typer.Option(
            "--automate/--no-automate", help="Whether schedules, sensors and listeners act on this node."
        ),
    ] = True,
    max_concurrency: MaxConcurrency = None,
    max_threads: MaxThreads = None,
    lease: Lease = None,
    shutdown_timeout: ShutdownTimeout = None,
    log_level: LogLevel = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run what is submitted and scheduled until told to stop."""
    with Screen(json=json, debug=debug, log_level=log_level) as screen:
        if host is not None or port is not None:
            screen.note(
                "This release has no HTTP API: --host and --port open nothing. `flowstone runs`, `tree` and "
                "`cancel` reach this node through the store.",
                "yellow",
            )
        if not remembers(store):
            raise CommandError(
                f"Nobody could give work to a node with {shown(store)}.",
                "Name a database with --store, such as embedded://.flowstone/pg.",
            )
        if not shares(store):
            screen.note(
                f"Other processes cannot submit to {shown(store)}: one at a time can hold it.", "yellow"
            )
        loaded = load(target)
        settings = given(max_concurrency, max_threads, lease, shutdown_timeout)
        screen.status = run_async(serve_node(screen, loaded, store, settings, automate=automate))
