"""From a key to the keys it needs upstream: the default rules, the explicit mappings, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets import (
    AllPartitions,
    DailyPartitions,
    DynamicPartitions,
    HourlyPartitions,
    LastPartitions,
    MonthlyPartitions,
    MultiPartitions,
    PartitionMapping,
    PartitionView,
    Pipeline,
    Rollup,
    SameKey,
    SamePart,
    StaticPartitions,
    TimeOffset,
    WeeklyPartitions,
)
from flowstone.assets.mapping_rules import default_mapping
from flowstone.errors import DefinitionError, PartitionError

NOW = datetime(2025, 7, 1, tzinfo=UTC)
DAYS = DailyPartitions("2025-01-01")
MONTHS = MonthlyPartitions("2025-01-01")
WEEKS = WeeklyPartitions("2025-01-01")
HOURS = HourlyPartitions("2025-01-01")
REGIONS = StaticPartitions(["eu", "us"])
GRID = MultiPartitions(region=REGIONS, day=DAYS)
BERLIN = {"timezone": "Europe/Berlin"}


def view(upstream, downstream, mapping=None, dynamic=None) -> PartitionView:
    """Two assets, `up` and `down`, seen at noon of no particular day."""
    pipeline = Pipeline("pair")

    @pipeline.asset(partitions=upstream)
    def up(): ...

    @pipeline.asset(partitions=downstream, mappings=None if mapping is None else {"up": mapping})
    def down(up): ...

    return PartitionView(pipeline.graph, NOW, dynamic or {})


def needs(upstream, downstream, key, mapping=None, dynamic=None):
    """The keys of `up` that a key of `down` needs, as a list, and whether they come as a dict."""
    pair = view(upstream, downstream, mapping, dynamic)
    found = pair.upstream_keys("down", "up", pair.parse("down", key))
    return list(found.keys), found.many


def refusal(upstream, downstream, mapping=None) -> str:
    """The error that building the graph raises."""
    with pytest.raises(DefinitionError) as caught:
        view(upstream, downstream, mapping)
    return str(caught.value)


def days(start: date, end: date) -> list[date]:
    return [start + timedelta(days=i) for i in range((end - start).days + 1)]


# The default rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upstream", "downstream", "key", "expected"),
    [
        (None, None, None, ([None], False)),
        (None, None, "any", (["any"], False)),
        (None, DAYS, "2025-02-01", ([None], False)),
        (DAYS, None, "2025-02-01", ([date(2025, 2, 1)], False)),
        (DAYS, None, date(2025, 2, 1), ([date(2025, 2, 1)], False)),
        (DAYS, None, "eu", ([], False)),
        (DAYS, DAYS, "2025-02-01", ([date(2025, 2, 1)], False)),
        (DailyPartitions("2025-02-01"), DAYS, "2025-02-01", ([date(2025, 2, 1)], False)),
        (DailyPartitions("2025-02-01"), DAYS, "2025-01-31", ([], False)),
        (DAYS, MONTHS, "2025-02", (days(date(2025, 2, 1), date(2025, 2, 28)), True)),
        (DAYS, WEEKS, "2025-01-06", (days(date(2025, 1, 6), date(2025, 1, 12)), True)),
        (DAYS, WEEKS, "2024-12-30", (days(date(2025, 1, 1), date(2025, 1, 5)), True)),
        (MONTHS, DAYS, "2025-02-17", ([date(2025, 2, 1)], False)),
        (WEEKS, DAYS, "2025-01-05", ([date(2024, 12, 30)], False)),
        (WEEKS, MONTHS, "2025-03", ([date(2025, 3, d) for d in (3, 10, 17, 24, 31)], True)),
        (MONTHS, WEEKS, "2025-03-31", ([date(2025, 3, 1)], False)),
        (MonthlyPartitions("2025-03"), DAYS, "2025-02-17", ([], False)),
        (REGIONS, REGIONS, "eu", (["eu"], False)),
        (StaticPartitions(["us", "asia", "eu"]), REGIONS, "eu", (["eu"], False)),
    ],
)
def test_defaults_are_what_people_expect(upstream, downstream, key, expected):
    """Each row of the table of rules."""
    assert needs(upstream, downstream, key) == expected


def test_an_asset_without_partitions_takes_all_of_its_upstream():
    """Without a key it receives every key there is as of the run, as a dict."""
    keys, many = needs(DAYS, None, None)
    assert keys == days(date(2025, 1, 1), date(2025, 6, 30))
    assert many


def test_constants_have_one_value_for_every_key():
    """A constant is the same for a partition, for a given key, and for none."""
    pipeline = Pipeline("constants")
    pipeline.value("config", 1)

    @pipeline.asset(partitions=DAYS)
    def daily(config): ...

    @pipeline.asset
    def free(config): ...

    constants = PartitionView(pipeline.graph, NOW)
    for asset, key in (("daily", date(2025, 1, 1)), ("free", "any"), ("free", None)):
        assert constants.upstream_keys(asset, "config", key) == ((None,), False)


def test_dynamic_sets_map_by_name():
    """The same dynamic set on both sides is the same key."""
    customers = DynamicPartitions("customers")
    known = {"customers": ["acme"]}
    assert needs(customers, DynamicPartitions("customers"), "acme", dynamic=known) == (["acme"], False)
    assert needs(customers, None, None, dynamic=known) == (["acme"], True)
    assert "no default applies" in refusal(customers, DynamicPartitions("tenants"))


# Hours and days in time zones -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "hours"), [("2025-03-29", 24), ("2025-03-30", 23), ("2025-06-01", 24), ("2025-06-30", 24)]
)
def test_a_local_day_takes_its_own_hours(day, hours):
    """The hours of a day in Berlin, of an upstream in UTC, begin with local midnight and are 23 in spring."""
    keys, many = needs(HOURS, DailyPartitions("2025-01-01", **BERLIN), day)
    zone = ZoneInfo("Europe/Berlin")
    assert len(keys) == hours
    assert {key.astimezone(zone).date().isoformat() for key in keys} == {day}
    assert keys == [keys[0] + timedelta(hours=i) for i in range(hours)]
    assert many


def test_an_hour_belongs_to_the_day_of_the_day_sets_zone():
    """23:00 in UTC is already the next day in Berlin."""
    berlin, utc = DailyPartitions("2025-01-01", **BERLIN), DAYS
    assert needs(berlin, HOURS, "2025-02-01T23:00") == ([date(2025, 2, 2)], False)
    assert needs(utc, HOURS, "2025-02-01T23:00") == ([date(2025, 2, 1)], False)
    assert needs(utc, HourlyPartitions("2025-01-01", **BERLIN), "2025-02-01T00:00") == (
        [date(2025, 1, 31)],
        False,
    )


def test_hours_are_instants_so_zones_do_not_separate_them():
    """Two hourly sets in different zones share their keys if the hours begin together."""
    assert needs(HOURS, HourlyPartitions("2025-01-02", **BERLIN), "2025-02-01T01:00") == (
        [datetime(2025, 2, 1, tzinfo=UTC)],
        False,
    )
    assert "begin at different minutes" in refusal(
        HOURS, HourlyPartitions("2025-01-01", timezone="Asia/Kolkata")
    )


def test_days_of_different_zones_are_different_days():
    """No default leads between them, and the error says why; saying `SameKey()` goes by the date."""
    tokyo = DailyPartitions("2025-01-01", timezone="Asia/Tokyo")
    assert "begin at different instants, in UTC and in Asia/Tokyo" in refusal(DAYS, tokyo)
    assert "different instants" in refusal(DAYS, MonthlyPartitions("2025-01", timezone="Asia/Tokyo"))
    assert needs(DAYS, tokyo, "2025-02-01", SameKey()) == ([date(2025, 2, 1)], False)
    assert len(needs(DAYS, MonthlyPartitions("2025-01", timezone="Asia/Tokyo"), "2025-02", Rollup())[0]) == 28


zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
kinds = st.sampled_from([DailyPartitions, WeeklyPartitions, MonthlyPartitions])


@given(zones, zones, kinds, st.data())
def test_rolling_up_and_containing_are_inverse(fine_zone, coarse_zone, kind, data):
    """An hour is among those of exactly the period that contains it; so no hour is lost or counted twice."""
    fine = HourlyPartitions("2011-10-01", "2012-06-01", fine_zone)
    coarse = kind("2011-09-01", "2012-07-01", coarse_zone)
    hour = data.draw(st.integers(0, len(fine) - 1).map(fine.__getitem__))
    (period,) = default_mapping(coarse, fine).upstream_keys(hour, coarse, fine)
    for offset in (-1, 0, 1):
        neighbour = coarse[coarse.index(period) + offset]
        inside = default_mapping(fine, coarse).upstream_keys(neighbour, fine, coarse)
        assert (hour in inside) == (neighbour == period)


@given(st.sampled_from([(0, 1), (0, 2), (1, 2)]), st.data())
def test_calendar_rollups_are_inverse_too(pair, data):
    """The same for days, weeks and months of one zone."""
    kinds = (DailyPartitions, WeeklyPartitions, MonthlyPartitions)
    fine, coarse = kinds[pair[0]]("2024", "2025"), kinds[pair[1]]("2023-12", "2026-01")
    key = data.draw(st.sampled_from(list(fine)))
    (period,) = default_mapping(coarse, fine).upstream_keys(key, coarse, fine)
    holders = [
        each for each in coarse if key in default_mapping(fine, coarse).upstream_keys(each, fine, coarse)
    ]
    assert holders == [period]


# Several dimensions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upstream", "downstream", "key", "expected"),
    [
        (GRID, GRID, ("eu", "2025-02-01"), ([("eu", date(2025, 2, 1))], False)),
        (DAYS, GRID, ("eu", "2025-02-01"), ([date(2025, 2, 1)], False)),
        (REGIONS, GRID, ("eu", "2025-02-01"), (["eu"], False)),
        (MONTHS, GRID, ("eu", "2025-02-01"), ([date(2025, 2, 1)], False)),
        (GRID, DAYS, "2025-02-01", ([("eu", date(2025, 2, 1)), ("us", date(2025, 2, 1))], True)),
        (
            MultiPartitions(day=DAYS, region=REGIONS),
            GRID,
            ("eu", "2025-02-01"),
            ([(date(2025, 2, 1), "eu")], False),
        ),
        (
            MultiPartitions(day=DAYS, size=StaticPartitions(["s", "l"])),
            GRID,
            ("eu", "2025-02-01"),
            ([(date(2025, 2, 1), "s"), (date(2025, 2, 1), "l")], True),
        ),
        (
            MultiPartitions(region=REGIONS, day=DailyPartitions("2025-02-27")),
            MultiPartitions(region=REGIONS, day=MONTHS),
            ("us", "2025-02"),
            ([("us", date(2025, 2, 27)), ("us", date(2025, 2, 28))], True),
        ),
        (GRID, None, "eu|2025-02-01", ([("eu", date(2025, 2, 1))], False)),
    ],
)
def test_dimensions_are_matched_one_by_one(upstream, downstream, key, expected):
    """Each row of the table of rules that has several dimensions in it."""
    assert needs(upstream, downstream, key) == expected


def test_the_region_of_a_grid_takes_all_its_days():
    """One part fixed, every combination with the rest, as a lazy dict of them."""
    keys, many = needs(GRID, REGIONS, "us")
    assert keys == [("us", day) for day in days(date(2025, 1, 1), date(2025, 6, 30))]
    assert many


def test_dynamic_dimensions_are_resolved_inside():
    """A dynamic set within dimensions has the keys of the run."""
    tenants = DynamicPartitions("tenants")
    grid = MultiPartitions(tenant=tenants, day=DAYS)
    known = {"tenants": ["a", "b"]}
    assert needs(tenants, grid, ("a", "2025-02-01"), dynamic=known) == (["a"], False)
    keys, many = needs(grid, DAYS, "2025-02-01", dynamic=known)
    assert keys == [("a", date(2025, 2, 1)), ("b", date(2025, 2, 1))]
    assert many


def test_nested_dimensions_match_as_a_whole():
    """A multi-dimensional set that is a dimension of another one is one part."""
    where = MultiPartitions(region=REGIONS, size=StaticPartitions(["s", "l"]))
    grid = MultiPartitions(where=where, day=DAYS)
    assert needs(where, grid, (("eu", "l"), "2025-02-01")) == ([("eu", "l")], False)
    keys, _ = needs(grid, DAYS, "2025-02-01")
    assert keys == [((r, s), date(2025, 2, 1)) for r in ("eu", "us") for s in ("s", "l")]


def test_ambiguous_dimensions_must_be_named():
    """With two dimensions of equal sets the error proposes both, and `SamePart` chooses."""
    twice = MultiPartitions(source=REGIONS, target=REGIONS)
    message = refusal(REGIONS, twice)
    assert "SamePart('source'), SamePart('target')" in message
    assert needs(REGIONS, twice, ("eu", "us"), SamePart("target")) == (["us"], False)
    assert needs(twice, REGIONS, "eu", SamePart("source")) == ([("eu", "eu"), ("eu", "us")], True)


def test_same_part_between_two_grids():
    """Only the named dimension is kept; of the others every key is taken, even where the names agree."""
    assert needs(GRID, GRID, ("eu", "2025-02-01"), SamePart("day")) == (
        [("eu", date(2025, 2, 1)), ("us", date(2025, 2, 1))],
        True,
    )
    assert needs(
        GRID, MultiPartitions(month=MONTHS, day=DAYS), ("2025-02", "2025-02-03"), SamePart("day")
    ) == (
        [("eu", date(2025, 2, 3)), ("us", date(2025, 2, 3))],
        True,
    )


def test_same_part_of_different_sets_follows_the_rules():
    """The part may be coarser or finer than the other asset's set."""
    assert needs(MONTHS, GRID, ("eu", "2025-02-17"), SamePart("day")) == ([date(2025, 2, 1)], False)
    assert len(needs(HOURS, GRID, ("eu", "2025-02-17"), SamePart("day"))[0]) == 24


