"""What is remembered of a run: statuses, failures, materializations and the run record itself."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "Failure",
    "FailureKind",
    "Input",
    "Materialization",
    "Refresh",
    "RunRecord",
    "RunSpec",
    "Share",
    "Status",
    "StepKey",
    "WaitKind",
]

StepKey: TypeAlias = tuple[str, str | None]
"""Asset name and encoded partition key (None: no partition)."""

FailureKind: TypeAlias = Literal[
    "error",
    "timeout",
    "dependency",
    "io",
    "resource",
    "cancelled_by_asset",
    "abandoned",
    "lost",
    "store",
    "rejected",
    "expired",
    "skip",
]
Refresh: TypeAlias = Literal["all", "missing", "stale"]
Share: TypeAlias = Literal["same", "once", "needed"]
"""Which partitions of a further target a run has: the same as of the first one; its one value, because it has no
partition set and the first one has; or those that targets downstream of it need, because its set is another one."""
WaitKind: TypeAlias = Literal["approval", "signal", "sleep", "once"]
"""`once` is no wait: what a function did once is kept as an answer that it need not wait for."""


class Status(StrEnum):
    """The state of a run, a step or an asset-partition; compares equal to its lower-case name."""

    NEVER = "never"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    REUSED = "reused"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows: a terminal state is never left."""
        return self in _TERMINAL


_TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.REUSED, Status.CANCELLED})


@frozen
class Failure:
    """Why a step failed, as text: nothing of the exception object itself is kept.

    Attributes:
        kind: One of `FailureKind`; `skip` of a step that was skipped by choice, which is no failure.
        message: `TypeName: text`, at most 10,000 characters.
        traceback: The formatted traceback, at most 50,000 characters; empty where there is none.
        retryable: Whether another attempt is allowed, as far as this failure is concerned.
        after: Seconds the asset asked to wait before the next attempt, if it did.
        cause: For a skipped step, the step whose failure or choice caused it, as `asset` or `asset[key]`; None if
            it chose to be skipped itself.
        where: `file:line` of the last frame of the user's own code; empty where no such code was running.
        frames: The traceback of only the user's own frames, at most 5,000 characters; empty likewise.
    """

    kind: FailureKind
    message: str
    traceback: str = ""
    retryable: bool = False
    after: float | None = None
    cause: str | None = None
    where: str = ""
    frames: str = ""


@frozen
class Input:
    """One upstream value that a materialization was computed from.

    Attributes:
        asset: The upstream asset's name.
        partition_key: Its encoded partition key, or None.
        run_id: The run that produced the value.
        attempt: The attempt that did.
        data_version: The version of the value, where it is known.
    """

    asset: str
    partition_key: str | None
    run_id: str
    attempt: int
    data_version: str | None = None


@frozen
class Materialization:
    """The record of one step: what became of one asset at one partition in one run.

    Attributes:
        asset: The asset's name.
        partition: The partition as a Python value, or None.
        partition_key: The same as text (`encode_partition`), or None.
        run_id: The run that produced the record.
        status: A terminal `Status`, or `running`/`queued`/`waiting` for a step still under way.
        attempt: 1 for the first attempt; 0 if the step never started.
        started_at: When the last attempt started (aware, UTC), or None.
        finished_at: When the step ended (aware, UTC), or None.
        failure: Why it failed or was skipped, or None.
        metadata: What the asset recorded, JSON-like.
        code_version: The asset's declared version when it ran.
        data_version: The version the asset gave its value, else the value's digest, else None.
        location: Where the IO manager keeps this very value, or None.
        inputs: The upstream values it was computed from.
        io: The name of the IO manager that holds the value.
        size: Bytes of the stored value, where the IO manager knows.
        config: All fields of the config it was computed with, as JSON, or None if its asset takes none.
    """

    asset: str
    partition: Any
    partition_key: str | None
    run_id: str
    status: Status
    attempt: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Failure | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    code_version: str | None = None
    data_version: str | None = None
    location: str | None = None
    inputs: tuple[Input, ...] = ()
    io: str = "default"
    size: int | None = None
    config: Mapping[str, Any] | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from the start of the last attempt to its end; None before that."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def name(self) -> str:
        """`asset`, or `asset[2025-01-15]` where there is a partition: as people write it."""
        return step_label(self.asset, self.partition_key)


@frozen
class RunSpec:
    """What was requested, as data: everything that another process needs to plan the run.

    Attributes:
        kind: `materialize` (the targets only), `materialize_all` (and everything upstream) or `backfill`.
        asset: The name of the target that the partitions are of; of several the one that stands most downstream.
        keys: Its encoded partition keys; None entries mean "no partition". Empty if `span` is set.
        span: First and last encoded key of a contiguous range of its set, instead of `keys`.
        upstream: Whether everything upstream of the targets is part of the run.
        refresh: Which existing values are reused.
        max_parallel: Steps that may run at a time; None: the runtime's `max_concurrency`.
        timeout: Seconds until the run is cancelled, or None.
        tags: Free labels.
        as_of: The instant that closes open-ended partition sets (ISO 8601, UTC).
        partitioned: Whether `asset` had a partition set then: an asset without one takes any key.
        config: The fields that were passed, as JSON, by asset.
        retry_of: The id of the run of which this computes again what did not succeed; or None. Values are reused
            of what succeeded there, and of nothing else.
        beside: The other targets, upstream before downstream, and which of their partitions are meant; empty where
            one asset was asked for.
        by: Who asked for it, or None.
    """

    kind: Literal["materialize", "materialize_all", "backfill"]
    asset: str
    keys: tuple[str | None, ...] = (None,)
    span: tuple[str, str] | None = None
    upstream: bool = False
    refresh: Refresh = "all"
    max_parallel: int | None = None
    timeout: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    as_of: str | None = None
    partitioned: bool = False
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retry_of: str | None = None
    beside: Mapping[str, Share] = field(default_factory=dict)
    by: str | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The assets that were asked for, at least one; those that are computed once are the last."""
        if not self.beside:
            return (self.asset,)
        once = [name for name, share in self.beside.items() if share == "once"]
        return (*(name for name in self.beside if name not in once), self.asset, *once)


@frozen
class RunRecord:
    """The stored head of a run.

    Attributes:
        id: Unique. It begins with an instant, for people; which run is the newer one, the store knows.
        pipeline: Name of the pipeline that defines the target.
        request: What was asked for.
        status: queued, running, waiting, succeeded, failed or cancelled.
        created_at, started_at, finished_at: Aware UTC datetimes, or None.
        owner: The node that drives it, or None.
        epoch: Raised each time the run changes owner; a write with an older epoch is refused.
        total: Steps in its plan, known once planned.
        counts: Steps per terminal status so far.
        key: At most one unfinished run has it, or None: what asks again meanwhile is given this run.
        priority: Where runs queue for a node, the higher ones are taken first.
    """

    id: str
    pipeline: str
    request: RunSpec
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    owner: str | None = None
    epoch: int = 0
    total: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    key: str | None = None
    priority: int = 0

    @property
    def kind(self) -> Literal["materialize", "materialize_all", "backfill"]:
        """What was asked for: see `RunSpec`."""
        return self.request.kind

    @property
    def asset(self) -> str:
        """Name of the asset that was asked for; of several the one that stands most downstream."""
        return self.request.asset

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of all assets that were asked for."""
        return self.request.targets

    @property
    def tags(self) -> Mapping[str, str]:
        """Its labels."""
        return self.request.tags

    @property
    def config(self) -> Mapping[str, Mapping[str, Any]]:
        """The fields that were passed, by asset."""
        return self.request.config
