"""Hours and days in every time zone there is, around every change of its clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowstone.assets import (
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    MultiPartitions,
    PartitionView,
    Pipeline,
    SamePart,
    StaticPartitions,
    TimeOffset,
    WeeklyPartitions,
)
from flowstone.assets.local_time import reached, readings, skipped
from flowstone.assets.partition_labels import partition_label
from flowstone.errors import PartitionError

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
ZONES = sorted(available_timezones() - {"localtime"})
# Those whose clocks have been changed, from 1840 to 2037, by something else than whole hours, and lately.
PART_HOURS = (
    "Australia/Lord_Howe",
    "America/Caracas",
    "Asia/Pyongyang",
    "Asia/Kathmandu",
    "Asia/Colombo",
    "Pacific/Norfolk",
    "Africa/Monrovia",
    "Europe/Amsterdam",
    "Asia/Singapore",
    "Pacific/Honolulu",
    "Pacific/Rarotonga",
    "America/Paramaribo",
)
BACK = (TimeOffset(days=-1), TimeOffset(weeks=-1), TimeOffset(months=-1))


@cache
def changes(zone: str, first: int, last: int) -> tuple[datetime, ...]:
    """The instants at which the offset of a zone changes; what lasts less than six days may be missed."""
    clock, found = ZoneInfo(zone), []
    at, end, step = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC), timedelta(days=6)
    while at < end:
        early, late = at, at + step
        offset = early.astimezone(clock).utcoffset()
        if late.astimezone(clock).utcoffset() != offset:
            while late - early > SECOND:
                middle = early + (late - early) // SECOND // 2 * SECOND
                same = middle.astimezone(clock).utcoffset() == offset
                early, late = (middle, late) if same else (early, middle)
            found.append(late)
        at = late
    return tuple(found)


def hours_around(change: datetime, zone: str, anchor: timedelta) -> HourlyPartitions:
    """A set of months to either side, whose hours begin as the zone's do some time from the change."""
    return HourlyPartitions(change + anchor, change + timedelta(days=90), timezone=zone)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and one of its clock changes."""
    zone = draw(st.sampled_from(ZONES))
    found = changes(zone, 1990, 2030) or changes(zone, 1840, 1990)
    assume(found)
    return zone, draw(st.sampled_from(found))


anchors = st.sampled_from([timedelta(days=-80), timedelta(days=-70)])


def own_key_or_the_first_of_two(hours: HourlyPartitions, key: datetime) -> bool:
    """Whether the local time of a key, read by the set, is this key or the earlier one that shows the same."""
    local = key.astimezone(hours.zone).replace(tzinfo=None)
    read = hours.parse(local.isoformat())
    return read == key or (read < key and read.astimezone(hours.zone).replace(tzinfo=None) == local)


@pytest.mark.parametrize("zone", PART_HOURS)
def test_each_hour_has_one_of_the_day_week_and_month_before(zone):
    """Where clocks are changed by part of an hour, the hour that holds the shifted instant is upstream."""
    for change in changes(zone, 1930, 2037)[-24:]:
        hours = hours_around(change, zone, timedelta(days=-80))
        for key in (
            hours.between(change - 40 * HOUR, change + 40 * HOUR) if change in hours else hours[1900:2000]
        ):
            for offset in BACK:
                before = offset.shift(key, hours)
                assert before in hours
                assert before < key


def test_no_hour_of_a_year_is_without_its_day_before():
    """Lord Howe Island moves its clocks by half an hour: each hour of the year still leads to one upstream."""
    pipeline = Pipeline("island")
    hours = HourlyPartitions("2024-12-01", "2025-12-31", timezone="Australia/Lord_Howe")

    @pipeline.asset(partitions=hours)
    def tide(): ...

    @pipeline.asset(partitions=hours, mappings={"tide": TimeOffset(days=-1)})
    def change(tide=None): ...

    view = PartitionView(pipeline.graph, datetime(2026, 1, 2, tzinfo=UTC))
    without = [key for key in hours[24:] if len(view.upstream_keys("change", "tide", key).keys) != 1]
    assert without == []


@settings(deadline=None)  # The changes of a zone are searched for when it is first drawn.
@given(moments(), st.integers(-50, 50), anchors, st.sampled_from([*BACK, TimeOffset(days=1)]))
def test_a_shifted_hour_is_a_key_that_holds_the_shifted_time(moment, distance, anchor, offset):
    """In every zone, around every change of its clock, and in the direction of the shift."""
    zone, change = moment
    hours = hours_around(change, zone, anchor)
    key = hours.key_of(hours.number_at(change) + distance)
    shifted = offset.shift(key, hours)
    assert shifted in hours
    assert (shifted > key) == (offset.days > 0)
    local = key.astimezone(hours.zone)
    wall = datetime.combine(offset.shift(local.date(), DailyPartitions("1800-01-01")), local.time())
    meant = [wall.replace(tzinfo=hours.zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    assert any(shifted <= instant < shifted + HOUR for instant in meant)


@settings(deadline=None, max_examples=50)
@given(moments(), st.integers(-50, 50), anchors)
def test_what_people_are_shown_of_an_hour_can_be_typed(moment, distance, anchor):
    """Its label, its own local time with the offset, and without, where that means no earlier hour."""
    zone, change = moment
    hours = hours_around(change, zone, anchor)
    key = hours.key_of(hours.number_at(change) + distance)
    assert hours.parse(partition_label(key)) == key
    assert hours.parse(key.astimezone(hours.zone).isoformat()) == key
    assert own_key_or_the_first_of_two(hours, key)


@settings(deadline=None, max_examples=50)
@given(moments(), st.integers(-3000, 3000))
def test_each_instant_lies_in_the_day_week_and_month_that_began_before_it(moment, minutes):
    """Also where a clock has skipped midnight, or was set back across it."""
    zone, change = moment
    instant = change + timedelta(minutes=minutes)
    for kind in (DailyPartitions, WeeklyPartitions, MonthlyPartitions):
        periods = kind("1800-01-01", timezone=zone)
        number = periods.number_at(instant)
        assert periods.begins(number) <= instant < periods.begins(number + 1)
    local = instant.astimezone(ZoneInfo(zone)).date()
    day = DailyPartitions("1800-01-01", timezone=zone)
    assert day.key_of(day.number_at(instant)) >= local


@settings(deadline=None, max_examples=50)
@given(moments(), st.integers(-3000, 3000))
def test_local_times_are_shown_never_once_or_twice(moment, minutes):
    """The instants given for a local time show it, and a skipped one is reached at the change."""
    zone, change = moment
    clock = ZoneInfo(zone)
    wall = (change.astimezone(clock) + timedelta(minutes=minutes)).replace(tzinfo=None, fold=0)
    shown = readings(wall, clock)
    assert [instant.astimezone(clock).replace(tzinfo=None, fold=0) for instant in shown] == [wall] * len(
        shown
    )
    assert skipped(wall, clock) == (not shown)
    first = reached(wall, clock)
    assert first == (shown[0] if shown else change)
    assert (first - SECOND).astimezone(clock).replace(tzinfo=None) < wall


def test_a_day_begins_when_its_first_moment_is_shown():
    """Midnight, one o'clock where that is skipped, and half past where half an hour before it is."""
    spring = DailyPartitions("2018", timezone="America/Sao_Paulo")
    assert spring.begins(date(2018, 11, 4).toordinal()) == datetime(2018, 11, 4, 3, tzinfo=UTC)
    toronto = DailyPartitions("1919", timezone="America/Toronto")
    assert toronto.begins(date(1919, 3, 31).toordinal()) == datetime(1919, 3, 31, 4, 30, tzinfo=UTC)
    assert toronto.number_at(datetime(1919, 3, 31, 4, 45, tzinfo=UTC)) == date(1919, 3, 31).toordinal()


