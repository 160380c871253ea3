"""What became of the steps and the attempts of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.runs.records import Status
from flowstone.runtime.client.timeline import Timeline, TimelineAttempt
from flowstone.wire.model import MOST, Given, Instant, Model
from flowstone.wire.paging import Listed
from flowstone.wire.runs import RunModel
from flowstone.wire.values import FailureModel, Partition, label

__all__ = ["AttemptModel", "StepsQuery", "TimelineModel", "TimelineQuery"]


class StepsQuery(Listed):
    """Which steps."""

    status: Literal["succeeded", "failed", "skipped", "reused", "cancelled"] | None = None
    """Only those that ended so."""
    traceback: bool = False
    """Whether failures come with their traceback."""
    offset: Annotated[int, Field(ge=0, le=MOST)] = 0
    """How many to leave out; with a cursor, which has its place, of no use."""


class StepQuery(Given):
    """Which step."""

    partition: Partition | None = None
    """Its partition."""
    traceback: bool = False
    """Whether a failure comes with its traceback."""


class TimelineQuery(Given):
    """Which attempts."""

    after: Annotated[int, Field(ge=0)] = 0
    """The `position` of the answer before: only what has changed since."""
    limit: Annotated[int, Field(ge=1, le=100_000)] = 100_000
    """Of a run with more attempts: about so many of the newest."""
    traceback: bool = False
    """Whether failures come with their traceback."""


class AttemptModel(Model):
    """One attempt of a step; of a step that none began, the step."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    attempt: int
    """1 for the first; 0 of a step that was reused, skipped or cancelled before any."""
    status: Status
    """`running`, or how it ended; `waiting`: the step waits for somebody else."""
    started_at: Instant | None
    """When it began; null if it never did, or an earlier answer has said so."""
    finished_at: Instant | None
    """When it ended."""
    retry_after: float | None
    """Seconds until the next attempt, if it failed and one follows."""
    failure: FailureModel | None = None
    """Why it failed, or the step was skipped."""
    node: str | None = None
    """The node that ran it; null where that is not known, or an earlier answer has said so."""

    @classmethod
    def of(cls, attempt: TimelineAttempt, *, traceback: bool = False) -> AttemptModel:
        """As the API shows it."""
        return cls(
            asset=attempt.asset,
            partition=label(attempt.partition_key),
            partition_key=attempt.partition_key,
            attempt=attempt.attempt,
            status=attempt.status,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            retry_after=attempt.retry_after,
            failure=FailureModel.of(attempt.failure, traceback=traceback),
            node=attempt.node,
        )

    def as_record(self) -> TimelineAttempt:
        """What it shows."""
        return TimelineAttempt(
            self.asset,
            self.partition_key,
            self.attempt,
            self.status,
            self.started_at,
            self.finished_at,
            self.retry_after,
            None if self.failure is None else self.failure.as_record(),
            self.node,
        )


class TimelineModel(Model):
    """Attempts of a run, in the order in which they changed last."""

    run: RunModel
    """The run."""
    attempts: list[AttemptModel]
    """Those that have changed since `after`, each as it is now."""
    position: int
    """What to pass as `after` to be told what changes from here on."""
    whole: bool
    """Whether these are all attempts, and what was known before is to be forgotten."""
    totals: dict[str, int]
    """How many steps of each asset the run consists of; only if `whole`, and empty where that is not known."""

    @classmethod
    def of(cls, timeline: Timeline, *, traceback: bool = False) -> TimelineModel:
        """As the API shows it."""
        return cls(
            run=RunModel.of(timeline.run),
            attempts=[AttemptModel.of(each, traceback=traceback) for each in timeline.attempts],
            position=timeline.position,
            whole=timeline.whole,
            totals=dict(timeline.totals),
        )

    def as_record(self) -> Timeline:
        """What it shows."""
        attempts = tuple(each.as_record() for each in self.attempts)
        return Timeline(self.run.as_record(), attempts, self.position, self.whole, self.totals)
