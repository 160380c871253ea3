"""The button of the Launch page: the plan that was seen is run, and nothing else.

What is too long for an address, thousands of partitions that were picked by hand, is sent as a form to be planned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request

from flowstone.errors import AssetNotFound, ConfigError, PartitionError, PlanOutdated, SelectionError
from flowstone.server.access.csrf import form_of
from flowstone.server.access.guard import Operator
from flowstone.server.access.prefix import prefix_of
from flowstone.server.pages.launch import PAGE, Wanted, planned
from flowstone.server.site import page_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from flowstone.server.access.identity import Identity

__all__ = ["launch_router"]

_LONGEST: Final = 6_000  # Characters of an address: servers in between may take no more than 8,000.


def launch_router() -> APIRouter:
    """What the form of the page is sent to."""
    router = APIRouter(include_in_schema=False)

    @router.post(f"{PAGE.path}/plan")
    async def plan(request: Request, identity: Operator) -> HTMLResponse:
        """The page with what the form says; nothing is started."""
        return await page_of(PAGE, request, identity, await form_of(request))

    @router.post(PAGE.path)
    async def launch(request: Request, identity: Operator) -> Response:
        """Start what was seen, and lead to the run; or back to the page, where it says what is otherwise."""
        fields, runtime = await form_of(request), request.app.state.runtime
        wanted = Wanted.of(fields)
        try:
            plan = await planned(runtime, wanted)
            if plan is None:
                return await _back(request, identity, wanted)
            if plan.digest != fields.get("seen"):
                return await _back(request, identity, wanted, changed="yes")
            if not plan.to_run:
                return await _back(request, identity, wanted)
            tags = {"reason": wanted.reason} if wanted.reason else {}
            run = await runtime.run_plan(plan, tags=tags, by=identity.name)
        except PlanOutdated:
            return await _back(request, identity, wanted, changed="yes")
        except (AssetNotFound, ConfigError, PartitionError, SelectionError):
            return await _back(request, identity, wanted)
        return RedirectResponse(f"{prefix_of(request)}/runs/{run.id}", 303)

    return router


async def _back(request: Request, identity: Identity, wanted: Wanted, **more: str) -> Response:
    fields = _fields(wanted) | more
    query = urlencode(fields)
    if len(query) > _LONGEST:
        return await page_of(PAGE, request, identity, fields, 409)
    return RedirectResponse(f"{prefix_of(request)}{PAGE.path}?{query}", 303)


def _fields(wanted: Wanted) -> dict[str, str]:
    return {
        "asset": wanted.asset,
        "partitions": wanted.partitions,
        "refresh": wanted.refresh,
        "upstream": "yes" if wanted.upstream else "no",
        "parallel": str(wanted.parallel),
        "reason": wanted.reason,
        **wanted.config,
    }
