"""Trees of built-in types: what comes back is what went in, or nothing goes in."""

from __future__ import annotations

import json
import math
import os
import re
import zoneinfo
from array import array
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.io.codecs import CodecError
from flowstone.io.codecs.classes import Classes
from flowstone.io.codecs.encoding import MAX_DEPTH, decode_tree, encode_tree
from flowstone.io.codecs.plain import BytesCodec, TextCodec
from flowstone.io.codecs.selection import Codecs
from tests.io.exactness import assert_same


def round_trip(value):
    """The value encoded and decoded again."""
    return decode_tree(encode_tree(value, Classes()), Classes())


# Everything exact -------------------------------------------------------------------------------------------

LATE = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1)
ODD = timezone(timedelta(hours=1, microseconds=1))
offsets = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
zones = (
    st.none() | st.just(UTC) | offsets | st.sampled_from(["Europe/Paris", "America/New_York"]).map(ZoneInfo)
)
texts = (
    st.text()
    | st.text(st.characters(codec=None))
    | st.sampled_from(["$tuple", "$", "\ud83d\ude00", "a\x00b"])
)
small = st.integers(-1000, 1000)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    texts,
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(timezones=zones),
    st.datetimes().map(lambda moment: moment.replace(fold=1)),
    st.times(timezones=st.none() | st.just(UTC) | offsets),
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
    st.fractions(),
    st.complex_numbers(),
    st.builds(range, small, small, small.filter(bool)),
    st.ip_addresses(),
    st.builds(Path, st.sampled_from(["a/b", ".", "/", os.fsdecode(b"a/\xff")])),
    st.builds(PureWindowsPath, st.just("c:\\x")),
    st.builds(re.compile, st.sampled_from(["a+", "ü", "\ud800"]), st.sampled_from([0, re.IGNORECASE])),
    st.just(re.compile(b"\xff")),
)
hashables = scalars.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan()))
hashable = st.recursive(
    hashables,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
trees = st.recursive(
    scalars | st.binary(max_size=5).map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(texts, inner, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
        st.sets(hashable, max_size=4),
        st.dictionaries(hashable, inner, max_size=4).map(OrderedDict),
        st.dictionaries(hashable, inner, max_size=4).map(Counter),
        st.builds(
            defaultdict,
            st.sampled_from([None, list, int, Counter]),
            st.dictionaries(texts, inner, max_size=4),
        ),
        st.builds(deque, st.lists(inner, max_size=4), st.sampled_from([None, 3, 9])),
    ),
    max_leaves=20,
)


@given(trees)
def test_every_tree_comes_back_exactly(value):
    """Any nesting of built-in types comes back equal and with the same types, or is never written."""
    assert_same(round_trip(value), value)


@settings(deadline=None)
@given(trees)
def test_what_is_written_is_strict_json(value):
    """Files are standard JSON in UTF-8: no NaN, no Infinity, no lone surrogates."""

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(encode_tree(value, Classes()).decode("utf-8", "strict"), parse_constant=refuse)


@given(st.lists(texts | st.integers() | st.dates(), unique=True), st.randoms())
def test_equal_sets_are_written_alike(items, random):
    """The bytes of a set do not depend on the order in which it was filled."""
    shuffled = list(items)
    random.shuffle(shuffled)
    assert encode_tree(set(items), Classes()) == encode_tree(set(shuffled), Classes())


@given(st.text(st.characters(codec=None)) | st.sampled_from(["\r\n", "\ufeffx", "\ud83d\ude00", "\x00"]))
def test_text_comes_back_exactly(text):
    """Text keeps its line ends, byte order marks, NULs and lone surrogates."""
    assert_same(TextCodec().decode(TextCodec().encode(text)), text)


@given(st.binary())
def test_bytes_come_back_exactly(data):
    """Bytes are written as they are."""
    assert BytesCodec().encode(data) == data == BytesCodec().decode(data)


@pytest.mark.parametrize(
    "value",
    [
        -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308, 0.1 + 0.2,
        2**53 + 1, -(2**64), [10**5000, -(10**5000)], True, 1, 1.0,
        Decimal("-0"), Decimal("1.10"), Decimal("NaN123"), Decimal("sNaN"), Decimal("-Infinity"),
        Decimal("1E+999"), LATE.replace(tzinfo=None), LATE, LATE.replace(fold=0),
        datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), LATE.replace(tzinfo=ODD),
        time(1, 2, 3, 4, tzinfo=UTC), time(2, fold=1), time(1, tzinfo=ZoneInfo("Europe/Paris")),
        timedelta.min, timedelta(microseconds=-1), date.max,
        UUID(int=0), Path("out.csv"), Path("/a/../b"), bytearray(b"\xff"),
        [], {}, (), set(), frozenset(), [[]], [{}], [()], {"": ""}, {None: None}, {1: "a", "1": "b"},
        {"$tuple": [1]}, {"$": 1}, {"$dict": [[1, 2]]}, {"$dict": {"$dict": 1}}, {"$a": 1, "$b": 2},
        [{"$x": {"$y": 1}}], {(): {}}, {10**5000: 1},
        {True: 1}, {1.5: 1}, {b"k": 1}, {date(2025, 1, 1): 1}, {("eu", 1): {"x"}}, {frozenset({1}): 1},
        {"z": 1, "a": 2}, {"\ud800": 1}, ["\udfff"], "\ud83d\ude00", (1, (2, (3,))), {(1, (2,))},
        {1, "1", 1.5, None, b"1"}, [1, True, 1.0], {"a": [None, {"b": (math.nan, 10**5000)}]},
    ],
)  # fmt: skip
def test_edge_cases_come_back_exactly(value):
    """Each value that has been changed by somebody's serializer comes back as it was."""
    assert_same(round_trip(value), value)
    assert_same(round_trip([value, {"k": value}]), [value, {"k": value}])


