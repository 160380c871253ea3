"""What a loop without a network refuses, in one sentence, instead of asyncio's bare NotImplementedError."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import SimulationError
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ClosedDoors"]

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


class ClosedDoors(asyncio.BaseEventLoop):
    """A loop that reaches nothing outside its process."""


def _error(what: str, name: str) -> SimulationError:
    return SimulationError(
        f"There is no {what} in a simulation, whose time is virtual (loop.{name}).", remedies=_REMEDIES
    )


def _closed(what: str, name: str) -> Callable[..., Any]:
    async def closed(*_: Any, **__: Any) -> Any:
        raise _error(what, name)

    return closed


def _closed_at_once(what: str, name: str) -> Callable[..., Any]:
    def closed(*_: Any, **__: Any) -> Any:
        raise _error(what, name)

    return closed


for _name in _NETWORK:
    setattr(ClosedDoors, _name, _closed("network", _name))
for _name in _PROCESSES:
    setattr(ClosedDoors, _name, _closed("subprocess", _name))
for _name in _WATCHES:
    setattr(ClosedDoors, _name, _closed_at_once("network, and no signal,", _name))
