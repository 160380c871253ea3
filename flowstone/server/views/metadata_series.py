"""The numbers that an asset recorded with its values, partition by partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_labels import key_label
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.records import Materialization

__all__ = ["series_of"]

_ENOUGH: Final = 3
"""So many values make a drawing."""

_MOST: Final = 7
SECONDS: Final = "seconds"


def series_of(records: Sequence[Materialization], keys: Sequence[str | None]) -> Mapping[str, Any]:
    """Of each name that several values have a number for, the numbers in order.

    Args:
        records: The newest first, at whatever partition.
        keys: The partition keys in the order of the set; where there is one at most, the order is that of time.

    Returns:
        `labels`, and `series` by name, with None where there is no number.
    """
    made = [record for record in records if record.status is Status.SUCCEEDED]
    if len(keys) > 1:
        newest = {record.partition_key: record for record in reversed(made)}
        shown = [newest.get(key) for key in _stretch(keys, newest)]
        labels = [key_label(key) for key in _stretch(keys, newest)]
    else:
        shown = list(reversed(made))
        labels = [f"{record.finished_at:%-d %b %H:%M}" for record in reversed(made) if record.finished_at]
    names = dict.fromkeys(
        name for record in made for name, value in record.metadata.items() if _is_number(value)
    )
    series = {name: [_value(record, name) for record in shown] for name in list(names)[:_MOST]}
    series[SECONDS] = [None if record is None else record.duration for record in shown]
    return {
        "labels": labels,
        "series": {
            name: values
            for name, values in series.items()
            if sum(value is not None for value in values) >= _ENOUGH
        },
    }


def _stretch(keys: Sequence[str | None], newest: Mapping[str | None, Any]) -> Sequence[str | None]:
    """The keys from the first to the last one that is known."""
    places = [place for place, key in enumerate(keys) if key in newest]
    return keys[places[0] : places[-1] + 1] if places else ()


def _value(record: Materialization | None, name: str) -> float | None:
    value = None if record is None else record.metadata.get(name)
    return value if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
