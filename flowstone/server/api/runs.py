"""`/api/v1/runs`: the runs that the store knows; starting one, and stopping one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.errors import ArgumentError
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.path_parameters import RunId
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.server.api.starting import add_starting
from flowstone.wire.paging import Page
from flowstone.wire.runs import CancelModel, RunModel, RunQuery, RunsQuery

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/runs", tags=["runs"])

    @routes.get("", summary="The runs, newest first", responses=problems(404))
    async def runs(runtime: Served, _: Reader, query: Annotated[RunsQuery, Query()]) -> Page[RunModel]:
        if query.beginning is not None:
            some = await runtime.runs_beginning(query.beginning)
            return Page(items=[RunModel.of(run) for run in some], next=None)
        found = await runtime.runs(
            status=query.status or None,
            asset=query.asset,
            tag=_tags(query.tag),
            limit=query.limit + 1,
            before=query.after("runs") or query.before,
        )
        page = query.page("runs", found, lambda run: run.id)
        return Page(items=[RunModel.of(run) for run in page.items], next=page.next)

    @routes.get("/{run_id}", summary="A run", responses=problems(404))
    async def run(runtime: Served, _: Reader, run_id: RunId, query: Annotated[RunQuery, Query()]) -> RunModel:
        record = await (await runtime.run(run_id)).record()
        return RunModel.of(record, every=query.every_partition)

    add_starting(routes)

    @routes.post(
        "/{run_id}/cancel",
        summary="Stop a run",
        description="It is answered when the run has stopped. One that has ended stays as it is.",
        responses=problems(404),
        dependencies=PLAIN,
    )
    async def cancel(
        runtime: Served, identity: Operator, run_id: RunId, body: CancelModel | None = None
    ) -> RunModel:
        run = await runtime.run(run_id)
        said = body or CancelModel()
        by = identity.acting_for(said.by)
        await (run.drain(by=by) if said.drain else run.cancel(by=by, reason=said.reason))
        return RunModel.of(await run.record())

    return routes


def _tags(given: tuple[str, ...]) -> dict[str, str | None]:
    """The labels as the runtime takes them: each with its value, or None for any."""
    tags: dict[str, str | None] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if equals and tags.get(name) not in {None, value}:
            raise ArgumentError(f"No run has two values of the label {name!r:.100}.")
        tags[name] = value if equals else tags.get(name)
    return tags
