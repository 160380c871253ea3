"""Names and numbers as people read them: `raw[2025-01-15]`, `1,461 steps`, `3 min 20 s`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_labels import key_label, partition_label, step_label
from flowstone.counting import count
from flowstone.masking import masked
from flowstone.printable import indented, printable
from flowstone.runs import targets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.runs.records import Failure, Materialization, RunRecord

__all__ = [
    "ago",
    "breakdown",
    "config_label",
    "duration",
    "failure_label",
    "key_label",
    "partition_label",
    "place_label",
    "record_label",
    "request_label",
    "run_label",
    "status_label",
    "step_label",
    "tolerated_label",
    "took",
    "until",
]

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_ORDER = ("succeeded", "reused", "failed", "skipped", "cancelled")


def record_label(record: Materialization) -> str:
    """As `step_label`, of a step's record."""
    return step_label(record.asset, record.partition_key)


def run_label(run_id: str, *, short: bool) -> str:
    """A run's id, or as much of it as tells runs apart: its time to the millisecond and a little chance."""
    return run_id[:14] if short else run_id


def breakdown(counts: Mapping[str, int]) -> str:
    """`12 succeeded, 3 reused`: what there is of each ending."""
    parts = [f"{counts[name]:,} {name}" for name in _ORDER if counts.get(name)]
    return ", ".join(parts) or "no step has ended"


def status_label(status: str, counts: Mapping[str, int]) -> str:
    """`succeeded, 1 failure tolerated`: the status of a run whose steps ended so."""
    tolerated = tolerated_label(status, counts)
    return f"{status}, {tolerated}" if tolerated else status


def tolerated_label(status: str, counts: Mapping[str, int]) -> str:
    """`1 failure tolerated`, of a run that succeeded though a step failed; else empty."""
    failed = counts.get("failed", 0)
    return f"{count(failed, 'failure')} tolerated" if status == "succeeded" and failed else ""


def duration(seconds: float) -> str:
    """A length of time in the two units that matter."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds != round(seconds) else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def failure_label(failure: Failure) -> str:
    """`ValueError: no data (pipeline.py:14)`: what it was, and the place in the user's code."""
    message = indented(printable(masked(failure.message)))
    return f"{message} ({place_label(failure.where)})" if failure.where else message


def place_label(where: str) -> str:
    """A place as one types it from here."""
    here = f"{Path.cwd()}{os.sep}"
    return where.removeprefix(here)


def ago(moment: datetime | None, now: datetime) -> str:
    """`3 min ago`: how long since, in the one unit that matters; a dash for never."""
    if moment is None:
        return "-"
    seconds = max((now - moment).total_seconds(), 0.0)
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def until(moment: datetime | None, now: datetime) -> str:
    """`in 3 min`: how long until, in the one unit that matters; a dash for never."""
    if moment is None:
        return "-"
    seconds = (moment - now).total_seconds()
    for size, unit in _UNITS:
        if seconds >= size:
            return f"in {seconds / size:.0f} {unit}"
    return "now"


def took(run: RunRecord) -> str:
    """How long the run ran; a dash while it runs."""
    if run.started_at is None or run.finished_at is None:
        return "-"
    return duration((run.finished_at - run.started_at).total_seconds())


def request_label(run: RunRecord) -> str:
    """`backfill monthly, 48 partitions`: what was asked for, in a few words."""
    return f"{run.kind.replace('_', ' ')} {targets.request_label(run.request)}"


def config_label(fields: Mapping[str, Any]) -> str:
    """`threshold=5, label="new"`: fields of a config as JSON."""
    return printable(
        ", ".join(f"{name}={json.dumps(each, ensure_ascii=False)}" for name, each in fields.items())
    )
