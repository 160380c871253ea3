"""Errors as pages: whoever asks with a browser reads a sentence and what to do; programs get a problem.

What surrounds every page is read from the store. Where that does not answer, or nobody is known, the page stands
alone.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from flowstone.errors import FlowstoneError
from flowstone.server.access.prefix import path_of, prefix_of
from flowstone.server.access.visit import visit_of
from flowstone.server.asked import Asked
from flowstone.server.links import links_for
from flowstone.server.pages.shell import shell_values
from flowstone.server.problems import of_http, of_library, of_request, sentence_of, status_of, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

    from flowstone.server.access.identity import Identity

__all__ = ["add_trouble_pages", "trouble_page", "wants_page"]

_NOT_PAGES: Final = ("/api/", "/live/", "/static/", "/find", "/healthz", "/readyz")
_TITLES: Final[Mapping[int, str]] = {
    400: "Not understood",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    503: "Not available",
}
_SENTENCES: Final[Mapping[int, str]] = {404: "Nothing is at this address.", 503: "This cannot be shown now."}


def add_trouble_pages(app: FastAPI) -> None:
    """Have browsers get a page where programs get a problem. Comes after `add_problem_handlers`."""
    app.add_exception_handler(FlowstoneError, _of_library)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_request)


def wants_page(request: Request) -> bool:
    """Whether a browser asks for something that people look at."""
    if "text/html" not in request.headers.get("accept", "") or "hx-request" in request.headers:
        return False
    return not path_of(request).startswith(_NOT_PAGES)


async def trouble_page(request: Request, status: int, sentence: str) -> HTMLResponse:
    """The page that says what is wrong.

    Args:
        request: What was asked for.
        status: The HTTP status.
        sentence: What is wrong.
    """
    visit = visit_of(request)
    identity: Identity | None = None
    with suppress(FlowstoneError):  # Who asks may be what cannot be read.
        identity = await visit.identity()
    values = {
        **links_for(request),
        "csrf": visit.csrf(),
        "title": _TITLES.get(status, "Something is wrong"),
        "first": _SENTENCES.get(status, "That did not work."),
        "sentence": sentence,
        "page": "",
        "live_path": "",
        "root": prefix_of(request),
        "alone": True,
    }
    if identity is not None:
        values |= await _surroundings(request, identity)
    return HTMLResponse(request.app.state.renderer.page("trouble.html", values), status)


async def _surroundings(request: Request, identity: Identity) -> dict[str, Any]:
    """What is around every page, as far as it can be read."""
    state = request.app.state
    asked = Asked(
        state.runtime, identity, datetime.now(UTC), {}, {}, state.timelines, state.known, state.options
    )
    try:
        return {**await shell_values(asked), "alone": False}
    except FlowstoneError:
        return {}


async def _of_library(request: Request, error: Exception) -> Response:
    assert isinstance(error, FlowstoneError)
    if not wants_page(request):
        return await of_library(request, error)
    return await trouble_page(request, status_of(error), told(error))


async def _of_request(request: Request, error: Exception) -> Response:
    if not wants_page(request):
        return await of_request(request, error)
    assert isinstance(error, RequestValidationError)
    return await trouble_page(request, HTTPStatus.BAD_REQUEST, sentence_of(error))


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if not wants_page(request):
        return await of_http(request, error)
    if error.status_code == HTTPStatus.NOT_FOUND:
        try:
            known = await visit_of(request).identity() is not None
        except FlowstoneError as unread:
            return await _of_library(request, unread)
        if not known:
            return RedirectResponse(f"{prefix_of(request)}/login", 303)  # As the pages that there are do.
    by_router = error.detail == HTTPStatus(error.status_code).phrase
    answer = await trouble_page(request, error.status_code, "" if by_router else str(error.detail))
    answer.headers.update(error.headers or {})
    return answer
