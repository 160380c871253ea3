"""What is on record of runs and values, and the values themselves.

runs            one by its id, or a list of them; what their attempts logged, their items
values          the current ones, whether there are any, why they are as they are, their history and lineage
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from flowstone.errors import ArgumentError
from flowstone.runtime.client.explaining import Surroundings, explain
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.log_filter import LogFilter
from flowstone.runtime.client.log_lines import log_lines
from flowstone.runtime.client.requests import asset_named, bounded_count, encoded, page_of
from flowstone.runtime.client.run_filter import wanted_statuses, wanted_tags
from flowstone.runtime.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from flowstone.assets.asset import Asset
    from flowstone.assets.output import Output
    from flowstone.runs.explanation import Explanation
    from flowstone.runs.items import Item
    from flowstone.runs.log_line import LogLevel
    from flowstone.runs.records import Materialization, RunRecord, Status
    from flowstone.runtime.client.lineage import Lineage
    from flowstone.runtime.client.log_lines import LogLines
    from flowstone.runtime.client.run_client import RunClient
    from flowstone.runtime.client.values import Values

__all__ = ["Inspection"]

T = TypeVar("T")


class Inspection(Observation):
    """The calls of `Runtime` that read what is on record, and change nothing."""

    _values: Values
    _lineage: Lineage
    _client: RunClient

    # Runs ---------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> Run:
        """The handle of a run, after a restart as well.

        Args:
            run_id: The run's id.

        Raises:
            RunNotFound: The store knows no such run.
        """
        self._started()
        await self._client.record(run_id)
        return Run(run_id, self._client)

    async def runs(
        self,
        status: Status | str | Iterable[Status | str] | None = None,
        asset: Any = None,
        tag: str | Mapping[str, str | None] | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[RunRecord]:
        """The runs that the store knows, of all its nodes and pipelines, newest first.

        The newest is the one that was recorded last; retention forgets finished ones (`keep_runs`).

        Args:
            status: Only runs that are `queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`, or in
                one of several of these. Default: any.
            asset: Only runs that were asked for this asset: name, `Asset` or decorated function. Default: any.
            tag: Only runs with this tag: its name, `name=value`, or a mapping of names to values, of which a run
                must have all; None is any value. Default: any.
            limit: How many at most.
            before: Only runs older than the one with this id: the last one of the page before.

        Returns:
            Their records as of now, with `id`, `kind`, `asset`, `status`, `created_at`, `started_at`,
            `finished_at`, `total` steps and `counts` of those that ended, by how they ended.

        Raises:
            AssetNotFound: There is no such asset.
            RunNotFound: There is no run `before`.
            ValueError: No run has such a status, or `limit` is no positive whole number.
            TypeError: `tag` is something else.
        """
        ctx = self._started()
        name = None if asset is None else asset_named(ctx.snapshot.graph, asset).name
        return await ctx.store.runs(
            statuses=wanted_statuses(status),
            asset=name,
            tags=wanted_tags(tag),
            limit=bounded_count("limit", limit),
            before=before,
        )

    def logs(
        self,
        run_id: str,
        asset: Any = None,
        partition: Any = None,
        *,
        follow: bool = False,
        after: int = 0,
        limit: int | None = None,
        tail: int | None = None,
        level: LogLevel | None = None,
        contains: str | None = None,
    ) -> LogLines:
        """What the code of a run's attempts logged and printed, in the order in which it was kept.

        Read it with `async for`. Lines of other nodes come within half a second.

        Args:
            run_id: The run's id.
            asset: Only lines of this one: name, `Asset` or decorated function. Default: of all.
            partition: Only lines of this partition of it. Default: of all.
            follow: Whether to go on until the run has ended and all of its lines are in.
            after: Only lines with higher numbers: the last `LogLine.number` that was read before.
            limit: How many at most. Default: all.
            tail: Only the newest so many, and with `follow` what comes after them. Those that an attempt on this
                node has said last, and that are not kept before its end, are among them (`held`); who follows gets
                these once they are kept. Not together with `after`. Default: from the first one on.
            level: Only lines of this level or a higher one: `debug`, `info`, `warning`, `error` or `critical`.
                Default: of any.
            contains: Only lines with this text in their message, fields, logger, traceback or step, in upper or
                lower case. Default: all.

        Raises:
            RunNotFound: There is no such run. This and the following are raised by the first line.
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign to the asset.
            ValueError: A partition is given and no asset; or `after`, `limit` or `tail` is no whole number of at
                least 0, or `after` and `tail` are given both; or there is no such level.
        """
        ctx = self._started()
        _, after = page_of(0, after)
        wanted, newest = (None if number is None else page_of(number, 0)[0] for number in (limit, tail))
        if newest is not None and after:
            raise ArgumentError(
                "`after` begins behind a line, `tail` with the newest ones: give one of them."
            )
        return log_lines(
            ctx,
            self._client,
            run_id,
            (asset, partition),
            follow=follow,
            after=after,
            limit=wanted,
            tail=newest,
            wanted=LogFilter.of(level, contains),
        )

    async def items(
        self,
        run_id: str,
        asset: Any,
        partition: Any = None,
        status: Status | str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Item]:
        """What became of the items that a step of a run went through, in their order; those that have ended.

        Args:
            run_id: The run's id.
            asset: Name, `Asset` or decorated function of what went through them (`each=`).
            partition: At which partition.
            status: Only those that `succeeded`, `failed`, or were `skipped`.
            limit: How many at most; default 100.
            offset: How many to leave out; default 0.

        Raises:
            RunNotFound: There is no such run.
            AssetNotFound: There is no such asset.
            PartitionError: The partition is foreign to the asset.
            ValueError: There is no such status of an item, or `limit` or `offset` is no whole number of at least 0.
        """
        await self.run(run_id)
        page = page_of(limit, offset)
        return await self._values.items(run_id, asset, partition, status, *page)

    # Values -------------------------------------------------------------------------------------------------

    @overload
    async def load(self, asset: Asset[..., Awaitable[Output[T]]], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: Asset[..., Output[T]], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: Asset[..., Awaitable[T]], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: Asset[..., T], *, partition: Any = None) -> T: ...

    @overload
    async def load(self, asset: str | Callable[..., Any], *, partition: Any = None) -> Any: ...

    async def load(self, asset: Any, *, partition: Any = None) -> Any:
        """The current value: that of the success that was recorded last.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            ValueNotFound: There is no current value.
            IOManagerError: The value cannot be loaded.
        """
        self._started()
        return await self._values.load(asset, partition)

    async def exists(self, asset: Any, *, partition: Any = None) -> bool:
        """Whether there is a current value.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
        """
        self._started()
        return await self._values.exists(asset, partition)

    async def status(self, asset: Any, *, partition: Any = None) -> Status:
        """The state of an asset (at a partition): of its step if a live run has one, else of its records.

        `succeeded` means there is a current value, `failed` that the last attempt to compute one failed, `never`
        that it was never computed or is invalidated.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
        """
        self._started()
        return await self._values.status(asset, partition)

    async def why(self, asset: Any, partition: Any = None) -> Explanation:
        """Why an asset (at a partition) is as it is: a sentence, and its causes down to the root.

        It is told from what is recorded, and from what the nodes say: what it waits for, who takes what it waits
        for, which failure it comes from, why its value is stale. Print it to see the whole tree.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            StoreUnavailable: The store does not answer.
        """
        ctx = self._started()
        view = await self._client.view()
        name = asset_named(view.graph, asset).name
        key = name, encoded(view, name, partition)
        nodes = await self.nodes()
        pools = await ctx.admission.pools.show(dict(ctx.snapshot.pools)) if ctx.snapshot.pools else ()
        around = Surroundings(ctx.store, ctx.clock.now(), nodes, {pool.name: pool for pool in pools}, view)
        return await explain(around, key)

    async def history(
        self, asset: Any, *, partition: Any = None, limit: int = 100, offset: int = 0
    ) -> Sequence[Materialization]:
        """What became of the asset (at a partition) in all runs, newest first.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; required if the asset has a partition set.
            limit: How many records at most; default 100.
            offset: How many of the newest to leave out; default 0.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: The partition is missing or foreign.
            ValueError: `limit` or `offset` is no whole number of at least 0.
        """
        self._started()
        return await self._values.history(asset, partition, *page_of(limit, offset))

    @property
    def lineage(self) -> Lineage:
        """Questions about which values came from which."""
        self._started()
        return self._lineage
