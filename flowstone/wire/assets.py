"""Assets, their partitions and their history."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.runs.records import Status
from flowstone.wire.freshness import FreshnessModel
from flowstone.wire.model import Given, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import Partition

__all__ = [
    "AssetDetailsModel",
    "AssetModel",
    "HistoryQuery",
    "InvalidateModel",
    "InvalidatedModel",
    "PartitionModel",
    "PartitionsQuery",
]


class AssetModel(Model):
    """An asset."""

    name: str
    """Its name."""
    description: str | None
    """What it is, for people."""
    pipeline: str
    """The pipeline that defines it."""
    dependencies: list[str]
    """The assets it is computed from."""
    dependents: list[str]
    """The assets that are computed from it."""
    partitions: str | None
    """The kind of its partition set, such as `DailyPartitions`; null if it has none."""
    tags: dict[str, str]
    """Free labels."""


class AssetDetailsModel(AssetModel):
    """An asset, with how it is run and what has become of it."""

    source: str
    """`file:line` where it is defined."""
    run_in: Literal["loop", "thread", "process"]
    """Where its function runs."""
    attempts: int
    """How often it is tried."""
    timeout: float | None
    """Seconds that one attempt may take."""
    resources: list[str]
    """Names of the resources it needs."""
    pools: dict[str, int]
    """Slots that it takes of pools while it runs."""
    rate: str | None
    """The rate that it keeps to."""
    io: str
    """The IO manager that keeps its value."""
    code_version: str | None
    """The version of its code, where it says one."""
    partition_count: int
    """How many partitions there are; 1 for an asset without a partition set, or those with a record."""
    counts: dict[Status, int]
    """How many partitions there are of each status, by what is on record."""
    freshness: FreshnessModel | None
    """How fresh it is; null if it does not say how fresh it is to be."""


class PartitionModel(Model):
    """A partition of an asset."""

    partition: str | None
    """The partition as one writes it; null where there is none."""
    status: Status
    """What has become of it, by what is on record."""


class InvalidateModel(Given):
    """What is no longer current."""

    partition: Partition | None = None
    """Which partition; default: all that have a value."""
    downstream: bool = False
    """Whether everything that was computed from it is invalidated as well."""
    reason: Annotated[Text, Field(max_length=10_000)] = ""
    """Why, for those who read the audit log."""


class InvalidatedModel(Model):
    """What became of it."""

    invalidated: int
    """How many values are no longer current."""


class PartitionsQuery(Listed):
    """Which partitions."""

    status: tuple[Status, ...] = ()
    """Only those in this status, or in one of these."""


class HistoryQuery(Listed):
    """Which records."""

    partition: Partition | None = None
    """Which partition; required if the asset has a partition set."""
    traceback: bool = False
    """Whether failures come with their traceback."""
