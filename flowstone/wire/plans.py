"""What a run would do and why."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.runtime.client.plan import PlannedStep
from flowstone.wire.model import Model, Text
from flowstone.wire.paging import Listed, Page
from flowstone.wire.values import Partition, label

__all__ = ["PlanModel", "PlanQuery", "PlannedStepModel"]


class PlannedStepModel(Model):
    """What would become of one step."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    action: Literal["run", "reuse"]
    """Whether it would be computed, or its value reused."""
    reason: str
    """Why, in a word: `missing`, `failed`, `code`, `config`, `upstream`, `forced` or `fresh`."""
    because: str
    """Why, as a phrase that names the cause."""

    @classmethod
    def of(cls, step: PlannedStep) -> PlannedStepModel:
        """As the API shows it."""
        return cls(
            asset=step.asset,
            partition=label(step.partition_key),
            action=step.action,
            reason=step.reason,
            because=step.because,
        )


class PlanModel(Page[PlannedStepModel]):
    """The steps that a run would consist of, upstream before downstream, a page at a time."""

    to_run: int
    """How many would run."""
    to_reuse: int
    """How many would be reused."""


class PlanQuery(Listed):
    """What would be computed."""

    asset: Annotated[Text, Field(examples=["report"])]
    """The asset."""
    partition: Partition | None = None
    """Which partition; without it, of an asset with a partition set: all."""
    start: Partition | None = None
    """The first partition of a range."""
    end: Partition | None = None
    """The last one, inclusive."""
    upstream: bool | None = None
    """Whether everything upstream is computed as well. Default: as that run would."""
    refresh: Literal["all", "missing", "stale"] | None = None
    """Which existing values are computed anew. Default: as that run would."""
