"""What a node says of itself to whoever looks at the store: what it does, tries again, and leaves in the queue.

It goes with the beats, so that it costs nothing while there is nothing to say. What it says ends up on somebody's
screen: reasons are masked, and of limited number and length.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from flowstone.masking import masked
from flowstone.printable import one_line
from flowstone.runs.queued_step import QueuedStep
from flowstone.runs.running_step import RunningStep
from flowstone.runtime.cluster.usage import load, memory
from flowstone.store.cluster import NodeReport
from flowstone.store.json_safe import json_safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["STEPS", "WATCHED_STEPS", "node_report", "queued_steps", "retried_runs", "running_steps"]


STEPS: Final = 50
"""Running steps that a report names, and as many that are queued."""

WATCHED_STEPS: Final = 200
"""The same, while somebody looks."""

_MOST: Final = 20  # Runs of each kind.
_MOST_READ: Final = 5_000  # Characters of an asset's message, to find secrets in.
_LONGEST: Final = 500  # Characters of a reason.


def node_report(
    ctx: RuntimeContext, runs: LocalRuns, *, automate: bool, most: int = STEPS, heard: int = 0
) -> NodeReport:
    """What is to be said now.

    Args:
        ctx: What the runtime offers.
        runs: What this node drives.
        automate: Whether automations act on this node.
        most: How many running and how many queued steps it names.
        heard: The last who watches that it has heard of.
    """
    problem = ctx.store.problem
    running, queued = list(running_steps(ctx, runs)), list(queued_steps(ctx, runs))
    return NodeReport(
        store=None if problem is None else _reason(problem),
        retried=_some(retried_runs(runs)),
        unfit=_some(runs.unfit),
        running=tuple(map(_fit_to_show, running[:most])),
        queued=tuple(queued[:most]),
        resumes=tuple(islice(runs.parked.resumes, STEPS)),
        automates=tuple(ctx.snapshot.names) if automate else (),
        running_count=len(running),
        queued_count=len(queued),
        heard=heard,
        memory=memory(),
        load=load(),
    )


def retried_runs(runs: LocalRuns) -> dict[str, str]:
    """The runs that this node had to give up and goes on with, and why, masked."""
    return {run_id: masked(str(error or "its store was away")) for run_id, error in runs.to_resume.items()}


def _fit_to_show(step: RunningStep) -> RunningStep:
    """Its message is the asset's, so it may be anything, and as long as it likes."""
    if step.message is None:
        return step
    return replace(step, message=_reason(str(json_safe(step.message))[:_MOST_READ]))


def _some(reasons: Mapping[str, str]) -> dict[str, str]:
    return {run_id: _reason(why) for run_id, why in islice(reasons.items(), _MOST)}


def _reason(text: str) -> str:
    return one_line(masked(text))[:_LONGEST]


def running_steps(ctx: RuntimeContext, runs: LocalRuns) -> Iterator[RunningStep]:
    """The steps that run in this process now: those of the runs that it drives, then those of other nodes."""
    own = (attempt for run in runs.live.values() for attempt in run.attempts.values())
    for attempt in chain(own, runs.leased.values()):
        if attempt.started_at is not None and not attempt.over:
            fraction, message = attempt.progress
            yield RunningStep(
                attempt.run_id,
                attempt.asset.name,
                attempt.key,
                attempt.number,
                ctx.node,
                attempt.started_at,
                fraction,
                message,
                attempt is ctx.admission.alone,
            )


def queued_steps(ctx: RuntimeContext, runs: LocalRuns) -> Iterator[QueuedStep]:
    """The steps that are to begin in this process and have not, likewise."""
    held_up = ctx.admission.held_up()
    own = (attempt for run in runs.live.values() for attempt in run.attempts.values())
    for attempt in chain(own, runs.granted.values()):
        if attempt is not None:
            waits_for, names = attempt.waits_for
            if waits_for is not None:
                if (alone := held_up.get(id(attempt))) is not None:
                    waits_for, names = "alone", (alone.name,)
                key = attempt.run_id, attempt.asset.name, attempt.key, attempt.number
                yield QueuedStep(*key, ctx.node, waits_for, names)
