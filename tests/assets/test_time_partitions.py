"""Days, weeks, months and hours: bounds, zones, clock changes, and what is complete when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets import DailyPartitions, HourlyPartitions, MonthlyPartitions, WeeklyPartitions
from flowstone.assets.partition_set import utc_now
from flowstone.errors import PartitionError

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


# Keys -------------------------------------------------------------------------------------------------------


def test_keys_are_the_first_day_of_the_period():
    """A day is its date, a week its Monday, a month its first."""
    assert list(DailyPartitions("2025-02-27", "2025-03-01")) == [
        date(2025, 2, 27),
        date(2025, 2, 28),
        date(2025, 3, 1),
    ]
    assert list(WeeklyPartitions("2025-01-01", "2025-01-13")) == [
        date(2024, 12, 30),
        date(2025, 1, 6),
        date(2025, 1, 13),
    ]
    assert list(MonthlyPartitions("2024-11-05", "2025-01-31")) == [
        date(2024, 11, 1),
        date(2024, 12, 1),
        date(2025, 1, 1),
    ]


def test_hours_are_aware_and_in_utc():
    """An hourly key is the instant it begins, in UTC, whatever the zone of the set."""
    hours = HourlyPartitions("2025-01-01T00:00", "2025-01-01T02:00", timezone="Europe/Berlin")
    assert list(hours) == [utc(2024, 12, 31, 23), utc(2025, 1, 1, 0), utc(2025, 1, 1, 1)]
    assert all(key.tzinfo is UTC for key in hours)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 4000))
def test_days_count_like_the_calendar(start, length):
    """A set of days has exactly the days from its start to its end."""
    days = DailyPartitions(start, start + timedelta(days=length))
    assert len(days) == length + 1
    assert days[0] == start
    assert days[-1] == start + timedelta(days=length)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 1500))
def test_weeks_and_months_hold_every_day_between_their_bounds(start, length):
    """Each day from start to end lies in the period of exactly one key, and each key has such a day."""
    end = start + timedelta(days=length)
    days = [start + timedelta(days=i) for i in range(length + 1)]
    assert list(WeeklyPartitions(start, end)) == sorted({d - timedelta(days=d.weekday()) for d in days})
    assert list(MonthlyPartitions(start, end)) == sorted({d.replace(day=1) for d in days})


# Bounds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "length"),
    [
        ("2025", "2025", 365),
        ("2024-02", "2024-02", 29),
        ("2025-01-01", "2025-01-02", 2),
        (date(2025, 1, 1), date(2025, 1, 2), 2),
        ("20250101", "20250102", 2),
        ("2025-01-01T23:00", "2025-01-02T00:00", 2),
        ("2025-01-01T23:30:00Z", "2025-01-02", 2),
        ("2025-12", "2026", 396),
    ],
)
def test_a_bound_names_a_stretch_of_time(start, end, length):
    """A set reaches from the first day its start names to the last day its end names."""
    assert len(DailyPartitions(start, end)) == length


def test_aware_bounds_are_moved_into_the_zone():
    """23:30 in UTC is the next day in Berlin."""
    days = DailyPartitions("2025-01-01T23:30Z", datetime(2025, 1, 3, 23, 30, tzinfo=UTC), "Europe/Berlin")
    assert (days.start, days.end) == (date(2025, 1, 2), date(2025, 1, 4))


def test_the_time_zone_is_a_name_or_a_zone():
    """A `ZoneInfo` and `datetime.UTC` are as good as their names."""
    assert DailyPartitions("2025-01-01", timezone=BERLIN) == DailyPartitions(
        "2025-01-01", timezone="Europe/Berlin"
    )
    assert DailyPartitions("2025-01-01", timezone=UTC) == DailyPartitions("2025-01-01")
    assert DailyPartitions("2025-01-01", timezone="Asia/Tokyo").timezone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2025-02-01", "2025-01-01"), "swap the two"),
        (("2025-02-30",), "not an ISO date"),
        (("yesterday",), "not an ISO date"),
        (("2025-13",), "not an ISO date"),
        (("",), "not an ISO date"),
        ((20250101,), "ISO text, a date or a datetime"),
        ((None,), "ISO text, a date or a datetime"),
        (("2025-01-01", None, "Europe/Berln"), "Did you mean 'Europe/Berlin'"),
        (("2025-01-01", None, "../etc/passwd"), "no time zone"),
        (("2025-01-01", None, ""), "no time zone"),
        (("2025-01-01", None, 1), "name of a time zone"),
    ],
)
@pytest.mark.parametrize("kind", [DailyPartitions, HourlyPartitions, WeeklyPartitions, MonthlyPartitions])
def test_bad_bounds_are_refused(kind, arguments, message):
    """Reversed or unreadable bounds and unknown zones raise when the set is made, with a remedy."""
    with pytest.raises(PartitionError, match=message):
        kind(*arguments)


# Clock changes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2025-03-29", "Europe/Berlin", 24),
        ("2025-03-30", "Europe/Berlin", 23),
        ("2025-10-26", "Europe/Berlin", 25),
        ("2025-03-09", "America/New_York", 23),
        ("2025-11-02", "America/New_York", 25),
        ("2018-11-04", "America/Sao_Paulo", 23),
        ("2018-02-17", "America/Sao_Paulo", 25),
        ("2025-03-30", "Asia/Kolkata", 24),
        ("2025-03-30", "UTC", 24),
    ],
)
def test_a_day_of_a_clock_change_has_23_or_25_hours(day, zone, hours):
    """An hourly set over one local day has as many keys as the day has hours."""
    one_day = HourlyPartitions(day, day, timezone=zone)
    assert len(one_day) == hours
    assert len(set(one_day)) == hours
    assert one_day[-1] - one_day[0] == timedelta(hours=hours - 1)


def test_a_year_of_hours_loses_and_regains_one():
    """Over a whole year both clock changes cancel out."""
    assert len(HourlyPartitions("2025", "2025", timezone="Europe/Berlin")) == 365 * 24


def test_hours_begin_when_the_local_hours_do():
    """In a zone with half an hour in its offset the keys lie at half past in UTC."""
    hours = HourlyPartitions("2025-01-01", "2025-01-01", timezone="Asia/Kolkata")
    assert hours[0] == utc(2024, 12, 31, 18, 30)
    assert utc(2025, 1, 1, 0, 0) not in hours
    assert utc(2025, 1, 1, 0, 30) in hours


def test_a_repeated_hour_is_two_keys():
    """A bound in the hour the clock repeats takes in both, and a text without an offset means the first."""
    hours = HourlyPartitions("2025-10-26T02:00", "2025-10-26T02:00", timezone="Europe/Berlin")
    assert list(hours) == [utc(2025, 10, 26, 0), utc(2025, 10, 26, 1)]
    assert hours.parse("2025-10-26T02:00") == utc(2025, 10, 26, 0)
    assert hours.parse("2025-10-26T02:00+01:00") == utc(2025, 10, 26, 1)


def test_exact_bounds_in_a_repeated_hour_are_kept_apart():
    """An end with an offset means that one hour."""
    hours = HourlyPartitions("2025-10-26T02:00+02:00", "2025-10-26T02:00+02:00", timezone="Europe/Berlin")
    assert list(hours) == [utc(2025, 10, 26, 0)]


def test_an_hour_that_the_clock_skips_is_no_key():
    """02:00 on the day of the spring change names nothing."""
    hours = HourlyPartitions("2025-03-30", "2025-03-30", timezone="Europe/Berlin")
    with pytest.raises(PartitionError, match="not a valid hour of"):
        hours.parse("2025-03-30T02:00")
    assert hours.parse("2025-03-30T03:00") == utc(2025, 3, 30, 1)


def test_a_skipped_day_has_no_hours_but_is_a_date():
    """Samoa had no 30 December 2011; the calendar still has the date."""
    days = DailyPartitions("2011-12-29", "2011-12-31", timezone="Pacific/Apia")
    assert len(days) == 3
    assert days.begins(date(2011, 12, 30).toordinal()) == days.begins(date(2011, 12, 31).toordinal())


@given(st.sampled_from(ZONES), st.datetimes(datetime(1980, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001 - bounds
def test_each_instant_lies_in_the_period_that_begins_before_it(zone, instant):
    """The number of an instant's period is the last one that does not begin after it."""
    instant = instant.replace(tzinfo=UTC)
    for kind in (DailyPartitions, HourlyPartitions, WeeklyPartitions, MonthlyPartitions):
        periods = kind("1970-01-01", timezone=zone)
        number = periods.number_at(instant)
        assert periods.begins(number) <= instant < periods.begins(number + 1)
        assert periods.number_of(periods.key_of(number)) == number


