"""ASSET and KEY as words of the command line, turned into what a store is asked for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flowstone.assets import AssetGraph, PartitionView
from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.cli.labels import key_label
from flowstone.cli.loading import load
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from flowstone.store import Store
    from flowstone.store.protocol import StepKey

__all__ = ["partition_argument", "step_key"]

_TAGGED = re.compile(r"(d|dt|ndt|i|t|s):")


def partition_argument(text: str | None) -> object:
    """The partition a word means, before any set has read it.

    A word that looks like an encoded key (`d:2025-01-15`, `i:7`) is decoded, so that what one command prints
    the next one takes; any other is a plain string, which the asset's set parses if it has one.
    """
    if text is None or _TAGGED.match(text) is None:
        return text
    try:
        decoded: object = decode_partition(text)
    except PartitionError:
        return text
    return decoded


async def step_key(store: Store, pipeline: str | None, asset: str, text: str | None) -> StepKey:
    """The store's key of an asset at a partition.

    With a pipeline (`MODULE:PIPELINE`) the asset must be one of it (`AssetNotFound`) and its partition set
    reads the text. Without one the store itself is asked which of the text's meanings it knows.
    """
    if pipeline is not None:
        graph = AssetGraph.of([load(pipeline).pipeline])
        view = PartitionView(graph, datetime.now(UTC), {})
        known = graph[asset].name
        if text is None:
            return known, None
        return known, encode_partition(view.parse(known, partition_argument(text)))
    if text is None:
        return asset, None
    for candidate in _meanings(text):
        if await store.history((asset, candidate), limit=1):
            return asset, candidate
    for key in await store.current_keys(asset):
        if key is not None and key_label(key) in {text, f"{text}Z"}:
            return asset, key
    return asset, encode_partition(partition_argument(text))


def _meanings(text: str) -> list[str]:
    """Encoded keys that a word may stand for, the likeliest first."""
    words = [text, f"d:{text}", f"i:{text}", f"d:{text}-01"]
    found = []
    for word in words:
        try:
            decode_partition(word)
        except PartitionError:
            continue
        found.append(word)
    return [*found, encode_partition(text)]