def test_the_only_half_past_one_of_a_day_is_read():
    """Where a clock repeats half an hour, only one of the two half past ones begins an hour of the set."""
    summer = HourlyPartitions("2025-01-01", "2025-12-31", timezone="Australia/Lord_Howe")
    assert summer.parse("2025-04-06T01:30") == datetime(2025, 4, 5, 15, tzinfo=UTC)
    second = HourlyPartitions("2025-10-26T02:00+01:00", "2025-10-27", timezone="Europe/Berlin")
    assert second.parse("2025-10-26T02:00") == datetime(2025, 10, 26, 1, tzinfo=UTC)


def test_the_end_of_a_range_takes_in_the_whole_repeated_hour():
    """As for the bounds of a set, so for `between`; an offset still says which of the two."""
    hours = HourlyPartitions("2025-10-26", "2025-10-26", timezone="Europe/Berlin")
    assert len(hours.between("2025-10-26T02:00", "2025-10-26T02:00")) == 2
    assert len(hours.between("2025-10-26T02:00", "2025-10-26T02:00+02:00")) == 1
    grid = MultiPartitions(region=StaticPartitions(["eu", "us"]), hour=hours)
    assert len(grid.between("eu|2025-10-26T02:00", "us|2025-10-26T02:00")) == 4
    assert len(grid.between(("eu", "2025-10-26T02:00"), ("eu", "2025-10-26T02:00"))) == 2


