"""Assets, as they are defined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self, TypeVar

from flowstone.assets.asset import Dependency
from flowstone.assets.description import AssetDescription, PartitionExtent, RateDescription
from flowstone.wire.model import Model

__all__ = ["AssetModel", "DependencyModel", "ExtentModel", "RateModel"]


class DependencyModel(Model):
    """What an asset takes of another one."""

    asset: str
    """The asset that it depends on."""
    parameter: str | None
    """The parameter that takes its value; null if none does."""
    optional: bool
    """Whether that has a default, for where there is no value."""
    takes: Literal["value", "outcome", "choice"]
    """Its value; whatever became of it; or being chosen by it, a route."""


class ExtentModel(Model):
    """A partition set, in a few words."""

    set: str
    """Its kind, such as `DailyPartitions`."""
    count: int | None
    """How many partitions it has; null where they are kept in the store."""
    first: str | None
    """The first of them; null if there is none, or it is not known."""
    last: str | None
    """The last one, likewise."""


class RateModel(Model):
    """A rate that an asset keeps to."""

    name: str
    """Its name."""
    limit: int
    """How many turns there are."""
    per: float
    """In how many seconds."""


class AssetModel(Model):
    """An asset, by its definition."""

    name: str
    """Its name."""
    description: str | None
    """What it is, for people."""
    pipeline: str
    """The pipeline that defines it."""
    dependencies: list[str]
    """The assets it is computed from."""
    takes: list[DependencyModel]
    """What it takes of them; an asset may be named twice."""
    dependents: list[str]
    """The assets that are computed from it."""
    partitions: str | None
    """The kind of its partition set, such as `DailyPartitions`; null if it has none."""
    extent: ExtentModel | None = None
    """Its partition set; null if it has none."""
    tags: dict[str, str]
    """Free labels."""
    source: str = ""
    """`file:line` where it is defined."""
    run_in: Literal["loop", "thread", "process"] = "loop"
    """Where its function runs."""
    constant: bool = False
    """Whether it is a value, and has no function."""
    attempts: int = 1
    """How often it is tried."""
    timeout: float | None = None
    """Seconds that one attempt may take."""
    resources: list[str]
    """Names of the resources it needs."""
    config: list[str] | None = None
    """The fields of its config; null if it takes none."""
    pools: dict[str, int]
    """Slots that it takes of pools while it runs."""
    pool_slots: dict[str, int]
    """How many slots these pools are defined with."""
    rate: str | None = None
    """The rate that it keeps to."""
    rate_limit: RateModel | None = None
    """What that is."""
    within: float | None = None
    """Seconds after which it is late."""
    overdue: float | None = None
    """Seconds after which it is overdue."""
    fresh: str | None = None
    """How fresh it is to be, in words."""
    io: str = "default"
    """The IO manager that keeps its value."""
    code_version: str | None = None
    """The version of its code, where it says one."""

    @classmethod
    def of(cls, asset: AssetDescription, dependents: Iterable[str], **more: Any) -> Self:
        """As the API shows it.

        Args:
            asset: What its definition says.
            dependents: The assets that are computed from it.
            more: What it shows beside that.
        """
        late = asset.freshness
        return cls(
            name=asset.name,
            description=asset.description,
            pipeline=asset.pipeline,
            dependencies=list(dict.fromkeys(each.asset for each in asset.dependencies)),
            takes=[DependencyModel.model_validate(each, from_attributes=True) for each in asset.dependencies],
            dependents=list(dependents),
            partitions=None if asset.partitions is None else asset.partitions.set,
            extent=_shown(ExtentModel, asset.partitions),
            tags=dict(asset.tags),
            source=asset.source,
            run_in=asset.run_in,
            constant=asset.constant,
            attempts=asset.attempts,
            timeout=asset.timeout,
            resources=list(asset.resources),
            config=None if asset.config is None else list(asset.config),
            pools=dict(asset.pools),
            pool_slots=dict(asset.pool_slots),
            rate=None if asset.rate is None else asset.rate.name,
            rate_limit=_shown(RateModel, asset.rate),
            within=None if late is None else late[0],
            overdue=None if late is None else late[1],
            fresh=asset.fresh,
            io=asset.io,
            code_version=asset.version,
            **more,
        )

    def as_record(self) -> AssetDescription:
        """What it shows."""
        extent, rate = self.extent, self.rate_limit
        late = None if self.within is None or self.overdue is None else (self.within, self.overdue)
        return AssetDescription(
            self.name,
            self.pipeline,
            tuple(
                Dependency(each.asset, each.parameter, each.optional, takes=each.takes) for each in self.takes
            ),
            self.description,
            None if extent is None else PartitionExtent(extent.set, extent.count, extent.first, extent.last),
            tuple(self.resources),
            None if self.config is None else tuple(self.config),
            self.pools,
            self.pool_slots,
            None if rate is None else RateDescription(rate.name, rate.limit, rate.per),
            self.fresh,
            late,
            self.io,
            self.run_in,
            self.constant,
            self.attempts,
            self.timeout,
            self.code_version,
            self.tags,
            self.source,
        )


M = TypeVar("M", bound=Model)


def _shown(model: type[M], record: object) -> M | None:
    return None if record is None else model.model_validate(record, from_attributes=True)