def test_ordinary_values_are_ordinary_json():
    """Values that JSON can say are written without any tag, for other tools to read."""
    value = {"day": "2025-01-15", "rows": [1, 2.5, None, True], "ü": {"$a": 1, "b": 2}}
    assert encode_tree(value, Classes()) == (
        '{"day":"2025-01-15","rows":[1,2.5,null,true],"ü":{"$a":1,"b":2}}'.encode()
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, 2), '{"$tuple":[1,2]}'),
        ({3, 1}, '{"$set":[1,3]}'),
        ({1: 2}, '{"$dict":[[1,2]]}'),
        ({"$x": 1}, '{"$dict":[["$x",1]]}'),
        (date(2025, 1, 15), '{"$date":"2025-01-15"}'),
        (datetime(2025, 1, 15, tzinfo=UTC), '{"$datetime":"2025-01-15T00:00:00+00:00"}'),
        (
            datetime(2025, 1, 15, tzinfo=ZoneInfo("Europe/Paris")),
            '{"$datetime":["2025-01-15T00:00:00","Europe/Paris",0]}',
        ),
        (timedelta(1, 2, 3), '{"$timedelta":[1,2,3]}'),
        (Decimal("1.10"), '{"$decimal":"1.10"}'),
        (math.nan, '{"$float":"nan"}'),
        (b"\xff", '{"$bytes":"/w=="}'),
        (Path("a/b"), '{"$path":"a/b"}'),
        (PurePosixPath("a/b"), '{"$posixpath":"a/b"}'),
        (Fraction(1, 3), '{"$fraction":[1,3]}'),
        (1j, '{"$complex":[0.0,1.0]}'),
        (range(1, 9, 2), '{"$range":[1,9,2]}'),
        (re.compile("a", re.IGNORECASE), '{"$pattern":["a",34]}'),
        (IPv4Network("10.0.0.0/8"), '{"$ipv4network":"10.0.0.0/8"}'),
        (OrderedDict(a=1), '{"$ordereddict":[["a",1]]}'),
        (defaultdict(list, a=[1]), '{"$defaultdict":["list",[["a",[1]]]]}'),
        (Counter("aa"), '{"$counter":[["a",2]]}'),
        (deque([1], 3), '{"$deque":[[1],3]}'),
        (
            time(1, tzinfo=timezone(timedelta(hours=1), "CET")),
            '{"$time":["01:00:00",["timezone",[0,3600,0],"CET"],0]}',
        ),
    ],
)
def test_tags_never_change(value, text):
    """The spelling of each tag is on users' disks: a new version must read it."""
    assert encode_tree(value, Classes()).decode() == text
    assert_same(decode_tree(text.encode(), Classes()), value)


