"""What a loop without a network refuses, in one sentence, instead of asyncio's bare NotImplementedError."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import SimulationError
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IsolatedLoop"]

_REMEDIES: Final = Remedies("Give the runtime a stand-in: Simulation(pipeline, resources={...}, io={...}).")

_NETWORK: Final = (
    "getaddrinfo",
    "getnameinfo",
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "create_datagram_endpoint",
    "connect_accepted_socket",
    "sock_connect",
    "sock_accept",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_sendfile",
)
_PROCESSES: Final = ("subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe")
_WATCHES: Final = ("add_reader", "add_writer", "add_signal_handler")


class IsolatedLoop(asyncio.BaseEventLoop):
    """A loop that reaches nothing outside its process."""


def _error(what: str, name: str) -> SimulationError:
    return SimulationError(
        f"There is no {what} in a simulation, whose time is virtual (loop.{name}).", remedies=_REMEDIES
    )


def _refused(what: str, name: str) -> Callable[..., Any]:
    async def refused(*_: Any, **__: Any) -> Any:
        raise _error(what, name)

    return refused


def _refused_at_once(what: str, name: str) -> Callable[..., Any]:
    def refused(*_: Any, **__: Any) -> Any:
        raise _error(what, name)

    return refused


for _name in _NETWORK:
    setattr(IsolatedLoop, _name, _refused("network", _name))
for _name in _PROCESSES:
    setattr(IsolatedLoop, _name, _refused("subprocess", _name))
for _name in _WATCHES:
    setattr(IsolatedLoop, _name, _refused_at_once("network, and no signal,", _name))
