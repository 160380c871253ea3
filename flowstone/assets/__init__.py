"""What exists: assets, pipelines, the graph, partition keys, partition sets and mappings; pure.

    pipeline ─ definition ─ signature ─ type_hints      from a function to an asset, or a clear refusal
       │
    graph ─ typecheck, drawing                           assets together: order, types, partitions, pictures
       │
    mappings ─ mapping_rules ─ partition_mapping         which keys of an upstream a key needs
       │
    *_partitions ─ partition_set ─ key_slice             which keys there are, as arithmetic
       │
    partition_keys                                       a key as text and back

`partition_view` puts the last three together for one instant: it is what planning and running ask.
Nothing here does I/O, and only `partition_set.utc_now` reads the clock.
"""

from __future__ import annotations

from flowstone.assets.asset import Asset, Dependency, ResourceParameter, RunIn, SourceLine
from flowstone.assets.calendar_partitions import DailyPartitions, MonthlyPartitions, WeeklyPartitions
from flowstone.assets.context import Context, Resources
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.graph import AssetGraph
from flowstone.assets.hourly_partitions import HourlyPartitions
from flowstone.assets.key_slice import KeyProduct, KeySlice
from flowstone.assets.last_partitions import LastPartitions
from flowstone.assets.mappings import Rollup, SamePart
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.output import Output
from flowstone.assets.partition_keys import PartitionKey, canonical_key, decode_partition, encode_partition
from flowstone.assets.partition_mapping import AllPartitions, PartitionMapping, SameKey, UpstreamKeys
from flowstone.assets.partition_set import PartitionSet
from flowstone.assets.partition_view import PartitionView
from flowstone.assets.pipeline import Pipeline
from flowstone.assets.retry import Retry
from flowstone.assets.signature import Resource
from flowstone.assets.static_partitions import StaticPartitions
from flowstone.assets.suggest import did_you_mean, suggest
from flowstone.assets.time_offset import TimeOffset
from flowstone.assets.time_partitions import TimePartitions
from flowstone.assets.type_hints import UNANNOTATED, Unknown

__all__ = [
    "UNANNOTATED",
    "AllPartitions",
    "Asset",
    "AssetGraph",
    "Context",
    "DailyPartitions",
    "Dependency",
    "DynamicPartitions",
    "HourlyPartitions",
    "KeyProduct",
    "KeySlice",
    "LastPartitions",
    "MonthlyPartitions",
    "MultiPartitions",
    "Output",
    "PartitionKey",
    "PartitionMapping",
    "PartitionSet",
    "PartitionView",
    "Pipeline",
    "Resource",
    "ResourceParameter",
    "Resources",
    "Retry",
    "Rollup",
    "RunIn",
    "SameKey",
    "SamePart",
    "SourceLine",
    "StaticPartitions",
    "TimeOffset",
    "TimePartitions",
    "Unknown",
    "UpstreamKeys",
    "WeeklyPartitions",
    "canonical_key",
    "decode_partition",
    "did_you_mean",
    "encode_partition",
    "suggest",
]
