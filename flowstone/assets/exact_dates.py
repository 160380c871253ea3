"""Exactly a date, exactly a datetime: also where a test has frozen the time.

freezegun puts classes of its own in the place of `date` and `datetime` in every module, this one too, for as long
as the time stands still. A comparison with the name would then refuse every real date, and a table made meanwhile
would refuse them for ever. So the real classes are kept where freezegun does not look, inside of a tuple, and its
classes count as what they stand for.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from typing import TypeGuard

__all__ = ["REAL", "is_date", "is_datetime", "real_kind"]


class _Real(NamedTuple):
    date: type[date]
    datetime: type[datetime]


def _real(name: str, kind: Any) -> Any:
    return next(base for base in kind.__mro__ if base.__module__ == "datetime" and base.__name__ == name)


REAL: Final = _Real(_real("date", date), _real("datetime", datetime))
"""The classes of the standard library, whatever their names mean at the moment."""

_STAND_INS: Final = {
    ("freezegun.api", "FakeDate"): REAL.date,
    ("freezegun.api", "FakeDatetime"): REAL.datetime,
}


def real_kind(kind: type) -> type:
    """The class itself, or the one of the standard library that freezegun's stands for."""
    return _STAND_INS.get((kind.__module__, kind.__name__), kind)


def is_date(value: object) -> TypeGuard[date]:
    """Whether it is a date and no datetime, and of no subclass."""
    kind = type(value)
    return kind is REAL.date or real_kind(kind) is REAL.date


def is_datetime(value: object) -> TypeGuard[datetime]:
    """Whether it is a datetime, of no subclass."""
    kind = type(value)
    return kind is REAL.datetime or real_kind(kind) is REAL.datetime
