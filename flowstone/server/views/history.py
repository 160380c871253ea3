"""What became of an asset or of one partition, run by run, with the reason each ran and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.targets import targets_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.records import Materialization, RunRecord

__all__ = ["HistoryRow", "history_of"]

_KINDS: Final = {"backfill": "backfill", "materialize": "asked for", "materialize_all": "asked for"}


@frozen
class HistoryRow:
    """One record, and why there is it.

    Attributes:
        record: What became of it.
        why: The reason that its run ran.
        by: Who asked for it, or empty where that is not known.
    """

    record: Materialization
    why: str
    by: str


def history_of(
    records: Sequence[Materialization],
    runs: Iterable[RunRecord],
    automations: Sequence[AutomationStatus],
) -> list[HistoryRow]:
    """The records with their reasons.

    Args:
        records: The newest first.
        runs: Runs that are known; of others nothing is said.
        automations: With their last fires.
    """
    by_id = {run.id: run for run in runs}
    fired = _fired(automations)
    return [HistoryRow(record, *_reason(record, by_id.get(record.run_id), fired)) for record in records]


def _reason(
    record: Materialization, run: RunRecord | None, fired: Mapping[str, tuple[str, str]]
) -> tuple[str, str]:
    if record.run_id in fired:
        return fired[record.run_id]
    if run is None:
        return "", ""
    by = run.request.by or ""
    if record.asset not in run.assets:
        return f"for {targets_label(run.request)}", by
    why = run.tags.get("why") or run.tags.get("reason")
    return why or _KINDS[run.kind], by


def _fired(automations: Sequence[AutomationStatus]) -> dict[str, tuple[str, str]]:
    """The reason and the person behind each run that an automation asked for."""
    return {
        run.id: (f"{each.kind} {each.name}" + (f": {fire.reason}" if fire.reason else ""), fire.by)
        for each in automations
        for fire in each.last_fires
        for run in fire.runs
    }
