"""The calls of `Client` that read: assets, partitions, records, runs, and the processes that do the work.

assets              assets, select, partition_key, exists, status, partition_states, partition_counts
records             history, recent, current, activity, items, step, steps
why and whence      why, lineage, freshness, late
runs                run, runs, runs_beginning, recorded_events, timeline, logs, feed, watch
processes           nodes, tree, health
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from flowstone.client.arguments import asset_text, new_page, partition_text, status_texts
from flowstone.client.connected import Connected
from flowstone.client.feed import Patience, RemoteFeed
from flowstone.client.lineage import RemoteLineage
from flowstone.client.log_lines import RemoteLogLines
from flowstone.errors import ArgumentError, RunNotFound
from flowstone.runs.partition_states import PartitionCounts, PartitionStates, states_of
from flowstone.runs.records import Status
from flowstone.runtime.client.run_filter import wanted_tags
from flowstone.wire.assets import ActivityModel, AssetDetailsModel, PartitionModel, StatusModel
from flowstone.wire.audit import AuditEntryModel
from flowstone.wire.definitions import AssetModel
from flowstone.wire.explanations import ExplanationModel
from flowstone.wire.freshness import FreshnessModel
from flowstone.wire.health import HealthModel
from flowstone.wire.items import ItemModel
from flowstone.wire.materializations import MaterializationModel
from flowstone.wire.nodes import NodeModel
from flowstone.wire.processes import ProcessModel
from flowstone.wire.run_details import TimelineModel
from flowstone.wire.runs import RunModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from flowstone.actors import ProcessInfo
    from flowstone.assets.description import AssetDescription
    from flowstone.runs.asset_activity import AssetActivity
    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.audit import AuditEntry
    from flowstone.runs.events import Event
    from flowstone.runs.explanation import Explanation
    from flowstone.runs.items import Item
    from flowstone.runs.log_line import LogLevel
    from flowstone.runs.records import Materialization, RunRecord
    from flowstone.runtime.client.handle import Run
    from flowstone.runtime.client.health import Health
    from flowstone.runtime.client.nodes import NodeStatus
    from flowstone.runtime.client.timeline import Timeline

__all__ = ["Asking"]


class Asking(Connected):
    """The calls of `Client` that read. Each is the call of `Runtime` of that name."""

    # Assets -------------------------------------------------------------------------------------------------

    async def assets(self, selection: str | None = None) -> Sequence[AssetDescription]:
        """As `Runtime.assets`."""
        found = await self._transport.listed(AssetModel, "assets", select=selection)
        return [each.as_record() for each in found]

    async def select(self, selection: str) -> tuple[str, ...]:
        """As `Runtime.select`."""
        return tuple(each.name for each in await self.assets(selection))

    async def partition_key(self, asset: Any, partition: Any) -> str | None:
        """As `Runtime.partition_key`."""
        return (await self._status(asset, partition)).partition_key

    async def exists(self, asset: Any, *, partition: Any = None) -> bool:
        """As `Runtime.exists`."""
        return (await self._status(asset, partition)).exists

    async def status(self, asset: Any, *, partition: Any = None) -> Status:
        """As `Runtime.status`."""
        return (await self._status(asset, partition)).status

    async def partition_states(
        self, *assets: Any, latest: int | None = None
    ) -> Mapping[str, PartitionStates]:
        """As `Runtime.partition_states`; one list for each asset."""
        if latest is not None and not new_page(latest, 0):
            raise ArgumentError("latest=0: give a whole number of at least 1.")
        found = {}
        for name in await self._names(assets):
            told = await self._transport.listed(PartitionModel, "assets", name, "partitions")
            shown = told if latest is None else told[-latest:]
            places = {each.partition_key: place for place, each in enumerate(shown)}
            known = [(each.recorded, [each.partition_key]) for each in shown]
            skips: dict[str | None, list[str | None]] = {}
            for each in shown:
                if each.recorded is Status.SKIPPED:
                    skips.setdefault(each.cause, []).append(each.partition_key)
            found[name] = states_of(name, places, known, len(told), skips)
        return found

    async def partition_counts(self, *assets: Any) -> Mapping[str, PartitionCounts]:
        """As `Runtime.partition_counts`; one request for each asset."""
        found = {}
        for name in await self._names(assets):
            told = await self._transport.get(AssetDetailsModel, "assets", name)
            found[name] = PartitionCounts(name, told.partition_count, told.have, told.recorded)
        return found

    # Records ------------------------------------------------------------------------------------------------

    async def history(
        self, asset: Any, *, partition: Any = None, limit: int = 100, offset: int = 0
    ) -> Sequence[Materialization]:
        """As `Runtime.history`."""
        where = {"partition": partition_text(partition)}
        return await self._records(
            "assets", asset_text(asset), "history", limit=limit, offset=offset, **where
        )

    async def recent(self, asset: Any, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        """As `Runtime.recent`."""
        return await self._records("assets", asset_text(asset), "recent", limit=limit, offset=offset)

    async def current(
        self, asset: Any, *, partition: Any = None, limit: int = 100, offset: int = 0
    ) -> Sequence[Materialization]:
        """As `Runtime.current`."""
        where = {"partition": partition_text(partition)}
        return await self._records(
            "assets", asset_text(asset), "current", limit=limit, offset=offset, **where
        )

    async def activity(self, *assets: Any, limit: int = 24) -> Mapping[str, AssetActivity]:
        """As `Runtime.activity`."""
        named = [asset_text(each) for each in assets]
        found = await self._transport.get_list(ActivityModel, "activity", of=named, limit=limit)
        return {each.asset: each.as_record() for each in found}

    async def items(
        self,
        run_id: str,
        asset: Any,
        partition: Any = None,
        status: Status | str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Item]:
        """As `Runtime.items`."""
        new_page(limit, offset)
        found = await self._transport.listed(
            ItemModel,
            "runs",
            run_id,
            "items",
            limit=limit,
            asset=asset_text(asset),
            partition=partition_text(partition),
            status=None if status is None else str(status),
            offset=offset or None,
        )
        return [each.as_record() for each in found]

    async def steps(
        self, run_id: str, status: Status | str | None = None, *, limit: int = 100, offset: int = 0
    ) -> Sequence[Materialization]:
        """As `Runtime.steps`."""
        new_page(limit, offset)
        found = await self._transport.listed(
            MaterializationModel,
            "runs",
            run_id,
            "steps",
            limit=limit,
            status=None if status is None else str(status),
            offset=offset or None,
            traceback=True,
        )
        return [each.as_record() for each in found]

    async def step(self, run_id: str, asset: Any, partition: Any = None) -> Materialization | None:
        """As `Runtime.step`."""
        return await self._runs.step(run_id, asset_text(asset), partition_text(partition))

    # Why and whence -----------------------------------------------------------------------------------------

    async def why(self, asset: Any, partition: Any = None) -> Explanation:
        """As `Runtime.why`."""
        told = await self._transport.get(
            ExplanationModel, "why", asset=asset_text(asset), partition=partition_text(partition)
        )
        return told.as_record()

    @property
    def lineage(self) -> RemoteLineage:
        """As `Runtime.lineage`."""
        return RemoteLineage(self._transport)

    async def freshness(self, asset: Any, partition: Any = None) -> FreshnessStatus:
        """As `Runtime.freshness`."""
        name = asset_text(asset)
        if partition is None:
            told = (await self._transport.get(AssetDetailsModel, "assets", name)).freshness
        else:
            told = (await self._status(name, partition)).freshness
        if told is None:
            raise ArgumentError(f"Asset {name!r} does not say how fresh it is to be (freshness=).")
        return told.as_record()

    async def late(self) -> Sequence[FreshnessStatus]:
        """As `Runtime.late`."""
        return [each.as_record() for each in await self._transport.get_list(FreshnessModel, "late")]

    # Runs ---------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> Run:
        """As `Runtime.run`."""
        if not run_id:
            raise RunNotFound("There is no run without an id.")
        await self._runs.run_status(run_id)
        return self._handle(run_id)

    async def runs(
        self,
        status: Status | str | Iterable[Status | str] | None = None,
        asset: Any = None,
        tag: str | Mapping[str, str | None] | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[RunRecord]:
        """As `Runtime.runs`."""
        if not new_page(limit, 0):
            raise ArgumentError("limit=0: give a whole number of at least 1.")
        found = self._transport.pages(
            RunModel,
            "runs",
            limit=limit,
            status=status_texts(status),
            asset=None if asset is None else asset_text(asset),
            tag=[name if value is None else f"{name}={value}" for name, value in wanted_tags(tag).items()],
            before=before,
        )
        return [await self._whole(each) async for each in found]

    async def runs_beginning(self, beginning: str, *, limit: int = 2) -> Sequence[RunRecord]:
        """As `Runtime.runs_beginning`; at most two are told of."""
        found = await self._transport.listed(RunModel, "runs", limit=limit, beginning=beginning)
        return [await self._whole(each) for each in found]

    async def recorded_events(
        self, run_id: str, *, after: int = 0, limit: int = 1_000
    ) -> Sequence[tuple[int, Event]]:
        """As `Runtime.recorded_events`."""
        return [each async for each in self._runs.recorded(run_id, after=after, limit=limit)]

    async def timeline(self, run_id: str, *, after: int = 0, limit: int = 100_000) -> Timeline:
        """As `Runtime.timeline`."""
        told = await self._transport.get(
            TimelineModel, "runs", run_id, "timeline", after=after, limit=limit, traceback=True
        )
        return told.as_record()

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
    ) -> RemoteLogLines:
        """As `Runtime.logs`; one that is followed goes on over connections that are cut."""
        new_page(0 if limit is None else limit, after)
        if tail is not None and (after or not new_page(tail, 0)):
            raise ArgumentError(
                "tail= takes how many of the newest lines, at least 1, and goes with no after=."
            )
        if partition is not None and asset is None:
            raise ArgumentError("A partition is one of an asset: name it (asset=).")
        query = {
            "asset": None if asset is None else asset_text(asset),
            "partition": partition_text(partition),
            "level": level,
            "contains": contains or None,
        }
        return RemoteLogLines(
            self._transport,
            run_id,
            query,
            follow=follow,
            after=after,
            limit=limit,
            tail=tail,
            patience=self._patience(),
        )

    def feed(
        self, *kinds: str, after: int | None = None, run_id: str | None = None, asset: Any = None
    ) -> RemoteFeed:
        """As `Runtime.feed`; it goes on over connections that are cut, and leaves nothing out.

        Where the server is away for longer than `reconnect` seconds it raises `ServerUnavailable`. `position` says
        where another feed goes on.
        """
        if after is not None:
            new_page(0, after)
        return RemoteFeed(
            self._transport,
            kinds,
            after=after,
            run_id=run_id,
            asset=None if asset is None else asset_text(asset),
            patience=self._patience(),
        )

    @asynccontextmanager
    async def watch(self, changed: Callable[[], None]) -> AsyncIterator[None]:
        """As `Runtime.watch`; an async context manager, which raises if the server is away for too long."""
        failed: BaseException | None = None
        try:
            async with self.feed() as feed, anyio.create_task_group() as group:

                async def listen() -> None:
                    async for _ in feed:
                        changed()

                group.start_soon(listen)
                yield
                group.cancel_scope.cancel()
        except BaseExceptionGroup as several:
            if len(several.exceptions) != 1:
                raise
            (failed,) = several.exceptions  # What was raised, by the block or by the feed.
        if failed is not None:
            raise failed

    async def audit(
        self,
        asset: Any = None,
        run_id: str | None = None,
        *,
        by: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[AuditEntry]:
        """As `Runtime.audit`; what is about tokens and log-ins, with a token that may `admin`."""
        if not new_page(limit, 0 if before is None else before):
            raise ArgumentError("limit=0: give a whole number of at least 1.")
        found = await self._transport.listed(
            AuditEntryModel,
            "audit",
            limit=limit,
            asset=None if asset is None else asset_text(asset),
            run_id=run_id,
            by=by,
            before=before,
        )
        return [each.as_record() for each in found]

    # Processes ----------------------------------------------------------------------------------------------

    async def nodes(self, *, trees: bool = False) -> tuple[NodeStatus, ...]:
        """As `Runtime.nodes`."""
        found = await self._transport.listed(NodeModel, "nodes", trees=trees)
        return tuple(each.as_record() for each in found)

    async def tree(self) -> ProcessInfo:
        """As `Runtime.tree`: of the node that answers."""
        return (await self._transport.get(ProcessModel, "tree")).as_record()

    async def health(self, *, ask: bool = True) -> Health:
        """As `Runtime.health`: of the node that answers."""
        return (await self._transport.get(HealthModel, "health", ask=ask)).as_record()

    # Inside -------------------------------------------------------------------------------------------------

    def _patience(self) -> Patience:
        raise AssertionError("Client says how patient it is")

    async def _names(self, assets: Iterable[Any]) -> list[str]:
        return [asset_text(each) for each in assets] or [each.name for each in await self.assets()]

    async def _status(self, asset: Any, partition: Any) -> StatusModel:
        where = partition_text(partition)
        return await self._transport.get(StatusModel, "assets", asset_text(asset), "status", partition=where)

    async def _records(self, *path: str, limit: int, offset: int, **query: Any) -> Sequence[Materialization]:
        most = new_page(limit, offset)
        found = await self._transport.listed(MaterializationModel, *path, limit=most, traceback=True, **query)
        return [each.as_record() for each in found[offset:]]

    async def _whole(self, told: RunModel) -> RunRecord:
        """A run with all partitions that were asked for: a list names a hundred of each."""
        return told.as_record() if told.complete else await self._runs.record(told.id)
