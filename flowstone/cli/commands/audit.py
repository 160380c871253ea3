"""`flowstone audit`: who did what, when, and on what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.documents import json_value
from flowstone.cli.finding import find_run
from flowstone.cli.labels import ago, run_label
from flowstone.cli.loop import run_async
from flowstone.cli.options import AssetFilter, Debug, Json, StoreUrl, whole
from flowstone.cli.places import history, shown
from flowstone.cli.screen import Screen
from flowstone.cli.tables import table
from flowstone.errors import RunNotFound
from flowstone.printable import one_line
from flowstone.runs.audit import WORDS, details_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.runs.audit import AuditEntry
    from flowstone.store import Store

__all__ = ["audit"]


def audit(
    *,
    asset: AssetFilter = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="ID", help="Only what was done to this run.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Only what was done by them.", show_default=False),
    ] = None,
    limit: Annotated[int, whole("--limit", "How many at most.", least=1)] = 20,
    before: Annotated[
        int | None,
        whole("--before", "Only what came before the entry with this number.", least=0),
    ] = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List who did what, the newest first."""
    with Screen(json=json, debug=debug) as screen:
        found = run_async(_newest(store, asset, run, by, limit, before))
        if screen.json:
            screen.document({"entries": [_document(entry) for entry in found]})
        elif found:
            screen.show(_table(screen, found))
            if screen.terminal and len(found) == limit:
                screen.note(f"Older ones: --before {found[-1].id}, or --limit N.")
        elif (asset, run, by, before) == (None,) * 4:
            screen.note(f"Nobody has done anything in {shown(store)} yet.")
        else:
            screen.note(f"Nothing in the audit log of {shown(store)} matches.")


async def _newest(
    url: str, asset: str | None, run: str | None, by: str | None, limit: int, before: int | None
) -> Sequence[AuditEntry]:
    async with history(url) as store:
        run_id = None if run is None else await _run_id(store, run, url)
        return await store.audit.entries(asset=asset, run_id=run_id, by=by, limit=limit, before=before)


async def _run_id(store: Store, beginning: str, url: str) -> str:
    """The id that begins so; a whole one also of a run that is forgotten."""
    try:
        return (await find_run(store, beginning, url)).id
    except RunNotFound:
        if await store.audit.entries(run_id=beginning, limit=1):
            return beginning
        raise


def _table(screen: Screen, found: Sequence[AuditEntry]) -> Table:
    now = datetime.now(UTC)
    wide = screen.wide
    shown = table(screen, "number", "when", "who", "did", "what", "run", "why", right=("number",))
    for entry in found:
        said = "; ".join(filter(None, (one_line(entry.reason), details_text(entry))))
        shown.add_row(
            str(entry.id),
            ago(entry.at, now),
            "-" if entry.by is None else one_line(entry.by),
            WORDS[entry.action],
            one_line(_what(entry)),
            "-" if entry.run_id is None else run_label(entry.run_id, short=not wide),
            said,
        )
    return shown


def _what(entry: AuditEntry) -> str:
    """What it was done to, and the wait of a step or the automation of a run."""
    return entry.target if entry.asset is None or not entry.name else f"{entry.target} ({entry.name})"


def _document(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": json_value(entry.at),
        "action": entry.action,
        "by": entry.by,
        "asset": entry.asset,
        "partition_key": entry.partition_key,
        "run_id": entry.run_id,
        "name": entry.name,
        "reason": entry.reason,
        "details": json_value(entry.details),
    }
