"""What a node says of itself to whoever looks at the store: what it tries again, and what it leaves in the queue.

It goes with the beats, so that it costs nothing while there is nothing to say. What it says ends up on somebody's
screen: reasons are masked, and of limited number and length.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from flowstone.masking import masked
from flowstone.printable import one_line
from flowstone.store.cluster import NodeReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["node_report", "retried_runs"]

_MOST: Final = 20  # Runs of each kind.
_LONGEST: Final = 500  # Characters of a reason.


def node_report(ctx: RuntimeContext, runs: LocalRuns) -> NodeReport:
    """What is to be said now."""
    problem = ctx.store.problem
    return NodeReport(
        store=None if problem is None else _reason(problem),
        retried=_some(retried_runs(runs)),
        unfit=_some(runs.unfit),
    )


def retried_runs(runs: LocalRuns) -> dict[str, str]:
    """The runs that this node had to give up and goes on with, and why, masked."""
    return {run_id: masked(str(error or "its store was away")) for run_id, error in runs.to_resume.items()}


def _some(reasons: Mapping[str, str]) -> dict[str, str]:
    return {run_id: _reason(why) for run_id, why in islice(reasons.items(), _MOST)}


def _reason(text: str) -> str:
    return one_line(masked(text))[:_LONGEST]
