"""What has become of assets and of their partitions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flowstone.runs.asset_activity import AssetActivity
from flowstone.runs.records import Status
from flowstone.wire.definitions import AssetModel
from flowstone.wire.freshness import FreshnessModel
from flowstone.wire.model import ByModel, Given, Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import Partition

__all__ = [
    "ActivityModel",
    "ActivityQuery",
    "AssetDetailsModel",
    "AssetsQuery",
    "CurrentQuery",
    "HistoryQuery",
    "InvalidateModel",
    "InvalidatedModel",
    "PartitionModel",
    "PartitionQuery",
    "PartitionsQuery",
    "RecentQuery",
    "StatusModel",
]


class AssetDetailsModel(AssetModel):
    """An asset, with what has become of it."""

    partition_count: int
    """How many partitions there are; 1 for an asset without a partition set, or those with a record."""
    have: int = 0
    """How many have a current value, also if they have failed since."""
    counts: dict[Status, int]
    """How many partitions there are of each status: what waits, runs or is to begin counts as that."""
    recorded: dict[Status, int]
    """The same by what is on record alone."""
    freshness: FreshnessModel | None
    """How fresh it is; null if it does not say how fresh it is to be."""


class AssetsQuery(Listed):
    """Which assets."""

    select: Annotated[Text, Field(max_length=4_000, examples=["+report -weather"])] | None = None
    """Only those that this selection means: `+report`, `raw+`, `tag:team=core`, `a,b`, `* -page`."""


class StatusModel(Model):
    """How an asset, or one partition of it, stands now."""

    asset: str
    """The asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None
    """The same as machines write it."""
    status: Status
    """Of its step if a live run has one, else by what is on record."""
    exists: bool
    """Whether there is a current value."""
    freshness: FreshnessModel | None
    """How fresh it is; null if it does not say how fresh it is to be."""


class PartitionQuery(Given):
    """Which partition."""

    partition: Partition | None = None
    """Which partition; required if the asset has a partition set."""


class CurrentQuery(Listed):
    """Which records."""

    partition: Partition | None = None
    """Only that of this partition. Default: of all."""
    traceback: bool = False
    """Whether failures come with their traceback."""


class RecentQuery(Listed):
    """Which records."""

    traceback: bool = False
    """Whether failures come with their traceback."""


class ActivityQuery(Given):
    """Of which assets."""

    of: tuple[Text, ...] = ()
    """Only these. Default: all."""
    limit: Annotated[int, Field(ge=1, le=1_000)] = 24
    """How many of the newest records of each are looked at."""


class ActivityModel(Model):
    """When an asset was computed last, and how long that took lately."""

    asset: str
    """Its name."""
    finished_at: Instant
    """When the last attempt ended."""
    durations: list[float]
    """Seconds that each of the last attempts took, the oldest first."""

    @classmethod
    def of(cls, activity: AssetActivity) -> ActivityModel:
        """As the API shows it."""
        return cls.model_validate(activity, from_attributes=True)

    def as_record(self) -> AssetActivity:
        """What it shows."""
        return AssetActivity(self.asset, self.finished_at, tuple(self.durations))


class PartitionModel(Model):
    """A partition of an asset."""

    partition: str | None
    """The partition as one writes it; null where there is none."""
    partition_key: str | None = None
    """The same as machines write it."""
    status: Status
    """Whether it waits, runs or is to begin; else what has become of it."""
    recorded: Status
    """What has become of it, by what is on record."""
    cause: str | None
    """Of one that was skipped: the step whose failure was the cause; null: it was skipped by choice."""


class InvalidateModel(ByModel):
    """What is no longer current."""

    partition: Partition | None = None
    """Which partition; default: all that have a value."""
    downstream: bool = False
    """Whether everything that was computed from it is invalidated as well."""
    reason: Annotated[Text, Field(max_length=10_000)] = ""
    """Why, for people."""


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
