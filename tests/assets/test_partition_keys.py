"""Keys as text and back: exact, injective, and never a guess."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta, timezone
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_keys import canonical_key, decode_partition, encode_partition
from flowstone.assets.static_partitions import StaticPartitions
from flowstone.errors import PartitionError

BERLIN = ZoneInfo("Europe/Berlin")

texts = st.characters(exclude_categories=["Cs"])
atoms = (
    st.text(texts, max_size=6)  # All keys are to be shorter than the longest that is allowed.
    | st.integers()
    | st.dates()
    | st.datetimes()
    | st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.timezones())  # noqa: DTZ001 - bounds
)
keys = st.text(texts, max_size=100) | st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8
)


def exactly(value):
    """A value and its type, and those of its parts, in a form that compares them all."""
    if isinstance(value, tuple):
        return tuple, tuple(map(exactly, value))
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return datetime, "aware", value.astimezone(UTC).replace(tzinfo=None)
    return type(value), value.replace(fold=0) if isinstance(value, datetime) else value


@given(keys)
@example("")
@example("a|b")
@example("2025-01-15")
@example("n:")
@example(())
@example(((),))
def test_every_key_survives_being_text(key):
    """Decoding gives back the same value of the same types, and the text has no control characters."""
    text = encode_partition(key)
    assert exactly(decode_partition(text)) == exactly(key)
    assert text
    assert text.isprintable() or not any(ord(character) < 32 for character in text)


@given(keys, keys)
@example(1, "i:1")
@example((1,), ("i:1",))
@example(("a", "b"), (("a", "b"),))
@example(date(2025, 1, 1), datetime(2025, 1, 1))  # noqa: DTZ001 - a naive key
@example(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1))  # noqa: DTZ001 - a naive key
@example("2025-01-15", date(2025, 1, 15))
def test_different_keys_have_different_texts(one, other):
    """Two keys share a text only if they are the same in value and in type."""
    assert (encode_partition(one) == encode_partition(other)) == (exactly(one) == exactly(other))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_one_text_names_one_key(text):
    """Whatever decodes at all encodes to the very same text."""
    try:
        key = decode_partition(text)
    except PartitionError:
        return
    assert encode_partition(key) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("eu", "eu"),
        ("customer 12/ä", "customer 12/ä"),
        ("", "s:"),
        ("a:b", "s:YTpi"),
        ("a|b", "s:YXxi"),
        ("a\n", "s:YQo"),
        ("2025-01-15", "s:MjAyNS0wMS0xNQ"),
        (1, "i:1"),
        (-20, "i:-20"),
        (date(2025, 1, 15), "d:2025-01-15"),
        (datetime(2025, 1, 15, 2, tzinfo=UTC), "dt:2025-01-15T02:00:00Z"),
        (datetime(2025, 1, 15, 2, 0, 0, 5, tzinfo=UTC), "dt:2025-01-15T02:00:00.000005Z"),
        (datetime(2025, 1, 15, 3, tzinfo=BERLIN), "dt:2025-01-15T02:00:00Z"),
        (datetime(2025, 1, 15, 2), "ndt:2025-01-15T02:00:00"),  # noqa: DTZ001 - a naive key
        (("eu", date(2025, 1, 15)), "t:WyJldSIsImQ6MjAyNS0wMS0xNSJd"),
        (None, "n:"),
    ],
)
def test_the_format_is_fixed(key, text):
    """These texts are in databases and on disks; they never change."""
    assert encode_partition(key) == text
    assert decode_partition(text) == key


def test_both_hours_of_a_clock_change_stay_apart():
    """02:30 before and after the clock is set back are two instants and so two keys."""
    first, second = (datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    assert encode_partition(first) == "dt:2025-10-26T00:30:00Z"
    assert encode_partition(second) == "dt:2025-10-26T01:30:00Z"


class Region(enum.StrEnum):
    """A text with a type of its own."""

    EU = "eu"


class Day(date):
    """A date with a type of its own."""


class Pair(NamedTuple):
    """A tuple with a type of its own."""

    region: str
    day: int


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (True, "0 or 1"),
        (1.5, "use a str, int, date"),
        (Region.EU, r"\.value"),
        (Day(2025, 1, 1), "plain date"),
        (Pair("eu", 1), r"tuple\(value\)"),
        (b"eu", "use a str"),
        (["eu"], "use a str"),
        (timedelta(1), "use a str"),
        (("eu", 1.5), "use a str"),
        (("eu", None), "part None"),
        ("\ud800", "surrogate"),
        (("ok", "\udfff"), "surrogate"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "years 1 to 9999"),
        pytest.param(10**5000, "too many digits", id="endless"),
    ],
)
def test_other_types_are_refused_with_a_remedy(value, remedy):
    """What cannot be a key raises a `PartitionError` that says what to pass instead."""
    with pytest.raises(PartitionError, match=remedy):
        encode_partition(value)


def test_deep_nesting_is_refused():
    """A tuple nested beyond the limit raises instead of exhausting the stack."""
    key = ()
    for _ in range(99):
        key = (key,)
    assert decode_partition(encode_partition(key)) == key
    for _ in range(5000):
        key = (key,)
    with pytest.raises(PartitionError, match="at most 100 deep"):
        encode_partition(key)


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-15",
        "",
        "x:1",
        "i:01",
        "i:1_000",
        "i: 1",
        "i:",
        "d:20250115",
        "d:2025-02-30",
        "dt:2025-01-15T02:00:00",
        "dt:2025-01-15T03:00:00+01:00",
        "dt:2025-01-15T02:00:00.000Z",
        "ndt:2025-01-15T02:00:00Z",
        "ndt:2025-01-15",
        "n:1",
        "s:ZXU",
        "s:YTpi=",
        "s:!!",
        "s:_w",
        "t:",
        "t:e30",
        "t:WzFd",
        "t:WyAiYSJd",
        "t:WyJpOjAxIl0",
        "a|b",
        "a\nb",
    ],
)
def test_what_encoding_never_writes_is_never_read(text):
    """A text that is no key's encoding is refused, even where its meaning could be guessed."""
    with pytest.raises(PartitionError, match="not an encoded partition key"):
        decode_partition(text)


