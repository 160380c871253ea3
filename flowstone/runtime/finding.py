"""What is defined and what is current: assets by selection, values, runs by how their ids begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.description import AssetDescription, describe_asset
from flowstone.runtime.client.requests import asset_named, bounded_count, encoded, page_of
from flowstone.runtime.granting import Granting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.events import Event
    from flowstone.runs.records import Materialization, RunRecord

__all__ = ["Finding"]


class Finding(Granting):
    """The calls of `Runtime` that find what others ask about."""

    def assets(self, selection: str | None = None) -> Sequence[AssetDescription]:
        """What the definitions of its assets say, upstream before downstream, constants among them.

        Args:
            selection: Only those that it means, as in `select`, which leaves constants out. Default: all.

        Raises:
            SelectionError: It cannot be read, or names what there is not.
        """
        snapshot = self._started().snapshot
        graph = snapshot.graph
        pools = dict(snapshot.pools)
        rates = {name: (limit, per) for name, limit, per in snapshot.rates}
        names = graph.order() if selection is None else self.select(selection)
        return [describe_asset(graph[name], snapshot.pipelines[name], pools, rates) for name in names]

    async def current(
        self, asset: Any, *, partition: Any = None, limit: int = 100, offset: int = 0
    ) -> Sequence[Materialization]:
        """The records of the current values of an asset, by partition key.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Only that of this partition. Default: of all.
            limit: How many at most; default 100.
            offset: How many to leave out; default 0.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign.
            ValueError: `limit` or `offset` is no whole number of at least 0.
        """
        ctx = self._started()
        limit, offset = page_of(limit, offset)
        view = await self._client.view()
        name = asset_named(view.graph, asset).name
        if partition is not None:
            wanted = [(name, encoded(view, name, partition))]
        else:
            known = await ctx.store.current_keys(name)
            wanted = [(name, key) for key in sorted(known, key=lambda key: key or "")]
        page = wanted[offset : offset + limit]
        found = await ctx.store.current(page)
        return [found[key] for key in page if key in found]

    async def runs_beginning(self, beginning: str, *, limit: int = 2) -> Sequence[RunRecord]:
        """Runs whose ids begin so, in no particular order: two say already that there is more than one.

        Args:
            beginning: How the id begins.
            limit: How many at most.

        Raises:
            ValueError: `limit` is no positive whole number.
        """
        return await self._started().store.runs_beginning(beginning, limit=bounded_count("limit", limit))

    async def recorded_events(
        self, run_id: str, *, after: int = 0, limit: int = 1_000
    ) -> Sequence[tuple[int, Event]]:
        """What is on record of a run, in order, each event with its number in the log of the run.

        Of a run that ended long ago only the newest events are kept.

        Args:
            run_id: The run's id.
            after: Only events with higher numbers.
            limit: How many at most.

        Raises:
            RunNotFound: There is no such run.
            ValueError: `after` is no whole number of at least 0, or `limit` no positive one.
        """
        ctx = self._started()
        after, limit = bounded_count("after", after, least=0), bounded_count("limit", limit)
        await self._client.record(run_id)
        return await ctx.store.events(run_id, after=after, limit=limit)

    async def partitions(self, name: str) -> Sequence[str]:
        """The encoded keys of a dynamic partition set, in the order in which they were added.

        Args:
            name: The set's name, as in `DynamicPartitions(name)`.
        """
        return await self._started().store.partitions(name)
