"""Partitions that appear while the system runs: customers, files, tenants."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_stored_name
from flowstone.assets.partition_labels import partition_label
from flowstone.assets.partition_set import PartitionSet
from flowstone.assets.static_partitions import KeyList
from flowstone.counting import count
from flowstone.errors import PartitionError
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from flowstone.assets.partition_keys import PartitionKey

__all__ = ["DynamicPartitions"]


class DynamicPartitions(PartitionSet[Any]):
    """A named set whose keys live in the run store, in the order they were added.

    The definition knows only the name; `runtime.add_partitions("customers", […])` adds keys, and each run
    sees the keys there were when it was planned. Everything that needs the keys therefore works on what
    `resolved` returns.

    Args:
        name: The name of the set in the run store; sets of one name are one set.

    Raises:
        PartitionError: The name is empty or no text; later, keys are asked of a set that is not resolved.
    """

    __slots__ = ("_list", "name")

    def __init__(self, name: str) -> None:
        if not is_stored_name(name):
            raise PartitionError(
                f"DynamicPartitions({name!r:.100}) takes a name, a non-empty str of at most 200 characters."
            )
        self.name = name
        self._list: KeyList | None = None

    def resolved(self, keys: Iterable[PartitionKey]) -> DynamicPartitions:
        """This set with the keys it has now.

        Raises:
            PartitionError: A key is of an unsupported type, or appears twice.
        """
        closed = DynamicPartitions(self.name)
        closed._list = KeyList(keys, f"DynamicPartitions({self.name!r})")
        return closed

    @property
    def is_resolved(self) -> bool:
        """Whether the keys are known."""
        return self._list is not None

    @property
    def size(self) -> int:
        return len(self._known().keys)

    def key_at(self, position: int) -> Any:
        return self._known().keys[position]

    def position_of(self, key: object) -> int | None:
        return self._known().position_of(key)

    def span(self, start: int, stop: int) -> Iterator[Any]:
        return iter(self._known().keys[start:stop])

    def longest(self) -> Any:
        return self._known().longest()

    @property
    def key_type(self) -> Any:
        return Any if self._list is None else self._list.key_type()

    def _known(self) -> KeyList:
        if self._list is None:
            raise PartitionError(
                f"The keys of DynamicPartitions({self.name!r}) are kept in the run store: ask a runtime, "
                f"or give them with .resolved([…])."
            )
        return self._list

    def _read(self, text: str) -> object:
        return self._known().read(text)

    def _nearest(self, partition: object) -> str:
        return self._known().nearest(partition)

    def _remedies(self, partition: object) -> Remedies:
        name, key = quote(self.name), quote(partition_label(partition))
        return Remedies(
            f"runtime.add_partitions({self.name!r}, [{partition!r:.100}]) adds it.",
            f"`flowstone partitions add {name} {key:.100}` adds it, and `list {name}` shows which there are.",
        )

    def _identity(self) -> Hashable:
        return self.name, self._list

    def __repr__(self) -> str:
        known = "" if self._list is None else f", {count(len(self._list.keys), 'key')}"
        return f"DynamicPartitions({self.name!r}{known})"
