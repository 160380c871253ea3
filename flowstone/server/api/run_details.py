"""`/api/v1/runs/{id}`: what became of its steps and its attempts, and computing again what failed."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field
from starlette.requests import Request

from flowstone.runs.records import Status
from flowstone.runtime.client.timeline import Timeline, TimelineAttempt
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.materializations import MaterializationModel
from flowstone.server.api.model import Given, Instant, Model
from flowstone.server.api.paging import Listed, Page
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.server.api.run_models import RunModel
from flowstone.server.api.values import RunId, label

__all__ = ["router"]


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
        request: Request, response: Response, runtime: Served, _: Operator, run_id: RunId
    ) -> RunModel:
        run = await runtime.retry(run_id)
        path = request.url.path.removesuffix(f"/{run_id}/retry")
        response.headers["Location"] = f"{path}/{run.id}"
        return RunModel.of(await run.record())

    return routes
