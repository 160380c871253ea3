"""What decides when an automation acts, as people say it: `every day at 06:00, Europe/Oslo`.

Only the common forms of a cron expression have words; of any other the expression itself is shown, because words
for it would be longer than it, or wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.automation import AutomationKind

__all__ = ["rule_of"]

_NAMED: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_TICK: Final = re.compile(r"on_cron\('([^']*)'(?:, timezone='([^']*)')?\)")
_CONDITIONS: Final[Mapping[str, str]] = {
    "on_missing()": "a value is missing",
    "on_upstream_change()": "something upstream has changed",
    "on_code_change()": "its code has changed",
}


def rule_of(kind: AutomationKind, text: str) -> str:
    """The rule in words, as far as there are any.

    Args:
        kind: What it is.
        text: `AutomationStatus.text`.
    """
    match kind:
        case "schedule":
            expression, _, timezone = text.rpartition(" ")
            return f"{cron_in_words(expression)}, {timezone}"
        case "sensor":
            return f"looks {text}"
        case "listener":
            return f"when there is {text}"
        case "condition":
            return _condition(text)
        case _:
            return f"new {text}"


def cron_in_words(expression: str) -> str:
    """A cron expression in words; itself, where there are none."""
    fields = _NAMED.get(expression.lower(), expression).split()
    if len(fields) != 5:
        return expression
    minute, hour, day, month, weekday = fields
    if month != "*":
        return expression
    when = _within_a_day(minute, hour)
    if when is None:
        return expression
    if (day, weekday) == ("*", "*"):
        return f"every day {when}" if when.startswith("at ") else when
    if not when.startswith("at "):
        return expression
    on = _weekday(weekday) if day == "*" else _monthday(day) if weekday == "*" else None
    return expression if on is None else f"{on} {when}"


def _within_a_day(minute: str, hour: str) -> str | None:
    if hour == "*":
        return _within_an_hour(minute)
    if not minute.isdecimal():
        return None
    if hour.startswith("*/"):
        return _each(hour, 24, "hours") if minute == "0" else None
    hours = hour.split(",")
    if not all(each.isdecimal() for each in hours):
        return None
    return "at " + ", ".join(f"{int(each):02}:{int(minute):02}" for each in hours)


def _within_an_hour(minute: str) -> str | None:
    if minute in ("*", "*/1"):
        return "every minute"
    if minute.isdecimal():
        return "every hour" if int(minute) == 0 else f"every hour at :{int(minute):02}"
    return _each(minute, 60, "minutes")


def _each(text: str, whole: int, unit: str) -> str | None:
    """`*/15` as `every 15 minutes`; of `*/7` there is no such sentence, for it begins anew with each hour."""
    step = re.fullmatch(r"\*/([1-9]\d?)", text)
    return (
        None if step is None or int(step[1]) < 2 or whole % int(step[1]) else f"every {int(step[1])} {unit}"
    )


def _weekday(text: str) -> str | None:
    if text.upper() in ("1-5", "MON-FRI"):
        return "on weekdays"
    if text.upper() in _SHORT:
        return f"every {_DAYS[_SHORT.index(text.upper())]}"
    return f"every {_DAYS[int(text)]}" if text.isdecimal() and int(text) < len(_DAYS) else None


def _monthday(text: str) -> str | None:
    if text.upper() == "L":
        return "on the last day of the month"
    if not text.isdecimal():
        return None
    number = int(text)
    ending = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"on the {number}{ending} of the month"


def _condition(text: str) -> str:
    if text in _CONDITIONS:
        return f"when {_CONDITIONS[text]}"
    tick = _TICK.fullmatch(text)
    if tick is not None:
        return f"{cron_in_words(tick[1])}, {tick[2] or 'UTC'}"
    parts = text.split(" | ")
    if len(parts) > 1 and all(part in _CONDITIONS for part in parts):
        return "when " + " or ".join(_CONDITIONS[part] for part in parts)
    return text
