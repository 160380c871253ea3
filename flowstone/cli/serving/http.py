"""The API and the pages of a node: an address that is taken first, then served for as long as the node lives."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from flowstone.cli.problem import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flowstone.runtime.runtime import Runtime

__all__ = ["HOST", "PORT", "bind", "has_server", "serve_http", "url_of"]

HOST: Final = "127.0.0.1"
PORT: Final = 8150

_LEFT: Final = 1  # Seconds for answers under way when the node stops: streams of open pages end only then.


def has_server() -> bool:
    """Whether the extra `server` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("fastapi", "uvicorn", "jinja2"))


def bind(host: str, port: int) -> socket.socket:
    """Take an address, before anything else is opened; port 0 takes any that is free.

    Raises:
        CommandError: It is taken, or there is no such address on this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(1024)
    except (OSError, OverflowError) as error:
        taken.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(
            f"{_address(host, port)} cannot be opened: {reason}.",
            f"See who has it with `ss -ltnp 'sport = :{port}'`, or take a free port with --port 0.",
        ) from None
    taken.setblocking(False)
    return taken


def url_of(taken: socket.socket) -> str:
    """The address that a browser opens."""
    host, port = taken.getsockname()[:2]
    return f"http://{_address(host, port)}"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.asynccontextmanager
async def serve_http(runtime: Runtime, taken: socket.socket) -> AsyncIterator[None]:
    """Answer requests while the block runs, and let those under way end for a moment after it."""
    uvicorn = importlib.import_module("uvicorn")
    server_package = importlib.import_module("flowstone.server")
    config = uvicorn.Config(
        server_package.create_app(runtime),
        log_config=None,
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LEFT,
    )
    server = _without_signals(uvicorn)(config)
    raised: BaseException | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(partial(server.serve, sockets=[taken]))
        try:
            yield
        except BaseException as error:  # Raised again outside of the group, which would wrap it.
            raised = error
        server.should_exit = True
    if raised is not None:
        raise raised


def _without_signals(uvicorn: Any) -> Any:
    class Server(uvicorn.Server):  # type: ignore[misc] # loaded when it is needed
        """Signals are the node's, which decides what is stopped in which order."""

        def capture_signals(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    return Server
