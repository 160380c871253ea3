"""Short ways to write down facts for tests of stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flowstone.runs.events import (
    RunFinished,
    RunStarted,
    StepCancelled,
    StepFailed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from flowstone.runs.records import Failure, Input, Materialization, RunRecord, RunSpec, Status

EPOCH = datetime(2025, 1, 15, tzinfo=UTC)
FAILURE = Failure("error", "ValueError: no", traceback="...", retryable=True)
ENDING = {
    Status.SUCCEEDED: StepSucceeded,
    Status.FAILED: StepFailed,
    Status.CANCELLED: StepCancelled,
    Status.REUSED: StepReused,
    Status.SKIPPED: StepSkipped,
}


def at(second: float) -> datetime:
    """An instant, in seconds after the beginning of the test's time."""
    return EPOCH + timedelta(seconds=second)


def run(run_id: str = "run-1", asset: str = "report", **changes) -> RunRecord:
    """A queued run."""
    request = RunSpec(kind="materialize_all", asset=asset, tags={"team": "core"})
    return replace(RunRecord(run_id, "sales", request, Status.QUEUED, at(0)), **changes)


def begun(run_id: str = "run-1", total: int = 3, second: float = 1) -> RunStarted:
    """A run starts."""
    return RunStarted(at(second), run_id, "report", total)


def over(run_id: str = "run-1", status: Status = Status.SUCCEEDED, second: float = 99) -> RunFinished:
    """A run finishes."""
    return RunFinished(at(second), run_id, "report", status)


def start(
    asset: str = "report", key: str | None = None, *, run_id="run-1", attempt=1, second=1.0, node=None
) -> StepStarted:
    """An attempt begins."""
    return StepStarted(at(second), run_id, asset, key, attempt, node)


def record(
    asset: str = "report",
    key: str | None = None,
    *,
    run_id="run-1",
    status=Status.SUCCEEDED,
    second=2.0,
    attempt=1,
    inputs=(),
    **fields,
) -> Materialization:
    """A terminal record; `inputs` are pairs of asset and key."""
    fields.setdefault("started_at", at(second - 1))
    fields.setdefault("failure", FAILURE if status in {Status.FAILED, Status.SKIPPED} else None)
    return Materialization(
        asset,
        key,
        key,
        run_id,
        status,
        attempt=attempt,
        finished_at=at(second),
        inputs=tuple(Input(name, part, run_id, 1) for name, part in inputs),
        **fields,
    )


def end(asset: str = "report", key: str | None = None, **fields):
    """The event that ends a step with the record of the same arguments."""
    return ending(record(asset, key, **fields))


def ending(made: Materialization):
    """The event that carries a record."""
    made_by = ENDING[made.status]
    if made_by in {StepReused, StepSkipped}:
        return made_by(made.finished_at, made.run_id, made.asset, made.partition_key, made)
    return made_by(made.finished_at, made.run_id, made.asset, made.partition_key, made.attempt, made)
