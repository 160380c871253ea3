"""`/api/v1`: one file for each kind of thing."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request

from flowstone.server.access.guard import Reader
from flowstone.server.api import assets, tokens

__all__ = ["api_router"]


def api_router() -> APIRouter:
    """All routes of the API."""
    router = APIRouter(prefix="/api/v1")
    for module in (assets, tokens):
        router.include_router(module.router())
    router.add_api_route("/openapi.json", _described, methods=["GET"], include_in_schema=False)
    return router


async def _described(request: Request, _: Reader) -> JSONResponse:
    return JSONResponse(request.app.openapi())
