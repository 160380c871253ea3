"""A runtime with work in it, and a client that asks its server as a browser or a program does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from flowstone import Pipeline, Runtime
from flowstone.server import ServerOptions, create_app


class Visitor:
    """Somebody who asks, from this machine or from another one."""

    def __init__(self, runtime: Runtime, app: Any, client: httpx2.AsyncClient) -> None:
        self.runtime = runtime
        self.app = app
        self.client = client

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.client.get(path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.client.post(path, **options)


Visit = Callable[..., contextlib.AbstractAsyncContextManager[Visitor]]


@contextlib.asynccontextmanager
async def visiting(
    pipeline: Pipeline,
    *,
    store: str = "memory://",
    options: ServerOptions | None = None,
    host: str = "127.0.0.1",
    base: str = "http://127.0.0.1:8150",
    **settings: Any,
) -> AsyncIterator[Visitor]:
    """A runtime of the pipeline, and a client of its server whose address is `host`."""
    async with Runtime(pipeline, store=store, **settings) as runtime:
        app = create_app(runtime, options)
        transport = httpx2.ASGITransport(app=app, client=(host, 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
            yield Visitor(runtime, app, client)


@pytest.fixture
def visit() -> Visit:
    """See `visiting`."""
    return visiting
