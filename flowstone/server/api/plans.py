"""`/api/v1/plan`: what a run would do and why, without doing it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.assets.partition_labels import partition_argument
from flowstone.server.access.guard import Reader
from flowstone.server.api.paging import gone
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.wire.plans import PlanModel, PlannedStepModel, PlanQuery

__all__ = ["router"]


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
