"""Who may do what: roles, and the tokens that somebody shows to be given one."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["AccessToken", "Role"]


class Role(StrEnum):
    """What somebody may do; each may do what those before it may.

    Attributes:
        READ: Look at everything, change nothing.
        OPERATE: Also start, cancel and retry runs, answer approvals, pause and fire automations.
        ADMIN: Also invalidate values, change pools, and make and revoke tokens.
    """

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role includes the `needed` one."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS: Final[Mapping[Role, int]] = {role: rank for rank, role in enumerate(Role)}


@frozen
class AccessToken:
    """What is known of a token; not the token itself, which nobody keeps but its holder.

    Attributes:
        name: Its name, which is recorded with what is done by it. Of those not revoked each has another one.
        role: What its holder may do.
        created_at: When it was made.
        created_by: Who made it; None if nobody said.
        expires_at: From when on it is worth nothing; None: never.
        used_at: When it was used last, to the minute; None: never.
        revoked_at: When it was revoked; None if it was not.
    """

    name: str
    role: Role
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def usable(self, now: datetime) -> bool:
        """Whether it is worth something at this instant."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
