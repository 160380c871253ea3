"""The steps of a run that run now, on whatever node: what the nodes say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowstone.cli.documents import json_value
from flowstone.cli.labels import duration, key_label
from flowstone.cli.tables import table
from flowstone.runs.events import StepStarted
from flowstone.runs.running_step import RunningStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.cli.drivers import Drivers
    from flowstone.cli.screen import Screen
    from flowstone.runs.records import RunRecord, StepKey
    from flowstone.store import Store

__all__ = ["running_document", "running_steps", "running_table"]


async def running_steps(store: Store, run: RunRecord, drivers: Drivers) -> Sequence[RunningStep]:
    """The running steps of a run, who began first first: of each node those that it names.

    Where only one process can hold the store, they are those whose start is recorded and whose end is not, and
    nothing is known of their progress.
    """
    if run.status.terminal or drivers.left(run):
        return []
    if drivers.nodes is None:
        return await _begun(store, run)
    nodes = [watched for watched in drivers.nodes if watched.seems_alive]
    found = [step for watched in nodes for step in watched.report.running if step.run_id == run.id]
    return sorted(found, key=lambda step: step.started_at)


async def _begun(store: Store, run: RunRecord) -> list[RunningStep]:
    begun: dict[StepKey, RunningStep] = {}
    after = 0
    while page := await store.events(run.id, after=after):
        after = page[-1][0]
        for _, event in page:
            key = (event.asset, event.partition_key)
            if isinstance(event, StepStarted):
                step = RunningStep(run.id, *key, event.attempt, run.owner or "", event.at)
                begun[key] = replace(step, alone=key in begun)  # The end of a lost attempt is not recorded.
            elif event.kind.startswith("step."):
                begun.pop(key, None)
    return list(begun.values())


def running_document(step: RunningStep) -> dict[str, Any]:
    """A running step, for `--json`."""
    return {
        "asset": step.asset,
        "partition": None if step.partition_key is None else key_label(step.partition_key),
        "partition_key": step.partition_key,
        "attempt": step.attempt,
        "node": step.node,
        "started_at": json_value(step.started_at),
        "fraction": step.fraction,
        "message": step.message,
        "alone": step.alone,
    }


def running_table(screen: Screen, steps: Sequence[RunningStep]) -> Table:
    """Running steps as a table."""
    now = datetime.now(UTC)
    shown = table(
        screen, "running", "for", "done", *(["node"] if screen.wide else []), "message", right=("for", "done")
    )
    for step in steps:
        attempt = f", attempt {step.attempt}" if step.attempt > 1 else ""
        attempt += ", alone" if step.alone else ""
        shown.add_row(
            step.name + attempt,
            duration(max(0.0, (now - step.started_at).total_seconds())),
            "-" if step.fraction is None else f"{step.fraction:.0%}",
            *([step.node] if screen.wide else []),
            step.message or "",
        )
    return shown
