"""`/api/v1/activity`: when assets were computed last, and how long that took lately."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.server.access.guard import Reader
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.wire.assets import ActivityModel, ActivityQuery

__all__ = ["router"]


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/activity", tags=["assets"])

    @routes.get("", summary="When assets were computed last, and for how long", responses=problems(404))
    async def activity(
        runtime: Served, _: Reader, query: Annotated[ActivityQuery, Query()]
    ) -> list[ActivityModel]:
        found = await runtime.activity(*query.of, limit=query.limit)
        return [ActivityModel.of(each) for each in found.values()]

    return routes
