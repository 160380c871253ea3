"""Whether another run is about to compute what is due: one that has changed what that is computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.runs.records import RunRecord
    from flowstone.runtime.context import RuntimeContext

__all__ = ["OtherRuns"]

_FEW: Final = 10  # Runs that are read one by one; if it is about more, all that are under way are.
_MANY: Final = 1_000  # Runs under way beyond which they are not all read.
_UNDER_WAY: Final = tuple(status for status in Status if not status.terminal)


class OtherRuns:
    """What is known of other runs while decisions are made; each is read once.

    Args:
        ctx: What the runtime offers.
    """

    def __init__(self, ctx: RuntimeContext) -> None:
        self._ctx = ctx
        self._known: dict[str, RunRecord | None] = {}

    async def computing(self, asset: str, changed_by: Collection[str]) -> str | None:
        """The one of these runs that is under way and goes on to compute this asset; None if none does.

        Args:
            asset: The asset's name.
            changed_by: The runs that have changed something upstream: those of which that is told, and those whose
                values are current. The latter may be newer, of which it is not told yet.

        Raises:
            StoreUnavailable: The store is away.
        """
        graph = self._ctx.snapshot.graph
        await self._read(changed_by)
        for run_id in sorted(changed_by):
            record = self._known[run_id]
            if record is None or record.status.terminal:
                continue
            request = record.request
            if request.beside and asset in request.targets:
                return run_id
            targets = [name for name in request.targets if name in graph] if request.upstream else ()
            if asset in graph.with_upstream(targets):
                return run_id
        return None

    async def _read(self, run_ids: Collection[str]) -> None:
        unknown = [run_id for run_id in run_ids if run_id not in self._known]
        if len(unknown) > _FEW:
            under_way = await self._ctx.store.runs(statuses=_UNDER_WAY, limit=_MANY)
            if len(under_way) < _MANY:
                self._known |= dict.fromkeys(unknown)
                self._known |= {record.id: record for record in under_way}
                return
        for run_id in unknown:
            self._known[run_id] = await self._ctx.store.run(run_id)
