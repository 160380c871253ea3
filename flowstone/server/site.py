"""The pages as routes: each has an address, and a stream that keeps it as it would be if it were loaded again."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request

from flowstone.errors import (
    ApprovalNotFound,
    AssetNotFound,
    AutomationNotFound,
    FlowstoneError,
    PartitionError,
    RunNotFound,
)
from flowstone.server.access.csrf import form_of
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.access.prefix import path_of, prefix_of
from flowstone.server.access.visit import visit_of
from flowstone.server.api.streams import event_stream
from flowstone.server.asked import Asked
from flowstone.server.links import links_for
from flowstone.server.live import fragments
from flowstone.server.pages.shell import SHELL, shell_values
from flowstone.server.problems import status_of, told
from flowstone.server.trouble import trouble_page

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from starlette.responses import Response

    from flowstone.server.access.identity import Identity
    from flowstone.server.api.streams import Stream
    from flowstone.server.pages.page import Act, Page

__all__ = ["page_of", "pages_router"]

_LESS: Final = r"\u003c"

_MISSING: Final = (AssetNotFound, PartitionError, RunNotFound, ApprovalNotFound, AutomationNotFound)
"""What is said of an address that names something that is not there."""


def pages_router(pages: Iterable[Page]) -> APIRouter:
    """A route for each page, and one for its stream."""
    router = APIRouter(include_in_schema=False)
    for page in pages:
        router.add_api_route(page.path, _whole(page), methods=["GET"])
        router.add_api_route(f"/live{page.path}", _stream(page), methods=["GET"])
        if page.act is not None:
            router.add_api_route(page.path, _deed(page, page.act), methods=["POST"])
    return router


def _whole(page: Page) -> Any:
    async def whole(request: Request, identity: Reader) -> HTMLResponse:
        try:
            values = await _values(page, request, identity)
        except _MISSING as error:
            return await trouble_page(request, 404, told(error))
        values |= {"csrf": visit_of(request).csrf()}
        return HTMLResponse(request.app.state.renderer.page(page.template, values))

    return whole


async def page_of(
    page: Page, request: Request, identity: Identity, query: Mapping[str, str], status: int = 200
) -> HTMLResponse:
    """A page with a query that was sent as a form, because it is too long for an address; it does not change."""
    values = await _values(page, request, identity, query)
    values |= {"csrf": visit_of(request).csrf(), "live_path": ""}
    return HTMLResponse(request.app.state.renderer.page(page.template, values), status)


def _deed(page: Page, act: Act) -> Any:
    async def deed(request: Request, identity: Operator) -> Response:
        try:
            path = await act(_asked(request, identity), await form_of(request))
        except FlowstoneError as error:
            values = await _values(page, request, identity)
            said = {"problem": told(error), "csrf": visit_of(request).csrf()}
            return HTMLResponse(
                request.app.state.renderer.page(page.template, values | said), status_of(error)
            )
        return RedirectResponse(f"{prefix_of(request)}{path}", 303)

    return deed


def _stream(page: Page) -> Any:
    async def stream(request: Request, identity: Reader) -> Stream:
        messages = _messages(page, request, identity)
        # Before the answer begins: what cannot be shown is an error as on the page itself.
        first = await anext(messages)
        return event_stream(messages, first)

    return stream


async def _messages(page: Page, request: Request, identity: Identity) -> AsyncGenerator[str, None]:
    state = request.app.state
    # What one browser has seen already is its own; all else makes the page.
    query = urlencode(sorted(each for each in request.query_params.items() if not each[0].startswith("_")))
    address = f"{identity.name} {identity.role} {prefix_of(request)} {path_of(request)}?{query}"
    seen = request.headers.get("last-event-id", "")
    news = None if page.news is None else page.news(_asked(request, identity), seen)
    render = partial(_blocks, page, request, identity)
    goes_on = (lambda: state.known.goes_on) if page.stale else None
    changes = fragments(state.renderings, address, render, page.pace, page.idle, goes_on)
    async with state.known.watched() if page.stale else nullcontext():
        shown = False
        try:
            async for blocks in changes:
                fresh = [] if news is None else await news()
                # It is JSON. Whoever took it for a page would still find no elements in it.
                named = "".join(
                    f"event: {name}\nid: {number}\ndata: {data.replace('<', _LESS)}\n\n"
                    for name, number, data in fresh
                )
                # How far behind what is shown is: a page that hears nothing for a while says that it is not live.
                yield f"{blocks}{named}event: pulse\ndata: {state.renderings.age(address):.1f}\n\n"
                shown = True
        except FlowstoneError:
            if not shown:
                raise
            # What it is about is gone: whoever asks again is told so.
        finally:
            await changes.aclose()


async def _blocks(page: Page, request: Request, identity: Identity) -> Mapping[str, str]:
    values = await _values(page, request, identity)
    renderer = request.app.state.renderer
    blocks = {name: renderer.block(page.template, name, values) for name in (*SHELL, *page.live)}
    if page.rows is not None:
        macro, rows = page.rows
        blocks |= {row.id: renderer.part(macro, row, values["root"]) for row in values[rows]}
    return blocks


async def _values(
    page: Page, request: Request, identity: Identity, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    asked = _asked(request, identity, query)
    here = path_of(request).removeprefix("/live")
    return {
        **await shell_values(asked),
        "page": page.name,
        "problem": "",
        "csrf": "",  # Those who share a rendering do not share the word: flowstone.js writes it into their forms.
        "live_path": f"/live{here}" + (f"?{request.url.query}" if request.url.query else ""),
        "root": prefix_of(request),
        **links_for(request),
        **await page.load(asked),
    }


def _asked(request: Request, identity: Identity, query: Mapping[str, str] | None = None) -> Asked:
    state = request.app.state
    return Asked(
        state.runtime,
        identity,
        datetime.now(UTC),
        request.path_params,
        dict(request.query_params if query is None else query),
        state.timelines,
        state.known,
        state.options,
        live=path_of(request).startswith("/live/"),
    )
