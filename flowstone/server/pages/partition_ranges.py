"""Partitions as somebody writes or picks many of them: `2026-02-05:2026-02-14, 2026-03-01`.

A range has its two ends, with a colon between them, in the order of the set. Labels may have colons themselves, as
those of hours do: a colon divides two labels where both sides of it are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.assets.suggest import did_you_mean
from flowstone.counting import count
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ranges_of", "ranges_text", "read_ranges"]


def read_ranges(text: str, labels: Sequence[str]) -> list[int]:
    """The places of the partitions that a text names, each once, in the order of the set.

    Args:
        text: Labels and ranges, with commas between them.
        labels: Those of all partitions, in order.

    Raises:
        PartitionError: One of them is no partition, or a range has its ends the wrong way round.
    """
    places = {label: place for place, label in enumerate(labels)}
    found: set[int] = set()
    for part in filter(None, map(str.strip, text.split(","))):
        found.update(_range(part, places))
    return sorted(found)


def _range(part: str, places: Mapping[str, int]) -> range:
    if part in places:
        return range(places[part], places[part] + 1)
    for at, letter in enumerate(part):
        if letter != ":":
            continue
        first, last = places.get(part[:at].strip()), places.get(part[at + 1 :].strip())
        if first is not None and last is not None:
            if first > last:
                raise PartitionError(f"{part!r:.200} ends before it begins: write its ends in order.")
            return range(first, last + 1)
    wrong = next((end for end in part.split(":", 1) if end.strip() not in places), part).strip()
    hint = did_you_mean(wrong, places)
    raise PartitionError(f"{wrong!r:.200} is none of its {count(len(places), 'partition')}.{hint}")


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
