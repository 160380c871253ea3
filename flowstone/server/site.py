"""The pages as routes: each has an address, and a stream that keeps it as it would be if it were loaded again."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.requests import Request

from flowstone.errors import FlowstoneError
from flowstone.server.access.guard import Reader
from flowstone.server.access.prefix import path_of, prefix_of
from flowstone.server.access.visit import visit_of
from flowstone.server.links import links_for
from flowstone.server.live import fragments
from flowstone.server.pages.page import Asked
from flowstone.server.pages.shell import SHELL, shell_values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from flowstone.server.access.identity import Identity
    from flowstone.server.pages.page import Page

__all__ = ["pages_router"]


def pages_router(pages: Iterable[Page]) -> APIRouter:
    """A route for each page, and one for its stream."""
    router = APIRouter(include_in_schema=False)
    for page in pages:
        router.add_api_route(page.path, _whole(page), methods=["GET"])
        router.add_api_route(f"/live{page.path}", _stream(page), methods=["GET"])
    return router


def _whole(page: Page) -> Any:
    async def whole(request: Request, identity: Reader) -> HTMLResponse:
        values = await _values(page, request, identity) | {"csrf": visit_of(request).csrf()}
        return HTMLResponse(request.app.state.renderer.page(page.template, values))

    return whole


def _stream(page: Page) -> Any:
    async def stream(request: Request, identity: Reader) -> StreamingResponse:
        messages = _messages(page, request, identity)
        # Before the answer begins: what cannot be shown is an error as on the page itself.
        first = await anext(messages)
        return StreamingResponse(
            _while_shown(first, messages),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return stream


async def _while_shown(first: str, messages: AsyncIterator[str]) -> AsyncIterator[str]:
    """The messages, until what they are about is gone: whoever asks again is told so."""
    yield first
    with suppress(FlowstoneError):
        async for message in messages:
            yield message


async def _messages(page: Page, request: Request, identity: Identity) -> AsyncIterator[str]:
    state = request.app.state
    query = urlencode(sorted(request.query_params.items()))
    address = f"{identity.name} {identity.role} {prefix_of(request)} {path_of(request)}?{query}"
    async for blocks in fragments(
        state.runtime, state.renderings, address, partial(_blocks, page, request, identity), page.pace
    ):
        parts = [
            f'<hx-partial hx-target="#{name}" hx-swap="innerMorph">{html}</hx-partial>'
            for name, html in blocks.items()
        ]
        yield (
            "".join(f"data: {line}\n" for line in "".join(parts).splitlines()) + "\n"
            if parts
            else ": alive\n\n"
        )


async def _blocks(page: Page, request: Request, identity: Identity) -> Mapping[str, str]:
    values = await _values(page, request, identity)
    renderer = request.app.state.renderer
    return {name: renderer.block(page.template, name, values) for name in (*SHELL, *page.live)}


async def _values(page: Page, request: Request, identity: Identity) -> dict[str, Any]:
    asked = Asked(
        request.app.state.runtime,
        identity,
        datetime.now(UTC),
        request.path_params,
        dict(request.query_params),
    )
    here = path_of(request).removeprefix("/live")
    return {
        **await shell_values(asked),
        **await page.load(asked),
        "page": page.name,
        "csrf": "",  # Those who share a rendering do not share the word: flowstone.js writes it into their forms.
        "live_path": f"/live{here}" + (f"?{request.url.query}" if request.url.query else ""),
        **links_for(request),
    }
