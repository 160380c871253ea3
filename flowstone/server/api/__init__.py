"""`/api/v1`: one file for each kind of thing, and what they share.

What goes in and out is in `wire/`. How the files lie; each imports only from those above it:

reading.py                  what is read of a request before its parameters
path_parameters.py          names and ids that are part of addresses
paging.py                   where the next page of a list begins
responses.py, describe.py   what the description says beside that of the routes
the others                  the routes of one kind of thing each
"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from starlette.requests import Request

from flowstone.server.access.guard import Reader
from flowstone.server.access.prefix import prefix_of
from flowstone.server.api import (
    activity,
    approvals,
    asset_records,
    assets,
    audit,
    automations,
    events,
    explanations,
    late,
    lineage,
    nodes,
    partition_sets,
    plans,
    pools,
    run_details,
    run_events,
    run_logs,
    runs,
    tokens,
)
from flowstone.server.api.reading import readable

__all__ = ["api_router"]


_MODULES = (
    assets,
    asset_records,
    runs,
    run_details,
    run_logs,
    run_events,
    plans,
    lineage,
    explanations,
    approvals,
    automations,
    pools,
    nodes,
    events,
    audit,
    tokens,
    activity,
    late,
    partition_sets,
)


def api_router() -> APIRouter:
    """All routes of the API."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(readable)])
    for module in _MODULES:
        router.include_router(module.router())
    router.add_api_route("/openapi.json", _described, methods=["GET"], include_in_schema=False)
    return router


async def _described(request: Request, _: Reader) -> JSONResponse:
    # Its paths begin with `/api`: below a mount or a proxy's path they lie elsewhere.
    return JSONResponse({**request.app.openapi(), "servers": [{"url": prefix_of(request) or "/"}]})
