"""Logging in by a browser: a token becomes a session, and a page that was asked for is shown afterwards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from flowstone.counting import count
from flowstone.server.access.attempts import address_of
from flowstone.server.access.csrf import form_of, prove
from flowstone.server.access.guard import Reader, Unknown
from flowstone.server.access.prefix import path_of, prefix_of
from flowstone.server.access.visit import visit_of
from flowstone.server.links import links_for
from flowstone.server.problems import of_http

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["add_login"]

_LOGIN: Final = "/login"
_NOT_PAGES: Final = ("/api/", "/live/")
# A path of this server: what a browser would read as another host, or as two lines, is none.
_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")


def add_login(app: FastAPI) -> None:
    """The routes of logging in and out; pages lead there whoever is not known."""
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(_LOGIN, _ask, methods=["GET"])
    routes.add_api_route(_LOGIN, _log_in, methods=["POST"])
    routes.add_api_route("/logout", _log_out, methods=["POST"])
    app.include_router(routes)
    app.add_exception_handler(Unknown, _lead_to_login)


async def _ask(request: Request) -> HTMLResponse:
    await visit_of(request).identity()  # A session that goes on has its own word.
    return _page(request, request.query_params.get("next", ""))


async def _log_in(request: Request) -> Response:
    visit, form = visit_of(request), await form_of(request)
    await visit.identity()
    await prove(request, visit.secret)
    attempts, address = request.app.state.attempts, address_of(request)
    if seconds := attempts.wait(address):
        return _too_often(request, form.get("next", ""), seconds)
    if await visit.log_in(form.get("token", "").strip()):
        return RedirectResponse(prefix_of(request) + _own_path(form.get("next", "")), 303)
    if seconds := attempts.failed(address):
        return _too_often(request, form.get("next", ""), seconds)
    return _page(request, form.get("next", ""), "This is no token, or it is over or was revoked.", 401)


def _too_often(request: Request, asked: str, seconds: int) -> HTMLResponse:
    words = f"Too many tries to log in. Wait {count(seconds, 'second')} and try again."
    page = _page(request, asked, words, 429)
    page.headers["Retry-After"] = str(seconds)
    return page


async def _log_out(request: Request, _: Reader) -> RedirectResponse:
    await visit_of(request).log_out()
    return RedirectResponse(prefix_of(request) + _LOGIN, 303)


def _page(request: Request, asked: str, problem: str = "", status: int = 200) -> HTMLResponse:
    values: dict[str, Any] = {
        **links_for(request),
        "csrf": visit_of(request).csrf(),
        "next": _own_path(asked),
        "problem": problem,
    }
    return HTMLResponse(request.app.state.renderer.page("login.html", values), status)


def _own_path(asked: str) -> str:
    """Where somebody is led to: the page asked for if it is one of this server, else the first one."""
    return asked if _PATH.fullmatch(asked) is not None and not asked.startswith(_LOGIN) else "/"


async def _lead_to_login(request: Request, error: Exception) -> Response:
    path = path_of(request)
    if request.method != "GET" or path.startswith(_NOT_PAGES) or "hx-request" in request.headers:
        return await of_http(request, error)
    asked = path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{prefix_of(request)}{_LOGIN}?next={quote(asked, safe='/')}", 303)
