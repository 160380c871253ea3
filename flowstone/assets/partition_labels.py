"""Partitions and steps as people read and write them: `raw[2025-01-15]`, not `raw[d:2025-01-15]`.

For messages, logs and screens; what would drive a terminal is written out. An encoded key (`partition_keys`) is for
machines: exact, and no two alike.
"""

from __future__ import annotations

from datetime import date, datetime

from flowstone.assets.partition_keys import decode_partition
from flowstone.errors import PartitionError
from flowstone.printable import one_line

__all__ = ["key_label", "partition_label", "step_label"]


def partition_label(partition: object) -> str:
    """A partition value as one writes it on the command line: the parts of a tuple with bars, None as a dash."""
    match partition:
        case None:
            return "-"
        case datetime():
            return _instant(partition)
        case date():
            return partition.isoformat()
        case tuple():
            return "|".join(partition_label(part) for part in partition)
        case _:
            return one_line(str(partition))


def _instant(moment: datetime) -> str:
    """`2025-01-15T02:00Z`: ISO 8601 without what is zero."""
    whole_minute = moment.second == moment.microsecond == 0
    return moment.isoformat(timespec="minutes" if whole_minute else "auto").replace("+00:00", "Z")


def key_label(key: str | None) -> str:
    """An encoded partition key as one writes it on the command line."""
    if key is None:
        return "-"
    try:
        return partition_label(decode_partition(key))
    except PartitionError:
        return one_line(key)


def step_label(asset: str, key: str | None) -> str:
    """`asset`, or `asset[key]` where there is a partition."""
    name = one_line(asset)
    return name if key is None else f"{name}[{key_label(key)}]"
