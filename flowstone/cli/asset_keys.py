"""ASSET and KEY as words of the command line, turned into what a store is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets import DynamicPartitions, MultiPartitions, PartitionView
from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.assets.partition_labels import partition_argument
from flowstone.assets.selection import selected
from flowstone.cli.labels import key_label
from flowstone.cli.loading import load
from flowstone.errors import PartitionError
from flowstone.runs.records import Status
from flowstone.runs.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.assets.partition_set import PartitionSet
    from flowstone.cli.loading import Loaded
    from flowstone.runs.records import StepKey
    from flowstone.store import Store

__all__ = ["check_names", "defined_key", "meanings", "step_key"]

_UNFINISHED: Final = (Status.RUNNING, Status.WAITING, Status.QUEUED)
_MOST_RUNS: Final = 100  # Unfinished ones that are looked through.
_MOST_WAITS: Final = 1_000


def check_names(
    loaded: Loaded,
    asset: str,
    partitions: Iterable[object] | None,
    *,
    start: object = None,
    end: object = None,
) -> None:
    """Raise for an asset or partition that is none, as the runtime would, before anything is opened for it.

    Args:
        loaded: The pipeline.
        asset: The asset's name, or a selection of several.
        partitions: Its partitions, None in it for one that has none; without them, it has a set.
        start: The first of a range, or None.
        end: The last, or None.

    Raises:
        AssetNotFound: There is no such asset.
        SelectionError: The selection cannot be read, or names what there is not.
        PartitionError: The asset has no such partition, or the assets have different ones. Keys of a dynamic set
            are in the store, and not looked at.
    """
    if not loaded.target:
        return  # The server knows them.
    graph = loaded.pipeline.graph
    view = PartitionView(graph, datetime.now(UTC), {})
    named = [partition for partition in partitions or () if partition is not None]
    many = partitions is None or start is not None or end is not None
    target = targets_of(view, selected(graph, asset), partitions=many or bool(named)).asset
    if _is_dynamic(graph[target].partitions):
        return
    for partition in partitions or ():
        view.parse(target, partition)
    if many:
        view.between(target, start, end)


def defined_key(pipeline: str | None, asset: str, text: str | None) -> StepKey | None:
    """The store's key of an asset at a partition, as far as a pipeline (`MODULE:PIPELINE`) can tell.

    Returns:
        None where only the store can: without a pipeline, or of a dynamic partition set.

    Raises:
        AssetNotFound: The pipeline has no such asset.
        PartitionError: The asset has no such partition.
    """
    if pipeline is None:
        return None
    graph = load(pipeline).pipeline.graph
    known = graph[asset]
    if text is None:
        return known.name, None
    if _is_dynamic(known.partitions):
        return None
    view = PartitionView(graph, datetime.now(UTC), {})
    return known.name, encode_partition(view.parse(known.name, partition_argument(text)))


async def step_key(store: Store, asset: str, text: str | None) -> StepKey:
    """The store's key of an asset at a partition: the store is asked which of the text's meanings it knows.

    What has ended is known from its records. What waits, runs or was asked for may have none yet. Of what nobody
    has asked for, the partitions that are known of the asset say what kind of key it has.
    """
    remote: Any = getattr(store, "key_of", None)  # A server reads it by the asset's definition.
    if remote is not None:
        named: StepKey = await remote(asset, text)
        return named
    if text is None:
        return asset, None
    candidates = meanings(text)
    for candidate in candidates:
        if await store.history((asset, candidate), limit=1):
            return asset, candidate
    known = await store.current_keys(asset)
    waits = await store.waits.open(now=datetime.now(UTC), asset=asset, limit=_MOST_WAITS)
    known = [*known, *(wait.step[1] for wait in waits)]
    under_way = await _under_way(store, asset, candidates)
    if under_way is not None:
        return asset, under_way
    for key in known:
        if key is not None and key_label(key) in {text, f"{text}Z"}:
            return asset, key
    kinds = {_kind(key) for key in known if key is not None}
    alike = (candidate for candidate in candidates if _kind(candidate) in kinds)
    return asset, next(alike, encode_partition(partition_argument(text)))


async def _under_way(store: Store, asset: str, candidates: Sequence[str]) -> str | None:
    """Which of them an unfinished run has begun, or was asked for."""
    for run in await store.runs(statuses=_UNFINISHED, limit=_MOST_RUNS):
        for candidate in candidates:
            asked = asset in run.assets and candidate in run.request.keys
            if asked or await store.attempt_event(run.id, (asset, candidate)) is not None:
                return candidate
    return None


def _kind(key: str) -> str:
    """What an encoded key is of, by what it begins with."""
    return type(decode_partition(key)).__name__


def meanings(text: str) -> list[str]:
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


def _is_dynamic(keys: PartitionSet[Any] | None) -> bool:
    """Whether its keys are kept in the store."""
    if isinstance(keys, MultiPartitions):
        return any(map(_is_dynamic, keys.sets))
    return isinstance(keys, DynamicPartitions)
