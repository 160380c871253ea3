"""`/api/v1`: one file for each kind of thing."""

from __future__ import annotations

from fastapi import APIRouter

from flowstone.server.api import assets

__all__ = ["api_router"]


def api_router() -> APIRouter:
    """All routes of the API."""
    router = APIRouter(prefix="/api/v1")
    for module in (assets,):
        router.include_router(module.router())
    return router
