"""All of it as one ASGI application, to be served by itself or mounted in somebody's own.

/healthz, /readyz      whether it lives, and whether its store answers: open to all
/api/v1/...            the API, described by /api/v1/openapi.json
/live/...              the stream of the page with the rest of the address
/login, /logout        a token becomes the session of a browser: open to all
/static/...            style sheet, scripts, fonts: open to all
/...                   the pages
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

import flowstone
from flowstone.server.access.attempts import Attempts
from flowstone.server.access.gate import Gate
from flowstone.server.access.headers import SecureHeaders
from flowstone.server.access.stopping import ServerStop
from flowstone.server.api import api_router
from flowstone.server.api.describe import describe
from flowstone.server.api.event_feed import EventFeed
from flowstone.server.api.reading import legible
from flowstone.server.finder import finder_router
from flowstone.server.known_assets import KnownAssets
from flowstone.server.launching import launch_router
from flowstone.server.live import Renderings
from flowstone.server.login import add_login
from flowstone.server.options import ServerOptions
from flowstone.server.pages import PAGES
from flowstone.server.partition_acts import partition_acts_router
from flowstone.server.problems import add_problem_handlers
from flowstone.server.render import STATIC, Renderer, static_version
from flowstone.server.run_acts import run_acts_router
from flowstone.server.site import pages_router
from flowstone.server.timelines import Timelines
from flowstone.server.trouble import add_trouble_pages

if TYPE_CHECKING:
    from flowstone.runtime.runtime import Runtime

__all__ = ["create_app"]


def create_app(runtime: Runtime, options: ServerOptions | None = None) -> FastAPI:
    """The API and the pages of a runtime.

    Args:
        runtime: The runtime, which is entered before the first request comes and left after the last.
        options: How it behaves. Default: `ServerOptions()`.

    Returns:
        An ASGI application; it may be mounted below a path of another one.
    """
    app = FastAPI(
        title="FlowStone",
        version=getattr(flowstone, "__version__", "0"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(legible)],
    )
    app.openapi = partial(describe, app)  # type: ignore[method-assign] # the documented way
    app.state.runtime = runtime
    app.state.options = options = options or ServerOptions()
    app.state.renderer = Renderer()
    app.state.renderings = Renderings(runtime)
    app.state.event_feed = EventFeed(runtime)
    app.state.timelines = Timelines(runtime)
    app.state.known = KnownAssets(runtime)
    app.add_middleware(GZipMiddleware, minimum_size=1_000)
    app.state.attempts = Attempts()
    app.state.stop = ServerStop()
    app.add_middleware(Gate, runtime=runtime, options=options, stop=app.state.stop)
    app.add_middleware(SecureHeaders, version=static_version())
    add_problem_handlers(app)
    add_trouble_pages(app)
    app.include_router(_health_router(runtime))
    app.include_router(api_router())
    add_login(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.include_router(finder_router())
    app.include_router(launch_router())
    app.include_router(run_acts_router())
    app.include_router(partition_acts_router())
    app.include_router(pages_router(PAGES))
    return app


def _health_router(runtime: Runtime) -> Any:
    from fastapi import APIRouter  # noqa: PLC0415 - beside its only use

    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz", summary="Whether the store answers", responses={503: {"description": "It does not."}}
    )
    async def readyz() -> JSONResponse:
        health = await runtime.health()
        ready = health.store is None and not health.draining
        return JSONResponse({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)

    return router