# Explicit mappings ------------------------------------------------------------------------------------------


def test_all_partitions_is_every_key_for_each_key():
    """Whatever the downstream key, all upstream keys as of the run."""
    assert needs(REGIONS, DAYS, "2025-02-01", AllPartitions()) == (["eu", "us"], True)
    assert needs(DAYS, DAYS, "2025-02-01", AllPartitions())[0] == days(date(2025, 1, 1), date(2025, 6, 30))


def test_last_partitions_of_a_time_set_is_a_rolling_window():
    """Between time sets the window ends with this key, so that a backfill sees what was last then."""
    assert needs(DAYS, DAYS, "2025-02-10", LastPartitions(3)) == (
        days(date(2025, 2, 8), date(2025, 2, 10)),
        True,
    )
    assert needs(DAYS, DAYS, "2025-01-02", LastPartitions(7))[0] == days(date(2025, 1, 1), date(2025, 1, 2))
    assert needs(DAYS, MONTHS, "2025-02", LastPartitions(2))[0] == days(date(2025, 2, 27), date(2025, 2, 28))
    assert needs(MONTHS, DAYS, "2025-03-10", LastPartitions(2))[0] == [date(2025, 2, 1), date(2025, 3, 1)]
    assert "different instants" in refusal(
        DAYS, DailyPartitions("2025-01-01", timezone="Asia/Tokyo"), LastPartitions(2)
    )


