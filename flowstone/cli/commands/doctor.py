"""`flowstone doctor`: whether this place is fit to run pipelines, and what to do if not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from flowstone.cli.checks import Check, checks
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, StoreUrl
from flowstone.cli.problem import FAILED
from flowstone.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["doctor"]

_STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}


def doctor(
    target: Annotated[
        str | None,
        typer.Argument(metavar="MODULE:PIPELINE", help="A pipeline to check as well.", show_default=False),
    ] = None,
    *,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check whether pipelines can run here, and what to do if not."""
    with Screen(json=json, debug=debug) as screen:
        found = run_async(_all(store, target))
        if any(check.verdict == "wrong" for check in found):
            screen.status = FAILED
        if screen.json:
            screen.document(
                {
                    "ok": screen.status != FAILED,
                    "checks": [
                        {"name": one.name, "verdict": one.verdict, "found": one.found, "remedy": one.remedy}
                        for one in found
                    ],
                }
            )
            return
        for check in found:
            screen.show(_line(check))


async def _all(store: str, target: str | None) -> Sequence[Check]:
    return [check async for check in checks(store, target)]


def _line(check: Check) -> Text:
    verdict = Text(f"{check.verdict:<6}", style=_STYLES[check.verdict])
    line = Text.assemble(verdict, f"{check.name:<14}{check.found}")
    if check.remedy:
        line.append(f"\n{'':<20}{check.remedy}", style="bold")
    return line
