"""How the command line writes names and numbers."""

from __future__ import annotations

import shlex
from ast import literal_eval
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import DailyPartitions, HourlyPartitions, MultiPartitions, Pipeline, StaticPartitions
from flowstone.assets import PartitionView
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import partition_argument
from flowstone.cli.labels import ago, breakdown, duration, key_label, partition_label, step_label
from flowstone.counting import count
from flowstone.errors import PartitionError


@pytest.mark.parametrize(
    ("partition", "label"),
    [
        (None, "-"),
        ("eu", "eu"),
        (7, "7"),
        (date(2025, 1, 15), "2025-01-15"),
        (datetime(2025, 1, 15, 2, tzinfo=UTC), "2025-01-15T02:00Z"),
        (datetime(2025, 1, 15, 2, 0, 1, tzinfo=UTC), "2025-01-15T02:00:01Z"),
        (("eu", date(2025, 1, 15)), "eu|2025-01-15"),
        ("eu|west", "eu|west"),
        (("eu|west", 1), encode_partition(("eu|west", 1))),
        ((("eu", "west"), 1), encode_partition((("eu", "west"), 1))),
        ("i:7", encode_partition("i:7")),
        ("a:b", "a:b"),
    ],
)
def test_partition_label(partition, label):
    """A partition is written as one types it."""
    assert partition_label(partition) == label


TEXTS = st.text("ab|:- i12Tdt.\x1b\n\u200b\xe9", max_size=8)
MOMENTS = st.datetimes()
PARTS = [TEXTS, st.integers(), st.dates(), MOMENTS, MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))]
KEYS = [
    *PARTS,
    st.tuples(TEXTS),
    st.tuples(TEXTS, st.integers()),
    st.tuples(st.tuples(TEXTS, st.dates()), TEXTS),
]


def typed(keys, label):
    """What the command line makes of a label."""
    return keys.coerce(partition_argument(label))


@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data())
def test_a_static_key_that_is_shown_can_be_typed(kind, data):
    """Whatever is in it: bars, colons, what looks like an encoded key, what is written out."""
    keys = StaticPartitions(data.draw(st.lists(kind, min_size=1, max_size=5, unique_by=encode_partition)))
    for key in keys:
        assert typed(keys, partition_label(key)) == key
        assert typed(keys, encode_partition(key)) == key


@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data())
def test_a_key_of_several_dimensions_that_is_shown_can_be_typed(kind, data):
    """Also where a part of it has bars of its own."""
    part = StaticPartitions(data.draw(st.lists(kind, min_size=1, max_size=3, unique_by=encode_partition)))
    keys = MultiPartitions(part=part, day=DailyPartitions("2025-01-01", "2025-01-02"))
    for key in keys:
        assert typed(keys, partition_label(key)) == key


@pytest.mark.parametrize(
    "keys",
    [
        StaticPartitions([("eu", 1), ("us", 2)]),
        StaticPartitions(["eu|west", "us|east"]),
        MultiPartitions(
            region=StaticPartitions(["eu|west"]), day=DailyPartitions("2025-01-01", "2025-01-02")
        ),
        HourlyPartitions("2025-01-01", "2025-01-01"),
    ],
    ids=lambda keys: type(keys).__name__,
)
def test_the_example_of_an_error_can_be_typed(keys):
    """Whoever names no partition, or one that does not exist, is shown some that do."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=keys)
    def raw() -> int:
        return 1

    view = PartitionView(pipeline.graph, datetime(2026, 1, 1, tzinfo=UTC), {})
    with pytest.raises(PartitionError, match="say which partition") as caught:
        view.parse("raw", None)
    remedies = caught.value.remedies
    assert remedies is not None
    example = literal_eval(remedies.python.removeprefix("Write partition=").removesuffix(", for example."))
    assert typed(keys, example) in keys
    words = remedies.command.removeprefix("Write ").removesuffix(", for example.")
    assert shlex.split(words) == ["--partition", example]
    if isinstance(keys, StaticPartitions):
        with pytest.raises(PartitionError, match="2 keys from '") as caught:
            view.parse("raw", "nowhere")
        first = str(caught.value).partition("2 keys from ")[2].partition(" to ")[0]
        assert typed(keys, literal_eval(first)) == keys[0]


def test_step_label_decodes_the_key():
    """A step is its asset with the readable partition, never the encoded one."""
    assert step_label("raw", None) == "raw"
    assert step_label("raw", "d:2025-01-15") == "raw[2025-01-15]"


@given(st.text(max_size=20) | st.integers() | st.dates())
def test_key_label_never_fails(value):
    """Every encoded key has a label, and so has text that encodes nothing."""
    try:
        key = encode_partition(value)
    except ValueError:
        key = "d:not a date"
    assert isinstance(key_label(key), str)


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (0.0, "0 ms"),
        (0.0005, "0.5 ms"),
        (0.0123, "12.3 ms"),
        (0.0996, "0.1 s"),
        (1.25, "1.2 s"),
        (4, "4 s"),
        (59.99, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3_725, "1 h 2 min"),
        (90_000_000, "25,000 h 0 min"),
    ],
)
def test_duration(seconds, label):
    """A length of time shows the units that matter, and never sixty seconds."""
    assert duration(seconds) == label


def test_counts():
    """Numbers carry thousands separators and the right form of the noun; nothing is still a count."""
    assert count(1, "step") == "1 step"
    assert count(1461, "step") == "1,461 steps"
    assert breakdown({"failed": 1, "succeeded": 1200, "skipped": 0}) == "1,200 succeeded, 1 failed"
    assert breakdown({}) == "no step has ended"


def test_ago():
    """An instant is told by its distance; one in the future by none."""
    now = datetime(2025, 1, 1, tzinfo=UTC)
    assert ago(now - timedelta(seconds=200), now) == "3 min ago"
    assert ago(now - timedelta(days=40), now) == "40 d ago"
    assert ago(now + timedelta(seconds=5), now) == "just now"
    assert ago(None, now) == "-"
