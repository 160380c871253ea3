"""The audit log, where one process holds the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.store.audit import Audit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from flowstone.runs.audit import AuditEntry
    from flowstone.store.history import History

__all__ = ["MemoryAudit"]


class MemoryAudit(Audit):
    """The audit log of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
        change: Makes a change: given the operation of the journal that says it, and what applies it.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._history = history
        self._change = change

    async def entries(
        self,
        *,
        asset: str | None = None,
        run_id: str | None = None,
        by: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[AuditEntry]:
        return self._history().audit.newest(asset, run_id, by, limit, before)

    async def prune(self, keep: int) -> bool:
        if len(self._history().audit) <= keep:
            return False  # Asked every few seconds, mostly for nothing: that is not worth a line.
        pruned: bool = await self._change(["audit_pruned", keep], lambda: self._history().audit.prune(keep))
        return pruned
