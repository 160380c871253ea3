"""`/api/v1/events`: everything that happens on any node, as it happens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.server.access.guard import Reader
from flowstone.server.api.event_feed import EventFeed, Wanted
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.server.api.streams import EVENT_STREAM, event_stream, last_number
from flowstone.wire.events import EventsQuery

__all__ = ["router"]


_STREAM: dict[str, Any] = {
    "description": "One event a message, its `data` as `EventModel`.",
    "content": {
        EVENT_STREAM: {
            "schema": {"type": "string"},
            "example": 'id: 42\nevent: step.succeeded\ndata: {"id":42,"kind":"step.succeeded",'
            '"at":"2025-01-15T06:00:01Z","run_id":"1a22a17bb8d4d4fbaab2187c6c13","asset":"visits",'
            '"partition":"2025-01-15","attempt":1}\n\n',
        }
    },
}


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/events", tags=["events"])

    @routes.get(
        "",
        summary="Everything that happens, as it happens",
        description="Server-sent events. `Last-Event-ID` goes on after that event, without a gap, in another "
        "process and after a restart as well; without it, what happens from now on comes.",
        response_class=Response,
        responses=problems(404, 410) | {200: _STREAM},
    )
    async def events(
        request: Request,
        runtime: Served,
        _: Reader,
        query: Annotated[EventsQuery, Query()],
        last_event_id: Annotated[str | None, Header(description="The id of the last event.")] = None,
    ) -> Response:
        feed = request.app.state.event_feed
        assert isinstance(feed, EventFeed)
        asset = None if query.asset is None else runtime.graph[query.asset].name
        wanted = Wanted(exact_kinds(query.kind, recorded=True), query.run, asset, query.records)
        after = await feed.position(None if last_event_id is None else last_number(last_event_id))
        return event_stream(feed.follow(wanted, after))

    return routes
