"""The server of a runtime, on a port of the loopback."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import uvicorn

from flowstone.server import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flowstone import Runtime

__all__ = ["serving", "until"]


@contextlib.asynccontextmanager
async def serving(runtime: Runtime) -> AsyncIterator[tuple[Any, int]]:
    """The application and its port."""
    app = create_app(runtime)
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
    )
    answering = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield app, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await answering


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that nobody announces."""
    while not condition():  # noqa: ASYNC110 - there is no event of it
        await asyncio.sleep(0.01)
