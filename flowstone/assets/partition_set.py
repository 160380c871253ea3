"""What every set of partitions can do; the subclasses say which keys there are, as arithmetic.

A subclass answers four questions about a *closed* set: how many keys (`size`), which key at a position
(`key_at`), which position of a key (`position_of`), what a text means (`_read`). Everything users see is
derived from these here, so all sets behave alike. An *open* set (a time set without an end, a dynamic set) is
closed with `as_of` before any of them is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from flowstone.assets.key_slice import KeySlice
from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import partition_label
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from flowstone.remedies import Remedies

__all__ = ["PartitionSet", "utc_now"]


def utc_now() -> datetime:
    """This instant, aware and in UTC."""
    return datetime.now(UTC)


K = TypeVar("K")


class PartitionSet(ABC, Generic[K]):
    """An ordered set of partition keys, equal to another one of the same definition.

    `key in set`, `len(set)`, `set[i]`, slices and iteration work as on a tuple, without the keys being
    stored. Membership is exact on types: a `datetime` or the text "2025-01-15" is never in a set of dates.
    """

    __slots__ = ()

    # What a subclass says --------------------------------------------------------------------------------

    @property
    @abstractmethod
    def size(self) -> int:
        """How many keys a closed set has."""

    @abstractmethod
    def key_at(self, position: int) -> K:
        """The key at a position of a closed set, from 0 to `size - 1`."""

    @abstractmethod
    def position_of(self, key: object) -> int | None:
        """The position of a key in a closed set; None for anything that is not one of its keys."""

    @abstractmethod
    def _identity(self) -> Hashable:
        """What equality and hash go by, besides the class."""

    def _read(self, text: str) -> object:
        """The key a person means by a text; any object that is not in the set if there is none."""
        return text

    def _read_last(self, text: str) -> object:
        """The same for the end of a range, where a text may mean more than one key."""
        return self._read(text)

    @property
    def is_open(self) -> bool:
        """Whether the keys depend on when you ask."""
        return False

    def as_of(self, now: datetime) -> PartitionSet[K]:  # noqa: ARG002 - closed sets need no instant
        """The set with an open end closed: the periods that are complete at `now` (aware).

        Raises:
            PartitionError: `now` is naive.
        """
        return self

    def span(self, start: int, stop: int) -> Iterator[K]:
        """The keys of a closed set from one position up to another; faster than one by one where possible."""
        return map(self.key_at, range(start, stop))

    def longest(self) -> Any:
        """A key with the longest text of all in this closed set, which is not empty; by default all are as long."""
        return self.key_at(self.size - 1)

    @property
    def key_type(self) -> Any:
        """The type of every key; `Any` where they differ."""
        return Any

    # What users call -------------------------------------------------------------------------------------

    def closed(self) -> PartitionSet[K]:
        """The set as of this moment; `as_of(now)` for the same answer twice."""
        return self.as_of(utc_now()) if self.is_open else self

    def keys(self) -> KeySlice[K]:
        """All keys in order, as a lazy sequence."""
        closed = self.closed()
        return KeySlice(closed, 0, closed.size)

    def __len__(self) -> int:
        return self.closed().size

    def __bool__(self) -> bool:
        # A set without keys yet is still a set: `if partitions:` must not depend on the time of day.
        return True

    def __contains__(self, key: object) -> bool:
        return self.closed().position_of(key) is not None

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    @overload
    def __getitem__(self, index: int) -> K: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[K]: ...

    def __getitem__(self, index: int | slice) -> K | Sequence[K]:
        return self.keys()[index]

    def index(self, key: object) -> int:
        """The position of a key, or of the key that a text means.

        Raises:
            PartitionError: The set has no such key.
        """
        closed = self.closed()
        position = closed.position_of(closed.coerce(key))
        assert position is not None
        return position

    def _last_index(self, last: object) -> int:
        if type(last) is str and self.position_of(last) is None:
            position = self.position_of(self._read_last(last))
            if position is not None:
                return position
        return self.index(last)

    def between(self, first: object, last: object) -> Sequence[K]:
        """The keys from `first` to `last`, both included; keys or texts.

        Raises:
            PartitionError: One is not in the set, or `last` comes before `first`.
        """
        closed = self.closed()
        start, stop = closed.index(first), closed._last_index(last)
        if stop < start:
            raise PartitionError(f"{last} comes before {first} in {self!r}: swap the two.")
        return KeySlice(closed, start, stop + 1)

    def latest(self, n: int = 1) -> KeySlice[K]:
        """The last `n` keys in order; fewer if the set has fewer.

        Raises:
            PartitionError: `n` is negative.
        """
        if n < 0:
            raise PartitionError(f"latest({n}) takes a number of keys, 0 or more.")
        closed = self.closed()
        return KeySlice(closed, max(0, closed.size - n), closed.size)

    def parse(self, text: str) -> K:
        """The key that a text means: as people write it, or as `encode_partition` does.

        Raises:
            PartitionError: The text is unreadable, or means a key outside the set.
        """
        closed = self.closed()
        position = closed.position_of(closed._read(text))
        if position is None:
            raise closed._refusal(text)
        return closed.key_at(position)

    def coerce(self, partition: object) -> K:
        """What a user passed as a key of this set: a text is parsed, a key is checked.

        Raises:
            PartitionError: It is no key of this set.
        """
        closed = self.closed()
        position = closed.position_of(partition)
        if position is not None:
            return closed.key_at(position)
        if type(partition) is str:
            return closed.parse(partition)
        raise closed._refusal(partition)

    def _refusal(self, partition: object) -> PartitionError:
        """The error for a partition that is not in this closed set; it says what is."""
        return PartitionError(
            f"{_shown(partition)} is not in {self!r}, which has {self._extent()}.{self._nearest(partition)}",
            remedies=self._remedies(partition),
        )

    def _nearest(self, partition: object) -> str:  # noqa: ARG002 - subclasses look at it
        """The question whether another key was meant, with a space before it; empty if none is like this one."""
        return ""

    def _remedies(self, partition: object) -> Remedies | None:  # noqa: ARG002 - subclasses look at it
        """What to do about it that only this kind of set knows."""
        return None

    def _extent(self) -> str:
        match self.size:
            case 0:
                return "no keys yet"
            case 1:
                return f"only {_written(self.key_at(0))}"
            case size:
                return f"{size:,} keys from {_written(self.key_at(0))} to {_written(self.key_at(size - 1))}"

    # Value semantics -------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._identity()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


def _shown(partition: object) -> str:
    """A partition as a person would write it; texts and strangers in quotes, so that `1` and `'1'` differ."""
    return (
        repr(partition)[:200]
        if isinstance(partition, str) or not hasattr(partition, "isoformat")
        else str(partition)
    )


def _written(key: object) -> str:
    """A key as one may pass it, in Python and on the command line."""
    return repr(partition_label(key)) if isinstance(key, tuple) else _shown(key)


def read_encoded(text: str) -> object:
    """The key a tagged text encodes; None, which is in no set, if it encodes none."""
    try:
        return decode_partition(text)
    except PartitionError:
        return None
