"""What is on record of an asset as a whole: at all its partitions, over all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.runtime.client.requests import asset_named, bounded_count, page_of
from flowstone.runtime.client.staleness import stale_values
from flowstone.runtime.inspection import Inspection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from flowstone.runs.asset_activity import AssetActivity
    from flowstone.runs.partition_states import PartitionCounts, PartitionStates
    from flowstone.runs.reasons import Reason
    from flowstone.runs.records import Materialization
    from flowstone.runtime.client.staleness import StaleValues

__all__ = ["AssetRecords"]


class AssetRecords(Inspection):
    """The calls of `Runtime` about the records of whole assets."""

    async def partition_key(self, asset: Any, partition: Any) -> str | None:
        """The encoded key of a partition as somebody writes it, as `Materialization.partition_key` has it.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: A value, or a text that means one; None where the asset has no partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
        """
        self._started()
        return await self._values.partition_key(asset, partition)

    async def partition_states(
        self, *assets: Any, latest: int | None = None
    ) -> Mapping[str, PartitionStates]:
        """What has become of all partitions of assets, by what is on record: one question for all of them.

        A partition that was computed and failed since is `failed`, one with a current value `succeeded`. What is
        under way is not on record: see `running_steps`.

        Args:
            assets: Names, `Asset`s or decorated functions; none: all assets.
            latest: Only so many of the last partitions of each. Default: all.

        Returns:
            By the name of each asset, in the order of the graph where all are asked for.

        Raises:
            AssetNotFound: There is no such asset.
            ValueError: `latest` is no positive whole number.
        """
        graph = self._started().snapshot.graph
        names = [asset_named(graph, asset).name for asset in assets] or list(graph.order())
        return await self._values.partition_states(
            names, None if latest is None else bounded_count("latest", latest)
        )

    async def partition_counts(self, *assets: Any) -> Mapping[str, PartitionCounts]:
        """How many partitions of assets stand how, by what is on record: `partition_states`, counted.

        Args:
            assets: Names, `Asset`s or decorated functions; none: all assets.

        Raises:
            AssetNotFound: There is no such asset.
        """
        graph = self._started().snapshot.graph
        names = [asset_named(graph, asset).name for asset in assets] or list(graph.order())
        return await self._values.partition_counts(names)

    async def recent(self, asset: Any, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        """What became of an asset at all its partitions and in all runs, the newest first.

        Args:
            asset: Name, `Asset` or decorated function.
            limit: How many records at most; default 100.
            offset: How many of the newest to leave out; default 0.

        Raises:
            AssetNotFound: There is no such asset.
            ValueError: `limit` or `offset` is no whole number of at least 0.
        """
        self._started()
        return await self._values.recent(asset, *page_of(limit, offset))

    async def activity(self, *assets: Any, limit: int = 24) -> Mapping[str, AssetActivity]:
        """When assets were computed last, and how long that took lately: one question for all of them.

        Args:
            assets: Names, `Asset`s or decorated functions; none: all assets.
            limit: How many of the newest records of each are looked at; default 24.

        Returns:
            By the name of each asset that has been attempted: `finished_at`, and the `durations` of the attempts in
            seconds, the oldest first.

        Raises:
            AssetNotFound: There is no such asset.
            ValueError: `limit` is no positive whole number.
        """
        ctx = self._started()
        graph = ctx.snapshot.graph
        names = [asset_named(graph, asset).name for asset in assets] or list(graph.order())
        return await ctx.store.activity(names, limit=bounded_count("limit", limit))

    async def stale(
        self, *assets: Any, known: Mapping[str, Mapping[str | None, Reason]] | None = None
    ) -> AsyncIterator[StaleValues]:
        """Which current values are stale, and why: those that `refresh="stale"` would compute again.

        Read it with `async for`. A value is stale if its code or its config is another one now, if a value that it
        was, or would be, computed from has changed, or if one of these is stale. Assets come upstream before
        downstream; one with many values comes a thousand of them at a time.

        Args:
            assets: Names, `Asset`s or decorated functions; none: all assets.
            known: By asset and encoded partition key, what is known of others: then nothing upstream of the assets
                is looked at beside them. Default: all that is upstream of them is looked at too, and told.

        Raises:
            AssetNotFound: There is no such asset. This and the following are raised by the first one.
            StoreUnavailable: The store does not answer.
        """
        ctx = self._started()
        view = await self._client.view()
        named = {asset_named(view.graph, asset).name for asset in assets}
        if known is None:
            named |= {each for asset in tuple(named) for each in view.graph.upstream(asset)}
        wanted = [asset for asset in view.graph.order() if not assets or asset in named]
        reasons = {
            (asset, key): reason
            for asset, found in (known or {}).items()
            if asset not in wanted
            for key, reason in found.items()
        }
        async for found in stale_values(ctx.store, view, wanted, reasons):
            yield found