def test_a_large_value_comes_back():
    """Many rows of plain values come back as they were."""
    rows = [[n, f"row {n}", n / 7] for n in range(20_000)]
    assert_same(round_trip(rows), rows)


# Refused ----------------------------------------------------------------------------------------------------


class Text(str):
    """A subclass of str."""

    __slots__ = ()


class Number(int):
    """A subclass of int."""


class NoZone(tzinfo):
    """A time zone nobody can find again."""

    def utcoffset(self, _):
        return timedelta(0)


class Bag(dict):
    """A subclass of dict."""


def with_attribute(value):
    value.note = "x"
    return value


def looped():
    value = []
    value.append(value)
    return value


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        Text("x"), Number(1), Bag(a=1), defaultdict(lambda: 1), ChainMap({}), with_attribute(OrderedDict()),
        slice(1), memoryview(b"x"), object(), object,
        len, iter([1]), ...,
        NotImplemented, OSError("x"), datetime(2025, 1, 1, tzinfo=NoZone()),
        time(1, tzinfo=NoZone()), {Text("x"): 1}, {"a": Text("x")}, {Number(1)}, (x for x in ()),
    ],
    ids=lambda value: type(value).__name__,  # Not its text, which may tell where it is in memory.
)  # fmt: skip
def test_what_would_come_back_as_something_else_is_refused(value):
    """Subclasses, and types without an exact spelling, are refused at the top and at any depth."""
    for nested in (value, [value], {"k": (value,)}):
        with pytest.raises(CodecError, match=r"; .*\.$"):
            encode_tree(nested, Classes())


def test_paths_that_are_not_utf_8_come_back():
    """A file's name may be any bytes, alone and inside other values."""
    path = Path(os.fsdecode(b"a/\xff\xfe"))
    for value in (path, [path], {path: PurePosixPath(path)}):
        assert_same(round_trip(value), value)


def test_offsets_with_a_name_come_back():
    """A fixed offset may be called something; the name is kept."""
    moment = datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=1, microseconds=5), "CET"))
    assert_same(round_trip([moment, moment.timetz()]), [moment, moment.timetz()])
    assert round_trip(moment).tzname() == "CET"


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (Text("x"), "return str(value), or a dataclass if it holds more than that"),
        (Number(1), "return int(value), or a dataclass if it holds more than that"),
        (Bag(), "return dict(value), or a dataclass if it holds more than that"),
        (ChainMap(), "return dict(value)"),
        (MappingProxyType({}), "return dict(value)"),
        ({}.keys(), "return list(value)"),
        (memoryview(b""), "return bytes(value)"),
        (array("i"), "return value.tolist()"),
        (defaultdict(Text), "return dict(value)"),
        (with_attribute(OrderedDict()), "return a dataclass instead"),
        (object(), "return built-in types, dataclasses, pydantic models or data frames, pass your own codec"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_refusal_says_what_to_type(value, remedy):
    """At the top of a value as well as inside."""
    for place in (value, [value]):
        with pytest.raises(CodecError) as raised:
            Codecs().writer(place).encode(place)
        assert raised.value.remedy.startswith(remedy)


def test_a_zone_without_a_name_is_refused():
    """A ZoneInfo read from a file has no key to find it by."""
    [path] = [Path(root, "UTC") for root in zoneinfo.TZPATH if Path(root, "UTC").exists()][:1] or [None]
    if path is None:
        pytest.skip("no time zone files on this system")
    with path.open("rb") as file:
        zone = ZoneInfo.from_file(file)
    with pytest.raises(CodecError, match=r"time zone is a zoneinfo.ZoneInfo that cannot be found again"):
        encode_tree(datetime(2025, 1, 1, tzinfo=zone), Classes())


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([1, object()], "value[1]"),
        ({"a": {"b": [object()]}}, "value['a']['b'][0]"),
        ({1: {2: object()}}, "value[1][2]"),
        ((((object(),),),), "value[0][0][0]"),
        ({"k" * 900: object()}, "value['" + "k" * 49 + "]"),
    ],
)
def test_a_refusal_names_the_place(value, place):
    """The message leads to the item that cannot be stored."""
    with pytest.raises(CodecError) as raised:
        encode_tree(value, Classes())
    assert place in str(raised.value)


