"""`flowstone demo`: four years of weather, computed in front of you."""

from __future__ import annotations

from flowstone.cli.demo.show import play
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json
from flowstone.cli.screen import Screen

__all__ = ["demo"]


def demo(json: Json = False, debug: Debug = False) -> None:
    """See it work: four years of real weather, computed and drawn."""
    with Screen(json=json, debug=debug) as screen:
        run_async(play(screen))