# Open ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "now", "last"),
    [
        (DailyPartitions, utc(2025, 3, 10), date(2025, 3, 9)),
        (DailyPartitions, utc(2025, 3, 9, 23, 59, 59), date(2025, 3, 8)),
        (WeeklyPartitions, utc(2025, 3, 9, 23), date(2025, 2, 24)),
        (WeeklyPartitions, utc(2025, 3, 10), date(2025, 3, 3)),
        (MonthlyPartitions, utc(2025, 2, 28, 23), date(2025, 1, 1)),
        (MonthlyPartitions, utc(2025, 3, 1), date(2025, 2, 1)),
        (HourlyPartitions, utc(2025, 3, 1, 5, 59), utc(2025, 3, 1, 4)),
        (HourlyPartitions, utc(2025, 3, 1, 6), utc(2025, 3, 1, 5)),
    ],
)
def test_an_open_set_ends_with_the_last_complete_period(kind, now, last):
    """The period that `now` lies in is not complete, so it is not in the set."""
    assert kind("2025-01-01").as_of(now)[-1] == last


def test_a_day_is_complete_at_local_midnight():
    """In Tokyo the day is over nine hours before it is in UTC."""
    days = DailyPartitions("2025-01-01", timezone="Asia/Tokyo")
    assert days.as_of(utc(2025, 1, 2, 15))[-1] == date(2025, 1, 2)
    assert days.as_of(utc(2025, 1, 2, 14, 59))[-1] == date(2025, 1, 1)


