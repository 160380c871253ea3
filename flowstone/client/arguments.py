"""What callers pass, as it goes over HTTP: assets by name, partitions as text, config as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowstone.assets.arguments import is_number
from flowstone.assets.asset import Asset, Configured
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.selection import is_selection
from flowstone.errors import ArgumentError, AssetNotFound

__all__ = [
    "asset_text",
    "config_json",
    "is_several",
    "new_page",
    "partition_text",
    "partition_texts",
    "status_texts",
]


def asset_text(asset: Any) -> str:
    """The name of an asset, or a selection, as the server takes it.

    Raises:
        AssetNotFound: It is something else.
    """
    if isinstance(asset, str):
        return asset
    if isinstance(asset, list | tuple):
        return ",".join(asset_text(each) for each in asset)
    if isinstance(asset, Asset):
        return asset.name
    name = getattr(asset, "__name__", None)
    if callable(asset) and isinstance(name, str):
        return name
    raise AssetNotFound(f"{asset!r:.200} is no asset: name it.")


def is_several(asset: Any) -> bool:
    """Whether an asset is given by a selection or in a list, which may mean several."""
    return isinstance(asset, list | tuple) or (isinstance(asset, str) and is_selection(asset))


def partition_text(partition: Any) -> str | None:
    """A partition as the server takes it: text as it is, whatever else as its key.

    Raises:
        PartitionError: It can be no partition.
    """
    if partition is None or isinstance(partition, str):
        return partition
    return encode_partition(partition)


def partition_texts(partitions: Iterable[Any] | None) -> list[str | None] | None:
    """Several of these."""
    return None if partitions is None else [partition_text(each) for each in partitions]


def config_json(config: Any) -> dict[str, Any] | None:
    """A config as JSON.

    Raises:
        ArgumentError: It is neither a mapping nor a `Config`.
    """
    if config is None:
        return None
    if isinstance(config, Configured):
        dump: Any = config
        return dict(dump.model_dump(mode="json", exclude_unset=True))
    if not isinstance(config, Mapping):
        raise ArgumentError(f"config={config!r:.100} takes fields by name, or a `Config`.")
    return {
        str(name): config_json(value) if isinstance(value, Configured | Mapping) else value
        for name, value in config.items()
    }


def status_texts(status: Any) -> list[str]:
    """Statuses as the server takes them."""
    if status is None:
        return []
    found = [status] if isinstance(status, str) else list(status)
    return [str(each) for each in found]


def new_page(limit: Any, offset: Any) -> int:
    """How many entries are to be read for `limit` of them behind `offset` ones.

    Raises:
        ArgumentError: One of the two is no whole number of at least 0.
    """
    for name, number in (("limit", limit), ("offset", offset)):
        if not (is_number(number) and isinstance(number, int) and number >= 0):
            raise ArgumentError(f"{name}={number!r:.100}: give a whole number of at least 0.")
    return int(limit + offset)
