"""`/api/v1/late`: the assets that are late or overdue."""

from __future__ import annotations

from fastapi import APIRouter

from flowstone.server.access.guard import Reader
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.freshness import FreshnessModel

__all__ = ["router"]


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/late", tags=["assets"])

    @routes.get(
        "",
        summary="The assets that are late or overdue, the worst first",
        responses=problems(),
        dependencies=PLAIN,
    )
    async def late(runtime: Served, _: Reader) -> list[FreshnessModel]:
        return [FreshnessModel.of(each) for each in await runtime.late()]

    return routes
