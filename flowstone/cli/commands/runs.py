"""`flowstone runs`: the runs a store remembers, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flowstone.cli.documents import run_document
from flowstone.cli.drivers import Drivers
from flowstone.cli.finding import find_run, likely
from flowstone.cli.labels import ago, breakdown, request_label, run_label, tolerated_label, took
from flowstone.cli.loop import run_async
from flowstone.cli.options import AssetFilter, Debug, Json, StoreUrl, whole
from flowstone.cli.places import history, shown
from flowstone.cli.problem import CommandError
from flowstone.cli.queued import ALONE, why_waiting
from flowstone.cli.screen import Screen
from flowstone.cli.tables import table
from flowstone.printable import one_line
from flowstone.runtime.client.run_filter import wanted_statuses, wanted_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from flowstone.runs.records import RunRecord, Status

__all__ = ["runs"]


def runs(
    store: StoreUrl,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only runs that are queued, running, waiting, succeeded, failed or cancelled; may be repeated.",
            show_default=False,
        ),
    ] = None,
    asset: AssetFilter = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="NAME[=VALUE]",
            help="Only runs with this tag; if repeated, with all of them.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, whole("--limit", "How many at most.", least=1)] = 20,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="ID", help="Only runs older than this one.", show_default=False),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the newest runs."""
    with Screen(json=json, debug=debug) as screen:
        wanted = _Wanted(wanted_statuses(status or None), asset, _tags(tag), limit, before)
        found, drivers, hint = run_async(_newest(store, wanted))
        if screen.json:
            screen.document(
                {"runs": [{**run_document(one), "waits": why_waiting(drivers, one)} for one in found]}
            )
        elif found:
            screen.show(_table(screen, found, drivers))
            for step, watched in drivers.alone():
                screen.note(
                    f"{one_line(step.name)} of run {step.run_id}, which {ALONE}, runs alone: nothing else begins "
                    f"on the node {watched.node.id} until it has ended.",
                    "yellow",
                )
            if screen.terminal and len(found) == limit:
                screen.note(f"Older ones: --before {run_label(found[-1].id, short=True)}, or --limit N.")
        else:
            screen.note(_nothing(store, wanted) + hint)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which runs are listed."""

    statuses: Sequence[Status]
    asset: str | None
    tags: Mapping[str, str | None]
    limit: int
    before: str | None

    @property
    def filtered(self) -> bool:
        return bool(self.statuses or self.tags) or self.asset is not None


def _tags(words: list[str] | None) -> Mapping[str, str | None]:
    tags: dict[str, str | None] = {}
    for word in words or ():
        for name, value in wanted_tags(word).items():
            if tags.get(name) not in {None, value} and value is not None:
                raise CommandError(f"No run has two values of the tag {name!r}.", "Ask for one of them.")
            tags[name] = tags.get(name) if value is None else value
    return tags


def _nothing(url: str, wanted: _Wanted) -> str:
    if wanted.filtered:
        older = "" if wanted.before is None else f" before {wanted.before}"
        return f"No run in {shown(url)}{older} matches."
    if wanted.before is not None:
        return f"There are no runs before {wanted.before}."
    return f"No runs in {shown(url)} yet: `flowstone materialize MODULE:PIPELINE ASSET` makes one."


async def _newest(url: str, wanted: _Wanted) -> tuple[list[RunRecord], Drivers, str]:
    """The runs, and who may drive them; and if there are none, which asset was meant."""
    async with history(url) as store:
        before = wanted.before
        found = await store.runs(
            statuses=wanted.statuses,
            asset=wanted.asset,
            tags=wanted.tags,
            limit=wanted.limit,
            before=None if before is None else (await find_run(store, before, url)).id,
        )
        drivers = await Drivers.of(store)
        if found or wanted.asset is None:
            return list(found), drivers, ""
        return [], drivers, await likely(store, wanted.asset, None)


def _table(screen: Screen, found: list[RunRecord], drivers: Drivers) -> Table:
    now = datetime.now(UTC)
    wide = screen.wide
    shown = table(screen, "run", "status", "created", "took", "steps", "what", right=("took", "steps"))
    for one in found:
        shown.add_row(
            run_label(one.id, short=not wide),
            ", ".join(filter(None, (str(one.status), drivers.mark(one)))),
            ago(one.created_at, now),
            took(one),
            f"{_done(one):,}/{one.total:,}" if one.total else "-",
            _what(one, wide=wide),
        )
    return shown


def _done(run: RunRecord) -> int:
    """Steps that have ended, but for those that were cancelled: most of them never began."""
    return sum(number for status, number in run.counts.items() if str(status) != "cancelled")


def _what(run: RunRecord, *, wide: bool) -> str:
    """`materialize all total, key nightly: 2 succeeded, 1 failure tolerated`; counts if there is room."""
    counts = {str(status): number for status, number in run.counts.items()}
    tolerated = tolerated_label(run.status, counts)
    if tolerated:
        del counts["failed"]
    parts = [breakdown(counts)] if wide and any(counts.values()) else []
    ends = ", ".join([*parts, *([tolerated] if tolerated else [])])
    key = "" if run.key is None else f", key {one_line(run.key)}"
    return request_label(run) + key + (f": {ends}" if ends else "")
