"""The keys of dynamic partition sets, which live in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_keys import decode_partition

if TYPE_CHECKING:
    from flowstone.runtime.services import Services

__all__ = ["dynamic_keys"]


async def dynamic_keys(services: Services) -> dict[str, list[Any]]:
    """The keys, as values, of every dynamic set that the current graph uses."""
    return {
        name: [decode_partition(key) for key in await services.store.partitions(name)]
        for name in services.snapshot.dynamic
    }
