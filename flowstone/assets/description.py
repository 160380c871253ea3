"""What the definition of an asset says, as data: for who shows assets and does not have their code."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from flowstone.assets.asset import Dependency
from flowstone.assets.partition_labels import partition_label
from flowstone.errors import PartitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.assets.asset import Asset, RunIn
    from flowstone.assets.partition_set import PartitionSet

__all__ = ["AssetDescription", "PartitionExtent", "RateDescription", "describe_asset"]


@frozen
class RateDescription:
    """A rate that an asset keeps to.

    Attributes:
        name: Its name.
        limit: How many turns there are within `per` seconds.
        per: Seconds.
    """

    name: str
    limit: int
    per: float


@frozen
class PartitionExtent:
    """A partition set, in a few words.

    Attributes:
        set: Its kind, such as `DailyPartitions`.
        count: How many partitions it has; None where they are kept in the store.
        first: The first of them, as people write it; None if there is none, or it is not known.
        last: The last one, likewise.
    """

    set: str
    count: int | None = None
    first: str | None = None
    last: str | None = None


@frozen
class AssetDescription:
    """What the definition of an asset says.

    Attributes:
        name: Its name.
        pipeline: The pipeline that defines it.
        dependencies: What it takes of which assets. Of their annotations nothing is said.
        description: What it is, for people; or None.
        partitions: Its partition set; None if it has none.
        resources: Names of the resources it needs.
        config: The fields of its config; None if it takes none.
        pools: Slots that it takes of pools while it runs.
        pool_slots: How many slots these pools are defined with.
        rate: The rate that it keeps to, or None.
        fresh: How fresh it is to be, in words; or None.
        freshness: Seconds after which it is late, and overdue; or None.
        io: The IO manager that keeps its value.
        run_in: Where its function runs.
        constant: Whether it is a value, and has no function.
        attempts: How often it is tried.
        timeout: Seconds that one attempt may take, or None.
        version: The version of its code, where it says one.
        tags: Free labels.
        source: `file:line` where it is defined.
    """

    name: str
    pipeline: str
    dependencies: tuple[Dependency, ...]
    description: str | None = None
    partitions: PartitionExtent | None = None
    resources: tuple[str, ...] = ()
    config: tuple[str, ...] | None = None
    pools: Mapping[str, int] = field(default_factory=dict)
    pool_slots: Mapping[str, int] = field(default_factory=dict)
    rate: RateDescription | None = None
    fresh: str | None = None
    freshness: tuple[float, float] | None = None
    io: str = "default"
    run_in: RunIn = "loop"
    constant: bool = False
    attempts: int = 1
    timeout: float | None = None
    version: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


def describe_asset(
    asset: Asset[Any, Any], pipeline: str, pools: Mapping[str, int], rates: Mapping[str, tuple[int, float]]
) -> AssetDescription:
    """What the definition of an asset says.

    Args:
        asset: The asset.
        pipeline: The name of the pipeline that defines it.
        pools: How many slots the pools of the pipeline have, by name.
        rates: Of the rates of the pipeline, by name, how many turns there are and in how many seconds.
    """
    return AssetDescription(
        asset.name,
        pipeline,
        tuple(
            Dependency(each.asset, each.parameter, each.optional, takes=each.takes)
            for each in asset.dependencies
        ),
        asset.description,
        None if asset.partitions is None else _extent(asset.partitions),
        tuple(sorted(asset.requires)),
        None if asset.config_parameter is None else tuple(asset.config_parameter.model.model_fields),
        dict(asset.pools),
        {name: pools[name] for name, _ in asset.pools},
        None if asset.rate is None else RateDescription(asset.rate, *rates[asset.rate]),
        None if asset.freshness is None else str(asset.freshness),
        None if asset.freshness is None else asset.freshness.bounds,
        asset.io,
        asset.run_in,
        asset.is_constant,
        1 if asset.retry is None else asset.retry.attempts,
        asset.timeout,
        asset.version,
        dict(asset.tags),
        str(asset.source),
    )


def _extent(partitions: PartitionSet[Any]) -> PartitionExtent:
    kind = type(partitions).__name__
    try:
        number = len(partitions)
    except PartitionError:
        return PartitionExtent(kind)  # Its keys are kept in the store.
    if not number:
        return PartitionExtent(kind, 0)
    return PartitionExtent(kind, number, partition_label(partitions[0]), partition_label(partitions[-1]))
