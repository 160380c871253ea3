"""Partitions as somebody writes or picks many of them: `2026-02-05:2026-02-14, 2026-03-01`.

A range has its two ends, with a colon between them, in the order of the set. Labels may have colons themselves, as
those of hours do: a colon divides two labels where both sides of it are one. A label with a comma in it is written
in quotes, as in a table of comma-separated values: `"Oslo, Majorstuen", Bergen`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import key_label, partition_argument
from flowstone.assets.suggest import did_you_mean
from flowstone.counting import count
from flowstone.errors import PartitionError
from flowstone.server.addresses import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from flowstone.assets.partition_set import PartitionSet

__all__ = ["Reader", "example_of", "ranges_of", "ranges_text"]

_EXAMPLE: Final = 10
_ENDS: Final = 2
_MOST_COLONS: Final = 16  # Where a range may be divided: of a text that is nothing else, not each is tried.


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
        chosen = sorted(
            ((each.start, each.stop) for each in map(self._part, _parts(text))), key=lambda ends: ends[0]
        )
        places: list[int] = []
        reached = 0  # All of them a thousand times are all of them once.
        for first, end in chosen:
            places.extend(range(max(first, reached), end))
            reached = max(reached, end)
        return places

    def _part(self, part: str | list[str]) -> range:
        return self._written(part) if isinstance(part, str) else self._between(part)

    def _between(self, ends: Sequence[str]) -> range:
        places = [self._place(end) for end in ends]
        for end, place in zip(ends, places, strict=True):
            if place is None:
                raise self._refusal(end)
        first, last = places[0], places[-1]
        assert first is not None
        assert last is not None
        if first > last:
            raise PartitionError(f"{':'.join(ends)!r:.200} ends before it begins: write its ends in order.")
        return range(first, last + 1)

    def _written(self, part: str) -> range:
        place = self._place(part)
        if place is not None:
            return range(place, place + 1)
        colons = islice((at for at, letter in enumerate(part) if letter == ":"), _MOST_COLONS)
        for at in colons:
            ends = [part[:at].strip(), part[at + 1 :].strip()]
            if all(self._place(end) is not None for end in ends):
                return self._between(ends)
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
    known = set(labels)
    return ", ".join(
        quoted(labels[first]) if first == last else _range_text(labels[first], labels[last], known)
        for first, last in ranges_of(places)
    )


def _range_text(first: str, last: str, known: Collection[str]) -> str:
    """A range; its ends are quoted as well where it would read as a label, or as a range with other ends."""
    text = f"{first}:{last}"
    colons = (at for at, letter in enumerate(text) if letter == ":")
    ways = sum(text[:at] in known and text[at + 1 :] in known for at in colons)
    if text in known or ways > 1 or quoted(first) + quoted(last) != first + last:
        return ":".join(quoted(end, always=True) for end in (first, last))
    return text


def _parts(text: str) -> Iterator[str | list[str]]:
    """What stands between commas: as it is written, or its ends where one of them is quoted.

    It goes through the text once. A regular expression that says the same takes the square of its length, and it
    comes from an address.
    """
    at = 0
    while at < len(text):
        ends, after = _quoted_ends(text, at)
        if not ends:
            comma = text.find(",", at)
            after = len(text) if comma < 0 else comma
            if written := text[at:after].strip():
                yield written
        else:
            yield ends
        at = after + 1


def _quoted_ends(text: str, at: int) -> tuple[list[str], int]:
    """The ends of a part of which one is quoted, and where its comma is; none where the part is no such one."""
    ends: list[str] = []
    quoted_one = False
    while len(ends) < _ENDS:
        while at < len(text) and text[at] == " ":
            at += 1
        if text.startswith('"', at):
            end, at = _quoted_end(text, at)
            quoted_one = True
        else:
            stop = at
            while stop < len(text) and text[stop] not in ',:"':
                stop += 1
            end, at = text[at:stop].strip(), stop
        if end is None or (not end and not quoted_one):
            break
        ends.append(end)
        while at < len(text) and text[at] == " ":
            at += 1
        if at >= len(text) or text[at] == ",":
            return (ends if quoted_one else []), at
        if text[at] != ":":
            break
        at += 1
    return [], at


def _quoted_end(text: str, at: int) -> tuple[str | None, int]:
    """What stands in quotes from here on, and where they have ended; None if they do not end."""
    begin = at + 1
    close = text.find('"', begin)
    while close >= 0 and text.startswith('""', close):
        close = text.find('"', close + 2)
    return (None, len(text)) if close < 0 else (text[begin:close].replace('""', '"'), close + 1)
