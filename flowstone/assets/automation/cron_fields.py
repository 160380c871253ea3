"""Reads a cron expression into what its fields let through, on a clock that is never changed.

cronsim reads the fields, and says of a date whether it fits. It is imported when the first expression is read:
most programs have none.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from flowstone.assets.exact_dates import REAL
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CronFields", "read_fields"]

_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_FIELDS = ("minute", "hour", "day of the month", "month", "weekday")
_TAKES = (
    "minutes from 0 to 59",
    "hours from 0 to 23",
    "days from 1 to 31, L for the last one, or LW for the last from Monday to Friday",
    "months from 1 to 12 or from JAN to DEC",
    "weekdays from 0 or SUN to 6 or SAT (7 is Sunday too), 5L for the last Friday, or 5#2 for the second one",
)
_CRONSIM_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_LONGEST = 1_000  # Characters: a list of all that each field takes has half as many.
_CYCLE = range(date(2000, 1, 1).toordinal(), date(2400, 1, 1).toordinal())
"""The days after which the calendar begins anew, with its weekdays."""
_HOUR = timedelta(hours=1)
_SOME_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - cronsim wants one to begin with


@frozen
class CronFields:
    """The times of a clock that fit a cron expression.

    Attributes:
        minutes: Of an hour, in order.
        hours: Of a day, in order.
        hourly: Those hours that stand in a row: the hour before and the hour after fit as well, over midnight too.
        months: Of a year.
        fits: Whether a date of these months fits.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    hourly: frozenset[int]
    months: frozenset[int]
    fits: Callable[[date], bool]

    def first_date(self, days: range) -> date | None:
        """The first of some days (ordinals, forwards or backwards) that fits; None if none does."""
        number, step = days.start, days.step
        while number in days:
            day = date.fromordinal(number)
            if day.month not in self.months:
                number = (_month_after(day) if step > 0 else day.replace(day=1)).toordinal()
                number -= step < 0
            elif self.fits(day):
                return day
            else:
                number += step
        return None

    def times(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The times (naive) that fit, from one up to before another, in order."""
        for number in range(begin.toordinal(), end.toordinal() + 1):
            day = date.fromordinal(number)
            if day.month in self.months and self.fits(day):
                for hour in self.hours:
                    full = REAL.datetime.combine(day, time(hour))
                    if begin - _HOUR < full < end:
                        shown = (full.replace(minute=minute) for minute in self.minutes)
                        yield from (each for each in shown if begin <= each < end)


def _month_after(day: date) -> date:
    if (day.year, day.month) == (9999, 12):
        return date.max
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def read_fields(text: str) -> CronFields:
    """What an expression lets through; `text` has one space between its fields.

    Raises:
        DefinitionError: It is no cron expression of five fields, or never fires.
    """
    fields = _five(text)
    _check_each(text, fields)
    read = _combined(fields)
    if read is None or read.first_date(_CYCLE) is None:
        raise DefinitionError(
            f"cron={text!r:.100} never fires: in the month {fields[3]!r:.50} no day fits the day {fields[2]!r:.50} "
            f"and the weekday {fields[4]!r:.50}. Choose a day that there is; L is the last one of each month."
        )
    return read


def _five(text: str) -> list[str]:
    if text.startswith("@"):
        known = _ALIASES.get(text.lower())
        if known is None:
            hint = did_you_mean(text, _ALIASES) or ""
            raise DefinitionError(
                f"cron={text!r:.100} is none of {', '.join(_ALIASES)}.{hint} Write five fields for anything else."
            )
        return known.split()
    fields = text.split()
    if len(fields) != 5:
        more = " A cron counts no seconds: leave that field out." if len(fields) == 6 else ""
        raise DefinitionError(
            f"cron={text!r:.100} has {len(fields)} of the five fields {', '.join(_FIELDS)}: write it like "
            f"'0 6 * * *'.{more}"
        )
    if len(text) > _LONGEST:
        raise DefinitionError(
            f"cron={text!r:.100}… has more than {_LONGEST:,} characters: write ranges such as 0-30, not lists."
        )
    return fields


def _check_each(text: str, fields: list[str]) -> None:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - see the module docstring

    for number, field in enumerate(fields):
        alone = ["*"] * 5
        alone[number] = field
        try:
            CronSim(" ".join(alone), _SOME_TIME)
        except CronSimError:
            raise DefinitionError(
                f"cron={text!r:.100}: the {_FIELDS[number]} {field!r:.50} cannot be read. It takes "
                f"{_TAKES[number]}; * for all, lists (1,3), ranges upwards (1-5) and steps (*/2)."
            ) from None


def _combined(fields: list[str]) -> CronFields | None:
    """What the fields let through together; None if cronsim sees that it is nothing."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - see the module docstring

    try:
        sim = CronSim(" ".join(fields), _SOME_TIME)
    except CronSimError:
        return None
    return CronFields(
        tuple(sorted(sim.minutes)),
        tuple(sorted(sim.hours)),
        frozenset(hour for hour in sim.hours if {(hour - 1) % 24, (hour + 1) % 24} <= sim.hours),
        frozenset(sim.months),
        sim.match_day,
    )
