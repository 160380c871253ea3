"""What a server is told when it is made."""

from __future__ import annotations

from flowstone.frozen import frozen

__all__ = ["ServerOptions"]


@frozen
class ServerOptions:
    """How the API and the pages of a runtime behave.

    Attributes:
        open_on_loopback: Whether whoever asks from this machine, at a loopback address, needs no token and may do
            everything. False where a reverse proxy on this machine passes on what others ask.
        allowed_hosts: Names besides those of the loopback by which it may be addressed (`Host`), such as
            `flow.example.com`; `*` is any. A request for another name is refused, because a page of somebody else
            may have had its own name lead here.
        largest_body: Bytes of the largest request that is read.
    """

    open_on_loopback: bool = True
    allowed_hosts: tuple[str, ...] = ()
    largest_body: int = 4_000_000
