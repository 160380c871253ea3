"""Where things are among the pages: partitions by the text that people write for them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import key_label

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["launch_path", "launch_text_path", "partition_path", "partition_text", "quoted"]

_DOTS = frozenset({"", ".", ".."})
"""Browsers work these out as steps of a path, also where they are quoted."""


def partition_text(key: str) -> str:
    """A partition key as text that means it again: as people write it, or encoded where that would not do."""
    value, label = decode_partition(key), key_label(key)
    plain = label.isprintable() and (not isinstance(value, str) or label == value)
    return label if plain else key


def quoted(text: str, *, always: bool = False) -> str:
    """A partition's text among others, with commas between them: in quotes where it has some itself."""
    if not always and not {",", '"'} & set(text) and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'


def partition_path(asset: str, key: str | None) -> str:
    """The page of a partition; of an asset without one, that of its value."""
    if key is None:
        return f"/assets/{asset}/"
    text = partition_text(key)
    if _DOTS & set(text.split("/")):
        return f"/assets/{asset}/?{urlencode({'key': text})}"
    return f"/assets/{asset}/{quote(text)}"


def launch_path(asset: str, keys: Iterable[str | None] = ()) -> str:
    """The page on which these partitions of an asset are planned."""
    return launch_text_path(asset, ",".join(quoted(partition_text(key)) for key in keys if key is not None))


def launch_text_path(asset: str, partitions: str) -> str:
    """The same, with the partitions as the text that names them there."""
    return f"/launch?{urlencode({'asset': asset} | ({'partitions': partitions} if partitions else {}))}"
