"""The last keys of an upstream: a rolling window, or the newest there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_whole
from flowstone.assets.key_slice import KeySlice
from flowstone.assets.mapping_rules import matching_dimension, relation, time_dimension
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_mapping import (
    Aligned,
    AllPartitions,
    Declared,
    OnePart,
    PartitionMapping,
    SameKey,
    Set,
    containing_number,
    inner_numbers,
)
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import DefinitionError, PartitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LastPartitions", "Newest", "Rolling"]


@frozen
class LastPartitions(Declared):
    """The last `n` keys of the upstream, as `dict[key, value]`.

    Between two time sets they are the last ones up to this key, so that a backfill of the past sees what was
    last then: a rolling window. Otherwise they are the last of the set as of the run.

    Args:
        n: How many, at least 1; fewer at the beginning of the set.

    Raises:
        DefinitionError: `n` is no whole number of at least 1.
    """

    n: int = 1

    def __post_init__(self) -> None:
        if not is_whole(self.n, at_least=1):
            raise DefinitionError(f"LastPartitions({self.n!r}) takes a number of keys, at least 1.")

    @property
    def many(self) -> bool | None:
        return True

    def bind(self, upstream: Set, downstream: Set, /) -> PartitionMapping:
        if upstream is None:
            raise PartitionError("the upstream has no partitions to take the last of")
        if isinstance(upstream, MultiPartitions):
            return self._per_combination(upstream, downstream)
        if isinstance(downstream, MultiPartitions):
            try:
                name, _ = matching_dimension(downstream, upstream, as_upstream=False)
            except PartitionError:
                return Newest(self.n)
            place = downstream.names.index(name)
            return OnePart(place, self.bind(upstream, downstream.sets[place]))
        if isinstance(upstream, TimePartitions) and isinstance(downstream, TimePartitions):
            relation(upstream, downstream)
            return Rolling(self.n)
        return Newest(self.n)

    def _per_combination(self, upstream: MultiPartitions, downstream: Set) -> PartitionMapping:
        place = time_dimension(upstream)
        if downstream is None:
            each = [Newest(self.n) if i == place else AllPartitions() for i in range(len(upstream.sets))]
            return Aligned(tuple((None, mapping) for mapping in each))
        if upstream == downstream:
            bound: PartitionMapping = Aligned(tuple((i, SameKey()) for i in range(len(upstream.sets))))
        else:
            bound = relation(upstream, downstream)
        if not isinstance(bound, Aligned):
            raise PartitionError("LastPartitions() needs an upstream with a time dimension of its own")
        parts = list(bound.parts)
        position, mapping = parts[place]
        fixed = isinstance(mapping, AllPartitions)
        parts[place] = position, Newest(self.n) if fixed else Rolling(self.n)
        return Aligned(tuple(parts))


@frozen
class Newest(PartitionMapping):
    """The last `n` keys of the upstream as of the run."""

    n: int

    @property
    def many(self) -> bool | None:
        return True

    def upstream_keys(self, _key: Any, upstream: Set, _downstream: Set, /) -> Sequence[Any]:
        assert upstream is not None
        return upstream.latest(self.n)


@frozen
class Rolling(PartitionMapping):
    """The last `n` keys of the upstream up to this key, in time."""

    n: int

    @property
    def many(self) -> bool | None:
        return True

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        assert isinstance(upstream, TimePartitions)
        assert isinstance(downstream, TimePartitions)
        if upstream.coarseness < downstream.coarseness:
            last = inner_numbers(key, upstream, downstream)[1]
        else:
            last = containing_number(key, upstream, downstream)
        return KeySlice(upstream, *upstream.numbered(last - self.n + 1, last))
