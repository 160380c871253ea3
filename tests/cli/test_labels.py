"""How the command line writes names and numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets.partition_keys import encode_partition
from flowstone.cli.labels import (
    ago,
    breakdown,
    count,
    duration,
    key_label,
    partition_label,
    step_label,
)


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
    ],
)
def test_partition_label(partition, label):
    """A partition is written as one types it."""
    assert partition_label(partition) == label


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
    assert breakdown({}) == "0 succeeded"


def test_ago():
    """An instant is told by its distance; one in the future by none."""
    now = datetime(2025, 1, 1, tzinfo=UTC)
    assert ago(now - timedelta(seconds=200), now) == "3 min ago"
    assert ago(now - timedelta(days=40), now) == "40 d ago"
    assert ago(now + timedelta(seconds=5), now) == "just now"
    assert ago(None, now) == "-"
