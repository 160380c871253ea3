"""`flowstone run ID`: what became of one run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.cancel_reason import cancel_request, cancel_words
from flowstone.cli.documents import json_value, record_document, run_document
from flowstone.cli.drivers import Drivers
from flowstone.cli.finding import find_run
from flowstone.cli.item_failures import item_failure_lines
from flowstone.cli.labels import breakdown, config_label, request_label, status_label, took
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, StoreUrl, whole
from flowstone.cli.outcome import FAILURES_SHOWN, failure_lines, step_table, tell_hints
from flowstone.cli.places import history
from flowstone.cli.queued import why_waiting
from flowstone.cli.queued_steps import queued_document, queued_steps, queued_table
from flowstone.cli.running import running_document, running_steps, running_table
from flowstone.cli.screen import Screen
from flowstone.counting import count
from flowstone.masking import without_secrets
from flowstone.printable import one_line
from flowstone.runs.records import Status
from flowstone.runtime.client.step_list import StepList

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from flowstone.runs.events import RunCancelRequested
    from flowstone.runs.records import Materialization, RunRecord
    from flowstone.store import Store

__all__ = ["run"]

_PAGE = 1_000
_STEPS = 10_000
"""A database counts its way to each page of steps, so that few long ones cost less than many short ones."""


def run(
    run_id: Annotated[
        str, typer.Argument(metavar="ID", help="The run's id, or how it begins.", show_default=False)
    ],
    store: StoreUrl,
    limit: Annotated[int, whole("--limit", "How many steps to list.", least=0)] = 20,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a run: what was asked for, how far it is, its steps."""
    with Screen(json=json, debug=debug) as screen:
        run_async(_tell(screen, store, run_id, limit))


async def _tell(screen: Screen, url: str, run_id: str, limit: int) -> None:
    async with history(url) as store:
        record = await find_run(store, run_id, url)
        drivers = await Drivers.of(store)
        waits = why_waiting(drivers, record)
        running = await running_steps(store, record, drivers)
        queued = await queued_steps(store, record, drivers)
        cancelled = await cancel_request(store, record)
        if screen.json:
            head = {
                **run_document(record),
                "waits": waits,
                "cancel_reason": (cancelled.reason or None) if cancelled is not None else None,
                "cancelled_by": None if cancelled is None else cancelled.by,
                "cancel_comment": None if cancelled is None else cancelled.comment,
                "running": [running_document(step) for step in running],
                "queued": [queued_document(*each) for each in queued],
            }
            async with contextlib.aclosing(_pages(store, record.id)) as pages:
                await screen.long_document(head, "steps", _documents(screen, pages))
            return
        failed = await store.steps(record.id, status=Status.FAILED, limit=FAILURES_SHOWN)
        steps = await store.steps(record.id, limit=max(limit, _STEPS))
        number = record.counts.get(Status.FAILED.value, 0)
        _show(screen, record, StepList(failed, number), (drivers.mark(record), waits, cancelled))
        screen.show(*item_failure_lines(steps, remembered=True))
        if running and limit:
            screen.show("", running_table(screen, running[:limit]))
        if queued and limit:
            screen.show("", queued_table(screen, queued[:limit]))
        _list(screen, StepList(steps[:limit], sum(record.counts.values())))


async def _pages(store: Store, run_id: str) -> AsyncGenerator[Sequence[Materialization], None]:
    offset = 0
    while page := await store.steps(run_id, offset=offset, limit=_STEPS):
        yield page
        offset += len(page)


async def _documents(
    screen: Screen, pages: AsyncIterator[Sequence[Materialization]]
) -> AsyncIterator[dict[str, Any]]:
    async for page in pages:
        for step in page:
            yield record_document(step, debug=screen.debug)


def _show(
    screen: Screen,
    record: RunRecord,
    failed: StepList,
    drive: tuple[str, str | None, RunCancelRequested | None],
) -> None:
    mark, waits, cancelled = drive
    screen.show(f"run       {record.id}")
    screen.show(f"what      {request_label(record)} of the pipeline {record.pipeline!r}")
    if record.key is not None:
        screen.show(f"key       {one_line(record.key)}")
    if record.request.by is not None:
        screen.show(f"by        {one_line(record.request.by)}")
    if record.request.tags:
        tags = (f"{one_line(tag)}={one_line(value)}" for tag, value in record.request.tags.items())
        screen.show(f"tags      {', '.join(tags)}")
    for asset, fields in record.config.items():
        screen.show(f"config    {asset}: {config_label(without_secrets(json_value(fields)))}")
    screen.show(f"status    {status_label(record.status, record.counts)}{mark and f', {mark}'}")
    if waits is not None:
        screen.show(f"waits     {waits}")
    if cancelled is not None and (words := cancel_words(cancelled)):
        screen.show(f"because   {words}")
    screen.show(f"created   {record.created_at:%Y-%m-%d %H:%M:%S %Z}, took {took(record)}")
    counts = {str(status): number for status, number in record.counts.items()}
    screen.show(f"steps     {record.total:,}: {breakdown(counts)}")
    for line in failure_lines(failed, debug=screen.debug):
        screen.show(line)
    tell_hints(screen, failed.loaded, record.id)


def _list(screen: Screen, steps: StepList) -> None:
    if steps.loaded:
        screen.show("", step_table(screen, steps.loaded))
    if not steps.complete:
        more = len(steps) - len(steps.loaded)
        screen.note(f"{count(more, 'more step')}: --limit N or --json shows them.")
