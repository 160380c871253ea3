"""Partitions as somebody writes or picks many of them: `2026-02-05:2026-02-14, 2026-03-01`.

A range has its two ends, with a colon between them, in the order of the set. Labels may have colons themselves, as
those of hours do: a colon divides two labels where both sides of it are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import key_label, partition_argument
from flowstone.assets.suggest import did_you_mean
from flowstone.counting import count
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flowstone.assets.partition_set import PartitionSet

__all__ = ["Reader", "example_of", "ranges_of", "ranges_text"]

_EXAMPLE: Final = 10


class Reader:
    """Reads what somebody writes for partitions of a set: what the command line and the API take.

    Args:
        partitions: The asset's partition set.
        keys: The encoded keys of all its partitions, in order.

    Attributes:
        labels: Their labels.
    """

    def __init__(self, partitions: PartitionSet[Any], keys: Sequence[str | None]) -> None:
        self.labels: Sequence[str] = [key_label(key) for key in keys]
        self._by_label = {label: place for place, label in enumerate(self.labels)}
        self._by_key = {key: place for place, key in enumerate(keys)}
        self._set = partitions

    def ranges(self, text: str) -> list[int]:
        """The places of the partitions that a text names, each once, in the order of the set.

        Args:
            text: Partitions and ranges of them, with commas between them.

        Raises:
            PartitionError: One of them is no partition, or a range has its ends the wrong way round.
        """
        found: set[int] = set()
        for part in filter(None, map(str.strip, text.split(","))):
            found.update(self._range(part))
        return sorted(found)

    def _range(self, part: str) -> range:
        place = self._place(part)
        if place is not None:
            return range(place, place + 1)
        for at, letter in enumerate(part):
            if letter != ":":
                continue
            first, last = self._place(part[:at].strip()), self._place(part[at + 1 :].strip())
            if first is not None and last is not None:
                if first > last:
                    raise PartitionError(f"{part!r:.200} ends before it begins: write its ends in order.")
                return range(first, last + 1)
        wrong = next((end for end in part.split(":", 1) if self._place(end.strip()) is None), part).strip()
        raise self._refusal(wrong)

    def _place(self, text: str) -> int | None:
        place = self._by_label.get(text)
        if place is not None or not text:
            return place
        try:
            return self._by_key.get(encode_partition(self._set.coerce(partition_argument(text))))
        except PartitionError:
            return None

    def _refusal(self, wrong: str) -> PartitionError:
        """By the set itself, which knows how its partitions are written; or that there is none like that now."""
        if not isinstance(self._set, DynamicPartitions):
            try:
                self._set.coerce(partition_argument(wrong))
            except PartitionError as error:
                return error
        hint = did_you_mean(wrong, self._by_label)
        return PartitionError(f"{wrong!r:.200} is none of its {count(len(self.labels), 'partition')}.{hint}")


def example_of(labels: Sequence[str]) -> str:
    """What one may write, where there is anything to write: the last ones."""
    some = labels[-_EXAMPLE:]
    return ":".join(dict.fromkeys((some[0], some[-1]))) if some else ""


def ranges_of(places: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Neighbours together: the first and the last of each range. The places ascend."""
    first = last = None
    for place in places:
        if last is not None and first is not None and place == last + 1:
            last = place
            continue
        if last is not None and first is not None:
            yield first, last
        first = last = place
    if last is not None and first is not None:
        yield first, last


def ranges_text(places: Iterable[int], labels: Sequence[str]) -> str:
    """The text that names these places, which ascend."""
    return ", ".join(
        labels[first] if first == last else f"{labels[first]}:{labels[last]}"
        for first, last in ranges_of(places)
    )
