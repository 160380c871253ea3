"""The port to the audit log: who did what, in the order in which the store recorded it.

Nothing is written here. A store makes an entry in the same transaction as the act that it is about, whichever call
is made of it: a run is created or asked to stop, a wait is answered, an automation is paused, values are
invalidated. So an act without an entry and an entry without an act are both impossible, and a call that is repeated
because its answer was lost makes no second one. Entries are never changed. The oldest are forgotten, by `prune`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.audit import AuditEntry

__all__ = ["Audit"]


class Audit(Protocol):
    """The audit log of an open store. Calls may raise `StoreUnavailable`, and are safe to repeat."""

    async def entries(
        self,
        *,
        asset: str | None = None,
        run_id: str | None = None,
        by: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[AuditEntry]:
        """What was done, the newest first: in the reverse of the order in which it was recorded.

        Args:
            asset: Only what was done to this asset.
            run_id: Only what was done to this run.
            by: Only what was done by them.
            limit: How many at most.
            before: Only what has a lower number than this.
        """

    async def prune(self, keep: int) -> bool:
        """Forget the oldest entries, so that at most so many are left; whether there were any to forget."""
