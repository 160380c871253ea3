"""`/api/v1/nodes`, `/tree` and `/health`: the processes that do the work."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.server.access.guard import Reader
from flowstone.server.api.paging import place_after
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.health import HealthModel, HealthQuery
from flowstone.wire.nodes import NodeModel, NodesQuery
from flowstone.wire.paging import Page
from flowstone.wire.processes import ProcessModel

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(tags=["nodes"])

    @routes.get("/nodes", summary="What each node does, oldest first", responses=problems())
    async def nodes(runtime: Served, _: Reader, query: Annotated[NodesQuery, Query()]) -> Page[NodeModel]:
        found = await runtime.nodes(trees=query.trees)
        start = place_after([node.id for node in found], query.after("nodes"))
        page = query.page("nodes", found[start : start + query.limit + 1], lambda node: node.id)
        return Page(items=[NodeModel.of(node) for node in page.items], next=page.next)

    @routes.get(
        "/tree",
        summary="The supervision tree of the node that answers",
        responses=problems(),
        dependencies=PLAIN,
    )
    async def tree(runtime: Served, _: Reader) -> ProcessModel:
        return ProcessModel.of(runtime.tree())

    @routes.get("/health", summary="How well the node is that answers", responses=problems())
    async def health(runtime: Served, _: Reader, query: Annotated[HealthQuery, Query()]) -> HealthModel:
        return HealthModel.of(await runtime.health(ask=query.ask), runtime.node)

    return routes