def test_before_its_start_an_open_set_is_empty():
    """No key is complete yet: the set is empty, and says so."""
    future = DailyPartitions("2025-01-01").as_of(utc(2024, 6, 1))
    assert len(future) == 0
    assert list(future) == []
    assert future.latest(3) == []
    with pytest.raises(PartitionError, match="no keys yet"):
        future.coerce(date(2025, 1, 1))


def test_a_closed_set_is_the_same_at_any_time():
    """An explicit end wins over the clock, past or future."""
    days = DailyPartitions("2025-01-01", "2999-12-31")
    assert days.as_of(utc(2025, 1, 5)) is days
    assert date(2999, 12, 31) in days


def test_only_an_aware_instant_closes_a_set():
    """A naive `now` would mean something else on every machine."""
    with pytest.raises(PartitionError, match="aware datetime"):
        DailyPartitions("2025-01-01").as_of(datetime(2025, 1, 5))  # noqa: DTZ001 - what is refused


def test_outside_a_run_an_open_set_asks_the_clock(monkeypatch):
    """`len(DailyPartitions(...))` counts the days that are complete now."""
    monkeypatch.setattr("flowstone.assets.partition_set.utc_now", lambda: utc(2025, 1, 11))
    days = DailyPartitions("2025-01-01")
    assert len(days) == 10
    assert date(2025, 1, 10) in days
    assert date(2025, 1, 11) not in days
    assert days.latest(2) == [date(2025, 1, 9), date(2025, 1, 10)]
    assert utc_now().tzinfo is UTC


# Arithmetic -------------------------------------------------------------------------------------------------


def test_millions_of_keys_cost_nothing():
    """Length, items, membership and position are arithmetic, whatever the size."""
    hours = HourlyPartitions("1900-01-01", "2900-12-31")
    assert len(hours) > 8_000_000
    assert hours[len(hours) - 1] in hours
    assert hours.index(hours[7_000_000]) == 7_000_000
    assert len(hours.between(hours[10], hours[6_000_000])) == 5_999_991


@pytest.mark.parametrize("bound", ["0001-01-01", "9999-12-31", "0001-01-01T00:00+05:00"])
def test_instants_beyond_the_calendar_are_refused(bound):
    """An hour that begins before the year 1 or after 9999 in UTC is refused when the set is made."""
    zone = "Asia/Tokyo" if bound.startswith("0001") else "America/New_York"
    with pytest.raises(PartitionError, match="outside the years 1 to 9999"):
        HourlyPartitions(bound, bound, timezone=zone if "T" not in bound else "UTC")


def test_the_calendar_has_edges():
    """The first and the last day of the calendar are days like any other."""
    days = DailyPartitions(date.min, date.max)
    assert len(days) == date.max.toordinal()
    assert days[-1] == date.max
    assert days.begins(date.max.toordinal() + 1).year == 9999
    assert len(MonthlyPartitions(date.min, "9999-12")) == 9999 * 12


