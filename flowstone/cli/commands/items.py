"""`flowstone items RUN ASSET`: what became of the items that a step went through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.asset_keys import meanings, step_key
from flowstone.cli.documents import failure_document
from flowstone.cli.finding import find_run, likely_in
from flowstone.cli.labels import place_label, step_label
from flowstone.cli.loop import run_async
from flowstone.cli.options import AssetName, Debug, Json, StoreUrl, whole
from flowstone.cli.places import history
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.masking import masked
from flowstone.printable import one_line
from flowstone.runs.items import ENDED, item_of, items_of_pages
from flowstone.runs.records import Status
from flowstone.runtime.run.values import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.runs.items import Item
    from flowstone.runs.records import StepKey
    from flowstone.store import Store

__all__ = ["items"]


def items(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.", show_default=False)
    ],
    asset: AssetName,
    store: StoreUrl,
    partition: Annotated[
        str | None,
        typer.Option("--partition", metavar="KEY", help="At this partition.", show_default=False),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="STATUS", help="Only those: succeeded, failed, skipped.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, whole("--limit", "How many to list.", least=0)] = 20,
    offset: Annotated[int, whole("--offset", "How many to leave out.", least=0)] = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the items of a step, and why some of them failed."""
    with Screen(json=json, debug=debug) as screen:
        if status is not None and status not in ENDED:
            raise CommandError(
                f"No item is ever {one_line(status)!r}.", f"Write --status with one of {', '.join(ENDED)}."
            )
        code = None if status is None else ENDED[Status(status)]
        run_async(_tell(screen, store, run_id, (asset, partition), (code, limit, offset)))


async def _tell(
    screen: Screen,
    url: str,
    run_id: str,
    named: tuple[str, str | None],
    which: tuple[int | None, int, int],
) -> None:
    _, limit, offset = which
    async with history(url) as store:
        record = await find_run(store, run_id, url)
        if isinstance(url, ServerUrl):
            step = await step_key(store, *named)
            found = await _asked(url, record.id, step, which)
        else:
            step = await _step(store, record.id, *named)
            found = await _found(store, record.id, step, which)
        hint = "" if found else await likely_in(store, record, *step)
    if screen.json:
        screen.document(
            {"run": record.id, "asset": step[0], "items": [_document(screen, item) for item in found]}
        )
    elif found:
        screen.show(*(line for item in found for line in _lines(screen, item)))
        if not screen.debug and any(map(_has_traceback, found)):
            screen.note("--debug shows the whole traceback.")
        if len(found) == limit:
            screen.note(f"--offset {offset + limit} shows what follows.")
    else:
        screen.note(f"Run {record.id} has recorded no such items of {step_label(*step)}.{hint}")


async def _asked(
    url: ServerUrl, run_id: str, step: StepKey, which: tuple[int | None, int, int]
) -> list[Item]:
    """As `_found`, of a server."""
    code, limit, offset = which
    status = next((status for status, number in ENDED.items() if number == code), None)
    async with asked(url) as client:
        return list(await client.items(run_id, *step, status=status, limit=limit, offset=offset))


async def _step(store: Store, run_id: str, asset: str, text: str | None) -> StepKey:
    """The step of a run that has items, if a meaning of the partition's text has some; it need not have ended."""
    for key in meanings(text) if text is not None else ():
        if await store.items.rows(run_id, (asset, key), limit=1):
            return asset, key
    return await step_key(store, asset, text)


async def _found(store: Store, run_id: str, step: StepKey, which: tuple[int | None, int, int]) -> list[Item]:
    code, limit, offset = which
    made = await store.step(run_id, step)
    if made is None or made.location is None or not made.location.startswith(PAGES):
        rows = await store.items.rows(run_id, step, code=code, offset=offset, limit=limit)
        return [item_of(row) for row in rows]
    # What a reader has read is recorded many items in a row.
    return items_of_pages(await store.items.rows(run_id, step, code=code), offset, limit)


def _lines(screen: Screen, item: Item) -> Iterator[str]:
    again = f"  attempt {item.attempt}" if item.attempt > 1 else ""
    name = "" if item.key == str(item.position) else f"  {one_line(item.key)}"
    line = f"{item.position:>9,}{name}  {item.status}{again}"
    failure = item.failure
    if failure is None:
        yield line
        return
    line += f"  {one_line(masked(failure.message))}"
    if item.status is not Status.FAILED:
        yield line
        return
    yield line + (f" ({place_label(failure.where)})" if failure.where else "")
    if screen.debug and failure.traceback:
        yield masked(failure.traceback).rstrip()


def _document(screen: Screen, item: Item) -> dict[str, Any]:
    return {
        "position": item.position,
        "key": item.key,
        "status": str(item.status),
        "attempt": item.attempt,
        "failure": None if item.failure is None else failure_document(item.failure, debug=screen.debug),
        "location": item.location,
    }


def _has_traceback(item: Item) -> bool:
    return item.status is Status.FAILED and item.failure is not None and bool(item.failure.traceback)
