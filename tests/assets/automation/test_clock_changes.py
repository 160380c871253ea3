"""Cron in every zone whose clocks are changed, compared with somebody who watches them minute by minute."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets.automation.cron import Cron
from tests.assets.automation.minute_walk import MINUTE, Shown, changes, ticks, watch

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALIASES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *"}
CRONS = (
    "@daily",
    "@hourly",
    "59 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "30 0 * * *",
    "45 23 * * *",
    "30 * * * *",
    "*/15 * * * *",
    "*/15 2 * * *",
    "20,50 0-3 * * *",
    "0 1,2 * * *",
    "0 */2 * * *",
    "30 2 L * *",
    "30 23 * * 5L",
    "15 2 * * SUN#5",
    "10 * 31 MAR,OCT SUN",
)
LONG_AGO = (
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # A day is skipped,
    ("Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC)),  # and here,
    ("Pacific/Kwajalein", datetime(1969, 9, 30, 13, tzinfo=UTC)),  # and one comes twice.
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ("America/St_Johns", datetime(2006, 10, 29, 2, 31, tzinfo=UTC)),  # Back from 00:01 to 23:01.
    ("America/St_Johns", datetime(1988, 4, 3, 3, 31, tzinfo=UTC)),  # Two hours forward at 00:01.
    ("America/Toronto", datetime(1919, 3, 31, 4, 30, tzinfo=UTC)),  # Forward at half past eleven.
    ("Asia/Pyongyang", datetime(2015, 8, 14, 15, tzinfo=UTC)),
)

PAGE = (Path(__file__).parents[3] / "docs" / "schedules.md").read_text(encoding="utf-8")
GUIDE = re.findall(
    r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|",
    PAGE.partition("\n## Clock changes\n")[2].partition("\n## ")[0],
    flags=re.MULTILINE,
)


class Change(NamedTuple):
    """A change of clocks; zones that have the same one show the same time around it."""

    at: datetime
    before: timedelta
    after: timedelta

    @classmethod
    def of(cls, zone: str, at: datetime) -> Change:
        clock = ZoneInfo(zone)
        return cls(at, *(each.astimezone(clock).utcoffset() for each in (at - MINUTE, at)))


@cache
def changed() -> dict[Change, list[str]]:
    """Every change of the years 2024 to 2027, and the zones that have it."""
    found: dict[Change, list[str]] = {}
    for zone in sorted(available_timezones() - {"localtime"}):
        for at in changes(zone, 2024, 2028):
            found.setdefault(Change.of(zone, at), []).append(zone)
    return found


@cache
def watched(zone: str, change: Change) -> list[Shown]:
    """The minutes around a change: half a day to either side, or more where a day is skipped or repeated."""
    size = abs(change.after - change.before)
    return watch(zone, change.at - size - 12 * HOUR, change.at + size + 14 * HOUR)


def differences(
    text: str, zone: str, minutes: list[Shown], expected: list[datetime], margin: int = 0
) -> list:
    """The instants at which only one of the two fires."""
    begin, end = minutes[margin].at, minutes[-1].at
    found, more = Cron.of(text, zone).between(begin, end, limit=100_000)
    assert not more
    return sorted({tick for tick in expected if tick > begin} ^ set(found))


def test_the_odd_ones_are_among_them():
    """Half hours, two hours, midnight, and those that go by the moon."""
    zones = {zone for found in changed().values() for zone in found}
    assert len(zones) > 150
    assert zones >= {
        "Australia/Lord_Howe",
        "Antarctica/Troll",
        "Africa/Cairo",
        "Africa/Casablanca",
        "America/Havana",
        "America/Nuuk",
        "America/Santiago",
        "Asia/Almaty",
        "Asia/Beirut",
        "Asia/Gaza",
        "Asia/Jerusalem",
        "Atlantic/Azores",
        "Europe/Dublin",
        "Pacific/Easter",
    }


@pytest.mark.parametrize("text", CRONS)
def test_around_every_clock_change_of_four_years(text):
    """Each in one zone that has it: what fires is what somebody sees who watches the clock."""
    for change, zones in changed().items():
        minutes = watched(zones[0], change)
        assert differences(text, zones[0], minutes, ticks(ALIASES.get(text, text), minutes)) == [], zones


@pytest.mark.long
@pytest.mark.parametrize("text", CRONS)
def test_in_every_zone_there_is(text):
    """Each change in all zones that have it, under all their names."""
    for change, zones in changed().items():
        minutes = watched(zones[0], change)
        expected = ticks(ALIASES.get(text, text), minutes)
        for zone in zones:
            assert differences(text, zone, minutes, expected) == [], (zone, change)


@pytest.mark.parametrize("second", [-1, 0, 1, 3599, 3600])
def test_what_is_skipped_fires_at_the_change_whenever_one_asks(second):
    """Also in the second before it, in that of the change, and an hour later."""
    cron = Cron.of("30 2 * * *", "Europe/Oslo")
    change, day_before = datetime(2025, 3, 30, 1, tzinfo=UTC), datetime(2025, 3, 29, 1, 30, tzinfo=UTC)
    asked = change + timedelta(seconds=second)
    later = datetime(2025, 3, 31, 0, 30, tzinfo=UTC)
    assert cron.after(asked) == (change if second < 0 else later)
    assert cron.at_or_before(asked) == (day_before if second < 0 else change)


@pytest.mark.parametrize("text", CRONS)
@pytest.mark.parametrize(("zone", "at"), LONG_AGO)
def test_around_strange_changes_of_earlier_years(text, zone, at):
    """Days that are skipped or repeated, and changes across midnight."""
    change = Change.of(zone, at)
    assert change.before != change.after
    minutes = watched(zone, change)
    assert differences(text, zone, minutes, ticks(ALIASES.get(text, text), minutes)) == []


@pytest.mark.long
@pytest.mark.parametrize(
    "zone", ["Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca", "Asia/Beirut"]
)
def test_every_minute_of_a_year(zone):
    """Not only where clocks change."""
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    minutes = watch(zone, begin, begin + 365 * DAY)
    for text in CRONS:
        assert differences(text, zone, minutes, ticks(ALIASES.get(text, text), minutes), 1440) == []


def local_ticks(text: str, zone: str, day: str) -> list[datetime]:
    """The ticks of a local day, as clocks show them."""
    midnight = datetime.fromisoformat(f"{day}T00:00+00:00")
    found, _ = Cron.of(text, zone).between(midnight - DAY, midnight + 2 * DAY)
    shown = [tick.astimezone(ZoneInfo(zone)) for tick in found]
    return [tick for tick in shown if str(tick.date()) == day]


@pytest.mark.parametrize(("text", "zone", "day", "fires"), GUIDE)
def test_the_table_of_the_guide_is_true(text, zone, day, fires):
    """Each row says how often it fires on a day, or when; with the offset, where a time comes twice."""
    found = local_ticks(text, zone, day)
    if fires.endswith(" times"):
        assert f"{len(found)} times" == fires
        return
    expected = fires.split(", ")
    assert len(found) == len(expected)
    for tick, written in zip(found, expected, strict=True):
        assert tick.isoformat()[11:].replace(":00+", "+").replace(":00-", "-").startswith(written)


def test_the_guide_has_a_table():
    """Otherwise the test above would prove nothing."""
    assert len(GUIDE) > 20


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """A field of a cron: all, some steps of all, a range, or a list."""
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    return st.one_of(
        st.just("*"),
        st.integers(2, 9).map("*/{}".format),
        spans,
        st.lists(number.map(str), min_size=1, max_size=3).map(",".join),
    )


@given(st.tuples(field(0, 59), field(0, 23)).map(" ".join), st.data())
def test_any_minutes_and_hours_around_any_change(times, data):
    """Whatever is asked for, whichever of the changes."""
    change = data.draw(st.sampled_from(sorted(changed())))
    zone, minutes = changed()[change][0], watched(changed()[change][0], change)
    text = f"{times} * * *"
    assert differences(text, zone, minutes, ticks(text, minutes)) == []
