"""`Client`: the calls of `Runtime` that make sense from another machine, with their names, arguments and errors."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Self

from flowstone.assets.arguments import is_number
from flowstone.client.address import Address
from flowstone.client.feed import Patience
from flowstone.client.operating import Operating
from flowstone.client.runs import RemoteRuns
from flowstone.client.transport import Transport, check_installed
from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Client"]


class Client(Operating):
    """Asks a FlowStone server: `async with Client("https://flow.example.com", token=…) as client`.

    It has the calls of `Runtime` that make sense from another machine, with the same names, arguments, results
    and errors. What a runtime answers at once (`tree`, `select`, `assets`) is awaited here. Values stay where the
    server is: a result has records.

    What is read, and what starts runs, is asked again after a connection that failed, and a run is started once
    whatever becomes of the answer. What is waited for or followed goes on over connections that are cut.

    Args:
        url: Where the server is, with the prefix below which it is mounted, if it is.
        token: What `flowstone token create` gave. Default: none, which is enough on the server's own machine.
        timeout: Seconds that the server may be silent while it is asked for something.
        reconnect: Seconds for which a server is tried again that cannot be reached any more, where something is
            waited for or followed.
        insecure: Whether the token may go over a network in clear, to an `http://` address of another machine.
        verify: An `ssl.SSLContext` that says which certificates are good. Default: those that this machine trusts.
        transport: An `httpx2.AsyncBaseTransport` for tests; default: the network.

    Raises:
        ArgumentError: The address is none, or the token would go over a network in clear.
        ModuleNotFoundError: The extra `http` is not installed.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        reconnect: float = 60.0,
        insecure: bool = False,
        verify: Any = None,
        transport: Any = None,
    ) -> None:
        check_installed()
        address = Address.of(url)
        if token is not None:
            _check_token(token, address, insecure=insecure)
        for name, seconds in (("timeout", timeout), ("reconnect", reconnect)):
            if not is_number(seconds, at_least=0.001):
                raise ArgumentError(f"{name}={seconds!r:.100}: give a positive number of seconds.")
        self._reconnect = float(reconnect)
        self._random = Random()  # noqa: S311 - the jitter of pauses
        self._transport = Transport(address, token, float(timeout), verify, transport, self._random)
        self._runs = RemoteRuns(self._transport, self._patience)

    async def __aenter__(self) -> Self:
        """Make ready. Nothing is sent before the first call."""
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._transport.address.url

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def _patience(self) -> Patience:
        return Patience(self._reconnect, self._random)


def _check_token(token: object, address: Address, *, insecure: bool) -> None:
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token.strip():
        raise ArgumentError("A token is the text that `flowstone token create` gave.")
    if not (address.secure or address.local or insecure):
        raise ArgumentError(
            f"The token would go to {address.url} in clear, for all on the way to read.",
            remedies=Remedies(
                "Give an https:// address, or insecure=True if that network is yours.",
                "Give an https:// address, or set FLOWSTONE_INSECURE=1 if that network is yours.",
            ),
        )
