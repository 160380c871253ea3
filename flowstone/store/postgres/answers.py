"""What a writer is told where `flowstone.record` refuses its entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_labels import step_label
from flowstone.store import refusals
from flowstone.store.postgres.batch import Creation, Write
from flowstone.store.postgres.texts import key_of
from flowstone.store.protocol import KeyTaken, StaleWrite

if TYPE_CHECKING:
    from flowstone.store.postgres.batch import Entry

__all__ = ["refusal"]


def refusal(row: Any, entry: Entry) -> StaleWrite:
    """The error for the writer of `entry`."""
    if isinstance(entry, Write):
        return StaleWrite(_write_refused(row, entry))
    assert isinstance(entry, Creation)
    if row["reason"] == "key":
        return KeyTaken(refusals.key_taken(row["key"], str(entry.run.key)))
    return StaleWrite(refusals.id_taken(entry.run_id))


def _write_refused(row: Any, entry: Write) -> str:
    match row["reason"]:
        case "unknown":
            return refusals.unknown_run(entry.run_id)
        case "finished":
            return refusals.finished(entry.run_id)
        case "epoch":
            return refusals.taken_over(entry.run_id, row["number"], entry.epoch)
        case "ended":
            return refusals.already_recorded(_step(row), entry.run_id)
        case _:
            return refusals.overtaken(_step(row), _attempt(row, entry), row["number"])


def _step(row: Any) -> str:
    return step_label(row["asset"], key_of(row["key"]))


def _attempt(row: Any, entry: Write) -> int:
    """The attempt that was overtaken."""
    return entry.steps.get((entry.run_id, row["asset"], row["key"]), 0)
