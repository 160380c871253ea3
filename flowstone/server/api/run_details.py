"""`/api/v1/runs/{id}`: what became of its steps and its attempts, and computing again what failed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.requests import Request

from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.path_parameters import RunId
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.materializations import MaterializationModel
from flowstone.wire.paging import Page
from flowstone.wire.run_details import StepsQuery, TimelineModel, TimelineQuery
from flowstone.wire.runs import RunModel

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/runs/{run_id}", tags=["runs"])

    @routes.get("/steps", summary="Its steps that have ended, in that order", responses=problems(404))
    async def steps(
        runtime: Served, _: Reader, run_id: RunId, query: Annotated[StepsQuery, Query()]
    ) -> Page[MaterializationModel]:
        # What has ended stays where it is, and more come after it: a place in the list is as good as a name.
        name = f"steps of {run_id}"
        place = query.after(name) or 0
        found = await runtime.steps(run_id, query.status, limit=query.limit + 1, offset=place)
        page = query.page(name, found, lambda _: place + query.limit)
        return Page(
            items=[MaterializationModel.of(record, traceback=query.traceback) for record in page.items],
            next=page.next,
        )

    @routes.get(
        "/timeline",
        summary="Its attempts with their times, or those that have changed",
        responses=problems(404),
    )
    async def timeline(
        runtime: Served, _: Reader, run_id: RunId, query: Annotated[TimelineQuery, Query()]
    ) -> TimelineModel:
        return TimelineModel.of(await runtime.timeline(run_id, after=query.after, limit=query.limit))

    @routes.post(
        "/retry",
        summary="Start a run of what failed in it, was skipped or cancelled",
        description="What succeeded in it is reused.",
        status_code=201,
        responses=problems(404),
        dependencies=PLAIN,
    )
    async def retry(
        request: Request, response: Response, runtime: Served, identity: Operator, run_id: RunId
    ) -> RunModel:
        run = await runtime.retry(run_id, by=identity.name)
        path = request.url.path.removesuffix(f"/{run_id}/retry")
        response.headers["Location"] = f"{path}/{run.id}"
        return RunModel.of(await run.record())

    return routes
