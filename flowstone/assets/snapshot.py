"""What a runtime knows at one instant: the checked graph of all its pipelines."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.definitions import automations_of, with_conditions
from flowstone.assets.automation.freshness_policy import freshness_policies
from flowstone.assets.automation.listener import Listener, check_listened_to
from flowstone.assets.automation.sensor import Sensor
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.graph import AssetGraph
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.pool import merge_pools
from flowstone.assets.rate import merge_rates
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flowstone.assets.automation.definitions import DefinedAutomation
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.pipeline import Pipeline
    from flowstone.assets.pool import DefinedPool
    from flowstone.assets.rate import DefinedRate

__all__ = ["Snapshot"]


@frozen
class Snapshot:
    """An immutable view of what exists.

    Attributes:
        graph: The graph of all the runtime's pipelines.
        pipelines: Name of the pipeline that each asset was found in.
        dynamic: Names of the dynamic partition sets that its assets use.
        names: Names of the pipelines, each once; also of those without assets.
        pools: Their pools, each with its slots.
        rates: Their rates, each with its turns and the seconds these are for.
        automations: Schedules, sensors, listeners, conditions of assets and what watches their freshness, by
            name, each with the name of its pipeline.
    """

    graph: AssetGraph
    pipelines: dict[str, str]
    dynamic: tuple[str, ...]
    names: tuple[str, ...] = ()
    pools: tuple[tuple[str, int], ...] = ()
    rates: tuple[tuple[str, int, float], ...] = ()
    automations: Mapping[str, tuple[str, DefinedAutomation]] = field(default_factory=dict)

    @classmethod
    def of(cls, pipelines: Sequence[Pipeline]) -> Snapshot:
        """Build and validate the graph, and what happens by itself. Raises `DefinitionError`."""
        graph = AssetGraph.of(pipelines)
        names = {name: pipeline.name for pipeline in reversed(pipelines) for name in pipeline.assets}
        sets = (asset.partitions for asset in graph.assets.values())
        dynamic = dict.fromkeys(name for keys in sets for name in _dynamic_names(keys))
        pools: dict[str, DefinedPool] = {}
        rates: dict[str, DefinedRate] = {}
        for pipeline in pipelines:
            merge_pools(pools, pipeline.pools)
            merge_rates(rates, pipeline.rates)
        periods = tuple((rate.name, rate.limit, rate.per) for rate in rates.values())
        slots = tuple((name, pool.slots) for name, pool in pools.items())
        own = tuple(dict.fromkeys(pipeline.name for pipeline in pipelines))
        defined: dict[str, tuple[str, DefinedAutomation]] = {
            **automations_of((pipeline.name, pipeline.automations) for pipeline in pipelines),
            **dict(freshness_policies(graph.assets.values(), names)),
        }
        for _, automation in defined.values():
            if isinstance(automation, Listener):
                check_listened_to(automation, graph.assets)
            elif isinstance(automation, Sensor):
                automation.check_assets(graph.assets)
        automations = with_conditions(defined, graph.assets.values(), names)
        return cls(graph, names, tuple(dynamic), own, slots, periods, automations)


def _dynamic_names(keys: PartitionSet[Any] | None) -> Iterator[str]:
    if isinstance(keys, DynamicPartitions):
        yield keys.name
    elif isinstance(keys, MultiPartitions):
        for part in keys.sets:
            yield from _dynamic_names(part)
