"""What commands read of a store, asked of a server: so that they print the same from the same records."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.cli.problem import CommandError
from flowstone.errors import ArgumentError, AssetNotFound, RunNotFound
from flowstone.runs.waits import Wait
from flowstone.store.cluster import Node, NodeReport, WatchedNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from flowstone.client import Client
    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.audit import AuditEntry
    from flowstone.runs.events import Event
    from flowstone.runs.pools import Pool
    from flowstone.runs.records import Materialization, RunRecord, Status, StepKey
    from flowstone.runtime.client.nodes import NodeStatus

__all__ = ["RemoteHistory"]

_MOST = 1_000_000


class RemoteHistory:
    """As much of `Store` as commands read. What they change they ask of the client.

    Args:
        client: The client, open.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.cluster = self
        self.pools = self
        self.waits = self
        self.audit = self

    def __getattr__(self, name: str) -> Any:
        """What no server tells. Raises `CommandError`."""
        raise CommandError(
            "This works on a store, and not through a server.",
            "Leave --server out (FLOWSTONE_SERVER), and name the store with --store.",
        )

    async def run(self, run_id: str) -> RunRecord | None:
        with suppress(RunNotFound):
            return await (await self.client.run(run_id)).record()
        return None

    async def runs_beginning(self, prefix: str, *, limit: int = 2) -> Sequence[RunRecord]:
        return await self.client.runs_beginning(prefix, limit=limit)

    async def runs(
        self,
        *,
        statuses: Sequence[Status] = (),
        asset: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[RunRecord]:
        return await self.client.runs(list(statuses) or None, asset, tags, limit=limit, before=before)

    async def steps(
        self, run_id: str, *, status: Status | None = None, offset: int = 0, limit: int | None = None
    ) -> Sequence[Materialization]:
        most = _MOST if limit is None else limit
        return await self.client.steps(run_id, status, offset=offset, limit=most)

    async def events(self, run_id: str, *, after: int = 0, limit: int = 1_000) -> Sequence[tuple[int, Event]]:
        return await self.client.recorded_events(run_id, after=after, limit=limit)

    async def history(self, key: StepKey, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        with suppress(AssetNotFound):
            return await self.client.history(key[0], partition=_value(key[1]), limit=limit, offset=offset)
        return []

    async def current(self, keys: Iterable[StepKey]) -> Mapping[StepKey, Materialization]:
        wanted = list(keys)
        found: dict[StepKey, Materialization] = {}
        with suppress(AssetNotFound):
            if len(wanted) == 1 and wanted[0][1] is not None:
                records = await self.client.current(wanted[0][0], partition=_value(wanted[0][1]))
                return {(each.asset, each.partition_key): each for each in records}
            for asset in dict.fromkeys(asset for asset, _ in wanted):
                for each in await self.client.current(asset, limit=_MOST):
                    found[each.asset, each.partition_key] = each
        return {key: found[key] for key in wanted if key in found}

    async def current_keys(self, asset: str) -> Sequence[str | None]:
        with suppress(AssetNotFound):
            return [each.partition_key for each in await self.client.current(asset, limit=_MOST)]
        return []

    async def partitions(self, name: str) -> Sequence[str]:
        return await self.client.partitions(name)

    async def waiting(self, key: StepKey) -> bool:
        """Whether a step waits for somebody else."""
        return any(wait.step == key for wait in await self._open(key[0], _MOST))

    async def open(self, *, now: datetime, asset: str | None, limit: int) -> Sequence[Wait]:  # noqa: ARG002 - the store's signature
        """What steps wait for."""
        return await self._open(asset, limit)

    async def _open(self, asset: str | None, limit: int) -> Sequence[Wait]:
        with suppress(AssetNotFound):
            return [
                Wait(
                    each.run_id,
                    each.asset,
                    None if each.partition is None else encode_partition(each.partition),
                    each.name,
                    each.kind,
                    0,
                    each.since,
                    each.until,
                )
                for each in await self.client.waits(asset, limit=limit)
            ]
        return []

    async def show(self, names: Iterable[str]) -> Sequence[Pool]:
        """The pools of these names."""
        wanted = set(names)
        return [pool for pool in await self.client.pools() if pool.name in wanted]

    async def entries(self, **about: Any) -> Sequence[AuditEntry]:
        """The audit log."""
        return await self.client.audit(**about)

    async def key_of(self, asset: str, text: str | None) -> StepKey:
        """The key of an asset at a partition, by its definition."""
        return asset, None if text is None else await self.client.partition_key(asset, text)

    async def freshness(self, key: StepKey, *, alone: bool) -> FreshnessStatus | None:
        """How fresh an asset is, or one partition; None if it does not say how fresh it is to be."""
        with suppress(ArgumentError, AssetNotFound):
            return await self.client.freshness(key[0], _value(key[1]) if alone else None)
        return None

    async def watched(self) -> Sequence[WatchedNode] | int:
        """The nodes; or, of a store that one process has, the id of that process."""
        nodes = await self.client.nodes()
        if len(nodes) == 1 and nodes[0].lease is None:
            return nodes[0].pid
        return [_watched(node) for node in nodes]


def _value(key: str | None) -> Any:
    return None if key is None else decode_partition(key)


def _watched(node: NodeStatus) -> WatchedNode:
    assert node.joined_at is not None
    assert node.beat_at is not None
    who = Node(node.id, node.host, node.pid, node.version, node.pipelines, node.capacity, node.lease or 0.0)
    report = NodeReport(
        store=node.store,
        retried=node.retried,
        unfit=node.unfit,
        running=node.running,
        queued=node.queued,
        resumes=node.resumes,
        automates=node.automates,
        running_count=node.running_count,
        queued_count=node.queued_count,
    )
    return WatchedNode(
        who, node.joined_at, node.beat_at, node.silence or 0.0, False, node.runs, 0.0, report=report
    )
