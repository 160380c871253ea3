"""`flowstone serve`: a node that lives until it is told to stop."""

from __future__ import annotations

from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from flowstone.cli.commands.worker import Lease, MaxConcurrency, MaxThreads, ShutdownTimeout, given
from flowstone.cli.default_store import DefaultStore
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, LogLevel, StoreUrl, Target, whole
from flowstone.cli.places import remembers, shares, shown
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.serving import serve_node
from flowstone.cli.serving.http import HOST, PORT, Listening, bind, has_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowstone.cli.loading import Loaded

__all__ = ["serve", "written"]


_Host = Annotated[
    str,
    typer.Option(
        "--host", help="The address at which its web pages and API are.", envvar="FLOWSTONE_LISTEN_HOST"
    ),
]
_AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="A name by which its pages may be addressed, such as that of a proxy; repeat it for more.",
        show_default=False,
    ),
]
_OpenOnLoopback = Annotated[
    bool,
    typer.Option(
        "--open-on-loopback/--no-open-on-loopback",
        help="Whether who asks from this machine needs no token; not behind a proxy on the same machine.",
    ),
]


def serve(
    target: Target,
    *,
    store: StoreUrl,
    host: _Host = HOST,
    port: Annotated[
        int,
        whole(
            "--port",
            "Likewise; 0 takes one that is free.",
            least=0,
            most=65_535,
            envvar="FLOWSTONE_LISTEN_PORT",
        ),
    ] = PORT,
    allow_host: _AllowHost = None,
    open_on_loopback: _OpenOnLoopback = True,
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
        _remark(screen, store)
        loaded = load(target)
        settings = given(max_concurrency, max_threads, lease, shutdown_timeout)
        how = _how(loaded, store, allow_host, open_on_loopback=open_on_loopback)
        with _listening(screen, host, port, how) as listening:
            screen.status = run_async(
                serve_node(screen, loaded, store, settings, automate=automate, listening=listening)
            )


def _remark(screen: Screen, store: str) -> None:
    """Say who can give work to the node, where not every process can."""
    if remembers(store):
        if not shares(store):
            said = f"Other processes cannot submit to {shown(store)}: one at a time can hold it."
            screen.note(said, "yellow")
    elif has_server():
        screen.note(
            f"Only its pages and its API can give it work: {shown(store)} ends with this command.", "yellow"
        )
    else:
        raise CommandError(
            f"Nobody could give work to a node with {shown(store)}.",
            "Name a database with --store, such as embedded://.flowstone/pg, or install its pages: "
            "`pip install 'flowstone[server]'`.",
        )


def _how(
    loaded: Loaded, store: str, allow_host: Iterable[str] | None, *, open_on_loopback: bool
) -> dict[str, Any]:
    """How it listens, and what its pages show of how it was started."""
    return {
        "allowed": tuple(allow_host or ()),
        "open_on_loopback": open_on_loopback,
        "targets": {loaded.pipeline.name: loaded.target},
        "store": written(store),
    }


def written(store: str) -> str:
    """The store as it is typed again; a password stays in the environment."""
    if isinstance(store, DefaultStore):
        return ""
    parts = urlsplit(store)
    return '"$FLOWSTONE_STORE"' if parts.password or "password" in parts.query else quote(store)


@contextmanager
def _listening(screen: Screen, host: str, port: int, how: Mapping[str, Any]) -> Iterator[Listening | None]:
    """Where it answers requests, taken while the block runs; None without the extra."""
    if not has_server():
        screen.note("There are no web pages: they need `pip install 'flowstone[server]'`.", "yellow")
        yield None
        return
    with bind(host, port) as taken:
        yield Listening(taken, host, **how)
