"""The partitions of every asset at one instant: what a run sees of sets that grow.

Open-ended sets are closed at the instant of the view and dynamic sets hold the keys they had then, so that
all steps of a run agree about which keys there are, however long it takes and wherever it is resumed.
Everything is worked out when first asked for and kept; a view of ten thousand assets costs nothing to make.
"""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote as url_quote

from flowstone.assets.asset import Asset
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_keys import canonical_key
from flowstone.assets.partition_labels import partition_label
from flowstone.assets.partition_mapping import NoPartition, SameKey, UpstreamKeys, present
from flowstone.errors import PartitionError
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_mapping import PartitionMapping
    from flowstone.assets.partition_set import PartitionSet

__all__ = ["PartitionView"]

Edge: TypeAlias = "Callable[[Any], UpstreamKeys]"

_NO_SET = Remedies(
    "Say partitions=[…], or call materialize() for its one value.",
    "Name its partitions with --partition, or use `flowstone materialize` for its one value.",
    'Name its partitions in `partitions`, or say `"kind": "materialize"` for its one value.',
)
_UNPARTITIONED = (None,)
_ONE_VALUE = UpstreamKeys(_UNPARTITIONED, many=False)


class PartitionView:
    """The partition sets of a graph's assets, closed and resolved.

    Args:
        graph: The graph.
        now: The instant that closes open-ended sets (aware).
        dynamic: The keys, as values, of each dynamic set by name; a set that is missing has none.

    Raises:
        PartitionError: `now` is naive.
    """

    __slots__ = ("_dynamic", "_edges", "_resolved", "_sets", "graph", "now")

    def __init__(
        self, graph: AssetGraph, now: datetime, dynamic: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        if now.utcoffset() is None:
            raise PartitionError(
                f"A view needs an aware instant, not {now!r}: add a time zone such as datetime.UTC."
            )
        self.graph = graph
        self.now = now
        self._dynamic = dynamic or {}
        self._sets: dict[str, PartitionSet[Any] | None] = {}
        self._resolved: dict[PartitionSet[Any], PartitionSet[Any]] = {}
        self._edges: dict[tuple[str, str], Edge] = {}

    def at(self, moment: datetime) -> PartitionView:
        """The same at another instant; dynamic sets have the keys that they have here."""
        return PartitionView(self.graph, moment, self._dynamic)

    def set_of(self, asset: str | Asset[..., Any]) -> PartitionSet[Any] | None:
        """The partition set of an asset at this instant, or None if it declares none.

        Raises:
            AssetNotFound: There is no such asset.
        """
        name = asset.name if isinstance(asset, Asset) else asset
        if name not in self._sets:
            declared = self.graph[name].partitions
            self._sets[name] = None if declared is None else self._resolve(declared)
        return self._sets[name]

    def keys(self, asset: str | Asset[..., Any]) -> Sequence[Any]:
        """All keys of an asset, lazily; `(None,)` for an asset without a set.

        Raises:
            AssetNotFound: There is no such asset.
        """
        keys = self.set_of(asset)
        return _UNPARTITIONED if keys is None else keys.keys()

    def parse(self, asset: str | Asset[..., Any], partition: object) -> Any:
        """The key that a user means by `partition=`.

        A text is read by the asset's set, a tuple of texts dimension by dimension. An asset without a set
        takes any key as it is, or None.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: A partitioned asset got None, the key is not in its set, or no key at all.
        """
        name = asset.name if isinstance(asset, Asset) else asset
        keys = self.set_of(name)
        if keys is None:
            return None if partition is None else canonical_key(partition)
        if partition is None:
            raise PartitionError(
                f"Asset {name!r} is partitioned by {keys!r}: say which partition.", remedies=_example(keys)
            )
        try:
            return keys.coerce(partition)
        except PartitionError as error:
            raise _refused(name, error) from error

    def between(self, asset: str | Asset[..., Any], start: object, end: object) -> Sequence[Any]:
        """The keys of an asset from one that a user means to another, both included; None for the first or last.

        Raises:
            AssetNotFound: There is no such asset.
            PartitionError: It has no set, one is not in it, or the last comes before the first.
        """
        name = asset.name if isinstance(asset, Asset) else asset
        keys = self.set_of(name)
        if keys is None:
            raise PartitionError(f"Asset {name!r} has no partition set.", remedies=_NO_SET)
        if (start is None and end is None) or not keys.size:
            return keys.keys()
        first, last = (keys[0] if start is None else start), (keys[-1] if end is None else end)
        try:
            return keys.between(first, last)
        except PartitionError as error:
            raise _refused(name, error) from error

    def upstream_keys(self, asset: str, dependency: str, key: Any) -> UpstreamKeys:
        """The keys of a direct dependency that one key of an asset needs.

        Keys that the upstream does not have are dropped, so `keys` may be empty.

        Args:
            asset: The asset's name.
            dependency: The upstream's name.
            key: A key of the asset, as `parse` returns it, or None.

        Raises:
            AssetNotFound: There is no such asset, or it does not depend on the other.
        """
        edge = self._edges.get((asset, dependency))
        if edge is None:
            edge = self._edges[asset, dependency] = self._edge(asset, dependency)
        return edge(key)

    def mapping(self, asset: str, dependency: str) -> PartitionMapping:
        """The bound mapping behind `upstream_keys`; the graph's.

        Raises:
            AssetNotFound: There is no such asset, or it does not depend on the other.
        """
        return self.graph.mapping(asset, dependency)

    def _resolve(self, declared: PartitionSet[Any]) -> PartitionSet[Any]:
        """A declared set with its end closed and its keys filled in; equal sets become one object."""
        if (resolved := self._resolved.get(declared)) is None:
            resolved = self._resolved[declared] = self._resolved_anew(declared)
        return resolved

    def _resolved_anew(self, declared: PartitionSet[Any]) -> PartitionSet[Any]:
        if isinstance(declared, DynamicPartitions) and not declared.is_resolved:
            return declared.resolved(self._dynamic.get(declared.name, ()))
        if isinstance(declared, MultiPartitions):
            return declared.replaced(self._resolve)
        return declared.as_of(self.now)

    def _edge(self, asset: str, dependency: str) -> Edge:
        mapping = self.graph.mapping(asset, dependency)
        upstream, downstream = self.set_of(dependency), self.set_of(asset)
        if isinstance(mapping, NoPartition):
            return lambda _key: _ONE_VALUE
        if isinstance(mapping, SameKey):
            if upstream == downstream:
                return lambda key: UpstreamKeys((key,), False)
            return _same_key_if_present(upstream)
        return _mapped(mapping, upstream, downstream)


def _example(keys: PartitionSet[Any]) -> Remedies:
    """How to name a partition of a set."""
    if not keys.size:
        return Remedies("Write partition=KEY.", "Write --partition KEY.", "Give `partition`.")
    label = partition_label(keys.key_at(keys.size - 1))
    return Remedies(
        f"Write partition={label!r}, for example.",
        f"Write --partition {quote(label)}, for example.",
        f"Give `partition`, for example {label!r}.",
    )


def _refused(asset: str, error: PartitionError) -> PartitionError:
    """The error of a set about a key, with the asset whose set it is and how to see its keys."""
    remedies = error.remedies or Remedies(
        command=f"`flowstone plan MODULE:PIPELINE {asset}` lists its partitions.",
        http=f"`GET /api/v1/assets/{url_quote(asset, safe='')}/partitions` lists them.",
    )
    return PartitionError(f"Asset {asset!r}: {error.sentence}", remedies=remedies)


def _same_key_if_present(upstream: PartitionSet[Any] | None) -> Edge:
    def edge(key: Any) -> UpstreamKeys:
        return UpstreamKeys(present((key,), upstream), many=False)

    return edge


def _mapped(
    mapping: PartitionMapping, upstream: PartitionSet[Any] | None, downstream: PartitionSet[Any] | None
) -> Edge:
    many = mapping.many

    def edge(key: Any) -> UpstreamKeys:
        keys = present(mapping.upstream_keys(key, upstream, downstream), upstream)
        return UpstreamKeys(keys, key is None if many is None else many)

    return edge
