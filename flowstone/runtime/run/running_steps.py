"""The steps that run in this process at this instant."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from flowstone.runs.running_step import RunningStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["running_steps"]


def running_steps(runs: LocalRuns, node: str) -> Iterator[RunningStep]:
    """Those of the runs that this process drives, then those that it executes for other nodes."""
    own = (attempt for run in runs.live.values() for attempt in run.attempts.values())
    for attempt in chain(own, runs.lent.values()):
        if attempt.started_at is not None and not attempt.over:
            fraction, message = attempt.progress
            yield RunningStep(
                attempt.run_id,
                attempt.asset.name,
                attempt.key,
                attempt.number,
                node,
                attempt.started_at,
                fraction,
                message,
            )