def test_last_partitions_otherwise_are_the_newest():
    """Without a time key to end with they are the last keys of the upstream set as of the run."""
    newest = days(date(2025, 6, 29), date(2025, 6, 30))
    assert needs(DAYS, None, None, LastPartitions(2)) == (newest, True)
    assert needs(DAYS, REGIONS, "eu", LastPartitions(2)) == (newest, True)
    assert needs(REGIONS, DAYS, "2025-02-01", LastPartitions()) == (["us"], True)
    assert needs(DAYS, MultiPartitions(a=REGIONS, b=REGIONS), ("eu", "us"), LastPartitions(2))[0] == newest


def test_last_partitions_of_a_grid_go_along_its_time():
    """The window runs in the one time dimension; the other parts follow the rules."""
    assert needs(GRID, GRID, ("eu", "2025-02-10"), LastPartitions(2)) == (
        [("eu", date(2025, 2, 9)), ("eu", date(2025, 2, 10))],
        True,
    )
    assert needs(GRID, REGIONS, "us", LastPartitions(1))[0] == [("us", date(2025, 6, 30))]
    assert needs(GRID, None, None, LastPartitions(1))[0] == [(r, date(2025, 6, 30)) for r in ("eu", "us")]
    assert needs(GRID, DAYS, "2025-02-10", LastPartitions(1))[0] == [
        (r, date(2025, 2, 10)) for r in ("eu", "us")
    ]
    assert needs(DAYS, GRID, ("eu", "2025-02-10"), LastPartitions(2))[0] == days(
        date(2025, 2, 9), date(2025, 2, 10)
    )


