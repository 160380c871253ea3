"""Who asks: the holder of a token, or whoever sits at this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.access import Role
from flowstone.server.access.hosts import is_loopback_name
from flowstone.store.access import LOCAL as LOCAL_NAME

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from flowstone.server.options import ServerOptions

__all__ = ["LOCAL", "Identity", "from_this_machine"]


@frozen
class Identity:
    """Who asks.

    Attributes:
        name: The name that is recorded with what they do.
        role: What they may do.
    """

    name: str
    role: Role

    def acting_for(self, somebody: str | None) -> str:
        """The name to record with what they do for somebody: who has a token cannot pass for somebody else."""
        if somebody is None or somebody == self.name:
            return self.name
        return somebody if self is LOCAL else f"{somebody} (token {self.name})"


LOCAL: Final = Identity(LOCAL_NAME, Role.ADMIN)
"""Whoever asks from this machine."""

_PASSED_ON: Final = ("forwarded", "via", "x-forwarded-", "x-real-ip")
"""How headers begin that a proxy adds to what it passes on."""


def from_this_machine(connection: HTTPConnection, options: ServerOptions) -> bool:
    """Whether it is asked from this machine, by nobody else through a proxy, as far as can be known."""
    if not options.open_on_loopback or connection.client is None:
        return False
    return (
        is_loopback_name(connection.client.host)
        and is_loopback_name(connection.url.hostname or "")
        and not any(name.startswith(_PASSED_ON) for name in connection.headers)
    )
