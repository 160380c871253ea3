"""`/api/v1/plan`: what a run would do and why, without doing it; and starting just what a plan says."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from starlette.requests import Request

from flowstone.errors import PlanOutdated
from flowstone.remedies import Remedies
from flowstone.runs.targets import targets_label
from flowstone.runtime.client.plan import Plan
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.paging import gone
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.model import Text
from flowstone.wire.paging import Count, Listed
from flowstone.wire.plans import PlanModel, PlanQuery, PlanRequestModel, PlanStartModel
from flowstone.wire.runs import RunModel

__all__ = ["router"]

_EXAMPLES: dict[str, Any] = {
    "one partition": {"value": {"asset": "report", "partition": "2025-01-15"}},
    "a selection of assets": {"value": {"asset": "raw+", "start": "2025-01-01", "end": "2025-01-31"}},
    "some partitions": {"value": {"asset": "tag:team=core", "partitions": ["2025-01-03", "2025-01-17"]}},
}
_OUTDATED = Remedies(
    "Plan it again, and look at it.", http="Plan it again with `POST /api/v1/plan`, and look at it."
)


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/plan", tags=["runs"])

    @routes.get("", summary="What a run would do and why", responses=problems(404))
    async def plan(runtime: Served, _: Reader, query: Annotated[PlanQuery, Query()]) -> PlanModel:
        return _page(await runtime.plan(query.asset, **query.options()), query)

    @routes.post(
        "",
        summary="What a run would do and why, of many partitions or with a config",
        description="As `GET`, for what is too long for an address. Nothing is started.",
        responses=problems(404),
    )
    async def plan_of(
        runtime: Served,
        _: Reader,
        query: Annotated[Listed, Query()],
        body: Annotated[PlanRequestModel, Body(openapi_examples=_EXAMPLES)],
    ) -> PlanModel:
        return _page(await runtime.plan(body.asset, **body.options()), query)

    @routes.post(
        "/run",
        summary="Start what a plan says",
        description="The body of that `POST /api/v1/plan`, and the `digest` of its answer. 409 if other steps "
        "would run by now, and nothing is started; 200 if an unfinished run has the `key`.",
        status_code=201,
        responses=problems(404, 409) | {200: {"model": RunModel, "description": "There was one already."}},
        dependencies=PLAIN,
    )
    async def run_plan(
        request: Request, response: Response, runtime: Served, identity: Operator, body: PlanStartModel
    ) -> RunModel:
        made = await runtime.plan(body.asset, **body.options())
        if made.digest != body.digest:
            raise PlanOutdated(
                f"What would run of {targets_label(made.request)} is not what the plan with this digest says: "
                f"now {made.to_run:,} steps would run.",
                made,
                remedies=_OUTDATED,
            )
        by = identity.acting_for(body.by)
        run = await runtime.run_plan(made, tags=body.tags, by=by, key=body.key, priority=body.priority)
        response.status_code = 201 if run.submitted else 200
        response.headers["Location"] = f"{request.url.path.removesuffix('/plan/run')}/runs/{run.id}"
        return RunModel.of(await run.record())

    return routes


def _page(made: Plan, query: Listed) -> PlanModel:
    place, seen = query.after("plan", tuple[Count, Text]) or (0, made.digest)
    if seen != made.digest:
        raise gone("The plan has other steps by now.")
    steps = made[place : place + query.limit + 1]
    page = query.page("plan", steps, lambda _: [place + query.limit, seen])
    return PlanModel.of(made, page, first=query.cursor is None)
