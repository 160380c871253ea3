"""Which keys need an upstream key: the same answer as asking the mapping about each key of the asset."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone import (
    AllPartitions,
    DailyPartitions,
    DefinitionError,
    HourlyPartitions,
    LastPartitions,
    MonthlyPartitions,
    MultiPartitions,
    PartitionError,
    Pipeline,
    StaticPartitions,
    TimeOffset,
    WeeklyPartitions,
)
from flowstone.assets.downstream_keys import downstream_keys
from flowstone.assets.partition_mapping import PartitionMapping
from flowstone.assets.partition_view import PartitionView

NOW = datetime(2025, 4, 10, 7, tzinfo=UTC)
ZONES = ("UTC", "Europe/Oslo", "America/New_York", "Pacific/Apia")


class Halves(PartitionMapping):
    """A rule of a user's own: keys of an even length need the first key, others all."""

    def upstream_keys(self, key, upstream, _downstream, /):
        if upstream is None:
            return (None,)
        return upstream.keys()[: 1 if len(str(key)) % 2 else None]

    @property
    def many(self):
        return True


def time_sets():
    """Small sets in time, in several zones."""
    start = st.sampled_from(["2025-03-10", "2025-03-28", "2025-04-01"])
    zone = st.sampled_from(ZONES)
    days = st.builds(lambda s, z: DailyPartitions(s, timezone=z), start, zone)
    weeks = st.builds(lambda s, z: WeeklyPartitions(s, timezone=z), start, zone)
    months = st.builds(lambda s, z: MonthlyPartitions(s, timezone=z), start, zone)
    hours = st.builds(lambda z: HourlyPartitions("2025-03-29T20", "2025-03-30T12", timezone=z), zone)
    return st.one_of(days, weeks, months, hours)


def sets():
    """Sets of every kind, or none."""
    lists = st.sampled_from([StaticPartitions(["a", "b", "c"]), StaticPartitions(["a", "b"])])
    multi = st.builds(lambda day, region: MultiPartitions(day=day, region=region), time_sets(), lists)
    return st.one_of(st.none(), lists, time_sets(), multi)


def mappings():
    """The default, and what users write."""
    amounts = st.integers(-3, 3)
    offsets = st.one_of(
        st.builds(lambda n: {"days": n}, amounts),
        st.builds(lambda n: {"months": n}, amounts),
        st.builds(lambda n: {"hours": n}, amounts),
        st.builds(lambda n: {"weeks": n}, amounts),
    ).filter(lambda offset: any(offset.values()))
    return st.one_of(
        st.none(),
        st.builds(lambda offset: TimeOffset(**offset), offsets),
        st.builds(LastPartitions, st.integers(1, 4)),
        st.just(AllPartitions()),
        st.just(Halves()),
    )


def view_of(upstream, downstream, mapping):
    """Two assets, the second of which depends on the first one."""
    pipeline = Pipeline("p")

    @pipeline.asset(partitions=upstream)
    async def raw():
        return 1

    @pipeline.asset(partitions=downstream, mappings=mapping and {"raw": mapping}, deps=["raw"])
    async def report():
        return 1

    return PartitionView(pipeline.graph, NOW)


@given(sets(), sets(), mappings())
@settings(max_examples=150, deadline=None)
def test_it_is_what_the_mapping_says_of_each_key(upstream, downstream, mapping):
    """Nothing is left out and nothing added, whatever the sets and the rule between them."""
    try:
        view = view_of(upstream, downstream, mapping)
    except (DefinitionError, PartitionError):
        return
    for key in view.keys("raw"):
        asked = [
            each for each in view.keys("report") if key in view.upstream_keys("report", "raw", each).keys
        ]
        assert list(downstream_keys(view, "report", "raw", key)) == asked


def test_a_day_of_ten_years_is_found_at_once():
    """Only keys near it are asked about."""
    asked = []
    view = view_of(DailyPartitions("2015-01-01"), DailyPartitions("2015-01-01"), TimeOffset(days=-1))
    edge = view.upstream_keys
    assert len(view.keys("report")) > 3700

    class Counted(PartitionView):
        def upstream_keys(self, asset, dependency, key):
            asked.append(key)
            return edge(asset, dependency, key)

    counted = Counted(view.graph, NOW)
    day = view.keys("raw")[1000]
    assert list(downstream_keys(counted, "report", "raw", day)) == [view.keys("raw")[1001]]
    assert len(asked) < 20


def test_a_key_that_is_not_there_is_needed_by_nobody():
    """Such as one that was removed meanwhile."""
    view = view_of(StaticPartitions(["a"]), None, None)
    assert list(downstream_keys(view, "report", "raw", "b")) == []
    assert list(downstream_keys(view, "report", "raw", "a")) == [None]


@pytest.mark.parametrize("key", [None, "x"])
def test_without_partitions_it_is_the_same_key(key):
    """An asset without a set takes any key, and so does what depends on it."""
    assert list(downstream_keys(view_of(None, None, None), "report", "raw", key)) == [key]
