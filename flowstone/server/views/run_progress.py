"""How far a run is, and when it will be done if it goes on like this."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.server.render import ICONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from flowstone.runs.records import RunRecord
    from flowstone.runs.running_step import RunningStep

__all__ = ["RunProgress", "progress_of"]

_ENOUGH: Final = 3
"""After so many steps it is said when a run will be done."""

_COUNTED: Final = (Status.SUCCEEDED, Status.REUSED, Status.FAILED, Status.SKIPPED, Status.CANCELLED)
_DONE: Final = (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.CANCELLED)


@frozen
class RunProgress:
    """How far a run is.

    Attributes:
        run: The run.
        parts: Shapes of its steps, and how many there are of each.
        running: How many of its steps run, as far as is known here.
        percent: How much of it is done, or None.
        done_at: When it will be done, or None.
        rate: Steps that end in a minute, or None.
    """

    run: RunRecord
    parts: Sequence[tuple[str, int]]
    running: int
    percent: int | None
    done_at: datetime | None
    rate: float | None


def progress_of(run: RunRecord, running: Iterable[RunningStep], now: datetime) -> RunProgress:
    """How far it is at an instant."""
    ended = sum(run.counts.values())
    active = min(sum(1 for step in running if step.run_id == run.id), max(0, run.total - ended))
    parts = [(ICONS[status], run.counts[status]) for status in _COUNTED if run.counts.get(status)]
    parts += [("run", active)] if active else []
    left = run.total - ended - active
    parts += [("wait" if run.status is Status.WAITING else "queue", left)] if left > 0 else []
    worked = sum(run.counts.get(status, 0) for status in _DONE)
    seconds = 0.0 if run.started_at is None else (now - run.started_at).total_seconds()
    rate = worked / seconds if worked >= _ENOUGH and seconds > 0 else None
    return RunProgress(
        run,
        parts,
        active,
        100 * ended // run.total if run.total else None,
        None if rate is None or not run.total else now + timedelta(seconds=(run.total - ended) / rate),
        None if rate is None else round(60 * rate, 1),
    )
