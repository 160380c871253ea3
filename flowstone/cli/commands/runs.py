"""`flowstone runs`: the runs a store remembers, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flowstone.cli.documents import run_document
from flowstone.cli.finding import find_run
from flowstone.cli.labels import ago, breakdown, request_label, run_label, took
from flowstone.cli.loop import run_async
from flowstone.cli.numbers import whole
from flowstone.cli.options import Debug, Json, StoreUrl
from flowstone.cli.places import history, shown
from flowstone.cli.screen import Screen
from flowstone.cli.tables import table

if TYPE_CHECKING:
    from rich.table import Table

    from flowstone.runs.records import RunRecord

__all__ = ["runs"]


def runs(
    store: StoreUrl,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", parser=whole(1), help="How many at most.")
    ] = 20,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="ID", help="Only runs older than this one.", show_default=False),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the newest runs."""
    with Screen(json=json, debug=debug) as screen:
        found = run_async(_newest(store, limit, before))
        if screen.json:
            screen.document({"runs": [run_document(one) for one in found]})
        elif found:
            screen.show(_table(screen, found))
            if screen.terminal and len(found) == limit:
                screen.note(f"Older ones: --before {run_label(found[-1].id, short=True)}, or --limit N.")
        elif before is not None:
            screen.note(f"There are no runs before {before}.")
        else:
            screen.note(
                f"No runs in {shown(store)} yet: `flowstone materialize MODULE:PIPELINE ASSET` makes one."
            )


async def _newest(url: str, limit: int, before: str | None) -> list[RunRecord]:
    async with history(url) as store:
        older_than = None if before is None else (await find_run(store, before, url)).id
        return list(await store.runs(limit=limit, before=older_than))


def _table(screen: Screen, found: list[RunRecord]) -> Table:
    now = datetime.now(UTC)
    wide = screen.wide
    shown = table(screen, "run", "status", "created", "took", "steps", "what", right=("took", "steps"))
    for one in found:
        counts = f": {breakdown({str(k): v for k, v in one.counts.items()})}" if wide else ""
        shown.add_row(
            run_label(one.id, short=not wide),
            str(one.status),
            ago(one.created_at, now),
            took(one),
            f"{sum(one.counts.values()):,}/{one.total:,}" if one.total else "-",
            request_label(one) + counts,
        )
    return shown
