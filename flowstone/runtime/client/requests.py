"""The edge where arguments become a request: every name, key and number is checked here, once.

1. Names: what assets a name, a selection, an `Asset` or a function stands for, and the key of a partition as it was
   written.
2. Requests: `materialize_request`, `run_request` and `backfill_request` make what is kept of a call.
3. Numbers: counts, pages, seconds and priorities, each refused in one sentence that names the argument.
4. Keys and tags of a run: texts that every store can keep.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, get_args

from flowstone.assets.arguments import (
    LONGEST_NAME,
    LONGEST_TAGS,
    MOST_PRIORITY,
    are_short,
    is_number,
    is_run_key,
    is_run_priority,
)
from flowstone.assets.asset import Asset
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.key_slice import KeySlice
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.selection import is_selection, selected
from flowstone.assets.signature import innermost
from flowstone.errors import ArgumentError, AssetNotFound, PartitionError, SelectionError
from flowstone.remedies import Remedies
from flowstone.runs.records import Refresh, RunSpec
from flowstone.runs.run_config import given
from flowstone.runs.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.targets import Targets

__all__ = [
    "asset_named",
    "asset_to_run",
    "assets_to_run",
    "backfill_request",
    "bounded_count",
    "checked_count",
    "checked_key",
    "checked_patience",
    "checked_priority",
    "checked_tags",
    "encoded",
    "materialize_request",
    "page_of",
    "run_request",
]

_log = logging.getLogger(__name__)

_MOST = 2**31 - 1


def asset_named(graph: AssetGraph, given: object) -> Asset[..., Any]:
    """The asset of the graph that a name, an `Asset` or a decorated function stands for.

    Raises:
        AssetNotFound: There is none; the message suggests the nearest name.
    """
    if isinstance(given, str):
        return graph[given]
    if isinstance(given, Asset):
        return graph[given.name]
    # The function may be called otherwise than its asset (`name=`).
    found = next((asset for asset in graph.assets.values() if asset.function is given), None)
    if found is not None:
        return found
    name = getattr(given, "__name__", None)
    if not isinstance(name, str):
        raise AssetNotFound(
            f"{given!r:.200} is not an asset: pass a name, an Asset, or the decorated function."
        )
    return graph[name]


def asset_to_run(graph: AssetGraph, given: object) -> Asset[..., Any]:
    """As `asset_named`, for what is about to be computed: a name means the graph's asset, an `Asset` means itself.

    Raises:
        AssetNotFound: There is none, or one of that name which is defined otherwise: to compute that instead of
            what the caller has in hand, such as a notebook's newer definition, would be a silent mistake.
    """
    found = asset_named(graph, given)
    if isinstance(given, str) or _is_same(found.function, given):
        return found
    raise AssetNotFound(
        f"This runtime has another {found.name!r} than the one that was passed: its own is defined at "
        f"{found.source}. Make a runtime of the pipeline as it is now, or pass {found.name!r} to run its own."
    )


def assets_to_run(graph: AssetGraph, given: object) -> tuple[tuple[str, ...], bool]:
    """As `asset_to_run`, for what may be several: their names, upstream before downstream, and whether it may.

    Raises:
        AssetNotFound: As `asset_to_run`.
        SelectionError: A selection cannot be read, names what there is not, or leaves nothing.
    """
    if isinstance(given, str):
        if given in graph.assets:
            return (given,), False  # Nearly always, and no asset is called like a selection.
        return selected(graph, given), is_selection(given)
    if isinstance(given, list | tuple):
        names = {name for each in given for name in assets_to_run(graph, each)[0]}
        if not names:
            raise SelectionError("No asset is in this selection, which is empty.")
        return tuple(sorted(names, key=graph.rank)), True
    return (asset_to_run(graph, given).name,), False


def _is_same(function: object, given: object) -> bool:
    """Whether both are one function, or one that the same lines have defined again from nothing but their names."""
    one, other = innermost(function), innermost(given)
    if one is other:
        return True
    code, its = getattr(one, "__code__", None), getattr(other, "__code__", None)
    if code is None or its is None or one.__closure__ or other.__closure__:
        return False
    return bool(code == its) and code.co_filename == its.co_filename


def encoded(view: PartitionView, asset: str, partition: object) -> str | None:
    """The encoded key of a partition as the caller wrote it.

    Raises:
        PartitionError: It is missing, foreign to the asset's set, or of an unsupported type.
    """
    value = view.parse(asset, partition)
    return None if value is None else encode_partition(value)


def _key_of(view: PartitionView, targets: Targets, partition: object) -> str | None:
    """The key of the one partition that is asked for, which all that share it have to have."""
    for name, share in targets.beside.items():
        if share == "same":
            encoded(view, name, partition)
    return encoded(view, targets.asset, partition)


def materialize_request(
    view: PartitionView,
    names: tuple[str, ...],
    partition: object,
    timeout: float | None,
    tags: Mapping[str, str],
    config: object = None,
    by: str | None = None,
) -> RunSpec:
    """These assets only."""
    targets = targets_of(view, names, partitions=partition is not None)
    asset = targets.asset
    return RunSpec(
        kind="materialize",
        asset=asset,
        keys=(_key_of(view, targets, partition),),
        timeout=_positive("timeout", timeout),
        tags=checked_tags(tags),
        as_of=view.now.isoformat() if targets.beside else None,  # One partition is there whatever the hour.
        partitioned=view.graph[asset].partitions is not None,
        config={} if config is None else given(view.graph, targets.names, config),
        beside=targets.beside,
        by=by,
    )


def run_request(
    view: PartitionView,
    names: tuple[str, ...],
    *,
    partition: object,
    refresh: Refresh,
    max_parallel: int | None,
    timeout: float | None,
    tags: Mapping[str, str],
    upstream: bool = True,
    config: object = None,
    by: str | None = None,
) -> RunSpec:
    """The assets and everything upstream, or the assets alone."""
    targets = targets_of(view, names, partitions=partition is not None)
    return RunSpec(
        kind="materialize_all" if upstream else "materialize",
        asset=targets.asset,
        keys=(_key_of(view, targets, partition),),
        upstream=upstream,
        refresh=_checked_refresh(refresh),
        max_parallel=None if max_parallel is None else checked_count("max_parallel", max_parallel),
        timeout=_positive("timeout", timeout),
        tags=checked_tags(tags),
        as_of=view.now.isoformat(),
        partitioned=view.graph[targets.asset].partitions is not None,
        config={} if config is None else given(view.graph, targets.names, config),
        beside=targets.beside,
        by=by,
    )


def backfill_request(
    view: PartitionView,
    names: tuple[str, ...],
    *,
    partitions: Iterable[object] | None,
    start: object,
    end: object,
    max_parallel: int | None,
    upstream: bool,
    refresh: Refresh,
    tags: Mapping[str, str],
    config: object = None,
    by: str | None = None,
) -> RunSpec:
    """Many partitions of one asset or of several, with or without their upstream."""
    targets = targets_of(view, names, partitions=True)
    keys, span = _selection(view, targets.asset, partitions, start, end)
    if not keys and span is None:
        _log.warning("%s", _nothing(view, targets.asset, listed=partitions is not None))
    return RunSpec(
        kind="backfill",
        asset=targets.asset,
        keys=keys,
        span=span,
        upstream=upstream,
        refresh=_checked_refresh(refresh),
        max_parallel=None if max_parallel is None else checked_count("max_parallel", max_parallel),
        tags=checked_tags(tags),
        as_of=view.now.isoformat(),
        partitioned=view.graph[targets.asset].partitions is not None,
        config={} if config is None else given(view.graph, targets.names, config),
        beside=targets.beside,
        by=by,
    )


def checked_key(key: str | None) -> str | None:
    """The key of a run as the caller wrote it.

    Raises:
        ValueError: It is empty, too long, or no text that a store could keep.
    """
    given: object = key
    if given is None:
        return None
    if not is_run_key(given):
        known = f"text of 1 to {LONGEST_NAME} characters, without NUL or lone surrogates"
        raise ArgumentError(
            f"{given!r:.50} cannot be the key of a run.", remedies=Remedies.takes("key", known)
        )
    return key


def checked_priority(priority: int) -> int:
    """The priority of a run as the caller wrote it. Raises ValueError if it is no whole number."""
    given: object = priority
    if not is_run_priority(given):
        known = f"a whole number of at most {MOST_PRIORITY:,}"
        raise ArgumentError(
            f"{given!r:.50} cannot be the priority of a run.", remedies=Remedies.takes("priority", known)
        )
    return priority


_Selection = tuple[tuple[str | None, ...], tuple[str, str] | None]


def _selection(
    view: PartitionView, asset: str, partitions: Iterable[object] | None, start: object, end: object
) -> _Selection:
    if partitions is not None:
        if start is not None or end is not None:
            raise PartitionError(
                "Partitions are named one by one or by a range, not both.",
                remedies=Remedies(
                    "Say either partitions=[…] or start= and end=.",
                    "Use either --partition or --start and --end.",
                    "Give either `partitions` or `start` and `end`.",
                ),
            )
        return _listed(view, asset, partitions)
    return _slice(view.between(asset, start, end))


def _nothing(view: PartitionView, asset: str, *, listed: bool) -> str:
    """Why a backfill has nothing to do."""
    begin = f"The backfill of {asset!r} has nothing to do:"
    declared = view.graph[asset].partitions
    if listed or declared is None:
        return f"{begin} it was given no partitions."
    more = ": add some first" if isinstance(declared, DynamicPartitions) else ""
    return f"{begin} {declared!r} has no keys yet{more}."


def _listed(view: PartitionView, asset: str, partitions: Iterable[object]) -> _Selection:
    if isinstance(partitions, str | bytes):
        raise PartitionError(f"partitions= takes a list of partitions, not the one {partitions!r:.100}.")
    if isinstance(partitions, KeySlice) and partitions.set == view.set_of(asset):
        return _slice(partitions)
    return tuple(dict.fromkeys(encoded(view, asset, partition) for partition in partitions)), None


def _slice(keys: Any) -> _Selection:
    """Consecutive keys as their two ends, so that a request stays small whatever the range."""
    if len(keys) == 0:
        return (), None
    if len(keys) == 1 or not isinstance(keys, KeySlice) or _is_no_box(keys):
        return tuple(encode_partition(key) for key in keys), None
    return (), (encode_partition(keys[0]), encode_partition(keys[-1]))


def _is_no_box(keys: KeySlice[Any]) -> bool:
    """Whether the keys between the two ends are others: with several dimensions those are a box."""
    return isinstance(keys.set, MultiPartitions) and len(keys) < keys.set.size


def _checked_refresh(refresh: str) -> Refresh:
    for known in get_args(Refresh):
        if refresh == known:
            return known  # type: ignore[no-any-return]  # get_args loses the literal's type
    raise ValueError(f"refresh={refresh!r:.50} is unknown: use 'all', 'missing' or 'stale'.")


def checked_count(name: str, value: int, *, least: int = 1) -> int:
    """A number of at least that many as the caller wrote it. Raises ValueError if it is none."""
    given: object = value
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise ValueError(f"{name}={value!r:.50} must be a whole number of at least {least}.")
    return given


def bounded_count(name: str, value: int, *, least: int = 1) -> int:
    """As `checked_count`, at most what every store can count: no store has as many records as that."""
    return min(checked_count(name, value, least=least), _MOST)


def page_of(limit: int, offset: int) -> tuple[int, int]:
    """How many records the caller wants, and how many are left out before them; none of both is a number as well.

    Raises:
        ValueError: One of them is no whole number of at least 0.
    """
    return bounded_count("limit", limit, least=0), bounded_count("offset", offset, least=0)


def checked_patience(name: str, value: float | None) -> float | None:
    """Seconds to wait as the caller wrote them; None: no limit. What is over before it began is a limit, too.

    Raises:
        ValueError: It is no number.
    """
    if value is not None and not is_number(value):
        raise ValueError(f"{name}={value!r:.50} must be a number of seconds, or None for no limit.")
    return value


def _positive(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    given: object = value
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < float("inf"):
        raise ValueError(f"{name}={value!r:.50} must be a positive number of seconds.")
    return float(value)


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run as the caller wrote them.

    Raises:
        TypeError: One is no text.
        ArgumentError: They are too long.
    """
    items: dict[Any, Any] = dict(tags)
    for key, value in items.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise TypeError(f"tags= takes text for text; {key!r:.50}: {value!r:.50} is not.")
    if not are_short(tags):
        raise ArgumentError(
            f"The tags of this run are too long: names take at most {LONGEST_NAME} characters, and all of it "
            f"{LONGEST_TAGS:,} bytes.",
            remedies=Remedies(
                "Say in `config=` what the assets are to read.",
                http="Say in `config` what the assets are to read.",
            ),
        )
    return dict(tags)
