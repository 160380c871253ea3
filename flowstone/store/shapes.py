"""How records become JSON-able dicts: the fields of a dataclass, with converters where JSON has no word for one.

`codec.py` has the shapes of runs, events and materializations; `automation_codec.py` those of automations.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from math import isfinite
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from flowstone.assets.exact_dates import REAL
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["INSTANT", "MAPPING", "NUMBER", "STATUS", "TUPLE", "Pair", "Shape", "Unreadable"]

T = TypeVar("T")


class Unreadable(ValueError):
    """Stored data means nothing to this release: it is damaged, or a newer one wrote it; the message says."""


# Converters -------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """How the values of a field, other than None, are written and read."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _write_number(value: float) -> float | str:
    return value if isfinite(value) else str(value)  # JSON has no word for infinity.


_STATUSES: Final = MappingProxyType({status.value: status for status in Status})
INSTANT: Final = Pair(REAL.datetime.isoformat, REAL.datetime.fromisoformat)
NUMBER: Final = Pair(_write_number, float)
STATUS: Final = Pair(attrgetter("value"), _STATUSES.__getitem__)
MAPPING: Final = Pair(dict, dict)
TUPLE: Final = Pair(list, tuple)


# Shapes -----------------------------------------------------------------------------------------------------


class Shape(Generic[T]):
    """The fields of one dataclass.

    Args:
        made: The dataclass.
        converters: Field name to pair, for the fields JSON cannot hold as they are.
        derived: Fields made from another one when reading: name to (source field, function).
        only: The fields it has here; empty: all.
    """

    def __init__(
        self,
        made: type[T],
        converters: Mapping[str, Pair],
        derived: Mapping[str, tuple[str, Callable[[Any], Any]]] = MappingProxyType({}),
        only: Collection[str] = (),
    ) -> None:
        self._made = made
        self._derived = derived
        names = frozenset(only) or frozenset(field.name for field in fields(made))  # type: ignore[arg-type] # T is a dataclass; there is no bound that says so
        self._names = names - derived.keys()
        self._readers = {name: pair.read for name, pair in converters.items() if name in self._names}
        self._writers = [
            (
                field.name,
                converters[field.name].write if field.name in converters else None,
                {} if field.default_factory is not MISSING else field.default,
            )
            for field in fields(made)  # type: ignore[arg-type] # as above
            if field.name in self._names
        ]

    def encode(self, record: T) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, write, default in self._writers:
            value = getattr(record, name)
            if value is default or (default is not MISSING and value == default):
                continue
            data[name] = value if write is None or value is None else write(value)
        return data

    def decode(self, data: Mapping[str, Any]) -> T:
        found = self.fields(data)
        try:
            return self._made(**found)
        except TypeError as error:
            raise self._damaged(error) from error

    def fields(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the fields that are in the data, and the derived ones."""
        if not isinstance(data, dict) or not data.keys() <= self._names:
            raise Unreadable(self._complaint(data))
        try:
            readers = self._readers
            found = {
                name: value if value is None or name not in readers else readers[name](value)
                for name, value in data.items()
            }
            for name, (source, make) in self._derived.items():
                found[name] = None if found.get(source) is None else make(found[source])
        except (TypeError, ValueError, KeyError) as error:
            raise self._damaged(error) from error
        return found

    def _damaged(self, error: Exception) -> Unreadable:
        return Unreadable(f"damaged data for a {self._made.__name__} ({error})")

    def _complaint(self, data: object) -> str:
        if not isinstance(data, dict):
            return f"damaged data for a {self._made.__name__} (no object)"
        unknown = ", ".join(sorted(map(str, data.keys() - self._names)))
        made = self._made.__name__
        return f"a {made} with the unknown field {unknown}: a newer FlowStone wrote it, so upgrade this one"
