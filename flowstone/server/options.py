"""What a server is told when it is made."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        targets: By the name of a pipeline, what stands for it on the command line, such as `shop.py:pipeline`. One
            that is not named is looked for in the modules of this process.
        store: The value of `--store` in commands that pages show, as a shell reads it; empty where none is needed.
    """

    open_on_loopback: bool = True
    allowed_hosts: tuple[str, ...] = ()
    largest_body: int = 4_000_000
    targets: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
