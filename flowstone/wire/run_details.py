"""What became of the steps and the attempts of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.runs.records import Status
from flowstone.runtime.client.timeline import Timeline, TimelineAttempt
from flowstone.wire.model import Given, Instant, Model
from flowstone.wire.paging import Listed
from flowstone.wire.runs import RunModel
from flowstone.wire.values import label

__all__ = ["AttemptModel", "StepsQuery", "TimelineModel", "TimelineQuery"]


class StepsQuery(Listed):
    """Which steps."""

    status: Literal["succeeded", "failed", "skipped", "reused", "cancelled"] | None = None
    """Only those that ended so."""
    traceback: bool = False
    """Whether failures come with their traceback."""


class TimelineQuery(Given):
    """Which attempts."""

    after: Annotated[int, Field(ge=0)] = 0
    """The `position` of the answer before: only what has changed since."""
    limit: Annotated[int, Field(ge=1, le=100_000)] = 100_000
    """Of a run with more attempts: about so many of the newest."""


class AttemptModel(Model):
    """One attempt of a step; of a step that none began, the step."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
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

    @classmethod
    def of(cls, attempt: TimelineAttempt) -> AttemptModel:
        """As the API shows it."""
        return cls(
            asset=attempt.asset,
            partition=label(attempt.partition_key),
            attempt=attempt.attempt,
            status=attempt.status,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            retry_after=attempt.retry_after,
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
    def of(cls, timeline: Timeline) -> TimelineModel:
        """As the API shows it."""
        return cls(
            run=RunModel.of(timeline.run),
            attempts=[AttemptModel.of(each) for each in timeline.attempts],
            position=timeline.position,
            whole=timeline.whole,
            totals=dict(timeline.totals),
        )
