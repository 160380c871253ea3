"""What a run would do and why; and starting just that."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field

from flowstone.assets.partition_labels import partition_argument
from flowstone.runs.reasons import ReasonKind
from flowstone.runtime.client.plan import Plan, PlannedStep
from flowstone.wire.model import MOST, ByModel, Given, Model, Text
from flowstone.wire.paging import Listed, Page
from flowstone.wire.values import Partition, label, partition_of

__all__ = ["PlanModel", "PlanQuery", "PlanRequestModel", "PlanStartModel", "PlannedStepModel"]

_MOST_PARTITIONS = 100_000
_MOST_OUTDATED = 1_000
_MOST_LOOKED_AT = 100_000


class PlannedStepModel(Model):
    """What would become of one step."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None
    """The same as machines write it."""
    action: Literal["run", "reuse"]
    """Whether it would be computed, or its value reused."""
    reason: str
    """Why, in a word: `missing`, `failed`, `code`, `config`, `upstream`, `forced` or `fresh`."""
    because: str
    """Why, as a phrase that names the cause."""
    expected: float | None
    """Seconds that it is expected to take, if that is known."""

    @classmethod
    def of(cls, step: PlannedStep) -> PlannedStepModel:
        """As the API shows it."""
        return cls(
            asset=step.asset,
            partition=label(step.partition_key),
            partition_key=step.partition_key,
            action=step.action,
            reason=step.reason,
            because=step.because,
            expected=step.expected,
        )

    def as_record(self) -> PlannedStep:
        """What it shows."""
        return PlannedStep(
            self.asset,
            partition_of(self.partition_key),
            self.partition_key,
            self.action,
            cast("ReasonKind", self.reason),
            self.because,
            self.expected,
        )


class PlanModel(Page[PlannedStepModel]):
    """The steps that a run would consist of, upstream before downstream, a page at a time."""

    to_run: int
    """How many would run."""
    to_reuse: int
    """How many would be reused."""
    refresh: Literal["all", "missing", "stale"]
    """Which existing values are computed anew."""
    parallel: int
    """With how many steps at a time."""
    outdated: list[PlannedStepModel]
    """On the first page: steps that would be reused though something upstream of them would run; at most 1,000."""
    outdated_count: int
    """On the first page: how many there are; of a plan of more than 100,000 steps nobody looks."""
    by_reason: dict[str, int]
    """How many steps have which reason."""
    expected: float | None
    """Seconds that all of it is expected to take, if that is known."""
    digest: str
    """What tells this plan from others: `POST /api/v1/plan/run` starts just what has it."""
    warnings: list[str]
    """What one may not expect of it, in sentences, such as of steps whose inputs have no value."""

    @classmethod
    def of(cls, plan: Plan, page: Page[PlannedStep], *, first: bool) -> PlanModel:
        """As the API shows a page of it."""
        outdated = list(plan.outdated()) if first and len(plan) <= _MOST_LOOKED_AT else []
        return cls(
            items=[PlannedStepModel.of(step) for step in page.items],
            next=page.next,
            to_run=plan.to_run,
            to_reuse=plan.to_reuse,
            by_reason={str(kind): number for kind, number in plan.by_reason.items()},
            expected=plan.expected,
            digest=plan.digest,
            refresh=plan.refresh,
            parallel=plan.parallel,
            outdated=[PlannedStepModel.of(step) for step in outdated[:_MOST_OUTDATED]],
            outdated_count=len(outdated),
            warnings=list(plan.warnings),
        )


class _Planned(Given):
    """What `runtime.plan` is asked."""

    asset: Annotated[Text, Field(examples=["report"])]
    """The asset; or a selection of several: `raw+`, `+report`, `tag:team=core`, `a,b`, `* -page`."""
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

    def options(self) -> dict[str, Any]:
        """The arguments of `runtime.plan`."""
        several: Any = getattr(self, "partitions", ())
        return {
            "partition": partition_argument(self.partition),
            "partitions": None
            if several is None or several == ()
            else [partition_argument(each) for each in several],
            "start": partition_argument(self.start),
            "end": partition_argument(self.end),
            "upstream": self.upstream,
            "refresh": self.refresh,
        }


class PlanQuery(Listed, _Planned):
    """What would be computed."""

    partitions: tuple[Partition, ...] = ()
    """Which partitions, instead of one or a range; each as a parameter of its own."""


class PlanRequestModel(_Planned):
    """What would be computed."""

    partitions: Annotated[list[Partition], Field(max_length=_MOST_PARTITIONS)] | None = None
    """Which partitions, instead of one or a range."""
    config: dict[Text, Any] | None = None
    """Fields of the asset's config; by asset as soon as a key names one, and for several assets."""
    max_parallel: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """Steps at a time. Default: as many as its node runs; 4 of many partitions."""

    def options(self) -> dict[str, Any]:
        """The arguments of `runtime.plan`."""
        return super().options() | {"config": self.config, "max_parallel": self.max_parallel}


class PlanStartModel(ByModel, PlanRequestModel):
    """What is to be computed, if that is what the plan said that was looked at."""

    digest: Annotated[Text, Field(examples=["4f0c8e0b7d5f4a0e9a2c1b3d5e7f9a0b"])]
    """That of the plan."""
    tags: Annotated[dict[Text, Text], Field(default_factory=dict)]
    """Labels of the run."""
    key: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    """While an unfinished run has this key no other one is started: that run is the answer."""
    priority: int = 0
    """Of the runs that wait for a node, those of higher priority are taken first."""