@pytest.mark.parametrize(
    "value", [looped(), deep(MAX_DEPTH + 1), deep(100_000)], ids=["loop", "deep", "very deep"]
)
def test_a_bottomless_value_is_refused(value):
    """A value that contains itself, or is nested too deep to be read again, is refused."""
    with pytest.raises(CodecError, match=r"nested deeper than 100 levels or contains itself, at .*; flatten"):
        encode_tree(value, Classes())


def test_the_deepest_value_comes_back():
    """Whatever is not refused as too deep can be read, also where each level costs several."""
    value = "x"
    for level in range(MAX_DEPTH):
        value = [value] if level % 2 else {level: value}
    assert round_trip(value) == value


def test_numpy_values_are_refused_with_their_own_remedy():
    """Numpy arrays and scalars (a float64 is a float!) are refused and say how to convert them."""
    numpy = pytest.importorskip("numpy")
    for value in (numpy.array([1]), numpy.float64(1), numpy.int64(1), [numpy.float64(1)]):
        with pytest.raises(
            CodecError, match=r"of type numpy\.\w+, which no codec takes.*; return value\.(tolist|item)\(\)"
        ):
            encode_tree(value, Classes())


# Untrusted files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"$unknown":1}', '{"$date":"x"}', '{"$date":1}',
        '{"$set":[[]]}', '{"$dict":[1]}', '{"$decimal":"x"}',
        '{"$bytes":"?"}', '{"$datetime":["2025-01-01T00:00:00","../../etc/passwd",0]}', '{"$int":"zz"}',
        "{", "", "[1", '{"$model":{}}', '{"$enum":[]}', '{"$dataclass":1}',
        '{"$namedtuple":["os:system",[1]]}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_nonsense_raises_an_ordinary_exception(text):
    """A file that nobody wrote raises an Exception, whatever it holds; it does not crash or run anything."""
    with pytest.raises(Exception, match=r".*"):
        decode_tree(text.encode(), Classes())


TAGS = [
    "$tuple",
    "$set",
    "$frozenset",
    "$dict",
    "$float",
    "$int",
    "$str",
    "$date",
    "$datetime",
    "$time",
    "$timedelta",
    "$decimal",
    "$uuid",
    "$bytes",
    "$bytearray",
    "$path",
    "$ordereddict",
    "$defaultdict",
    "$counter",
    "$deque",
    "$pattern",
    "$range",
    "$fraction",
    "$complex",
    "$ipv4network",
    "$flags",
    "$pydantic",
    "own_json",
    "$enum",
    "$namedtuple",
    "$dataclass",
    "$model",
    "$model_json",
    "class",
    "fields",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(TAGS), inner, max_size=2),
)


@given(anything)
def test_any_json_is_decoded_or_refused(tree):
    """Arbitrary JSON full of tags gives a value or an ordinary exception, never anything worse."""
    with suppress(Exception):
        decode_tree(json.dumps(tree).encode(), Classes())


def test_uuids_keep_their_type_and_value():
    """A random UUID, as a key and as a value."""
    identity = uuid4()
    assert_same(round_trip({identity: [identity]}), {identity: [identity]})


def test_a_refusal_survives_a_key_that_cannot_be_printed():
    """A key too long to print is named by its type."""
    with pytest.raises(CodecError, match=r"at value\[int\]"):
        encode_tree({10**5000: object()}, Classes())
