"""`flowstone run ID`: what became of one run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.commands.runs import request_label, took
from flowstone.cli.documents import record_document, run_document
from flowstone.cli.labels import breakdown, count
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, StoreUrl
from flowstone.cli.outcome import failure_lines, step_table
from flowstone.cli.places import history
from flowstone.cli.screen import Screen
from flowstone.errors import RunNotFound
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from flowstone.runs.records import Materialization, RunRecord
    from flowstone.store import Store

__all__ = ["run"]

_PAGE = 1_000


def run(
    run_id: Annotated[
        str, typer.Argument(metavar="ID", help="The run's id, or how it begins.", show_default=False)
    ],
    store: StoreUrl,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many steps to list.")] = 20,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a run: what was asked for, how it ended, its steps."""
    with Screen(json=json, debug=debug) as screen:
        record, steps = run_async(_find(store, run_id))
        if screen.json:
            document: dict[str, Any] = run_document(record)
            document["steps"] = [record_document(step, debug=debug) for step in steps]
            screen.document(document)
        else:
            _show(screen, record, steps, limit)


async def _find(url: str, run_id: str) -> tuple[RunRecord, Sequence[Materialization]]:
    async with history(url) as store:
        record = await store.run(run_id) or await _beginning_with(store, run_id, url)
        return record, await store.steps(record.id)


async def _beginning_with(store: Store, beginning: str, url: str) -> RunRecord:
    found: list[RunRecord] = []
    async with contextlib.aclosing(_all_runs(store)) as records:
        async for record in records:
            if record.id.startswith(beginning):
                found.append(record)
            if len(found) > 1:
                raise RunNotFound(f"{beginning!r} begins more than one run: write more of the id.")
    if not found:
        raise RunNotFound(f"{url} knows no run {beginning!r}: `flowstone runs` lists them.")
    return found[0]


async def _all_runs(store: Store) -> AsyncGenerator[RunRecord, None]:
    before: str | None = None
    while page := await store.runs(limit=_PAGE, before=before):
        for record in page:
            yield record
        before = page[-1].id


def _show(screen: Screen, record: RunRecord, steps: Sequence[Materialization], limit: int) -> None:
    screen.show(f"run       {record.id}")
    screen.show(f"what      {request_label(record)} of the pipeline {record.pipeline!r}")
    screen.show(f"status    {record.status}")
    screen.show(f"created   {record.created_at:%Y-%m-%d %H:%M:%S %Z}, took {took(record)}")
    counts = {str(status): number for status, number in record.counts.items()}
    screen.show(f"steps     {record.total:,}: {breakdown(counts)}")
    failed = [step for step in steps if step.status is Status.FAILED]
    for line in failure_lines(failed, debug=screen.debug):
        screen.show(line)
    if limit and steps:
        screen.show("", step_table(screen, steps[:limit]))
    if len(steps) > limit:
        screen.note(f"{count(len(steps) - limit, 'more step')}: --limit N or --json shows them.")
