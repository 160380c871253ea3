"""The partitions of one asset as a drawing: a calendar of days, or days by one more dimension; and as a table."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.calendar_partitions import DailyPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import partition_label
from flowstone.assets.time_partitions import TimePartitions
from flowstone.frozen import frozen
from flowstone.server.views.partition_shapes import shapes_of, spans_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.partition_set import PartitionSet
    from flowstone.runs.partition_states import PartitionStates

__all__ = ["PartitionRow", "drawing_of", "kind_of", "table_of"]

_DAYS: Final = 1100
"""So many of the latest days are drawn: three years."""

_COLUMNS: Final = 400
_ROWS: Final = 200
_LISTED: Final = 500
_DIMENSIONS: Final = 2


@frozen
class PartitionRow:
    """A line of the table.

    Attributes:
        key: The encoded partition key.
        shape: What it is drawn as.
    """

    key: str
    shape: str


def kind_of(partitions: PartitionSet[Any] | None) -> str:
    """What it is drawn as: `calendar`, `matrix`, `table`, or `single` for what has no partitions."""
    if partitions is None:
        return "single"
    if isinstance(partitions, DailyPartitions):
        return "calendar"
    if isinstance(partitions, MultiPartitions) and len(partitions.sets) == _DIMENSIONS:
        return "matrix"
    return "table"


def drawing_of(partitions: PartitionSet[Any] | None, states: PartitionStates) -> Mapping[str, Any] | None:
    """What the script draws, as JSON; None of what is only listed."""
    kind = kind_of(partitions)
    if kind == "calendar" and len(states):
        codes = states.codes[-_DAYS:]
        first = str(states.keys[len(states) - len(codes)]).removeprefix("d:")
        return {"kind": kind, "first": first, "spans": spans_of(codes)}
    if kind == "matrix" and isinstance(partitions, MultiPartitions) and len(states):
        return _matrix(partitions, states)
    return None


def _matrix(partitions: MultiPartitions, states: PartitionStates) -> Mapping[str, Any]:
    one, other = _dimensions(states)
    across = isinstance(partitions.sets[0], TimePartitions) or (
        not isinstance(partitions.sets[1], TimePartitions) and len(one) > len(other)
    )
    columns, rows = (one, other) if across else (other, one)
    first, width = max(0, len(columns) - _COLUMNS), len(other)
    codes = [
        states.codes[row + first * width :: width]
        if across
        else states.codes[row * width + first : (row + 1) * width]
        for row in range(min(len(rows), _ROWS))
    ]
    return {
        "kind": "matrix",
        "across": across,
        "columns": [partition_label(key) for key in columns[first:]],
        "rows": [
            {"name": partition_label(key), "spans": spans_of(row)}
            for key, row in zip(rows, codes, strict=False)
        ],
    }


def _dimensions(states: PartitionStates) -> tuple[Sequence[Any], Sequence[Any]]:
    """The keys of both dimensions. The last one changes fastest, so few keys say it."""
    decoded = (decode_partition(str(key)) for key in states.keys)
    first, second = next(decoded)
    other = [second, *(key[1] for key in takewhile(lambda key: key[0] == first, decoded))]
    return [decode_partition(str(key))[0] for key in states.keys[:: len(other)]], other


def table_of(states: PartitionStates, shape: str) -> tuple[Sequence[PartitionRow], int]:
    """The newest partitions, or those that are drawn as `shape`; and how many there are beyond these."""
    shapes = shapes_of(states.codes)
    places = [place for place in range(len(shapes) - 1, -1, -1) if shape in ("", shapes[place])]
    rows = [
        PartitionRow(key, shapes[place])
        for place in places[:_LISTED]
        if (key := states.keys[place]) is not None
    ]
    return rows, len(places) - len(rows)
