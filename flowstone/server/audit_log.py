"""What somebody may read of the audit log: who has access, and when they use it, is for those who may `admin`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.runs.access import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.audit import AuditEntry
    from flowstone.server.access.identity import Identity

__all__ = ["readable_by"]

_ACCESS: Final = ("token.", "session.")


def readable_by(identity: Identity, entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """Those of the entries that they may read."""
    if identity.role.may(Role.ADMIN):
        return list(entries)
    return [entry for entry in entries if not entry.action.startswith(_ACCESS)]
