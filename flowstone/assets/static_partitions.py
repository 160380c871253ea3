"""A fixed list of partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_keys import PartitionKey, canonical_key, encode_partition
from flowstone.assets.partition_labels import partition_label
from flowstone.assets.partition_set import PartitionSet, read_encoded
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

__all__ = ["KeyList", "StaticPartitions"]

_MANY = 10_000  # Keys that are not worth to be compared with a mistyped one.
_SURELY_SHORT = 180  # Characters of a text, whatever they are, for its encoded key.


class KeyList:
    """Distinct keys in order, with the position of each.

    Positions go by the encoded key, because the keys themselves are equal across types (`True == 1`). For a
    list of nothing but text the text is its own index, which keeps a million keys cheap.
    """

    __slots__ = ("_by_text", "_hash", "_positions", "_text_only", "keys")

    def __init__(self, keys: Iterable[PartitionKey], owner: str) -> None:
        """Check and index the keys; `owner` names the set in errors.

        Raises:
            PartitionError: A key is of an unsupported type, or appears twice.
        """
        self.keys: tuple[Any, ...] = tuple(keys)
        self._text_only = set(map(type, self.keys)) <= {str} and _is_unicode(self.keys)
        if not self._text_only:
            self.keys = tuple(map(canonical_key, self.keys))
        elif max(map(len, self.keys), default=0) > _SURELY_SHORT:
            for key in self.keys:
                encode_partition(key)  # Refuses one that is too long.
        index = self.keys if self._text_only else map(encode_partition, self.keys)
        self._positions = {key: position for position, key in enumerate(index)}
        self._by_text: dict[str, Any] | None = None
        self._hash: int | None = None
        if len(self._positions) != len(self.keys):
            twice = next(key for i, key in enumerate(self.keys) if self.position_of(key) != i)
            raise PartitionError(f"{owner} has the key {twice!r:.200} twice: keys are distinct.")
        if not self._text_only and "n:" in self._positions:
            raise PartitionError(f"{owner} has the key None, which means “no partition”: name it with a str.")

    def position_of(self, key: object) -> int | None:
        """The position of a key; None for anything else."""
        if self._text_only:
            return self._positions.get(key) if type(key) is str else None
        try:
            return self._positions.get(encode_partition(key))
        except PartitionError:
            return None

    def read(self, text: str) -> object:
        """The key a person means: the text itself, what it encodes, or a key that is written like that."""
        if self.position_of(text) is not None:
            return text
        if self.position_of(key := read_encoded(text)) is not None:
            return key
        if self._by_text is None:
            self._by_text = {
                written: key
                for key in reversed(self.keys)
                for written in (str(key), partition_label(key))
                if written != key
            }
        return self._by_text.get(text)

    def nearest(self, partition: object) -> str:
        """The question whether a text key was meant that is like this one; empty if there is none, or too many."""
        if type(partition) is not str or len(self.keys) > _MANY:
            return ""
        return did_you_mean(partition, (partition_label(key) for key in self.keys if type(key) is str))

    def longest(self) -> Any:
        """The key with the longest text, about; None if there is none."""
        return max(self.keys, key=_length, default=None)

    def key_type(self) -> Any:
        """The one type of all keys, or `Any`."""
        kinds = set(map(type, self.keys))
        return kinds.pop() if len(kinds) == 1 else Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeyList):
            return NotImplemented
        # The positions are by encoded key wherever the keys are not all text, so that 1 and "1" differ.
        return self is other or (
            self._text_only == other._text_only and list(self._positions) == list(other._positions)
        )

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.keys)
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # Built again, because the hash of a text differs from process to process.
        return KeyList, (self.keys, "")

    def shown(self) -> str:
        """The keys as in a list, shortened to the first and last of many."""
        if len(self.keys) <= 4:
            return repr(list(self.keys))
        return f"[{self.keys[0]!r}, {self.keys[1]!r}, …, {self.keys[-1]!r}]"


def _length(key: object) -> int:
    """About how long the text of a key is as JSON, which escapes what is not ASCII."""
    text = key if isinstance(key, str) else encode_partition(key)
    return len(text) if text.isascii() else 6 * len(text)


class StaticPartitions(PartitionSet[Any]):
    """A fixed list of keys: `StaticPartitions(["eu", "us"])`.

    Args:
        keys: The keys in order; usually text, any `PartitionKey` is accepted.

    Raises:
        PartitionError: No keys, a key twice, a key of an unsupported type, or one str instead of a list.
    """

    __slots__ = ("_list",)

    def __init__(self, keys: Iterable[PartitionKey]) -> None:
        if isinstance(keys, str):
            raise PartitionError(
                f"StaticPartitions takes a list of keys: write StaticPartitions([{keys!r}])."
            )
        self._list = KeyList(keys, "StaticPartitions")
        if not self._list.keys:
            raise PartitionError(
                "StaticPartitions([]) has no keys: name at least one, or use DynamicPartitions."
            )

    @property
    def size(self) -> int:
        return len(self._list.keys)

    def key_at(self, position: int) -> Any:
        return self._list.keys[position]

    def position_of(self, key: object) -> int | None:
        return self._list.position_of(key)

    def span(self, start: int, stop: int) -> Iterator[Any]:
        return iter(self._list.keys[start:stop])

    def longest(self) -> Any:
        return self._list.longest()

    @property
    def key_type(self) -> Any:
        return self._list.key_type()

    def _read(self, text: str) -> object:
        return self._list.read(text)

    def _nearest(self, partition: object) -> str:
        return self._list.nearest(partition)

    def _identity(self) -> Hashable:
        return self._list

    def __repr__(self) -> str:
        return f"StaticPartitions({self._list.shown()})"


def _is_unicode(keys: tuple[str, ...]) -> bool:
    """Whether no key holds half of a surrogate pair; one pass in C over all of them."""
    try:
        "".join(keys).encode()
    except UnicodeEncodeError:
        return False
    return True