@pytest.mark.parametrize(
    ("start", "end", "zone", "goes_on"),
    [
        ("2011-12-30", "2011-12-30", "Pacific/Apia", "2011-12-31T00:00"),
        ("2025-03-30T02:00", "2025-03-30T02:45", "Europe/Berlin", "2025-03-30T03:00"),
        ("2025-10-05T02:05", "2025-10-05T02:25", "Australia/Lord_Howe", "2025-10-05T02:30"),
    ],
)
def test_bounds_inside_a_skipped_stretch_say_so(start, end, zone, goes_on):
    """There is nothing to swap: the clock skips it, and the error says where it goes on."""
    with pytest.raises(
        PartitionError, match=rf"There is no hour from .* {zone} skip that.*{goes_on}"
    ) as caught:
        HourlyPartitions(start, end, timezone=zone)
    assert "swap" not in str(caught.value)


def test_a_skipped_bound_is_the_change_of_the_clock():
    """A set from or to a time that is skipped begins, or ends, with what there is."""
    after = HourlyPartitions("2011-12-30", "2011-12-31", timezone="Pacific/Apia")
    assert len(after) == 24
    before = HourlyPartitions("2011-12-29", "2011-12-30", timezone="Pacific/Apia")
    assert len(before) == 24
    with pytest.raises(PartitionError, match="swap the two"):
        HourlyPartitions("2011-12-30", "2011-12-29", timezone="Pacific/Apia")


def test_a_skipped_hour_is_refused_in_its_own_words():
    """Not as a text of the wrong form, which it has not."""
    hours = HourlyPartitions("2025", "2025", timezone="Europe/Berlin")
    with pytest.raises(PartitionError, match=r"skip it, and go on at 2025-03-30T03:00"):
        hours.parse("2025-03-30T02:00")


@settings(deadline=None, max_examples=50)
@given(moments(), st.integers(-100, 100))
def test_what_a_set_of_hours_prints_makes_an_equal_one(moment, minutes):
    """Also where it begins within the hour of a clock change, or in a zone with seconds in its offset."""
    zone, change = moment
    hours = HourlyPartitions(change + timedelta(minutes=minutes), change + 48 * HOUR, timezone=zone)
    assert eval(repr(hours)) == hours


def test_hours_of_a_day_that_begins_at_one_belong_to_it():
    """Rolled up or as a part of a grid, the hours of such a day are its own."""
    zone = "America/Sao_Paulo"
    hours = HourlyPartitions("2018-11-01", "2018-11-10", timezone=zone)
    days = DailyPartitions("2018-11-01", "2018-11-10", timezone=zone)
    pipeline = Pipeline("brazil")

    @pipeline.asset(partitions=hours)
    def load(): ...

    @pipeline.asset(partitions=days)
    def daily(load): ...

    grid = MultiPartitions(region=StaticPartitions(["n", "s"]), day=days)

    @pipeline.asset(partitions=grid, mappings={"daily": SamePart("day")})
    def regional(daily): ...

    view = PartitionView(pipeline.graph, datetime(2019, 1, 1, tzinfo=UTC))
    needed = view.upstream_keys("daily", "load", date(2018, 11, 4)).keys
    assert [key.astimezone(hours.zone).hour for key in needed] == list(range(1, 24))
    assert view.upstream_keys("regional", "daily", ("n", date(2018, 11, 4))).keys[0] == date(2018, 11, 4)
