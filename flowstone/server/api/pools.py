"""`/api/v1/pools`: what limits how many steps run at a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from flowstone.server.access.guard import Admin, Reader
from flowstone.server.api.paging import place_after
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.paging import Listed, Page
from flowstone.wire.pools import PoolModel, SlotsModel

__all__ = ["router"]

_MOST = 2**31 - 1


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/pools", tags=["pools"])

    @routes.get("", summary="The pools, by name", responses=problems())
    async def pools(runtime: Served, _: Reader, query: Annotated[Listed, Query()]) -> Page[PoolModel]:
        found = sorted(await runtime.pools(), key=lambda pool: pool.name)
        start = place_after([pool.name for pool in found], query.after("pools"))
        page = query.page("pools", found[start : start + query.limit + 1], lambda pool: pool.name)
        return Page(items=[PoolModel.of(pool) for pool in page.items], next=page.next)

    @routes.post(
        "/{name}",
        summary="Give a pool another number of slots",
        description="On all nodes, and after a restart. Whoever holds one keeps it.",
        responses=problems(),
        dependencies=PLAIN,
    )
    async def set_pool(
        runtime: Served,
        identity: Admin,
        name: Annotated[str, Path(description="The name of the pool.", examples=["warehouse"])],
        body: SlotsModel,
    ) -> PoolModel:
        return PoolModel.of(await runtime.set_pool(name, slots=body.slots, by=identity.acting_for(body.by)))

    return routes
