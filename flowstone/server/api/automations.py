"""`/api/v1/automations`: schedules, sensors and the like; pausing, resuming and firing them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.paging import place_after
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.automations import AutomationModel, AutomationsQuery, PauseModel
from flowstone.wire.model import ByModel, Text
from flowstone.wire.paging import Page
from flowstone.wire.runs import RunModel

__all__ = ["router"]

Name = Annotated[str, Path(description="The name of the automation.", examples=["nightly"])]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/automations", tags=["automations"])

    @routes.get("", summary="What happens by itself, by name", responses=problems())
    async def automations(
        runtime: Served, _: Reader, query: Annotated[AutomationsQuery, Query()]
    ) -> Page[AutomationModel]:
        found = await runtime.automations(fires=query.fires)
        places = [[each.pipeline, each.name] for each in found]
        start = place_after(places, query.after("automations", list[Text]))
        page = query.page(
            "automations", found[start : start + query.limit + 1], lambda each: [each.pipeline, each.name]
        )
        return Page(items=[AutomationModel.of(each) for each in page.items], next=page.next)

    @routes.post("/{name}/pause", summary="Pause it", responses=problems(404), dependencies=PLAIN)
    async def pause(
        runtime: Served, identity: Operator, name: Name, body: PauseModel | None = None
    ) -> AutomationModel:
        said = body or PauseModel()
        by = identity.acting_for(said.by)
        return AutomationModel.of(await runtime.pause(name, by=by, reason=said.reason))

    @routes.post("/{name}/resume", summary="Have it go on", responses=problems(404), dependencies=PLAIN)
    async def resume(
        runtime: Served, identity: Operator, name: Name, body: ByModel | None = None
    ) -> AutomationModel:
        by = identity.acting_for((body or ByModel()).by)
        return AutomationModel.of(await runtime.resume(name, by=by))

    @routes.post(
        "/{name}/fire",
        summary="Have it act now",
        description="It is answered with the runs that it asked for.",
        responses=problems(404),
        dependencies=PLAIN,
    )
    async def fire(
        runtime: Served, identity: Operator, name: Name, body: ByModel | None = None
    ) -> list[RunModel]:
        runs = await runtime.fire(name, by=identity.acting_for((body or ByModel()).by))
        return [RunModel.of(await run.record()) for run in runs]

    return routes
