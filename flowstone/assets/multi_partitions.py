"""Partitions of several dimensions at once: every region on every day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.key_slice import KeyProduct
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_set import PartitionSet, read_encoded
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from datetime import datetime

__all__ = ["MultiPartitions"]


class MultiPartitions(PartitionSet[tuple[Any, ...]]):
    """Every combination of the keys of its dimensions: `MultiPartitions(region=…, day=…)`.

    A key is a tuple in the order the dimensions are declared, and keys are ordered with the last dimension
    changing fastest. A dimension may be any set, an open, a dynamic or a multi-dimensional one included.
    As text a key is its parts joined by "|" (`eu|2025-01-15`), or what `encode_partition` writes.

    Args:
        dimensions: The sets by name, at least one.

    Raises:
        PartitionError: No dimension, or one that is no partition set.
    """

    __slots__ = ("_product", "names", "sets")

    def __init__(self, **dimensions: PartitionSet[Any]) -> None:
        if not dimensions:
            raise PartitionError(
                "MultiPartitions() has no dimensions: name them, as in MultiPartitions(day=…)."
            )
        for name, keys in dimensions.items():
            if not isinstance(keys, PartitionSet):
                raise PartitionError(
                    f"MultiPartitions({name}={keys!r:.100}) takes partition sets as dimensions."
                )
        self.names = tuple(dimensions)
        self.sets = tuple(dimensions.values())
        self._product: KeyProduct | None = None

    @property
    def dimensions(self) -> Mapping[str, PartitionSet[Any]]:
        """The sets by name, in declared order."""
        return dict(zip(self.names, self.sets, strict=True))

    def replaced(self, change: Callable[[PartitionSet[Any]], PartitionSet[Any]]) -> MultiPartitions:
        """The same dimensions, each put through a function; itself if that changes none."""
        changed = {name: change(keys) for name, keys in self.dimensions.items()}
        same = all(changed[name] is keys for name, keys in self.dimensions.items())
        return self if same else MultiPartitions(**changed)

    @property
    def is_open(self) -> bool:
        return any(keys.is_open for keys in self.sets)

    def as_of(self, now: datetime) -> MultiPartitions:
        return self.replaced(lambda keys: keys.as_of(now))

    # A closed set as a sequence: all of it is the product's -----------------------------------------------

    def _keys(self) -> KeyProduct:
        if self._product is None:
            assert not self.is_open, "the keys of an open set would be those of this moment for ever"
            if self.sets and all(keys.size for keys in self.sets):
                encode_partition(self.longest())  # Parts that are short enough may make a key that is not.
            self._product = KeyProduct([keys.keys() for keys in self.sets])
        return self._product

    @property
    def size(self) -> int:
        return self._keys().size

    def key_at(self, position: int) -> tuple[Any, ...]:
        return self._keys().key_at(position)

    def position_of(self, key: object) -> int | None:
        return self._keys().position_of(key)

    def span(self, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
        if (start, stop) == (0, self.size):
            return iter(self._keys())
        return map(self._keys().key_at, range(start, stop))

    def longest(self) -> Any:
        return tuple(keys.longest() for keys in self.sets)

    @property
    def key_type(self) -> Any:
        return tuple

    # A box, not a stretch of the order --------------------------------------------------------------------

    def between(self, first: object, last: object) -> Sequence[tuple[Any, ...]]:
        """The keys whose every part lies between the parts of `first` and `last`, both included.

        So `between(("eu", "2025-01-01"), ("us", "2025-01-07"))` is one week of the regions from eu to us.

        Raises:
            PartitionError: A part is not in its dimension, or comes after its counterpart.
        """
        closed = self.closed()
        assert isinstance(closed, MultiPartitions)
        ends = zip(closed.sets, closed._parts(first), closed._parts(last), strict=True)
        return KeyProduct([keys.between(start, stop) for keys, start, stop in ends])

    # What users pass --------------------------------------------------------------------------------------

    def coerce(self, partition: object) -> tuple[Any, ...]:
        if type(partition) is tuple and len(partition) == len(self.sets):
            closed = self.closed()
            assert isinstance(closed, MultiPartitions)
            return tuple(keys.coerce(part) for keys, part in zip(closed.sets, partition, strict=True))
        return super().coerce(partition)

    def _read(self, text: str) -> object:
        if (encoded := read_encoded(text)) is not None and type(encoded) is tuple:
            return encoded
        parts = text.split("|")
        if len(parts) != len(self.sets):
            return None
        return tuple(keys._read(part) for keys, part in zip(self.sets, parts, strict=True))

    def _parts(self, partition: object) -> tuple[object, ...]:
        """The parts of what a user passed, texts still unread."""
        if type(partition) is tuple and len(partition) == len(self.sets):
            return partition
        if type(partition) is str and read_encoded(partition) is None:
            parts = partition.split("|")
            if len(parts) == len(self.sets):
                return tuple(parts)
        return self.coerce(partition)

    def _refusal(self, partition: object) -> PartitionError:
        parts = partition.split("|") if type(partition) is str else ()
        if len(parts) == len(self.sets):
            for keys, part in zip(self.sets, parts, strict=True):
                if keys.position_of(keys._read(part)) is None:
                    return keys._refusal(part)
        form = ", ".join(self.names)
        shape = f"a key is ({form}{',' if len(self.names) == 1 else ''}), as text {'|'.join(self.names)}"
        return PartitionError(f"{partition!r:.200} is not in {self!r}: {shape}.")

    def _identity(self) -> Hashable:
        return tuple(zip(self.names, self.sets, strict=True))

    def __repr__(self) -> str:
        dimensions = zip(self.names, self.sets, strict=True)
        return f"MultiPartitions({', '.join(f'{name}={keys!r}' for name, keys in dimensions)})"
