"""The three roles, each of which may do what those before it may."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Role"]


class Role(StrEnum):
    """What somebody may do.

    Attributes:
        READ: Look at everything, change nothing.
        OPERATE: Also start, cancel and retry runs, answer approvals, pause and fire automations.
        ADMIN: Also invalidate values and change pools.
    """

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role includes the `needed` one."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS: Final[Mapping[Role, int]] = {role: rank for rank, role in enumerate(Role)}
