"""What is done with runs on their pages, and what their drawing and their log load: routes below `/runs`.

What changes something is a form: it works without scripts, and ends at the page that shows what has become of it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request

from flowstone.runs.log_line import LogLevel
from flowstone.runtime.runtime import Runtime
from flowstone.server.access.csrf import form_of
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.access.prefix import prefix_of
from flowstone.server.log_rows import LogWanted, log_text, read_log
from flowstone.server.run_steps import step_of
from flowstone.server.timelines import By
from flowstone.server.views.run_list import FILTERS, read_runs

__all__ = ["run_acts_router"]

_AT_ONCE: Final = 16  # Runs that are cancelled at a time.


class _Lines(BaseModel):
    """Which lines of a log a page asks for."""

    step: str = ""
    attempt: int = 0
    after: Annotated[int, Field(ge=0)] = 0
    level: LogLevel | None = None
    contains: Annotated[str, Field(max_length=1_000)] = ""


def run_acts_router() -> APIRouter:
    """Its routes."""
    router = APIRouter(include_in_schema=False)
    retrying = asyncio.Lock()

    @router.post("/runs/cancel")
    async def cancel_these(request: Request, identity: Operator) -> Response:
        fields = await form_of(request)
        filters = {name: fields[name] for name in FILTERS if fields.get(name)}
        runtime = request.app.state.runtime
        found = await read_runs(runtime, filters, None, under_way=True)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def cancel(run_id: str) -> None:
            async with gate:
                await (await runtime.run(run_id)).cancel(by=identity.name)

        await asyncio.gather(*(cancel(run.id) for run in found.runs))
        return _to(request, "/runs" + (f"?{urlencode(filters)}" if filters else ""))

    @router.post("/runs/{run_id}/cancel")
    async def cancel(request: Request, run_id: str, identity: Operator) -> Response:
        reason = (await form_of(request)).get("reason", "").strip()
        await (await request.app.state.runtime.run(run_id)).cancel(by=identity.name, reason=reason)
        return _to(request, f"/runs/{run_id}")

    @router.post("/runs/{run_id}/retry")
    async def retry(request: Request, run_id: str, identity: Operator) -> Response:
        async with retrying:  # The second of two clicks finds what the first one has started.
            return _to(request, await _retried(request.app.state.runtime, run_id, identity.name))

    _add_reading(router)
    return router


def _add_reading(router: APIRouter) -> None:
    """What the drawing and the log of a run load."""

    @router.get("/runs/{run_id}/bars")
    async def bars(
        request: Request,
        run_id: str,
        _: Reader,
        first: int | None = None,
        last: int | None = None,
        by: By = "asset",
    ) -> Response:
        found = await request.app.state.timelines.of(run_id)
        return Response(found.whole(first, last, by=by), media_type="application/json", headers=_NOT_KEPT)

    @router.get("/runs/{run_id}/lines")
    async def lines(request: Request, run_id: str, _: Reader, query: Annotated[_Lines, Query()]) -> Response:
        step = query.step
        wanted: LogWanted = (*step_of(step), query.attempt or None) if step else ("", None, None)
        rows, end, more = await read_log(
            request.app.state.runtime, run_id, wanted, query.after, (query.level, query.contains)
        )
        text = log_text(rows, query.after, end, more=more)
        return Response(text, media_type="application/json", headers=_NOT_KEPT)


_NOT_KEPT: Final = {"Cache-Control": "no-store"}


async def _retried(runtime: Runtime, run_id: str, by: str) -> str:
    """Where the run is that retries one: a new one, unless one goes on."""
    found = await read_runs(runtime, {}, None, under_way=True)
    known = next((run.id for run in found.runs if run.request.retry_of == run_id), None)
    return f"/runs/{known or (await runtime.retry(run_id, by=by)).id}"


def _to(request: Request, path: str) -> Response:
    return RedirectResponse(f"{prefix_of(request)}{path}", 303)
