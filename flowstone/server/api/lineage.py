"""`/api/v1/lineage`: which values came from which."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from flowstone.assets.partition_labels import partition_argument
from flowstone.server.access.guard import Reader
from flowstone.server.api.model import Model, Text
from flowstone.server.api.paging import Listed, Page, place_after
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.server.api.values import Partition, label

__all__ = ["LineageModel", "router"]


class LineageModel(Model):
    """A value that is related to the one that is asked about."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    depth: int
    """1 for a direct neighbour, 2 for a neighbour's neighbour; the shortest way counts."""


class LineageQuery(Listed):
    """Of which value."""

    asset: Annotated[Text, Field(examples=["report"])]
    """The asset."""
    partition: Partition | None = None
    """Its partition; required if it has a partition set."""
    direction: Literal["upstream", "downstream", "impact"] = "upstream"
    """What it was computed from; what was computed from it; or the latter in the order in which one would
    compute it again."""


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/lineage", tags=["assets"])

    @routes.get("", summary="Which values came from which", responses=problems(404))
    async def lineage(
        runtime: Served, _: Reader, query: Annotated[LineageQuery, Query()]
    ) -> Page[LineageModel]:
        ask = getattr(runtime.lineage, query.direction)
        found = await ask(query.asset, partition=partition_argument(query.partition))
        places = [[each.asset, each.partition_key] for each in found]
        start = place_after(places, query.after("lineage"))
        page = query.page(
            "lineage", found[start : start + query.limit + 1], lambda each: [each.asset, each.partition_key]
        )
        return Page(
            items=[
                LineageModel(asset=each.asset, partition=label(each.partition_key), depth=each.depth)
                for each in page.items
            ],
            next=page.next,
        )

    return routes