@pytest.mark.parametrize(
    ("keys", "offset", "key", "expected"),
    [
        (DAYS, TimeOffset(days=-1), "2025-03-01", date(2025, 2, 28)),
        (DAYS, TimeOffset(days=1), "2025-03-01", date(2025, 3, 2)),
        (DAYS, TimeOffset(weeks=-1), "2025-03-08", date(2025, 3, 1)),
        (DAYS, TimeOffset(months=-1), "2025-03-31", date(2025, 2, 28)),
        (DAYS, TimeOffset(months=-1, days=-1), "2025-03-01", date(2025, 1, 31)),
        (WEEKS, TimeOffset(weeks=-1), "2025-01-13", date(2025, 1, 6)),
        (WEEKS, TimeOffset(days=-14), "2025-01-20", date(2025, 1, 6)),
        (MONTHS, TimeOffset(months=-2), "2025-03", date(2025, 1, 1)),
        (HOURS, TimeOffset(hours=-1), "2025-03-01T00:00", datetime(2025, 2, 28, 23, tzinfo=UTC)),
        (HOURS, TimeOffset(days=-1, hours=2), "2025-03-02T05:00", datetime(2025, 3, 1, 7, tzinfo=UTC)),
    ],
)
def test_offsets_move_along_the_calendar(keys, offset, key, expected):
    """A key so much earlier or later, with months clamped to their last day."""
    assert needs(keys, keys, key, offset) == ([expected], False)


