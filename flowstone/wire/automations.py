"""Schedules, sensors and the like, and what they did."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.runs.automation import Fire, FiredRun
from flowstone.runs.automation_status import AutomationStatus
from flowstone.runs.records import Status
from flowstone.wire.model import ByModel, Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import FailureModel

__all__ = ["AutomationModel", "AutomationsQuery", "PauseModel"]


class FiredRunModel(Model):
    """A run that an automation asked for."""

    id: str
    """Its id."""
    joined: bool
    """Whether it was under way already."""
    status: Status | None
    """What has become of it so far; null if it is forgotten."""

    def as_record(self) -> FiredRun:
        """What it shows."""
        return FiredRun(self.id, self.joined, self.status)


class FireModel(Model):
    """What an automation did at one time."""

    at: Instant
    """When."""
    status: Literal["started", "skipped", "failed", "told"]
    """Whether it asked for runs, perhaps for none."""
    scheduled_at: Instant | None
    """Of a schedule: the instant that it was about."""
    runs: list[FiredRunModel]
    """The runs that it asked for."""
    reason: str
    """Why it was skipped or failed, or what no run could be made of."""
    by: str
    """Who asked for it; empty: nobody did."""

    @classmethod
    def of(cls, fire: Fire) -> FireModel:
        """As the API shows it."""
        return cls(
            at=fire.at,
            status=fire.status,
            scheduled_at=fire.scheduled_at,
            runs=[FiredRunModel(id=each.id, joined=each.joined, status=each.status) for each in fire.runs],
            reason=fire.reason,
            by=fire.by,
        )

    def as_record(self) -> Fire:
        """What it shows."""
        runs = tuple(run.as_record() for run in self.runs)
        return Fire(self.at, self.status, self.scheduled_at, runs, self.reason, self.by)


class AutomationModel(Model):
    """An automation."""

    name: str
    """Its name."""
    kind: Literal["schedule", "sensor", "listener", "condition", "freshness"]
    """What it is."""
    pipeline: str
    """The pipeline that defines it."""
    text: str
    """What decides when it acts, such as a cron expression and its time zone."""
    paused: bool
    """Whether it does nothing until it is resumed."""
    paused_at: Instant | None
    """Since when."""
    paused_by: str | None
    """Who paused it; null where too many failures did."""
    paused_because: str
    """Why."""
    next_fire: Instant | None
    """Of a schedule: its next tick."""
    last_fires: list[FireModel]
    """What it did, newest first."""
    failures: int
    """How often it has failed in a row; ten pause it."""
    failure: FailureModel | None
    """Why, the last time."""
    gone_at: Instant | None
    """Since when no pipeline defines it."""
    pending: int
    """Of a listener: events that it is still to be told of."""
    given_up: int
    """Of a listener: events that it was never told of, because it failed each time."""
    since: Instant | None = None
    """When it was seen for the first time."""
    attempts: int = 0
    """Of a listener: how often it was told of a pending event in vain, at most."""
    failing: FailureModel | None = None
    """Of a listener: why, the last time."""
    oldest: Instant | None = None
    """Of a listener: when the oldest pending event happened."""
    asset: str | None = None
    """The asset that it computes or watches, where its definition says so."""

    @classmethod
    def of(cls, status: AutomationStatus) -> AutomationModel:
        """As the API shows it."""
        return cls(
            name=status.name,
            kind=status.kind,
            pipeline=status.pipeline,
            text=status.text,
            paused=status.paused,
            paused_at=status.paused_at,
            paused_by=status.paused_by,
            paused_because=status.paused_because,
            next_fire=status.next_fire,
            last_fires=[FireModel.of(fire) for fire in status.last_fires],
            failures=status.failures,
            failure=FailureModel.of(status.failure),
            gone_at=status.gone_at,
            pending=status.pending,
            given_up=status.given_up,
            since=status.since,
            attempts=status.attempts,
            failing=FailureModel.of(status.failing),
            oldest=status.oldest,
            asset=status.asset,
        )

    def as_record(self) -> AutomationStatus:
        """What it shows."""
        return AutomationStatus(
            self.name,
            self.kind,
            self.pipeline,
            self.text,
            self.paused,
            self.next_fire,
            tuple(fire.as_record() for fire in self.last_fires),
            self.failures,
            None if self.failure is None else self.failure.as_record(),
            self.since,
            self.gone_at,
            self.pending,
            self.given_up,
            self.attempts,
            None if self.failing is None else self.failing.as_record(),
            self.oldest,
            self.paused_at,
            self.paused_by,
            self.paused_because,
            self.asset,
        )


class AutomationsQuery(Listed):
    """Which automations."""

    fires: Annotated[int, Field(ge=0, le=100)] = 10
    """How many of the last fires of each are shown."""


class PauseModel(ByModel):
    """Why it is paused."""

    reason: Annotated[Text, Field(max_length=10_000)] = ""
    """Why, for people."""
