"""The button of the Launch page: the plan that was seen is run, and nothing else."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from starlette.requests import Request

from flowstone.errors import AssetNotFound, ConfigError, PartitionError, PlanOutdated
from flowstone.server.access.csrf import form_of
from flowstone.server.access.guard import Operator
from flowstone.server.access.prefix import prefix_of
from flowstone.server.pages.launch import PAGE, Wanted, fingerprint, planned

__all__ = ["launch_router"]


def launch_router() -> APIRouter:
    """What the form of the page is sent to."""
    router = APIRouter(include_in_schema=False)

    @router.post(PAGE.path)
    async def launch(request: Request, identity: Operator) -> RedirectResponse:
        """Start what was seen, and lead to the run; or back to the page, where it says what is otherwise."""
        fields, runtime = await form_of(request), request.app.state.runtime
        wanted = Wanted.of(fields)
        try:
            plan = await planned(runtime, wanted)
            if plan is None or not plan.to_run:
                return _back(request, wanted)
            if fingerprint(plan) != fields.get("seen"):
                return _back(request, wanted, changed="yes")
            tags = {"by": identity.name} | ({"reason": wanted.reason} if wanted.reason else {})
            run = await runtime.run_plan(plan, tags=tags)
        except PlanOutdated:
            return _back(request, wanted, changed="yes")
        except (AssetNotFound, ConfigError, PartitionError):
            return _back(request, wanted)
        return RedirectResponse(f"{prefix_of(request)}/runs/{run.id}", 303)

    return router


def _back(request: Request, wanted: Wanted, **more: str) -> RedirectResponse:
    fields: dict[str, Any] = {
        "asset": wanted.asset,
        "partitions": wanted.partitions,
        "refresh": wanted.refresh,
        "upstream": "yes" if wanted.upstream else "no",
        "parallel": wanted.parallel,
        "reason": wanted.reason,
        **wanted.config,
    }
    return RedirectResponse(f"{prefix_of(request)}{PAGE.path}?{urlencode(fields | more)}", 303)
