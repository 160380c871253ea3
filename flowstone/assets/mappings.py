"""The mappings a user writes, apart from those about time: `mappings={"raw": Rollup()}`.

Each says what is meant; binding it to the sets of the two assets (`partition_mapping`) works out how, with
the default rules (`mapping_rules`) for everything the user did not say.
"""

from __future__ import annotations

from flowstone.assets.mapping_rules import default_mapping, relation
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_mapping import (
    Aligned,
    AllPartitions,
    Declared,
    InnerKeys,
    OnePart,
    PartitionMapping,
    Set,
)
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import PartitionError
from flowstone.frozen import frozen

__all__ = ["Rollup", "SamePart"]


@frozen
class Rollup(Declared):
    """The finer upstream keys inside this one, such as all days of a month; a `dict[key, value]`.

    A period belongs to the one in which it begins, so a week belongs to the month of its Monday. Hours are
    placed by their instant in the zone of the coarser set, dates by the calendar alone, even if the two sets
    are in different zones. For multi-dimensional sets it is the default rules.
    """

    @property
    def many(self) -> bool | None:
        return True

    def bind(self, upstream: Set, downstream: Set, /) -> PartitionMapping:
        if isinstance(upstream, TimePartitions) and isinstance(downstream, TimePartitions):
            if upstream.coarseness < downstream.coarseness:
                return InnerKeys()
            raise PartitionError(f"Rollup() needs a finer upstream than one {downstream.unit}")
        bound = default_mapping(upstream, downstream)
        if bound.many is not True:
            raise PartitionError("Rollup() needs an upstream with several keys for each of this asset's")
        return bound


@frozen
class SamePart(Declared):
    """One part of a multi-dimensional key, named by its dimension.

    From a multi-dimensional asset to a single upstream: that part of the key. To a multi-dimensional
    upstream: every combination that has the key (or that part of it) there, as `dict[key, value]`.

    Args:
        dimension: The name of the dimension.
    """

    dimension: str

    def bind(self, upstream: Set, downstream: Set, /) -> PartitionMapping:
        inside = self._position(downstream)
        if isinstance(upstream, MultiPartitions) and (place := self._position(upstream)) is not None:
            if downstream is None or (inside is None and isinstance(downstream, MultiPartitions)):
                raise PartitionError(f"this asset has no dimension {self.dimension!r}")
            part = downstream.sets[inside] if inside is not None else downstream  # type: ignore[attr-defined] # `inside` says multi
            parts: list[tuple[int | None, PartitionMapping]] = [
                (None, AllPartitions()) for _ in upstream.names
            ]
            parts[place] = inside, relation(upstream.sets[place], part)
            return Aligned(tuple(parts))
        if inside is None or upstream is None:
            raise PartitionError(
                f"neither asset has a dimension {self.dimension!r} to take from the other's key"
            )
        assert isinstance(downstream, MultiPartitions)
        return OnePart(inside, relation(upstream, downstream.sets[inside]))

    def _position(self, keys: Set) -> int | None:
        if isinstance(keys, MultiPartitions) and self.dimension in keys.names:
            return keys.names.index(self.dimension)
        return None
