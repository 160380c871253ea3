"""Partitions and steps as people read and write them: `raw[2025-01-15]`, not `raw[d:2025-01-15]`.

For messages, logs and screens; what would drive a terminal is written out. What is shown can be typed: a partition
set and the command line read it as the key it was made from. An encoded key (`partition_keys`) is for machines:
exact and like no other. It is shown where the plain form would be read as another key.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.errors import PartitionError
from flowstone.printable import one_line

__all__ = ["key_label", "partition_argument", "partition_label", "step_label"]

_TAGGED = re.compile(r"(d|dt|ndt|i|t|s):")


def partition_label(partition: object) -> str:
    """A partition value as one writes it on the command line: the parts of a tuple with bars, None as a dash.

    A tuple with a bar in one of its parts, and a text that looks like an encoded key, is shown encoded.
    """
    match partition:
        case None:
            return "-"
        case datetime():
            return _instant(partition)
        case date():
            return partition.isoformat()
        case tuple():
            parts = [partition_label(part) for part in partition]
            plain = "|".join(parts)
            alone = len(parts) == 1 and _looks_encoded(plain)
            return _encoded(partition, plain) if alone or any("|" in part for part in parts) else plain
        case str() if _looks_encoded(partition):
            return _encoded(partition, partition)
        case _:
            return one_line(str(partition))


def _encoded(partition: object, plain: str) -> str:
    try:
        return encode_partition(partition)
    except PartitionError:  # It is no key: shown where it is refused.
        return one_line(plain)


def _looks_encoded(text: str) -> bool:
    if ":" not in text:
        return False
    try:
        decode_partition(text)
    except PartitionError:
        return False
    return True


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


def partition_argument(text: str | None) -> object:
    """The partition a word means, before any set has read it.

    A word that looks like an encoded key (`d:2025-01-15`, `i:7`) is decoded, so that what was shown can
    be passed on; any other is a plain string, which the asset's set parses if it has one.
    """
    if text is None or _TAGGED.match(text) is None:
        return text
    try:
        decoded: object = decode_partition(text)
    except PartitionError:
        return text
    return decoded
