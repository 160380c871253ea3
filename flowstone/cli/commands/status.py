"""`flowstone status`: whether an asset has a current value, where, and how its last attempts went; and lists."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.asset_keys import defined_key, step_key
from flowstone.cli.documents import record_document
from flowstone.cli.finding import likely
from flowstone.cli.freshness import freshness_document, freshness_label, freshness_of
from flowstone.cli.item_failures import tolerated_items
from flowstone.cli.labels import ago, duration, record_label, step_label
from flowstone.cli.late import tell_late
from flowstone.cli.loop import run_async
from flowstone.cli.options import (
    Debug,
    Json,
    OptionalAssetName,
    PartitionKey,
    PipelineOption,
    StoreUrl,
    whole,
)
from flowstone.cli.places import history, shown
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.tables import table
from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.masking import masked
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from rich.table import Table

    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.store import Store

__all__ = ["status"]

_RUNS = 50
"""Newest runs searched for partitions that never succeeded: those have no current value to be found by."""

_MOST = 10_000
"""Records that are looked through there."""

_PAGE = 1_000

_Late = Annotated[
    bool,
    typer.Option(
        "--late", help="List the assets that are late or overdue by their freshness.", show_default=False
    ),
]


@frozen
class _Standing:
    """What is known of an asset: current values, and what was recorded, newest first."""

    key: StepKey
    current: Sequence[Materialization]
    recent: Sequence[Materialization]
    partitions: int  # That have a current value; not all of them need be in `current`.
    waiting: Sequence[StepKey] = ()  # What of it waits for something, in unfinished runs.
    hint: str = ""  # What was meant, if nothing is known of it.
    freshness: FreshnessStatus | None = None  # If it is watched.

    @property
    def status(self) -> Status:
        """How the newest record ended; retention may have left nothing but what is current."""
        if self.waiting:
            return Status.WAITING
        if self.recent:
            return self.recent[0].status
        return Status.SUCCEEDED if self.partitions else Status.NEVER

    @property
    def failed(self) -> int:
        """Partitions whose newest record is a failure."""
        newest: dict[str | None, Status] = {}
        for record in self.recent:
            newest.setdefault(record.partition_key, record.status)
        return list(newest.values()).count(Status.FAILED)


def status(
    asset: OptionalAssetName = None,
    *,
    partition: PartitionKey = None,
    failed: Annotated[
        bool,
        typer.Option(
            "--failed",
            help="List the partitions whose last attempt failed; without ASSET of the whole --pipeline.",
            show_default=False,
        ),
    ] = False,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="List the partitions of the --pipeline's asset, or of all its assets, that have no value.",
            show_default=False,
        ),
    ] = False,
    late: _Late = False,
    pipeline: PipelineOption = None,
    store: StoreUrl,
    limit: Annotated[int, whole("--limit", "How many records to list.", least=1)] = 10,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show whether an asset has a value, and its newest records."""
    with Screen(json=json, debug=debug) as screen:
        _refuse_what_contradicts(asset, partition, failed=failed, missing=missing, late=late)
        if late:
            run_async(tell_late(screen, store, limit))
            return
        if failed or missing:
            run_async(_list(failed=failed)(screen, store, pipeline, asset, limit))
            return
        assert asset is not None, "without it there is nothing to show"
        standing = run_async(_look(store, pipeline, asset, partition, None if json else limit))
        if screen.json:
            screen.document(
                {
                    "asset": standing.key[0],
                    "partition_key": standing.key[1],
                    "status": str(standing.status),
                    "freshness": freshness_document(standing.freshness),
                    "current": [record_document(one, debug=debug) for one in standing.current],
                    "recent": [record_document(one, debug=debug) for one in standing.recent[:limit]],
                }
            )
        else:
            _show(screen, standing, store, limit)


def _list(*, failed: bool) -> Callable[..., Coroutine[Any, Any, None]]:
    """What lists partitions that failed, or that are missing."""
    from flowstone.cli import shortfall  # noqa: PLC0415 - definitions and planning only for these lists

    return shortfall.tell_failed if failed else shortfall.tell_missing


def _refuse_what_contradicts(
    asset: str | None, partition: str | None, *, failed: bool, missing: bool, late: bool
) -> None:
    if failed + missing + late > 1:
        which = "--failed and --missing are two lists." if not late else "--late is a list of its own."
        raise CommandError(which, "Ask for the one or the other.")
    if late:
        if asset is not None or partition is not None:
            raise CommandError(
                "--late lists all assets that are late.",
                "Leave out ASSET and --partition; `flowstone status ASSET` says how fresh one is.",
            )
        return
    if partition is not None and (failed or missing):
        raise CommandError(
            "--failed and --missing list partitions.", "Leave out --partition, or show it without them."
        )
    if asset is None and not (failed or missing):
        raise CommandError(
            "Name an ASSET.",
            "Or add --failed or --missing, for all assets of a --pipeline MODULE:PIPELINE, or --late.",
        )


