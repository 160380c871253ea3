"""The partitions of one asset as a drawing: a calendar of days, or days by one more dimension; and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, overload

from flowstone.assets.calendar_partitions import DailyPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import partition_label
from flowstone.assets.time_partitions import TimePartitions
from flowstone.frozen import frozen
from flowstone.server.views.partition_shapes import counts_of, shapes_of, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.partition_set import PartitionSet
    from flowstone.runs.partition_states import PartitionStates

__all__ = ["Drawing", "Listing", "PartitionRow", "drawing_of", "kind_of", "table_of"]

_DAYS: Final = 1100
"""So many days are drawn at a time: three years."""

_COLUMNS: Final = 400
_ROWS: Final = 200
_LISTED: Final = 500
_DIMENSIONS: Final = 2
_LOUD: Final = ("fail", "wait", "run")


@frozen
class PartitionRow:
    """A line of the table.

    Attributes:
        key: The encoded partition key.
        shape: What it is drawn as.
    """

    key: str
    shape: str


@frozen
class Listing:
    """A page of the table.

    Attributes:
        rows: Its lines.
        first: How many come before them.
        total: How many there are on all pages.
        page: Which page it is, from 1.
        last: The last page.
    """

    rows: Sequence[PartitionRow]
    first: int
    total: int
    page: int
    last: int


@frozen
class Drawing:
    """What is drawn of the partitions, and what of them is not.

    Attributes:
        data: What the script draws, as JSON.
        first: The first day or column that is drawn, as text.
        last: The last one.
        earlier: Until which day or column is drawn what comes before; None: there is nothing.
        later: The same of what comes after.
        hidden: How many partitions are not drawn.
        loud: Of these how many failed, wait or run, by shape.
    """

    data: Mapping[str, Any]
    first: str
    last: str
    earlier: str | None
    later: str | None
    hidden: int
    loud: Sequence[tuple[str, int]]


def kind_of(partitions: PartitionSet[Any] | None) -> str:
    """What it is drawn as: `calendar`, `matrix`, `table`, or `single` for what has no partitions."""
    if partitions is None:
        return "single"
    if isinstance(partitions, DailyPartitions):
        return "calendar"
    if isinstance(partitions, MultiPartitions) and len(partitions.sets) == _DIMENSIONS:
        return "matrix"
    return "table"


def drawing_of(
    partitions: PartitionSet[Any] | None, states: PartitionStates, until: str = ""
) -> Drawing | None:
    """What the script draws; None of what is only listed.

    Args:
        partitions: The asset's partition set.
        states: How its partitions stand.
        until: The last day, or the last column, that is drawn, as text; default, or what is none of them: the last.
    """
    kind = kind_of(partitions)
    if kind == "calendar" and len(states):
        return _calendar(states, until)
    if kind == "matrix" and isinstance(partitions, MultiPartitions) and len(states):
        return _matrix(partitions, states, until)
    return None


def _calendar(states: PartitionStates, until: str) -> Drawing:
    labels = _Labels(states.keys)
    window = _window(labels, until, _DAYS)
    shown = states.codes[window.start : window.stop]
    data = {"kind": "calendar", "first": labels[window.start], "spans": spans_of(shown)}
    return _drawing(data, states, labels, window, [shown])


class _Labels(Sequence[str]):
    """The days of partition keys, as text: few of them are looked at."""

    def __init__(self, keys: Sequence[str | None]) -> None:
        self._keys = keys

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return _Labels(self._keys[index])
        return str(self._keys[index]).removeprefix("d:")

    def __len__(self) -> int:
        return len(self._keys)


def _window(labels: Sequence[str], until: str, most: int) -> range:
    """The places that are drawn: so many up to one of them."""
    end = labels.index(until) + 1 if until and until in labels else len(labels)
    return range(max(0, end - most), max(end, min(most, len(labels))))


def _drawing(
    data: Mapping[str, Any],
    states: PartitionStates,
    labels: Sequence[str],
    window: range,
    shown: Iterable[bytes],
) -> Drawing:
    drawn = counts_of([span for codes in shown for span in spans_of(codes)])
    every = counts_of(spans_of(states.codes))
    hidden = {shape: number - drawn.get(shape, 0) for shape, number in every.items()}
    later = min(len(labels), window.stop + len(window))
    return Drawing(
        data,
        labels[window.start],
        labels[window.stop - 1],
        labels[window.start - 1] if window.start else None,
        labels[later - 1] if window.stop < len(labels) else None,
        sum(hidden.values()),
        [(shape, hidden[shape]) for shape in _LOUD if hidden.get(shape)],
    )


def _matrix(partitions: MultiPartitions, states: PartitionStates, until: str) -> Drawing:
    one, other = _dimensions(states)
    across = isinstance(partitions.sets[0], TimePartitions) or (
        not isinstance(partitions.sets[1], TimePartitions) and len(one) > len(other)
    )
    columns, rows = (one, other) if across else (other, one)
    labels = [partition_label(key) for key in columns]
    window, width = _window(labels, until, _COLUMNS), len(other)
    codes = [
        states.codes[row + window.start * width : window.stop * width : width]
        if across
        else states.codes[row * width + window.start : row * width + window.stop]
        for row in range(min(len(rows), _ROWS))
    ]
    data = {
        "kind": "matrix",
        "across": across,
        "columns": labels[window.start : window.stop],
        "rows": [
            {"name": partition_label(key), "spans": spans_of(row)}
            for key, row in zip(rows, codes, strict=False)
        ],
    }
    return _drawing(data, states, labels, window, codes)


def _dimensions(states: PartitionStates) -> tuple[Sequence[Any], Sequence[Any]]:
    """The keys of both dimensions. The last one changes fastest, so few keys say it."""
    decoded = (decode_partition(str(key)) for key in states.keys)
    first, second = next(decoded)
    other = [second, *(key[1] for key in takewhile(lambda key: key[0] == first, decoded))]
    return [decode_partition(str(key))[0] for key in states.keys[:: len(other)]], other


def table_of(states: PartitionStates, shape: str, page: int = 1) -> Listing:
    """A page of the partitions, or of those that are drawn as `shape`; the newest are first.

    Args:
        states: How they stand.
        shape: Of which; empty: all.
        page: From 1; what is beyond the last one is the last one.
    """
    shapes = shapes_of(states.codes)
    places = [place for place in range(len(shapes) - 1, -1, -1) if shape in ("", shapes[place])]
    last = max(1, -(-len(places) // _LISTED))
    page = min(max(1, page), last)
    first = (page - 1) * _LISTED
    rows = [
        PartitionRow(key, shapes[place])
        for place in places[first : first + _LISTED]
        if (key := states.keys[place]) is not None
    ]
    return Listing(rows, first, len(places), page, last)
