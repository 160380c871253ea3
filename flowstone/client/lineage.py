"""Questions to a server about which values came from which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.client.arguments import asset_text, partition_text
from flowstone.wire.lineage import LineageModel

if TYPE_CHECKING:
    from flowstone.client.transport import Transport
    from flowstone.runtime.client.lineage import LineageEntry

__all__ = ["RemoteLineage"]


class RemoteLineage:
    """What `Runtime.lineage` is, of a server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def upstream(
        self, asset: Any, *, partition: Any = None, depth: int | None = None, limit: int | None = None
    ) -> list[LineageEntry]:
        """What the current value was computed from, nearest first."""
        return await self._found("upstream", asset, partition, depth, limit)

    async def downstream(
        self, asset: Any, *, partition: Any = None, depth: int | None = None, limit: int | None = None
    ) -> list[LineageEntry]:
        """Which current values were computed from this one, nearest first."""
        return await self._found("downstream", asset, partition, depth, limit)

    async def impact(self, asset: Any, *, partition: Any = None) -> list[LineageEntry]:
        """As `downstream`, in the order in which one would compute it again."""
        return await self._found("impact", asset, partition, None, None)

    async def _found(
        self, direction: str, asset: Any, partition: Any, depth: int | None, limit: int | None
    ) -> list[LineageEntry]:
        found = await self._transport.listed(
            LineageModel,
            "lineage",
            limit=limit,
            asset=asset_text(asset),
            partition=partition_text(partition),
            direction=direction,
            depth=depth,
        )
        return [each.as_record() for each in found]