def test_an_encoded_key_is_text():
    """Decoding anything but a str is refused."""
    with pytest.raises(PartitionError, match="not bytes"):
        decode_partition(b"eu")


def test_canonical_keys_are_in_utc():
    """An aware datetime becomes the instant in UTC, inside tuples as well; other keys stay as they are."""
    there = datetime(2025, 7, 1, 2, tzinfo=BERLIN)
    assert canonical_key(there).tzinfo is UTC
    assert canonical_key(("eu", there))[1].tzinfo is UTC
    assert canonical_key(there) == there
    assert canonical_key("eu") == "eu"
    with pytest.raises(PartitionError):
        canonical_key(2.0)


LONG = ["x" * 1_025, "é" * 513, ("a" * 700, "b" * 700), ":" * 800, 10**1_023, ("é" * 400,)]


@pytest.mark.parametrize("key", LONG, ids=range(len(LONG)))
def test_a_key_whose_text_is_too_long_is_refused(key):
    """1,024 bytes of UTF-8 are the most, however the key is given, and the sentence says so."""
    with pytest.raises(PartitionError, match="1,024 is the most"):
        encode_partition(key)
    with pytest.raises(PartitionError):
        StaticPartitions(["a", key])


@pytest.mark.parametrize("key", ["x" * 1_024, "é" * 512, "😀" * 256, 10**1_020])
def test_a_key_of_just_that_length_is_taken(key):
    """And read again."""
    assert decode_partition(encode_partition(key)) == key
    assert StaticPartitions([key]).parse(encode_partition(key)) == key


def test_a_text_that_is_too_long_is_no_encoded_key():
    """Nothing longer is read than is written."""
    with pytest.raises(PartitionError, match="1,024 is the most"):
        decode_partition("x" * 1_025)


def test_dimensions_whose_keys_are_too_long_together_are_refused():
    """Wherever in its dimension the long part stands."""
    names = StaticPartitions(["a", "b" * 500, "c"])
    with pytest.raises(PartitionError, match="1,024 is the most"):
        len(MultiPartitions(left=names, right=names))
    assert len(MultiPartitions(left=names, right=StaticPartitions(["a", "b"]))) == 6


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\0b", "\ud800", None, 7])
def test_a_dynamic_set_has_a_name_that_every_store_can_keep(name):
    """Text of at most 200 characters."""
    with pytest.raises(PartitionError, match="takes a name"):
        DynamicPartitions(name)
