"""What is done to a partition on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from starlette.requests import Request

from flowstone.assets.partition_keys import decode_partition
from flowstone.server.access.csrf import form_of
from flowstone.server.access.guard import Admin
from flowstone.server.access.prefix import prefix_of
from flowstone.server.addresses import partition_path
from flowstone.server.pages.partition import partition_asked

if TYPE_CHECKING:
    from flowstone.runtime.runtime import Runtime

__all__ = ["partition_acts_router"]


def partition_acts_router() -> APIRouter:
    """The route of the form that invalidates."""
    router = APIRouter(include_in_schema=False)

    @router.post("/assets/{name}/{key:path}")
    async def invalidate(request: Request, name: str, key: str, identity: Admin) -> RedirectResponse:
        runtime: Runtime = request.app.state.runtime
        meant = await runtime.partition_key(name, partition_asked(key, request.query_params))
        await runtime.invalidate(
            name,
            partition=None if meant is None else decode_partition(meant),
            downstream=(await form_of(request)).get("downstream") == "yes",
            by=identity.name,
        )
        return RedirectResponse(prefix_of(request) + partition_path(name, meant), 303)

    return router
