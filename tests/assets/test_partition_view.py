"""What a run sees of partitions: one instant for everything, keys as users write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from flowstone.assets import (
    DailyPartitions,
    DynamicPartitions,
    HourlyPartitions,
    KeySlice,
    MonthlyPartitions,
    MultiPartitions,
    PartitionView,
    Pipeline,
    StaticPartitions,
    UpstreamKeys,
)
from flowstone.assets.partition_mapping import InnerKeys
from flowstone.errors import AssetNotFound, PartitionError

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
pipeline = Pipeline("view")


@pipeline.asset(partitions=DailyPartitions("2025-01-01"))
def raw(): ...


@pipeline.asset(partitions=DailyPartitions("2025-01-01"))
def clean(raw, config=None): ...


@pipeline.asset(partitions=MonthlyPartitions("2025-01"))
def monthly(clean): ...


@pipeline.asset(partitions=HourlyPartitions("2025-03-01", timezone="Europe/Berlin"))
def hourly(): ...


@pipeline.asset(partitions=DynamicPartitions("customers"))
def profile(): ...


@pipeline.asset(
    partitions=MultiPartitions(customer=DynamicPartitions("customers"), day=DailyPartitions("2025"))
)
def usage(profile): ...


@pipeline.asset(partitions=StaticPartitions(["eu", "us"]))
def regional(): ...


@pipeline.asset
def free(config, plain): ...


@pipeline.asset
def plain(): ...


pipeline.value("config", {"depth": 3})


@pytest.fixture
def view() -> PartitionView:
    return PartitionView(pipeline.graph, NOW, {"customers": ["acme", "globex"]})


def test_open_sets_are_closed_at_one_instant(view):
    """Every open end is closed at the instant of the view."""
    assert view.keys("raw")[-1] == date(2025, 3, 9)
    assert view.keys("monthly") == [date(2025, 1, 1), date(2025, 2, 1)]
    assert view.keys("hourly")[-1] == datetime(2025, 3, 10, 11, tzinfo=UTC)
    assert not view.set_of("raw").is_open
    assert isinstance(view.keys("raw"), KeySlice)


def test_equal_sets_become_one_object(view):
    """Two assets with equal sets share one closed set, so that comparing their keys is quick."""
    assert view.set_of("raw") is view.set_of("clean")
    assert view.set_of(raw) is view.set_of("raw")


def test_dynamic_sets_have_the_keys_of_the_view(view):
    """Alone and inside dimensions; a dynamic set nobody added keys to has none."""
    assert view.keys("profile") == ["acme", "globex"]
    assert view.keys("usage")[0] == ("acme", date(2025, 1, 1))
    assert len(PartitionView(pipeline.graph, NOW).keys("profile")) == 0


def test_an_asset_without_a_set_has_one_key(view):
    """The key None, which means no partition."""
    assert view.set_of("free") is None
    assert view.keys("free") == (None,)


@pytest.mark.parametrize(
    ("asset", "partition", "key"),
    [
        ("raw", "2025-02-01", date(2025, 2, 1)),
        ("raw", date(2025, 2, 1), date(2025, 2, 1)),
        (raw, "d:2025-02-01", date(2025, 2, 1)),
        ("monthly", "2025-02", date(2025, 2, 1)),
        ("hourly", "2025-03-02T00:00", datetime(2025, 3, 1, 23, tzinfo=UTC)),
        ("profile", "acme", "acme"),
        ("usage", ("acme", "2025-02-01"), ("acme", date(2025, 2, 1))),
        ("usage", "acme|2025-02-01", ("acme", date(2025, 2, 1))),
        ("regional", "eu", "eu"),
        ("free", None, None),
        ("free", "2025-02-01", "2025-02-01"),
        ("free", 7, 7),
        ("free", ("a", date(2025, 2, 1)), ("a", date(2025, 2, 1))),
        ("config", None, None),
    ],
)
def test_partitions_are_parsed_by_the_asset(view, asset, partition, key):
    """A text means what the asset's set says; without a set it is itself."""
    assert view.parse(asset, partition) == key
    assert type(view.parse(asset, partition)) is type(key)


@pytest.mark.parametrize(
    ("asset", "partition", "message"),
    [
        (
            "raw",
            None,
            r"say which partition\. Write partition='2025-03-09', for example\.$",
        ),
        ("profile", "initech", r"Asset 'profile': 'initech' is not in .* runtime\.add_partitions"),
        ("raw", "2025-03-10", r"Asset 'raw': .*68 keys from 2025-01-01 to 2025-03-09"),
        ("raw", datetime(2025, 2, 1, tzinfo=UTC), "Asset 'raw': .*not a valid day of"),
        ("usage", ("acme", "2024-01-01"), "Asset 'usage'"),
        ("regional", 1, "Asset 'regional'"),
        ("free", 1.5, "cannot be a partition key"),
        ("free", True, "0 or 1"),
    ],
)
def test_bad_partitions_name_the_asset(view, asset, partition, message):
    """Missing, foreign and unsupported keys raise, and say what would do."""
    with pytest.raises(PartitionError, match=message):
        view.parse(asset, partition)


def test_a_partitioned_asset_without_keys_needs_one_too():
    """There is no example to give while the set is empty."""
    with pytest.raises(PartitionError, match=r"say which partition\. Write partition=KEY\.$"):
        PartitionView(pipeline.graph, NOW).parse("profile", None)


def test_keys_lead_upstream(view):
    """Identity, rollup, a constant, and the same key where nobody has a set."""
    day = date(2025, 2, 1)
    assert view.upstream_keys("clean", "raw", day) == UpstreamKeys((day,), many=False)
    assert view.upstream_keys("clean", "config", day) == ((None,), False)
    assert view.upstream_keys("free", "plain", "any") == (("any",), False)
    assert view.upstream_keys("free", "plain", None) == ((None,), False)
    keys, many = view.upstream_keys("monthly", "clean", day)
    assert (len(keys), many) == (28, True)
    assert isinstance(keys, KeySlice)
    assert isinstance(view.mapping("monthly", "clean"), InnerKeys)
    assert view.upstream_keys("usage", "profile", ("acme", day)) == (("acme",), False)


def test_unknown_names_are_refused(view):
    """A mistyped asset is suggested, and an asset that is no dependency is not led to."""
    with pytest.raises(AssetNotFound, match="Did you mean 'monthly'"):
        view.set_of("montly")
    with pytest.raises(AssetNotFound, match="'clean' does not depend on 'monthly'"):
        view.upstream_keys("clean", "monthly", date(2025, 2, 1))


def test_a_view_needs_an_aware_instant():
    """A naive instant would close sets at another time on every machine."""
    with pytest.raises(PartitionError, match="aware instant"):
        PartitionView(pipeline.graph, datetime(2025, 1, 1))  # noqa: DTZ001 - what is refused
