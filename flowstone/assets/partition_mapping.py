"""Which keys of an upstream asset one key of a downstream asset needs: the protocol and its simplest answers.

A mapping is declared once (`mappings={"raw": Rollup()}`, or left to the default rules in `mapping_rules`),
*bound* to the two declared sets when the graph is built, where a senseless combination is refused, and then
*asked* for each key of each run with the closed sets of that run. Most classes here are what binding results
in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from flowstone.assets.calendar_partitions import CalendarPartitions
from flowstone.assets.key_slice import KeyProduct, KeySlice
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_set import PartitionSet
from flowstone.assets.time_partitions import TimePartitions
from flowstone.errors import PartitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Aligned",
    "AllPartitions",
    "AllUnlessGiven",
    "ContainingKey",
    "Declared",
    "InnerKeys",
    "NoPartition",
    "OnePart",
    "PartitionMapping",
    "SameKey",
    "Set",
    "UpstreamKeys",
    "containing_number",
    "inner_numbers",
    "present",
]

Set: TypeAlias = PartitionSet[Any] | None


class UpstreamKeys(NamedTuple):
    """The keys of one upstream asset that a step needs.

    Attributes:
        keys: The keys in order; `(None,)` for an upstream without partitions; empty if the upstream has none
            of the keys asked for.
        many: Whether the parameter receives `dict[key, value]` rather than the one value.
    """

    keys: Sequence[Any]
    many: bool


class PartitionMapping(ABC):
    """Leads from a key of an asset to keys of an upstream asset; subclass it for a rule of your own."""

    __slots__ = ()

    @property
    def many(self) -> bool | None:
        """Whether the parameter receives `dict[key, value]`, however many keys there are; default False.

        None means that it does unless the step was given a key.
        """
        return False

    def bind(self, _upstream: Set, _downstream: Set, /) -> PartitionMapping:
        """The mapping to use between two declared sets; asked once, when the graph is built. Default: itself.

        Raises:
            PartitionError: The mapping makes no sense for these sets; the message says why.
        """
        return self

    @abstractmethod
    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        """The keys that `key` needs; those that the upstream set does not have are dropped afterwards.

        Args:
            key: A key of the downstream asset, or None.
            upstream: The upstream's set in this run, closed; None if it has none.
            downstream: The downstream's set in this run, closed; None if it has none.
        """


class Declared(PartitionMapping):
    """A mapping that means nothing before it is bound."""

    __slots__ = ()

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        return self.bind(upstream, downstream).upstream_keys(key, upstream, downstream)


def present(keys: Sequence[Any], upstream: Set) -> Sequence[Any]:
    """The keys that an upstream set has; sequences computed from the set itself need no look."""
    if upstream is None or isinstance(keys, KeySlice | KeyProduct):
        return keys
    return tuple(key for key in keys if upstream.position_of(key) is not None)


@frozen
class SameKey(PartitionMapping):
    """The key itself: the default between equal sets, and between assets that declare none."""

    def upstream_keys(self, key: Any, _upstream: Set, _downstream: Set, /) -> Sequence[Any]:
        return (key,)


@frozen
class NoPartition(PartitionMapping):
    """The one value of an upstream without partitions, and of a constant."""

    def upstream_keys(self, _key: Any, _upstream: Set, _downstream: Set, /) -> Sequence[Any]:
        return (None,)


@frozen
class AllPartitions(PartitionMapping):
    """Every key of the upstream set, as of the run; the parameter receives `dict[key, value]`."""

    @property
    def many(self) -> bool | None:
        return True

    def bind(self, upstream: Set, _downstream: Set, /) -> PartitionMapping:
        if upstream is None:
            raise PartitionError("the upstream has no partitions to take all of")
        return self

    def upstream_keys(self, _key: Any, upstream: Set, _downstream: Set, /) -> Sequence[Any]:
        assert upstream is not None
        return upstream.keys()


@frozen
class AllUnlessGiven(PartitionMapping):
    """For an asset without partitions: the key its step was given, else every key of the upstream."""

    @property
    def many(self) -> bool | None:
        return None

    def upstream_keys(self, key: Any, upstream: Set, _downstream: Set, /) -> Sequence[Any]:
        assert upstream is not None
        if key is None:
            return upstream.keys()
        try:
            return (upstream.coerce(key),)
        except PartitionError:
            return ()


@frozen
class ContainingKey(PartitionMapping):
    """Between time sets: the coarser upstream period in which this one begins."""

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        number = containing_number(key, upstream, downstream)
        assert isinstance(upstream, TimePartitions)
        return KeySlice(upstream, *upstream.numbered(number, number))


@frozen
class InnerKeys(PartitionMapping):
    """Between time sets: the finer upstream periods that begin inside this one."""

    @property
    def many(self) -> bool | None:
        return True

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        assert isinstance(upstream, TimePartitions)
        return KeySlice(upstream, *upstream.numbered(*inner_numbers(key, upstream, downstream)))


@frozen
class OnePart(PartitionMapping):
    """From a multi-dimensional key: what a mapping makes of one of its parts."""

    position: int
    mapping: PartitionMapping

    @property
    def many(self) -> bool | None:
        return self.mapping.many

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        assert isinstance(downstream, MultiPartitions)
        return self.mapping.upstream_keys(key[self.position], upstream, downstream.sets[self.position])


@frozen
class Aligned(PartitionMapping):
    """To a multi-dimensional upstream: a mapping for each dimension, and every combination of the results.

    Args:
        parts: For each upstream dimension a mapping and the position of the part of the key that it starts
            from; the position is None for the whole key.
    """

    parts: tuple[tuple[int | None, PartitionMapping], ...]

    @property
    def many(self) -> bool | None:
        # One key if every dimension gives one, which is a reordering of the same key.
        return any(mapping.many is not False for _, mapping in self.parts)

    def upstream_keys(self, key: Any, upstream: Set, downstream: Set, /) -> Sequence[Any]:
        assert isinstance(upstream, MultiPartitions)
        found = []
        for keys, (position, mapping) in zip(upstream.sets, self.parts, strict=True):
            part, of = key, downstream
            if position is not None:
                assert isinstance(downstream, MultiPartitions)
                part, of = key[position], downstream.sets[position]
            found.append(present(mapping.upstream_keys(part, keys, of), keys))
        return KeyProduct(found)


def containing_number(key: Any, coarser: Set, finer: Set) -> int:
    """The number, in the coarser set, of the period in which a key of the finer one begins.

    Calendar periods go by the date alone, an hour by its instant in the zone of the coarser set.
    """
    assert isinstance(coarser, TimePartitions)
    if isinstance(coarser, CalendarPartitions) and isinstance(finer, CalendarPartitions):
        return coarser.number_of_day(key)
    assert isinstance(finer, TimePartitions)
    number = finer.number_of(key)
    assert number is not None
    return coarser.number_at(finer.begins(number))


def inner_numbers(key: Any, finer: Set, coarser: Set) -> tuple[int, int]:
    """The numbers, first and last, of the finer periods that begin inside a key of the coarser set."""
    assert isinstance(finer, TimePartitions)
    assert isinstance(coarser, TimePartitions)
    number = coarser.number_of(key)
    assert number is not None
    if isinstance(coarser, CalendarPartitions) and isinstance(finer, CalendarPartitions):
        return finer.number_from_day(key), finer.number_from_day(coarser.key_of(number + 1)) - 1
    return finer.number_from(coarser.begins(number)), finer.number_from(coarser.begins(number + 1)) - 1
