"""`/api/v1/plan`: what a run would do and why, without doing it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from flowstone.assets.partition_labels import partition_argument
from flowstone.runtime.client.plan import PlannedStep
from flowstone.server.access.guard import Reader
from flowstone.server.api.model import Model, Text
from flowstone.server.api.paging import Listed, Page, gone
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.server.api.values import Partition, label

__all__ = ["PlanModel", "router"]


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


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/plan", tags=["runs"])

    @routes.get("", summary="What a run would do and why", responses=problems(404))
    async def plan(runtime: Served, _: Reader, query: Annotated[PlanQuery, Query()]) -> PlanModel:
        made = await runtime.plan(
            query.asset,
            partition=partition_argument(query.partition),
            start=partition_argument(query.start),
            end=partition_argument(query.end),
            upstream=query.upstream,
            refresh=query.refresh,
        )
        place, steps = query.after("plan") or (0, len(made))
        if steps != len(made):
            raise gone("The plan has other steps by now.")
        page = query.page(
            "plan", made[place : place + query.limit + 1], lambda _: [place + query.limit, steps]
        )
        return PlanModel(
            items=[PlannedStepModel.of(step) for step in page.items],
            next=page.next,
            to_run=made.to_run,
            to_reuse=made.to_reuse,
        )

    return routes
