"""Records of steps that no attempt can speak for.

Skipped because of a failure upstream, cancelled with their run, or lost with the processes that ran them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.runs.events import StepCancelled, StepFailed, StepRetried, StepSkipped, StepSucceeded
from flowstone.runs.records import Failure, Materialization, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runtime.live_run import LiveRun

__all__ = ["cancelled_steps", "lost_steps", "refused_step", "skipped_steps"]


def skipped_steps(run: LiveRun, steps: Sequence[tuple[int, int]], at: datetime) -> list[StepSkipped]:
    """One event per pair of a skipped step and the failed step that caused it."""
    events = []
    for step, cause in steps:
        asset, _, key = run.plan.step(cause)
        name = step_label(asset, key)
        failure = Failure("dependency", f"Skipped because {name} failed.", cause=name)
        record = _record(run, step, Status.SKIPPED, at, failure)
        events.append(StepSkipped(at, run.record.id, record.asset, record.partition_key, record))
    return events


def cancelled_steps(run: LiveRun, steps: Sequence[int], at: datetime) -> list[StepCancelled]:
    """One event per step."""
    events = []
    for step in steps:
        record = _record(run, step, Status.CANCELLED, at, None)
        events.append(StepCancelled(at, run.record.id, record.asset, record.partition_key, 0, record))
    return events


def lost_steps(run: LiveRun, steps: Sequence[tuple[int, int]], at: datetime) -> list[StepFailed]:
    """One event per pair of a step and the number of its last attempt."""
    events = []
    for step, attempt in steps:
        why = f"Too many attempts, the last one number {attempt}, ended with the process that ran them."
        failure = Failure("lost", why)
        record = replace(_record(run, step, Status.FAILED, at, failure), attempt=attempt)
        events.append(StepFailed(at, run.record.id, record.asset, record.partition_key, attempt, record))
    return events


def refused_step(event: StepSucceeded | StepFailed | StepRetried | StepCancelled, words: str) -> StepFailed:
    """What is recorded of an attempt instead of an end that the store will not have."""
    key = event.partition_key
    partition = None if key is None else decode_partition(key)
    failure = Failure("store", words)
    record = Materialization(
        event.asset,
        partition,
        key,
        event.run_id,
        Status.FAILED,
        event.attempt,
        finished_at=event.at,
        failure=failure,
    )
    return StepFailed(event.at, event.run_id, event.asset, key, event.attempt, record)


def _record(
    run: LiveRun, step: int, status: Status, at: datetime, failure: Failure | None
) -> Materialization:
    asset, partition, key = run.plan.step(step)
    return Materialization(
        asset,
        partition,
        key,
        run.record.id,
        status,
        finished_at=at,
        failure=failure,
        io=run.plan.graph[asset].io,
    )
