"""The API and the pages of a node: an address that is taken first, then served for as long as the node lives."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import importlib.util
import socket
from dataclasses import field
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import anyio

from flowstone.cli.problem import CommandError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from flowstone.runtime.runtime import Runtime

__all__ = ["HOST", "PORT", "Listening", "bind", "has_server", "serve_http"]

HOST: Final = "127.0.0.1"
PORT: Final = 8150

_LEFT: Final = 1.0  # Seconds for answers that are not begun when the node stops.
_AT_MOST: Final = 5  # The same for those that are begun, but for streams, which end at once.


@frozen
class Listening:
    """Where and how a node answers requests.

    Attributes:
        socket: Where.
        host: The address or name that was given.
        allowed: Names by which it may be addressed besides.
        open_on_loopback: Whether who asks from this machine needs no token.
        targets: By the name of a pipeline, what stands for it on the command line.
        store: The value of `--store` in commands that pages show; empty where none is needed.
    """

    socket: socket.socket
    host: str
    allowed: tuple[str, ...] = ()
    open_on_loopback: bool = True
    targets: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    @property
    def url(self) -> str:
        """The address that a browser opens."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{_address(host, port)}"

    @property
    def is_for_others(self) -> bool:
        """Whether anybody but this machine can ask, or this machine needs a token as well."""
        return not (self.open_on_loopback and ip_address(self.socket.getsockname()[0]).is_loopback)


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
            f"{_address(host, port)} cannot be opened: {reason}.", _instead(error, port)
        ) from None
    taken.setblocking(False)
    return taken


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _instead(error: Exception, port: int) -> str:
    """What to do about an address that is not to be had."""
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return f"See who has it with `ss -ltnp 'sport = :{port}'`, or take a free port with --port 0."
        case errno.EACCES:
            return "A port below 1024 takes rights of its own: take a higher one with --port."
        case _:
            return "It is no address of this machine: 127.0.0.1 is for itself alone, 0.0.0.0 for all its networks."


@contextlib.asynccontextmanager
async def serve_http(runtime: Runtime, listening: Listening) -> AsyncIterator[None]:
    """Answer requests while the block runs; after it streams end, and who waits for an answer is refused soon."""
    uvicorn = importlib.import_module("uvicorn")
    server_package = importlib.import_module("flowstone.server")
    options = server_package.ServerOptions(
        open_on_loopback=listening.open_on_loopback,
        allowed_hosts=(listening.host, *listening.allowed),
        targets=listening.targets,
        store=listening.store,
    )
    app = server_package.create_app(runtime, options)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_AT_MOST,
    )
    server = _without_signals(uvicorn)(config)
    raised: BaseException | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(partial(server.serve, sockets=[listening.socket]))
        try:
            yield
        except BaseException as error:  # Raised again outside of the group, which would wrap it.
            raised = error
        app.state.stop.now()
        server.should_exit = True
        asyncio.get_running_loop().call_later(_LEFT, app.state.stop.refuse)
    if raised is not None:
        raise raised


def _without_signals(uvicorn: Any) -> Any:
    class Server(uvicorn.Server):  # type: ignore[misc] # loaded when it is needed
        """Signals are the node's, which decides what is stopped in which order."""

        def capture_signals(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    return Server
