"""`/api/v1/runs/{id}`: what became of its steps and its attempts, and computing again what failed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from starlette.requests import Request

from flowstone.assets.partition_labels import partition_argument
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.path_parameters import AssetName, RunId
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.server.api.starting import ONCE, owned_key
from flowstone.wire.materializations import MaterializationModel
from flowstone.wire.model import ByModel
from flowstone.wire.paging import Count, Page
from flowstone.wire.run_details import StepQuery, StepsQuery, TimelineModel, TimelineQuery
from flowstone.wire.runs import RunModel

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/runs/{run_id}", tags=["runs"])
    _add_steps(routes)
    _add_timeline(routes)
    _add_retry(routes)
    return routes


def _add_steps(routes: APIRouter) -> None:

    @routes.get("/steps", summary="Its steps that have ended, in that order", responses=problems(404))
    async def steps(
        runtime: Served, _: Reader, run_id: RunId, query: Annotated[StepsQuery, Query()]
    ) -> Page[MaterializationModel]:
        # What has ended stays where it is, and more come after it: a place in the list is as good as a name.
        name = f"steps of {run_id}"
        place = query.after(name, Count) or query.offset
        found = await runtime.steps(run_id, query.status, limit=query.limit + 1, offset=place)
        page = query.page(name, found, lambda _: place + query.limit)
        return Page(
            items=[MaterializationModel.of(record, traceback=query.traceback) for record in page.items],
            next=page.next,
        )

    @routes.get("/steps/{asset}", summary="One of its steps, if it has ended", responses=problems(404))
    async def step(
        runtime: Served, _: Reader, run_id: RunId, asset: AssetName, query: Annotated[StepQuery, Query()]
    ) -> MaterializationModel | None:
        record = await runtime.step(run_id, asset, partition_argument(query.partition))
        return None if record is None else MaterializationModel.of(record, traceback=query.traceback)


def _add_timeline(routes: APIRouter) -> None:
    @routes.get(
        "/timeline",
        summary="Its attempts with their times, or those that have changed",
        responses=problems(404),
    )
    async def timeline(
        runtime: Served, _: Reader, run_id: RunId, query: Annotated[TimelineQuery, Query()]
    ) -> TimelineModel:
        found = await runtime.timeline(run_id, after=query.after, limit=query.limit)
        return TimelineModel.of(found, traceback=query.traceback)


def _add_retry(routes: APIRouter) -> None:
    @routes.post(
        "/retry",
        summary="Start a run of what failed in it, was skipped or cancelled",
        description="What succeeded in it is reused.",
        status_code=201,
        responses=problems(404) | {200: {"model": RunModel, "description": "There was one already."}},
        dependencies=PLAIN,
    )
    async def retry(
        request: Request,
        response: Response,
        runtime: Served,
        identity: Operator,
        run_id: RunId,
        body: ByModel | None = None,
        idempotency_key: Annotated[
            str | None, Header(description=ONCE, min_length=1, max_length=1_000)
        ] = None,
    ) -> RunModel:
        once = owned_key(identity, idempotency_key)
        run = await runtime.retry(run_id, by=identity.acting_for((body or ByModel()).by), once=once)
        response.status_code = 201 if run.submitted else 200
        path = request.url.path.removesuffix(f"/{run_id}/retry")
        response.headers["Location"] = f"{path}/{run.id}"
        return RunModel.of(await run.record())