# Texts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "text", "key"),
    [
        (DailyPartitions("2025", "2025"), "2025-01-15", date(2025, 1, 15)),
        (DailyPartitions("2025", "2025"), "d:2025-01-15", date(2025, 1, 15)),
        (WeeklyPartitions("2025", "2025"), "2025-01-13", date(2025, 1, 13)),
        (WeeklyPartitions("2025", "2025"), "2025-W03", date(2025, 1, 13)),
        (MonthlyPartitions("2025", "2025"), "2025-03", date(2025, 3, 1)),
        (MonthlyPartitions("2025", "2025"), "2025-03-01", date(2025, 3, 1)),
        (HourlyPartitions("2025", "2025"), "2025-03-01T05:00", utc(2025, 3, 1, 5)),
        (HourlyPartitions("2025", "2025"), "2025-03-01 05:00", utc(2025, 3, 1, 5)),
        (HourlyPartitions("2025", "2025"), "2025-03-01T07:00+02:00", utc(2025, 3, 1, 5)),
        (HourlyPartitions("2025", "2025"), "dt:2025-03-01T05:00:00Z", utc(2025, 3, 1, 5)),
        (
            HourlyPartitions("2025", "2025", timezone="Europe/Berlin"),
            "2025-07-01T05:00",
            utc(2025, 7, 1, 3),
        ),
    ],
)
def test_texts_are_read_by_the_set(keys, text, key):
    """A text means the key a person would expect, and what the command line prints can be typed again."""
    assert keys.parse(text) == key
    assert keys.coerce(text) == key


@pytest.mark.parametrize(
    ("keys", "text", "message"),
    [
        (DailyPartitions("2025", "2025"), "2024-12-31", "365 keys from 2025-01-01 to 2025-12-31"),
        (DailyPartitions("2025", "2025"), "15.1.2025", "not a valid day of .*YYYY-MM-DD"),
        (WeeklyPartitions("2025", "2025"), "2025-01-15", "not a valid week of .*Monday"),
        (MonthlyPartitions("2025", "2025"), "2025-01-15", "not a valid month of .*YYYY-MM"),
        (HourlyPartitions("2025", "2025"), "2025-01-15T05:30", "not a valid hour of .*HH:00"),
        (HourlyPartitions("2025", "2025"), "noon", "not a valid hour of"),
    ],
)
def test_unreadable_texts_say_how_to_write_them(keys, text, message):
    """The error names the set and the form its keys are written in."""
    with pytest.raises(PartitionError, match=message):
        keys.parse(text)


@pytest.mark.parametrize("kind", [DailyPartitions, WeeklyPartitions, MonthlyPartitions, HourlyPartitions])
def test_membership_is_exact_on_types(kind):
    """A text, a number, a naive time or a date of another kind is in no set."""
    keys = kind("2025-01-01", "2025-12-31")
    hourly = kind is HourlyPartitions
    assert ("2025-09-01" in keys) is False
    assert (True in keys) is False
    assert (None in keys) is False
    assert (datetime(2025, 9, 1) in keys) is False  # noqa: DTZ001 - a naive key
    assert (utc(2025, 9, 1) in keys) is hourly
    assert (date(2025, 9, 1) in keys) is (not hourly)


def test_an_hour_may_be_named_in_another_zone():
    """An aware datetime is its instant; coerced, it is in UTC."""
    hours = HourlyPartitions("2025", "2025")
    there = datetime(2025, 7, 1, 2, tzinfo=BERLIN)
    assert there in hours
    assert hours.coerce(there).tzinfo is UTC
    assert utc(2025, 7, 1, 0, 30) not in hours
    assert utc(2025, 7, 1, 0, 0, 0, 1) not in hours


# Value semantics --------------------------------------------------------------------------------------------


def test_equal_definitions_are_equal():
    """Bounds that mean the same make equal sets; kind, bounds and zone make a difference."""
    assert DailyPartitions("2025-01-01") == DailyPartitions(date(2025, 1, 1))
    assert hash(DailyPartitions("2025-01-01")) == hash(DailyPartitions("2025"))
    assert DailyPartitions("2025-01-01") != DailyPartitions("2025-01-01", "2025-12-31")
    assert DailyPartitions("2025-01-01") != DailyPartitions("2025-01-01", timezone="Asia/Tokyo")
    assert DailyPartitions("2025-01-01") != MonthlyPartitions("2025-01-01")
    assert DailyPartitions("2025-01-01") != "2025-01-01"


@pytest.mark.parametrize(
    "keys",
    [
        DailyPartitions("2025-01-01"),
        DailyPartitions("2025-01-01", "2025-12-31", "Europe/Berlin"),
        WeeklyPartitions("2025-01-06"),
        MonthlyPartitions("2025-01-01", "2025-12-01"),
        HourlyPartitions("2025-01-01T05:00", "2025-10-26T02:00+01:00", "Europe/Berlin"),
        HourlyPartitions("2025-01-01", timezone="Asia/Kolkata"),
    ],
)
def test_the_repr_makes_an_equal_set(keys):
    """What a set prints can be pasted into code."""
    assert eval(repr(keys)) == keys
