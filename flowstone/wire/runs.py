"""Runs: what was asked for, and how far they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from flowstone.masking import without_secrets
from flowstone.runs.records import RunRecord, RunSpec, Share, Status
from flowstone.runs.targets import request_label
from flowstone.wire.model import ByModel, Given, Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import label

__all__ = ["CancelModel", "RunModel", "RunQuery", "RunsQuery"]

_SHOWN = 100


class RunModel(Model):
    """A run: what was asked for, and how far it is."""

    id: str
    """Its id."""
    pipeline: str
    """The pipeline that defines its asset."""
    kind: Literal["materialize", "materialize_all", "backfill"]
    """`materialize`: these only; `materialize_all`: with everything upstream; `backfill`: many partitions."""
    asset: str
    """The asset that was asked for; of several the one that the partitions are of."""
    assets: list[str]
    """All assets that were asked for."""
    beside: dict[str, Share]
    """Of several the others, and which partitions of each: the `same`, those `needed`, or its one value `once`."""
    title: str
    """What was asked for in a few words: `report[2025-01-15]`, `raw, clean and 3 more, 48 partitions`."""
    partitions: list[str]
    """The partitions that were asked for, of many the first hundred; empty with `start`."""
    partition_count: int | None
    """How many were asked for; null with `start`, and where there are none."""
    partition_keys: list[str | None]
    """The same as machines write them; null where there is no partition."""
    start: str | None
    """The first partition of a range that was asked for."""
    start_key: str | None = None
    """The same as machines write it."""
    end: str | None
    """The last one."""
    end_key: str | None = None
    """The same as machines write it."""
    upstream: bool
    """Whether everything upstream is computed as well."""
    refresh: Literal["all", "missing", "stale"]
    """Which existing values are computed anew."""
    max_parallel: int | None
    """Steps that may run at a time; null: as many as its node runs."""
    timeout: float | None
    """Seconds until it is cancelled."""
    retry_of: str | None
    """The run of which it computes again what failed."""
    by: str | None
    """Who asked for it; null if nobody said."""
    config: dict[str, dict[str, Any]]
    """The config that was given, by asset, without passwords."""
    tags: dict[str, str]
    """Its labels."""
    key: str | None
    """While it is unfinished, no other run of this key is started."""
    priority: int
    """Of the runs that wait for a node, the higher ones are taken first."""
    status: Status
    """`queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`."""
    created_at: Instant
    """When it was asked for."""
    started_at: Instant | None
    """When it was begun."""
    finished_at: Instant | None
    """When it ended."""
    node: str | None
    """The node that drives it."""
    total: int
    """Steps of its plan."""
    counts: dict[str, int]
    """How many of them have ended, by how they ended."""
    as_of: str | None = None
    """The instant that closes partition sets without an end."""
    partitioned: bool = False
    """Whether the asset had a partition set."""
    notes: Annotated[list[str], Field(default_factory=list)]
    """What who starts it may not expect, in sentences; in the answer to that alone."""

    @classmethod
    def of(cls, run: RunRecord, *, every: bool = False) -> RunModel:
        """As the API shows it; `every`: with all partitions, however many."""
        request = run.request
        shown = None if every else _SHOWN
        keys = [key for key in request.keys if key is not None]
        return cls(
            id=run.id,
            pipeline=run.pipeline,
            kind=request.kind,
            asset=request.asset,
            assets=list(request.targets),
            beside=dict(request.beside),
            title=request_label(request),
            partitions=[label(key) or "" for key in keys[:shown]] if request.span is None else [],
            partition_keys=list(request.keys[:shown]) if request.span is None else [],
            partition_count=len(keys) or None if request.span is None else None,
            start=None if request.span is None else label(request.span[0]),
            start_key=None if request.span is None else request.span[0],
            end=None if request.span is None else label(request.span[1]),
            end_key=None if request.span is None else request.span[1],
            upstream=request.upstream,
            refresh=request.refresh,
            max_parallel=request.max_parallel,
            timeout=request.timeout,
            retry_of=request.retry_of,
            by=request.by,
            config={name: without_secrets(dict(fields)) for name, fields in request.config.items()},
            tags=dict(request.tags),
            key=run.key,
            priority=run.priority,
            status=run.status,
            created_at=run.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
            node=run.owner,
            total=run.total,
            notes=[],
            counts={str(status): number for status, number in run.counts.items()},
            as_of=request.as_of,
            partitioned=request.partitioned,
        )

    @property
    def complete(self) -> bool:
        """Whether all partitions that were asked for are named."""
        return (self.partition_count or 0) <= len(self.partition_keys)

    def as_record(self) -> RunRecord:
        """What it shows. Its epoch is not told."""
        span = None if self.start_key is None or self.end_key is None else (self.start_key, self.end_key)
        request = RunSpec(
            self.kind,
            self.asset,
            tuple(self.partition_keys),
            span,
            self.upstream,
            self.refresh,
            self.max_parallel,
            self.timeout,
            self.tags,
            self.as_of,
            self.partitioned,
            self.config,
            self.retry_of,
            self.beside,
            self.by,
        )
        return RunRecord(
            self.id,
            self.pipeline,
            request,
            self.status,
            self.created_at,
            self.started_at,
            self.finished_at,
            self.node,
            0,
            self.total,
            self.counts,
            self.key,
            self.priority,
        )


class RunQuery(Given):
    """How much of it."""

    every_partition: bool = False
    """Whether all partitions are named that were asked for, and not only the first hundred."""


class CancelModel(ByModel):
    """How it is stopped."""

    drain: bool = False
    """Whether the running steps may end, and only no others begin."""
    reason: Annotated[Text, Field(max_length=10_000)] = ""
    """Why, for people."""


class RunsQuery(Listed):
    """Which runs."""

    status: tuple[Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"], ...] = ()
    """Only those in this status, or in one of these."""
    asset: Text | None = None
    """Only those that were asked for this asset."""
    tag: tuple[Text, ...] = ()
    """Only those with this label, or with all of these: `name` or `name=value`."""
    before: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    """Only those older than the run of this id; with a cursor, which has its place, of no use."""
    beginning: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    """Only those whose id begins so; of these two at most, to know whether there is one."""
