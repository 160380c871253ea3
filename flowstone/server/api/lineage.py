"""`/api/v1/lineage`: which values came from which."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.assets.partition_labels import partition_argument
from flowstone.server.access.guard import Reader
from flowstone.server.api.paging import place_after
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.wire.lineage import LineageModel, LineageQuery
from flowstone.wire.model import Text
from flowstone.wire.paging import Page

__all__ = ["router"]


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/lineage", tags=["assets"])

    @routes.get("", summary="Which values came from which", responses=problems(404))
    async def lineage(
        runtime: Served, _: Reader, query: Annotated[LineageQuery, Query()]
    ) -> Page[LineageModel]:
        partition = partition_argument(query.partition)
        if query.direction == "impact":
            found = await runtime.lineage.impact(query.asset, partition=partition)
        else:
            ask = getattr(runtime.lineage, query.direction)
            found = await ask(query.asset, partition=partition, depth=query.depth)
        places = [[each.asset, each.partition_key] for each in found]
        start = place_after(places, query.after("lineage", list[Text | None]))
        page = query.page(
            "lineage", found[start : start + query.limit + 1], lambda each: [each.asset, each.partition_key]
        )
        return Page(
            items=[LineageModel.of(each) for each in page.items],
            next=page.next,
        )

    return routes