def test_offsets_beyond_the_set_need_nothing():
    """The first day has no day before it, and the calendar has a first day."""
    assert needs(DAYS, DAYS, "2025-01-01", TimeOffset(days=-1)) == ([], False)
    assert needs(DAYS, DAYS, "2025-01-01", TimeOffset(days=-(10**6))) == ([], False)
    assert needs(DAYS, DAYS, "2025-01-01", TimeOffset(months=-(10**6))) == ([], False)
    assert needs(DAYS, DAYS, "2025-01-01", TimeOffset(days=10**12)) == ([], False)


def test_a_day_back_keeps_the_time_of_day_and_an_hour_is_an_hour():
    """Across the clock change in spring a day is 23 hours; 24 hours are still 24 hours."""
    hours = HourlyPartitions("2025-01-01", **BERLIN)
    assert needs(hours, hours, "2025-03-30T12:00", TimeOffset(days=-1))[0] == [
        datetime(2025, 3, 29, 11, tzinfo=UTC)
    ]
    assert needs(hours, hours, "2025-03-30T12:00", TimeOffset(hours=-24))[0] == [
        datetime(2025, 3, 29, 10, tzinfo=UTC)
    ]


def test_a_shifted_key_leads_on_by_the_rules():
    """The day before's month, the month before's days, and the day before in every region."""
    assert needs(MONTHS, DAYS, "2025-03-01", TimeOffset(days=-1)) == ([date(2025, 2, 1)], False)
    assert needs(DAYS, MONTHS, "2025-03", TimeOffset(months=-1)) == (
        days(date(2025, 2, 1), date(2025, 2, 28)),
        True,
    )
    assert needs(GRID, GRID, ("eu", "2025-03-01"), TimeOffset(days=-1)) == (
        [("eu", date(2025, 2, 28))],
        False,
    )
    assert needs(DAYS, GRID, ("eu", "2025-03-01"), TimeOffset(days=-1)) == ([date(2025, 2, 28)], False)
    assert needs(GRID, DAYS, "2025-03-01", TimeOffset(days=-1))[0] == [
        (region, date(2025, 2, 28)) for region in ("eu", "us")
    ]


def test_a_rule_of_your_own():
    """A subclass of `PartitionMapping` may return any keys; those the upstream does not have are dropped."""

    class Neighbours(PartitionMapping):
        """The day before, the day and the day after."""

        @property
        def many(self):
            return True

        def upstream_keys(self, key, upstream, downstream, /):
            return [key + timedelta(days=i) for i in (-1, 0, 1)]

    assert needs(DAYS, DAYS, "2025-01-01", Neighbours()) == ([date(2025, 1, 1), date(2025, 1, 2)], True)


