"""`/api/v1/runs/{id}/events` and `/items`: what is on record of a run, and of the items of its steps."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.assets.partition_labels import partition_argument
from flowstone.server.access.guard import Reader
from flowstone.server.api.path_parameters import RunId
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.wire.events import EventModel, RunEventsQuery
from flowstone.wire.items import ItemModel, ItemsQuery
from flowstone.wire.paging import Count, Number, Page

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/runs/{run_id}", tags=["runs"])
    _add_events(routes)
    _add_items(routes)
    return routes


def _add_events(routes: APIRouter) -> None:
    @routes.get(
        "/events",
        summary="What is on record of it, in order",
        description="An id is the number of an event in the log of the run. Of a run that has ended only the "
        "newest 10,000 may be left. `GET /api/v1/events?run=` follows what happens.",
        responses=problems(404),
    )
    async def events(
        runtime: Served, _: Reader, run_id: RunId, query: Annotated[RunEventsQuery, Query()]
    ) -> Page[EventModel]:
        name = f"events of {run_id}"
        place = query.after(name, Number) or query.number
        found = await runtime.recorded_events(run_id, after=place, limit=query.limit + 1)
        page = query.page(name, found, lambda each: each[0])
        return Page(
            items=[EventModel.of(event, number, records=query.records) for number, event in page.items],
            next=page.next,
        )


def _add_items(routes: APIRouter) -> None:
    @routes.get("/items", summary="What became of the items of one of its steps", responses=problems(404))
    async def items(
        runtime: Served, _: Reader, run_id: RunId, query: Annotated[ItemsQuery, Query()]
    ) -> Page[ItemModel]:
        # What has ended stays where it is, as steps do.
        name = f"items of {run_id}"
        place = query.after(name, Count) or query.offset
        found = await runtime.items(
            run_id,
            query.asset,
            partition_argument(query.partition),
            query.status,
            limit=query.limit + 1,
            offset=place,
        )
        page = query.page(name, found, lambda _: place + query.limit)
        return Page(items=[ItemModel.of(each) for each in page.items], next=page.next)
