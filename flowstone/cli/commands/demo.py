"""`flowstone demo`: four years of weather, computed in front of you."""

from __future__ import annotations

from typing import Annotated

import typer

from flowstone.cli.demo.show import play
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, whole
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.serving.http import HOST, PORT, Listening, bind, has_server

__all__ = ["demo"]


def demo(
    *,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show its runs on web pages as well, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int,
        whole(
            "--port",
            "Of these pages; 0 takes one that is free.",
            least=0,
            most=65_535,
            envvar="FLOWSTONE_LISTEN_PORT",
        ),
    ] = PORT,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """See it work: four years of real weather, computed and drawn."""
    with Screen(json=json, debug=debug) as screen:
        run_async(play(screen, _listening(port) if serve else None))


def _listening(port: int) -> Listening:
    if not has_server():
        raise CommandError("There are no web pages here.", "They need `pip install 'flowstone[server]'`.")
    return Listening(bind(HOST, port), HOST)