def test_mappings_are_values():
    """Mappings that say the same are equal and print as they are written."""
    assert TimeOffset(days=-1) == TimeOffset(days=-1)
    assert repr(TimeOffset(days=-1, hours=2)) == "TimeOffset(days=-1, hours=2)"
    assert repr(LastPartitions(3)) == "LastPartitions(n=3)"
    assert len({Rollup(), Rollup(), AllPartitions(), SamePart("a"), SamePart("a")}) == 3


def test_a_mapping_can_be_asked_unbound():
    """For trying things out: a declared mapping binds itself to the sets it is given."""
    feb = DailyPartitions("2025-02-01", "2025-02-28")
    year = MonthlyPartitions("2025", "2025")
    assert Rollup().upstream_keys(date(2025, 2, 1), feb, year) == list(feb)


# Refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upstream", "downstream", "mapping", "reason"),
    [
        (DAYS, REGIONS, None, "no default leads from one kind of set"),
        (REGIONS, DAYS, None, "no default leads"),
        (REGIONS, StaticPartitions(["eu", "mars"]), None, "the upstream has no key 'mars'"),
        (GRID, StaticPartitions(["a"]), None, "no dimension of one matches"),
        (GRID, MultiPartitions(other=REGIONS), None, "no dimension of one has the name"),
        (GRID, MultiPartitions(region=DAYS), None, "no default leads"),
        (None, DAYS, AllPartitions(), "no partitions to take all of"),
        (None, DAYS, LastPartitions(2), "no partitions to take the last of"),
        (None, DAYS, Rollup(), "several keys for each"),
        (DAYS, DAYS, Rollup(), "finer upstream than one day"),
        (MONTHS, DAYS, Rollup(), "finer upstream than one day"),
        (REGIONS, REGIONS, Rollup(), "several keys for each"),
        (DAYS, None, TimeOffset(days=-1), "partitions on both assets"),
        (REGIONS, REGIONS, TimeOffset(days=-1), "partitioned by time"),
        (DAYS, DAYS, TimeOffset(hours=-1), r"TimeOffset\(hours=-1\) does not lead from one day to another"),
        (WEEKS, WEEKS, TimeOffset(days=-1), "from one week to another"),
        (WEEKS, WEEKS, TimeOffset(months=-1), "from one week to another"),
        (MONTHS, MONTHS, TimeOffset(days=-1), "from one month to another"),
        (MultiPartitions(a=DAYS, b=DAYS), MultiPartitions(a=DAYS, b=DAYS), TimeOffset(days=1), "2 time dim"),
        (REGIONS, REGIONS, SamePart("day"), "neither asset has a dimension 'day'"),
        (GRID, None, SamePart("day"), "this asset has no dimension 'day'"),
        (GRID, MultiPartitions(other=DAYS), SamePart("day"), "this asset has no dimension 'day'"),
        (None, GRID, SamePart("day"), "neither asset"),
        (MultiPartitions(a=REGIONS), REGIONS, LastPartitions(1), "0 time dimensions"),
        (GRID, MultiPartitions(grid=GRID, who=REGIONS), LastPartitions(1), "a time dimension of its own"),
    ],
)
def test_senseless_combinations_are_refused(upstream, downstream, mapping, reason):
    """The graph names both assets with their lines, the reason, and proposes `mappings=`."""
    message = refusal(upstream, downstream, mapping)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(message)
    assert "Asset 'down' (test_mappings.py:" in message
    assert "'up' (test_mappings.py:" in message
    assert "mappings={'up': AllPartitions()}" in message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LastPartitions(0), "at least 1"),
        (lambda: LastPartitions(True), "at least 1"),
        (lambda: LastPartitions(1.5), "at least 1"),
        (TimeOffset, "shifts by nothing"),
        (lambda: TimeOffset(days=0), "shifts by nothing"),
        (lambda: TimeOffset(days=0.5), "whole numbers"),
    ],
)
def test_bad_numbers_are_refused(make, message):
    """A mapping that cannot mean anything raises where it is written."""
    with pytest.raises(DefinitionError, match=message):
        make()


def test_the_reason_is_a_partition_error():
    """The rules themselves raise the reason alone; the graph adds who and where."""
    with pytest.raises(PartitionError, match="no default leads"):
        default_mapping(DAYS, REGIONS)
