"""How old the value of an asset may become: what is declared, without a clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from flowstone.assets.arguments import is_number
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

__all__ = ["Freshness", "checked_freshness"]

_LONGEST: Final = 100 * 366 * 86_400.0
_SHORTEST: Final = 0.001


@frozen
class Freshness:
    """How old the newest value of an asset may become before somebody is to be told.

    Args:
        within: It is late when it is older than this: seconds, or a `timedelta`; afterwards always seconds.
        overdue: It is overdue when it is older than this, at least `within`; default: twice as much.

    Raises:
        DefinitionError: One of them is no time from a millisecond to a hundred years, or `overdue` is the shorter.
    """

    within: float | timedelta
    overdue: float | timedelta | None = None

    def __post_init__(self) -> None:
        within = _seconds("within", self.within)
        overdue = min(2 * within, _LONGEST) if self.overdue is None else _seconds("overdue", self.overdue)
        if overdue < within:
            raise DefinitionError(
                f"Freshness(within={self.within!r}, overdue={self.overdue!r}): what is overdue has been late "
                f"before, so overdue= is the longer of the two."
            )
        object.__setattr__(self, "within", within)
        object.__setattr__(self, "overdue", overdue)

    @property
    def bounds(self) -> tuple[float, float]:
        """`within` and `overdue` in seconds."""
        return self.within, self.overdue  # type: ignore[return-value] # made floats above

    def __str__(self) -> str:
        within, overdue = self.bounds
        return f"within {_period(within)}, overdue after {_period(overdue)}"


def checked_freshness(given: Any, where: object) -> Freshness:
    """What was passed as `freshness=`, at some place. Raises `DefinitionError`."""
    if not isinstance(given, Freshness):
        raise DefinitionError(
            f"{where}: freshness={given!r:.100} takes Freshness(within=…), in seconds or as a timedelta."
        )
    return given


def _seconds(field: str, given: object) -> float:
    seconds: Any = given.total_seconds() if isinstance(given, timedelta) else given
    if not is_number(seconds, at_least=_SHORTEST, at_most=_LONGEST):
        raise DefinitionError(
            f"Freshness({field}={given!r:.100}) takes seconds or a timedelta, at least 0.001 s, at most 100 years."
        )
    return float(seconds)


def _period(seconds: float) -> str:
    """`26 h`, `90 min`, `45 s`: in the longest unit that has whole numbers of it, up to hours and days."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0 and (unit != "d" or seconds >= 2 * length):
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
