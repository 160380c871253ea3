"""Lineage: which values came from which, as recorded, at the level of partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_keys import decode_partition
from flowstone.frozen import frozen
from flowstone.runtime.client.requests import asset_named, bounded_count, encoded

if TYPE_CHECKING:
    from flowstone.runtime.client.run_client import RunClient
    from flowstone.store.protocol import Store

__all__ = ["Lineage", "LineageEntry"]

_Key = tuple[str, str | None]
_Next = Callable[[Iterable[_Key]], Awaitable[Mapping[_Key, Sequence[_Key]]]]


@frozen
class LineageEntry:
    """One asset-partition related to the one asked about.

    Attributes:
        asset: Its name.
        partition: The partition as a Python value, or None.
        partition_key: The same as text, or None.
        depth: 1 for a direct neighbour, 2 for a neighbour's neighbour; the shortest way counts.
    """

    asset: str
    partition: Any
    partition_key: str | None
    depth: int


class Lineage:
    """Questions about where current values came from and where they went."""

    def __init__(self, client: RunClient, store: Store) -> None:
        self._client = client
        self._store = store

    async def upstream(
        self, asset: Any, *, partition: Any = None, depth: int | None = None, limit: int | None = None
    ) -> list[LineageEntry]:
        """What the current value was computed from, nearest first.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition.
            depth: How far to go: 1 for what it was computed from itself. Default: as far as there is anything.
            limit: How many entries at most. Default: all.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            ValueError: `depth` or `limit` is no positive whole number.
        """
        return await self._walk(asset, partition, self._inputs, depth, limit)

    async def downstream(
        self, asset: Any, *, partition: Any = None, depth: int | None = None, limit: int | None = None
    ) -> list[LineageEntry]:
        """Which current values were computed from this one, nearest first.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition.
            depth: How far to go: 1 for what was computed from it itself. Default: as far as there is anything.
            limit: How many entries at most. Default: all.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            ValueError: `depth` or `limit` is no positive whole number.
        """
        return await self._walk(asset, partition, self._store.downstream, depth, limit)

    async def impact(self, asset: Any, *, partition: Any = None) -> list[LineageEntry]:
        """What would no longer be true if this value changed: every current value downstream of it.

        As `downstream`, in the order in which one would compute it again: no entry stands before one that
        it was computed from.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
        """
        entries = await self.downstream(asset, partition=partition)
        view = await self._client.view()
        rank = view.graph.order().index
        # The values of an asset that depends on itself come one after the other.
        own = {name: view.set_of(name) for name, asset in view.graph.assets.items() if name in asset.mappings}

        def place(entry: LineageEntry) -> tuple[int, int]:
            keys = own.get(entry.asset)
            position = None if keys is None else keys.position_of(entry.partition)
            return rank(entry.asset), entry.depth if position is None else position

        return sorted(entries, key=place)

    async def _inputs(self, keys: Iterable[_Key]) -> dict[_Key, list[_Key]]:
        current = await self._store.current(keys)
        return {
            key: [(entry.asset, entry.partition_key) for entry in record.inputs]
            for key, record in current.items()
        }

    async def _walk(
        self, asset: Any, partition: Any, neighbours: _Next, farthest: int | None, limit: int | None
    ) -> list[LineageEntry]:
        self._client.require_usable()
        most = None if limit is None else bounded_count("limit", limit)
        levels = None if farthest is None else bounded_count("depth", farthest)
        view = await self._client.view()
        name = asset_named(view.graph, asset).name
        level: list[_Key] = [(name, encoded(view, name, partition))]
        seen = set(level)
        entries: list[LineageEntry] = []
        depth = 0
        while level and depth != levels and (most is None or len(entries) < most):
            depth += 1
            found = await neighbours(level)
            nearest = dict.fromkeys(near for key in level for near in found.get(key, ()))
            level = [key for key in nearest if key not in seen]
            seen.update(level)
            entries += [_entry(key, depth) for key in level]
        return entries[:most]


def _entry(key: _Key, depth: int) -> LineageEntry:
    asset, partition_key = key
    partition = None if partition_key is None else decode_partition(partition_key)
    return LineageEntry(asset, partition, partition_key, depth)
