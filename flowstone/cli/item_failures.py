"""Items that failed and were tolerated, told of the steps that succeeded without them."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from flowstone.cli.labels import key_label, record_label
from flowstone.counting import count, count_of
from flowstone.runs.items import ItemCounts
from flowstone.runs.records import Status
from flowstone.runtime.run.values import ITEMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowstone.runs.records import Materialization

__all__ = ["item_failure_lines", "items_label", "tolerated_items"]

_STEPS_SHOWN = 20
"""Steps told one by one; a broken source has failed items in every partition of a backfill."""


def item_failure_lines(steps: Iterable[Materialization], *, remembered: bool) -> Iterator[str]:
    """A line per step with a value from which items are missing because they failed.

    Args:
        steps: What became of the steps of a run; the others among them are passed over.
        remembered: Whether another command can ask for the items.
    """
    shown = more = 0
    for step in steps:
        label = tolerated_items(step)
        if not label:
            continue
        if shown == _STEPS_SHOWN:
            more += 1
            continue
        shown += 1
        command = _command(step) if remembered else None
        lists = "" if command is None else f"; `{command}` lists them"
        yield f"{record_label(step)}  {step.status}  {label}{lists}"
    if more:
        yield f"... and {count(more, 'more step')} without some of their items: --json lists them."


def tolerated_items(step: Materialization) -> str:
    """`2 of 40 items failed (tolerated)`, of a step that has a value without them; else empty."""
    counts = ItemCounts.of(step.metadata) if step.status in {Status.SUCCEEDED, Status.REUSED} else None
    if counts is None or not counts.failed:
        return ""
    return f"{count_of(counts.failed, counts.total, 'item')} failed (tolerated)"


def items_label(counts: ItemCounts) -> str:
    """`2 of 40 items failed, 1 skipped`; `40 items`."""
    parts = [f"{count_of(counts.failed, counts.total, 'item')} failed"] if counts.failed else []
    if counts.skipped and parts:
        parts.append(f"{counts.skipped:,} skipped")
    elif counts.skipped:
        parts.append(f"{count_of(counts.skipped, counts.total, 'item')} skipped")
    return ", ".join(parts) or count(counts.total, "item")


def _command(step: Materialization) -> str | None:
    """What lists the items that failed; None if nobody can tell whose they are."""
    run_id = step.run_id
    if step.status is Status.REUSED:
        if step.location is None or not step.location.startswith(ITEMS):
            return None
        run_id = step.location.removeprefix(ITEMS)
    where = "" if step.partition_key is None else f" --partition {quote(key_label(step.partition_key))}"
    return f"flowstone items {run_id} {step.asset}{where} --status failed"