async def _look(url: str, pipeline: str | None, asset: str, text: str | None, limit: int | None) -> _Standing:
    """All of it without a limit; with one, the current values only of what is listed: there may be a million."""
    defined = defined_key(pipeline, asset, text)
    async with history(url) as store:
        key = defined or await step_key(store, asset, text)
        standing = await _standing(store, key, limit, every=text is None)
        freshness = await freshness_of(store, key, alone=text is not None)
        standing = replace(standing, freshness=freshness)
        waiting = await _waiting(store, key, every=text is None)
        if waiting:
            return replace(standing, waiting=waiting)
        if not standing.recent and not standing.partitions:
            return replace(standing, hint=await likely(store, asset, text))
        return standing


async def _waiting(store: Store, key: StepKey, *, every: bool) -> Sequence[StepKey]:
    if await store.waits.waiting(key):
        return [key]
    if not every:
        return ()
    waits = await store.waits.open(now=datetime.now(UTC), asset=key[0], limit=_MOST)
    return list(dict.fromkeys(wait.step for wait in waits))


async def _standing(store: Store, key: StepKey, limit: int | None, *, every: bool) -> _Standing:
    """Of the key, or of every partition of its asset."""
    if not every:
        current = await store.current([key])
        recent = await store.history(key, **({} if limit is None else {"limit": limit}))
        return _Standing(key, list(current.values()), recent, len(current))
    asset = key[0]
    keys = await store.current_keys(asset)
    recent = await _recent(store, asset)
    listed = [(asset, one.partition_key) for one in recent[:limit]]
    if limit is None:
        listed += [(asset, one) for one in keys]
    current = await store.current(listed)
    newest = [current[one] for one in dict.fromkeys(listed) if one in current]
    return _Standing(key, newest, recent, len(keys))


async def _recent(store: Store, asset: str) -> list[Materialization]:
    """The asset's records at any partition, of the newest runs: the newest run first, in it what ended last."""
    found: list[Materialization] = []
    seen = 0
    for run in await store.runs(limit=_RUNS):
        if asset not in run.assets and not run.request.upstream:
            continue
        offset = 0
        of_run: list[Materialization] = []
        while seen < _MOST and (page := await store.steps(run.id, offset=offset, limit=_PAGE)):
            offset += len(page)
            seen += len(page)
            of_run += [step for step in page if step.asset == asset]
        found += reversed(of_run)
    return found


def _show(screen: Screen, standing: _Standing, store: str, limit: int) -> None:
    label = step_label(*standing.key)
    screen.show(f"{label}: {_summary(standing)}")
    if standing.freshness is not None:
        screen.show(f"freshness: {freshness_label(standing.freshness)}")
    if not standing.recent and not standing.partitions:
        if standing.waiting:
            return
        screen.note(
            f"{shown(store)} has no record of {label}: materialize it, or name another store with --store."
            f"{standing.hint}"
        )
        return
    screen.show("", _table(screen, standing, limit))
    if len(standing.recent) > limit:
        screen.note(f"{count(len(standing.recent) - limit, 'older record')}: --limit N shows them.")


def _summary(standing: _Standing) -> str:
    current = standing.partitions
    records = (*standing.current, *standing.recent)
    keys = [*(one.partition_key for one in records), *(key for _, key in standing.waiting)]
    alone = not any(key is not None for key in keys)
    if (alone and current <= 1) or standing.key[1] is not None:
        return f"{standing.status}{_value_beside(standing)}"
    words = f"{count(current, 'partition')} with a current value"
    failed = f", {standing.failed:,} whose last attempt failed" if standing.failed else ""
    return words + failed + (f", {len(standing.waiting):,} waiting" if standing.waiting else "")


def _value_beside(standing: _Standing) -> str:
    """Whether there is a current value, as far as the status does not tell."""
    if not standing.partitions:
        return ", and there is no current value" if standing.recent else ""
    is_current = standing.status in {Status.SUCCEEDED, Status.REUSED}
    return "" if is_current else "; the value of an earlier run is still current"


def _table(screen: Screen, standing: _Standing, limit: int) -> Table:
    now = datetime.now(UTC)
    current = {(one.partition_key, one.run_id) for one in standing.current}
    columns = ["step", "status", "current", "finished", "took", *(["run"] if screen.wide else []), "message"]
    shown = table(screen, *columns, right=("took",))
    for one in standing.recent[:limit]:
        shown.add_row(
            record_label(one),
            str(one.status),
            "yes" if (one.partition_key, one.run_id) in current else "",
            ago(one.finished_at, now),
            "-" if one.duration is None else duration(one.duration),
            *([one.run_id] if screen.wide else []),
            masked(one.failure.message) if one.failure else tolerated_items(one),
        )
    return shown
