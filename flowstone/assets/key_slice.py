"""Sequences of partition keys that are computed, not stored: a million keys cost as much as one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from flowstone.counting import count
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Indexed", "KeyProduct", "KeySlice"]

K = TypeVar("K")
K_co = TypeVar("K_co", covariant=True)


class Indexed(Protocol[K_co]):
    """A closed partition set as arithmetic: position to key and back."""

    def key_at(self, position: int) -> K_co: ...

    def position_of(self, key: object) -> int | None: ...

    def span(self, start: int, stop: int) -> Iterator[K_co]: ...


class LazySequence(Sequence[K], Generic[K]):
    """What both sequences share: equality with any sequence, no hash, a repr that stays short."""

    __slots__ = ()
    # Equal to lists, which have no hash; a hash equal to that of an equal tuple would read every key.
    __hash__ = None  # type: ignore[assignment] # the documented way to declare a class unhashable

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == yours for mine, yours in zip(self, other, strict=True))

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The position of a key.

        Raises:
            PartitionError: (a ValueError) The key is not here, or not between `start` and `stop`.
        """
        position = self.position_of(value)
        if position is None or position not in range(len(self))[start:stop]:
            raise PartitionError(f"{value!r:.200} is not in {self!r}.")
        return position

    def count(self, value: object) -> int:
        return int(value in self)

    def __contains__(self, value: object) -> bool:
        return self.position_of(value) is not None

    def __repr__(self) -> str:
        size = len(self)
        shown = [str(key) for key in (self if size <= 3 else (self[0], self[1], self[-1]))]
        if size > 3:
            shown.insert(2, "…")
        return (
            f"{type(self).__name__}({count(size, 'key')}: {', '.join(shown)})"
            if size
            else f"{type(self).__name__}(no keys)"
        )

    @abstractmethod
    def position_of(self, key: object) -> int | None:
        """The position of a key in this sequence; None for anything else."""


class KeySlice(LazySequence[K]):
    """Consecutive keys of a closed partition set, from position `start` up to but not including `stop`.

    Length, item, membership, index and slices are O(1). Equal to any sequence of the same keys.

    Attributes:
        set: The closed set the keys belong to.
        start: Position of the first key in the set.
        stop: Position after the last key.
    """

    __slots__ = ("set", "start", "stop")

    def __init__(self, keys: Indexed[K], start: int, stop: int) -> None:
        self.set = keys
        self.start = start
        self.stop = max(start, stop)

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, index: int) -> K: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[K]: ...

    def __getitem__(self, index: int | slice) -> K | Sequence[K]:
        if isinstance(index, slice):
            positions = range(self.start, self.stop)[index]
            if positions.step == 1:
                return KeySlice(self.set, positions.start, positions.stop)
            return tuple(map(self.set.key_at, positions))
        size = self.stop - self.start
        if not -size <= index < size:
            raise IndexError(f"position {index} of {count(size, 'partition key')}")
        return self.set.key_at((self.start if index >= 0 else self.stop) + index)

    def __iter__(self) -> Iterator[K]:
        return self.set.span(self.start, self.stop)

    def __reversed__(self) -> Iterator[K]:
        return map(self.set.key_at, range(self.stop - 1, self.start - 1, -1))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, KeySlice) and other.set == self.set:
            return (self.start, self.stop) == (other.start, other.stop) or not (len(self) or len(other))
        return super().__eq__(other)

    __hash__ = None

    def position_of(self, key: object) -> int | None:
        position = self.set.position_of(key)
        return position - self.start if position is not None and self.start <= position < self.stop else None


class KeyProduct(LazySequence[tuple[Any, ...]]):
    """Every combination of the keys of several dimensions, the last dimension changing fastest."""

    __slots__ = ("dimensions", "size")

    def __init__(self, dimensions: Sequence[Sequence[Any]]) -> None:
        self.dimensions = tuple(dimensions)
        self.size = 1
        for keys in self.dimensions:
            self.size *= len(keys)

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> tuple[Any, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[Any, ...]]: ...

    def __getitem__(self, index: int | slice) -> tuple[Any, ...] | Sequence[tuple[Any, ...]]:
        if isinstance(index, slice):
            return tuple(map(self.key_at, range(self.size)[index]))
        if not -self.size <= index < self.size:
            raise IndexError(f"position {index} of {count(self.size, 'partition key')}")
        return self.key_at(index % self.size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        # Not itertools.product, which copies every dimension before it gives the first key.
        first, *others = self.dimensions
        if not others:
            return ((key,) for key in first)
        rest = KeyProduct(others)
        return ((key, *more) for key in first for more in rest)

    def key_at(self, position: int) -> tuple[Any, ...]:
        """The key at a position from 0 up: its digits in a number system with one base a dimension."""
        parts = []
        for keys in reversed(self.dimensions):
            position, digit = divmod(position, len(keys))
            parts.append(keys[digit])
        return tuple(reversed(parts))

    def position_of(self, key: object) -> int | None:
        if type(key) is not tuple or len(key) != len(self.dimensions):
            return None
        position = 0
        for keys, part in zip(self.dimensions, key, strict=True):
            if part not in keys:
                return None
            position = position * len(keys) + keys.index(part)
        return position
