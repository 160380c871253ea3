"""What of a pipeline's assets is not there: partitions whose last attempt failed, or without a current value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowstone.assets import PartitionView
from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.assets.snapshot import Snapshot
from flowstone.cli.documents import record_document
from flowstone.cli.labels import ago, duration, key_label, record_label, step_label
from flowstone.cli.loading import load
from flowstone.cli.places import history, shown
from flowstone.cli.problem import CommandError
from flowstone.cli.tables import table
from flowstone.counting import count
from flowstone.masking import masked
from flowstone.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from flowstone.cli.screen import Screen
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.store import Store

__all__ = ["tell_failed", "tell_missing"]


async def tell_failed(screen: Screen, url: str, pipeline: str | None, asset: str | None, limit: int) -> None:
    """Show the partitions whose newest record is a failure, of one asset or of all of a pipeline."""
    names = _named(pipeline, asset)
    async with history(url) as store:
        failed = [record for name in names for record in await store.failures(name)]
    if screen.json:
        screen.document({"failed": [record_document(record, debug=screen.debug) for record in failed]})
        return
    if failed:
        screen.show(_failures(screen, failed[:limit]), "")
    screen.show(f"{_of(pipeline, asset)}: {count(len(failed), 'partition')} whose last attempt failed")
    _tell_more(screen, len(failed) - limit)


async def tell_missing(screen: Screen, url: str, pipeline: str | None, asset: str | None, limit: int) -> None:
    """Show the partitions without a current value, of one asset or of all of a pipeline."""
    if pipeline is None:
        raise CommandError(
            "Which partitions there should be is said by the asset's definition.",
            "Name it with --pipeline MODULE:PIPELINE.",
        )
    names = _named(pipeline, asset)
    async with history(url) as store:
        total, missing = await _missing(store, pipeline, names)
    if screen.json:
        screen.document(
            {
                "missing": [
                    {
                        "asset": name,
                        "partition": None if key is None else key_label(key),
                        "partition_key": key,
                    }
                    for name, key in missing
                ]
            }
        )
        return
    screen.show(*(step_label(*key) for key in missing[:limit]))
    what = f"{len(missing):,} of {count(total, 'value')}"
    screen.show(f"{_of(pipeline, asset)}: {what} missing in {shown(url)}")
    _tell_more(screen, len(missing) - limit)


def _named(pipeline: str | None, asset: str | None) -> Sequence[str]:
    """The asset, or all that are computed. Raises `AssetNotFound` for one that the pipeline does not have."""
    if pipeline is None:
        if asset is None:
            raise CommandError(
                "Name an ASSET, or the pipeline whose assets are meant.",
                "Write `flowstone status ASSET`, or add --pipeline MODULE:PIPELINE.",
            )
        return [asset]
    graph = load(pipeline).pipeline.graph
    if asset is not None:
        return [graph[asset].name]
    return [name for name in graph.order() if not graph[name].is_constant]


async def _missing(store: Store, pipeline: str, names: Iterable[str]) -> tuple[int, list[StepKey]]:
    """How many values there should be, and the steps whose values are not there, in the order of the pipeline."""
    snapshot = Snapshot.of((load(pipeline).pipeline,))
    dynamic = {
        name: [decode_partition(key) for key in await store.partitions(name)] for name in snapshot.dynamic
    }
    view = PartitionView(snapshot.graph, datetime.now(UTC), dynamic)
    total, missing = 0, []
    for name in names:
        keys: Iterable[Any] = [None] if view.set_of(name) is None else view.keys(name)
        there = set(await store.current_keys(name))
        encoded = [None if key is None else encode_partition(key) for key in keys]
        if view.set_of(name) is None and any(key is not None for key in there):
            continue  # It takes any key: nobody can say which there should be.
        total += len(encoded)
        missing += [(name, key) for key in encoded if key not in there]
    return total, missing


def _failures(screen: Screen, failed: Sequence[Materialization]) -> Table:
    now = datetime.now(UTC)
    shown = table(
        screen, "step", "failed", "took", *(["run"] if screen.wide else []), "message", right=("took",)
    )
    for record in failed:
        shown.add_row(
            record_label(record),
            ago(record.finished_at, now),
            "-" if record.duration is None else duration(record.duration),
            *([record.run_id] if screen.wide else []),
            masked(record.failure.message) if record.failure else "",
        )
    return shown


def _of(pipeline: str | None, asset: str | None) -> str:
    return one_line(asset or pipeline or "")


def _tell_more(screen: Screen, more: int) -> None:
    if more > 0:
        screen.note(f"{more:,} more: --limit N or --json shows them.")
