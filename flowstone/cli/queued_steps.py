"""The steps of a run that were to begin and wait, on whatever node: what for, and how full that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.cli.labels import key_label
from flowstone.cli.tables import table
from flowstone.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.cli.drivers import Drivers
    from flowstone.cli.screen import Screen
    from flowstone.runs.queued_step import QueuedStep
    from flowstone.runs.records import RunRecord
    from flowstone.store import Store

__all__ = ["queued_document", "queued_steps", "queued_table"]


async def queued_steps(store: Store, run: RunRecord, drivers: Drivers) -> Sequence[tuple[QueuedStep, str]]:
    """The steps of a run that wait, each with what for: of each node those that it names.

    Where only one process can hold the store, nobody else knows.
    """
    if run.status.terminal or store.cluster is None or drivers.nodes is None:
        return []
    nodes = [watched for watched in drivers.nodes if watched.seems_alive]
    found = [step for watched in nodes for step in watched.report.queued if step.run_id == run.id]
    names = {name for step in found if step.waits_for == "pool" for name in step.names}
    pools = {pool.name: pool for pool in await store.cluster.pools.show(names)} if names else {}
    return [(step, one_line(step.told(pools))) for step in found]


def queued_document(step: QueuedStep, words: str) -> dict[str, Any]:
    """A step that waits, for `--json`."""
    return {
        "asset": step.asset,
        "partition": None if step.partition_key is None else key_label(step.partition_key),
        "partition_key": step.partition_key,
        "attempt": step.attempt,
        "node": step.node,
        "waits_for": step.waits_for,
        "names": list(step.names),
        "message": words,
    }


def queued_table(screen: Screen, steps: Sequence[tuple[QueuedStep, str]]) -> Table:
    """Steps that wait as a table."""
    shown = table(screen, "queued", "waits for", *(["node"] if screen.wide else []))
    for step, words in steps:
        attempt = f", attempt {step.attempt}" if step.attempt > 1 else ""
        shown.add_row(step.name + attempt, words, *([step.node] if screen.wide else []))
    return shown
