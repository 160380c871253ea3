"""Runs: what was asked for, and how far they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from flowstone.masking import without_secrets
from flowstone.runs.records import RunRecord, Status
from flowstone.runs.targets import request_label
from flowstone.wire.model import Given, Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import label

__all__ = ["CancelModel", "RunModel", "RunsQuery"]

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
    title: str
    """What was asked for in a few words: `report[2025-01-15]`, `raw, clean and 3 more, 48 partitions`."""
    partitions: list[str]
    """The partitions that were asked for, of many the first hundred; empty with `start`."""
    partition_count: int | None
    """How many were asked for; null with `start`, and where there are none."""
    start: str | None
    """The first partition of a range that was asked for."""
    end: str | None
    """The last one."""
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

    @classmethod
    def of(cls, run: RunRecord) -> RunModel:
        """As the API shows it."""
        request = run.request
        keys = [key for key in request.keys if key is not None]
        return cls(
            id=run.id,
            pipeline=run.pipeline,
            kind=request.kind,
            asset=request.asset,
            assets=list(request.targets),
            title=request_label(request),
            partitions=[label(key) or "" for key in keys[:_SHOWN]] if request.span is None else [],
            partition_count=len(keys) or None if request.span is None else None,
            start=None if request.span is None else label(request.span[0]),
            end=None if request.span is None else label(request.span[1]),
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
            counts={str(status): number for status, number in run.counts.items()},
        )


class CancelModel(Given):
    """Why it is stopped."""

    reason: Annotated[Text, Field(max_length=10_000)] = ""
    """Why, for those who look at the run and at the audit log."""


class RunsQuery(Listed):
    """Which runs."""

    status: tuple[Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"], ...] = ()
    """Only those in this status, or in one of these."""
    asset: Text | None = None
    """Only those that were asked for this asset."""
    tag: tuple[Text, ...] = ()
    """Only those with this label, or with all of these: `name` or `name=value`."""
