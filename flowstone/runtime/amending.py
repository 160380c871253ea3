"""What is changed on record without a run: values that are current no more, keys of dynamic partition sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowstone.runtime.auditing import Auditing

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Amending"]


class Amending(Auditing):
    """The calls of `Runtime` that change what is on record without a run."""

    async def invalidate(
        self,
        asset: Any,
        *,
        partition: Any = None,
        downstream: bool = False,
        by: str | None = None,
        reason: str = "",
    ) -> int:
        """Make current values no longer current; returns how many.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; default: all that have a value.
            downstream: Whether everything computed from them is invalidated too.
            by: Who does it. Default: whoever the runtime acts for (`actor=`).
            reason: Why, for those who read it.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign.
            ArgumentError: `by` or `reason` is no text.
        """
        ctx = self._started()
        act = self._client.act(by, reason)
        keys = await self._values.to_invalidate(asset, partition, downstream=downstream)
        number = await ctx.store.invalidate(keys, act)
        if ctx.snapshot.automations:
            from flowstone.runtime.automation.missing import look_at_missing  # noqa: PLC0415 - few runtimes need it

            await look_at_missing(ctx, keys)
        return number

    async def add_partitions(self, name: str, keys: Sequence[Any], *, by: str | None = None) -> int:
        """Add keys to a dynamic partition set.

        Args:
            name: The set's name, as in `DynamicPartitions(name)`.
            keys: Partition keys; those that are there already change nothing.
            by: Who does it. Default: whoever the runtime acts for (`actor=`).

        Returns:
            How many were new.

        Raises:
            PartitionError: One of them cannot be a key; then none is added.
            ArgumentError: `by` is no text.
        """
        ctx = self._started()
        keys = list(keys) if isinstance(keys, Iterator) else keys
        number = await self._values.add_partitions(name, keys, self._client.act(by))
        if ctx.snapshot.automations:
            from flowstone.runtime.automation.missing import added, look_at_missing  # noqa: PLC0415 - few runtimes need it

            await look_at_missing(ctx, added(await self._client.view(), name, keys))
        return number

    async def remove_partitions(self, name: str, keys: Sequence[Any], *, by: str | None = None) -> int:
        """Remove keys from a dynamic partition set. Values that were computed for them stay.

        Args:
            name: The set's name, as in `DynamicPartitions(name)`.
            keys: Partition keys; those that are not there change nothing.
            by: Who does it. Default: whoever the runtime acts for (`actor=`).

        Returns:
            How many were there.

        Raises:
            PartitionError: One of them cannot be a key.
            ArgumentError: `by` is no text.
        """
        self._started()
        return await self._values.remove_partitions(name, keys, self._client.act(by))
