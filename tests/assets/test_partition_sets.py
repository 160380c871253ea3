"""One behaviour for every set of partitions, whatever the keys are; then what is particular to each list."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets import (
    DailyPartitions,
    DynamicPartitions,
    HourlyPartitions,
    KeyProduct,
    KeySlice,
    MonthlyPartitions,
    MultiPartitions,
    PartitionSet,
    StaticPartitions,
    WeeklyPartitions,
    encode_partition,
)
from flowstone.errors import PartitionError

NOW = datetime(2025, 3, 10, tzinfo=UTC)
DAYS = DailyPartitions("2025-01-01", "2025-01-09")
REGIONS = StaticPartitions(["eu", "us", "asia"])
CUSTOMERS = DynamicPartitions("customers").resolved(["acme", "2025-01-15", "a|b", ""])

SETS: dict[str, PartitionSet] = {
    "static": REGIONS,
    "mixed": StaticPartitions([1, "1", date(2025, 1, 1), ("eu", 2), datetime(2025, 1, 1, tzinfo=UTC)]),
    "one": StaticPartitions(["only"]),
    "days": DAYS,
    "weeks": WeeklyPartitions("2025-01-01", "2025-02-28", "Asia/Tokyo"),
    "months": MonthlyPartitions("2025-01", "2025-11"),
    "hours": HourlyPartitions("2025-10-26", "2025-10-26", "Europe/Berlin"),
    "closed": DailyPartitions("2025-03-01").as_of(NOW),
    "none": DailyPartitions("2025-03-10").as_of(NOW),
    "dynamic": CUSTOMERS,
    "multi": MultiPartitions(region=REGIONS, day=DAYS),
    "nested": MultiPartitions(
        where=MultiPartitions(region=REGIONS, customer=CUSTOMERS), month=MonthlyPartitions("2025", "2025")
    ),
    "single": MultiPartitions(day=DAYS),
}


@pytest.fixture(params=SETS.values(), ids=SETS.keys())
def keys(request) -> PartitionSet:
    return request.param


# Every set --------------------------------------------------------------------------------------------------


def test_a_set_is_a_sequence_of_distinct_keys(keys):
    """Length, iteration, items, membership and positions agree, and no key comes twice."""
    listed = list(keys)
    assert len(keys) == len(listed)
    assert len({encode_partition(key) for key in listed}) == len(listed)
    for position, key in enumerate(listed):
        assert key in keys
        assert keys.index(key) == position
        assert keys[position] == key
        assert type(keys[position]) is type(key)
        assert keys[position - len(listed)] == key


def test_keys_are_a_lazy_sequence_equal_to_a_list(keys):
    """`keys()` equals a list and a tuple of the keys, reads like one, and knows its positions."""
    listed, lazy = list(keys), keys.keys()
    assert isinstance(lazy, KeySlice)
    assert lazy == listed
    assert lazy == tuple(listed)
    assert listed == lazy
    assert lazy != [*listed, "more"]
    assert lazy != "text"
    assert list(reversed(lazy)) == listed[::-1]
    assert [lazy.index(key) for key in listed] == list(range(len(listed)))
    assert [lazy.count(key) for key in listed] == [1] * len(listed)
    assert len(repr(lazy)) < 400


def test_positions_outside_the_set_raise(keys):
    """An index beyond either end is an IndexError, as for a list."""
    for position in (len(keys), -len(keys) - 1):
        with pytest.raises(IndexError):
            keys[position]


@given(data=st.data())
def test_slices_are_those_of_a_list(data):
    """Any slice, and any slice of a slice, has the keys that the same slice of a list has."""
    keys = data.draw(st.sampled_from(list(SETS.values())))
    cut = st.slices(len(keys) + 2)
    one, two = data.draw(cut), data.draw(cut)
    listed = list(keys)
    assert list(keys[one]) == listed[one]
    assert list(keys[one][two]) == listed[one][two]
    for key in listed:
        assert (key in keys[one]) == (key in listed[one])


def test_latest_are_the_last_keys(keys):
    """`latest(n)` is the end of the set, at most all of it."""
    assert keys.latest(2) == list(keys)[-2:]
    assert keys.latest() == list(keys)[-1:]
    assert keys.latest(0) == []
    assert keys.latest(1000) == list(keys)
    with pytest.raises(PartitionError, match="0 or more"):
        keys.latest(-1)


def test_the_encoded_text_of_a_key_is_read_back(keys):
    """`parse` takes what `encode_partition` writes, and so does `coerce`; both return the key itself."""
    for key in keys:
        text = encode_partition(key)
        if not (isinstance(key, str) and text.startswith("s:")):
            assert keys.parse(text) == key
        assert keys.coerce(key) == key
        assert type(keys.coerce(text)) is type(key)


def test_strangers_are_in_no_set(keys):
    """Nothing that could not be a key is a member, and coercing it raises an error that names the set."""
    for stranger in (None, 1.5, [], {}, object(), (), ("eu",), "nowhere", b"eu", ("eu", "us", "asia")):
        assert stranger not in keys
        with pytest.raises(PartitionError, match=r"Partitions\("):
            keys.coerce(stranger)
        with pytest.raises(PartitionError):
            keys.index(stranger)


def test_sets_are_values(keys):
    """A copy, a deep copy and a pickled set are equal and hash alike; a set is true even without keys."""
    for other in (copy.copy(keys), copy.deepcopy(keys), pickle.loads(pickle.dumps(keys))):
        assert other == keys
        assert hash(other) == hash(keys)
        assert list(other) == list(keys)
    assert bool(keys)
    assert sum(keys == other for other in SETS.values()) == 1
    assert len(repr(keys)) < 300


def test_between_takes_both_ends(keys):
    """`between` two keys is everything from one to the other, the ends included, and never reversed."""
    listed = list(keys)
    if not listed:
        return
    assert keys.between(listed[0], listed[-1]) == listed
    assert keys.between(listed[-1], listed[-1]) == [listed[-1]]
    if len(listed) > 1:
        with pytest.raises(PartitionError, match="swap the two"):
            keys.between(listed[-1], listed[0])
    with pytest.raises(PartitionError):
        keys.between(listed[0], "nowhere")


def test_slices_of_one_set_compare_by_position():
    """Equal slices of a set are equal at once, empty ones wherever they lie; iterating an empty one ends."""
    hours = HourlyPartitions("1900", "2100").keys()
    assert hours[10:1_000_000] == hours[10:1_000_000]
    assert hours[10:1_000_000] != hours[11:1_000_001]
    assert hours[5:5] == hours[9:9] == []
    assert list(hours[5:5]) == []


def test_key_slices_have_no_hash():
    """Equal to lists, which have none; asking is a TypeError and not an expensive surprise."""
    with pytest.raises(TypeError):
        hash(DAYS.keys())


def test_an_index_may_be_limited():
    """`index` with bounds looks between them only, as for a list."""
    lazy = DAYS.keys()
    assert lazy.index(date(2025, 1, 3), 1) == 2
    with pytest.raises(PartitionError, match="not in KeySlice"):
        lazy.index(date(2025, 1, 3), 3)
    with pytest.raises(ValueError, match="not in"):
        lazy.index("nowhere")


# Static -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("eu", r"StaticPartitions\(\['eu'\]\)"),
        ([], "no keys"),
        (["eu", "us", "eu"], "'eu' twice"),
        ([1, 2, 1], "1 twice"),
        (["eu", 1.5], "cannot be a partition key"),
        ([True], "0 or 1"),
        (["eu", None], "None"),
        (["\ud800"], "surrogate"),
    ],
)
def test_bad_lists_are_refused(keys, message):
    """A str for a list, no keys, a key twice and values that are no keys raise when the set is made."""
    with pytest.raises(PartitionError, match=message):
        StaticPartitions(keys)


def test_static_keys_keep_their_types():
    """1, "1" and True are three different things, of which two are keys here."""
    keys = StaticPartitions([1, "1"])
    assert True not in keys
    assert 1.0 not in keys
    assert keys.index(1) == 0
    assert keys.parse("1") == "1"
    assert keys.parse("i:1") == 1
    assert StaticPartitions([7, 8]).parse("7") == 7
    assert StaticPartitions([(1, "a")]) != StaticPartitions([("1", "a")])
    assert StaticPartitions([1]) != StaticPartitions(["1"])


def test_a_list_of_dates_is_read_as_people_write_them():
    """A text is matched with how a key is written when it is no key itself."""
    holidays = StaticPartitions([date(2025, 12, 25), date(2025, 1, 1)])
    assert holidays.parse("2025-12-25") == date(2025, 12, 25)
    assert holidays.key_type is date


def test_equal_instants_are_one_static_key():
    """Aware datetimes are kept in UTC, so the same instant in two zones would be a key twice."""
    keys = StaticPartitions([datetime(2025, 1, 1, tzinfo=UTC)])
    assert keys[0].tzinfo is UTC
    assert keys.key_type is datetime


def test_a_generator_of_keys_is_read_once():
    """Keys may come from any iterable."""
    assert list(StaticPartitions(f"r{i}" for i in range(3))) == ["r0", "r1", "r2"]


def test_long_lists_print_short():
    """The repr of a long list shows its ends."""
    assert repr(StaticPartitions(["a", "b"])) == "StaticPartitions(['a', 'b'])"
    assert repr(StaticPartitions(str(i) for i in range(1000))) == "StaticPartitions(['0', '1', …, '999'])"


# Dynamic ----------------------------------------------------------------------------------------------------


def test_an_unresolved_dynamic_set_says_where_its_keys_are():
    """Everything that needs the keys raises and names the run store."""
    customers = DynamicPartitions("customers")
    for ask in (
        len,
        list,
        lambda keys: "acme" in keys,
        lambda keys: keys[0],
        lambda keys: keys.parse("acme"),
    ):
        with pytest.raises(PartitionError, match="kept in the run store"):
            ask(customers)
    assert not customers.is_resolved
    assert repr(customers) == "DynamicPartitions('customers')"


def test_dynamic_sets_of_one_name_are_one_set():
    """Equality goes by name, and by the keys where they are known."""
    assert DynamicPartitions("a") == DynamicPartitions("a")
    assert DynamicPartitions("a") != DynamicPartitions("b")
    assert DynamicPartitions("a").resolved(["x"]) == DynamicPartitions("a").resolved(["x"])
    assert DynamicPartitions("a").resolved(["x"]) != DynamicPartitions("a").resolved(["y"])
    assert DynamicPartitions("a").resolved([1]) != DynamicPartitions("a").resolved(["i:1"])
    assert DynamicPartitions("a").resolved([]) != DynamicPartitions("a")


def test_a_missing_dynamic_key_says_how_to_add_it():
    """The error for an unknown key names the call that adds one, also while the set is empty."""
    with pytest.raises(
        PartitionError, match=r"no keys yet\. runtime\.add_partitions\('customers', \['acme'\]\) adds it\."
    ):
        DynamicPartitions("customers").resolved([]).coerce("acme")
    with pytest.raises(PartitionError, match="twice"):
        DynamicPartitions("customers").resolved(["a", "a"])


@pytest.mark.parametrize("name", ["", " ", None, 1])
def test_a_dynamic_set_has_a_name(name):
    """Without a name there is no place for the keys."""
    with pytest.raises(PartitionError, match="takes a name"):
        DynamicPartitions(name)


# Several dimensions -----------------------------------------------------------------------------------------


def test_keys_are_tuples_in_declared_order():
    """The last dimension changes fastest."""
    keys = MultiPartitions(region=StaticPartitions(["eu", "us"]), day=DAYS)
    assert keys[0] == ("eu", date(2025, 1, 1))
    assert keys[1] == ("eu", date(2025, 1, 2))
    assert keys[-1] == ("us", date(2025, 1, 9))
    assert keys.names == ("region", "day")
    assert keys.dimensions["day"] is DAYS


@pytest.mark.parametrize(
    "partition",
    [
        ("eu", date(2025, 1, 2)),
        ("eu", "2025-01-02"),
        "eu|2025-01-02",
        encode_partition(("eu", date(2025, 1, 2))),
    ],
)
def test_parts_are_read_by_their_dimensions(partition):
    """A tuple of texts, parts joined by a bar and the encoded tuple mean the same key."""
    assert SETS["multi"].coerce(partition) == ("eu", date(2025, 1, 2))


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        (("eu",), r"a key is \(region, day\), as text region\|day"),
        (("eu", "2025-01-02", 1), r"a key is \(region, day\)"),
        ("eu", r"a key is \(region, day\)"),
        ("eu|2025-02-01", "has 9 keys from 2025-01-01 to 2025-01-09"),
        (("mars", "2025-01-02"), "'mars' is not in StaticPartitions"),
        (("eu", "2025-02-01"), "9 keys from 2025-01-01"),
        (["eu", date(2025, 1, 2)], r"a key is \(region, day\)"),
    ],
)
def test_foreign_combinations_say_what_is_wrong(partition, message):
    """The error names the dimensions, or the part that its dimension does not have."""
    with pytest.raises(PartitionError, match=message):
        SETS["multi"].coerce(partition)


def test_between_is_a_box():
    """Each part lies between the parts of the ends, so a week of some regions is a week of each."""
    box = SETS["multi"].between(("eu", "2025-01-02"), ("us", "2025-01-03"))
    assert isinstance(box, KeyProduct)
    assert box == [
        ("eu", date(2025, 1, 2)),
        ("eu", date(2025, 1, 3)),
        ("us", date(2025, 1, 2)),
        ("us", date(2025, 1, 3)),
    ]
    assert box[-1] == ("us", date(2025, 1, 3))
    assert list(box[1:3]) == list(box)[1:3]
    assert ("us", date(2025, 1, 2)) in box
    assert ("us", date(2025, 1, 4)) not in box
    assert "us" not in box
    assert box.index(("us", date(2025, 1, 2))) == 2
    with pytest.raises(IndexError):
        box[4]


def test_open_dimensions_are_closed_together():
    """Every dimension is closed at the same instant."""
    keys = MultiPartitions(region=REGIONS, day=DailyPartitions("2025-03-01"))
    assert keys.is_open
    closed = keys.as_of(NOW)
    assert not closed.is_open
    assert len(closed) == 3 * 9
    assert SETS["multi"].as_of(NOW) is SETS["multi"]
    assert len(keys) > 27


def test_dynamic_dimensions_must_be_resolved():
    """A dynamic set inside is as unknown as one on its own."""
    keys = MultiPartitions(customer=DynamicPartitions("customers"), day=DAYS)
    with pytest.raises(PartitionError, match="kept in the run store"):
        len(keys)
    known = keys.replaced(lambda part: part.resolved(["acme"]) if part != DAYS else part)
    assert known[0] == ("acme", date(2025, 1, 1))


def test_a_million_combinations_cost_nothing():
    """Items and positions are arithmetic over the dimensions."""
    keys = MultiPartitions(
        hour=HourlyPartitions("2000", "2099"), day=DailyPartitions("2000", "2099"), region=REGIONS
    )
    assert keys.size > 10**10
    last = keys.key_at(keys.size - 1)
    assert last in keys
    assert keys.index(last) == keys.size - 1


@pytest.mark.parametrize(
    ("dimensions", "message"), [({}, "no dimensions"), ({"day": "2025-01-01"}, "takes partition sets")]
)
def test_dimensions_are_sets(dimensions, message):
    """No dimension, or one that is no set, is refused."""
    with pytest.raises(PartitionError, match=message):
        MultiPartitions(**dimensions)


def test_the_names_and_order_of_dimensions_matter():
    """Two multi-dimensional sets are equal only if name, order and set of every dimension are."""
    assert MultiPartitions(a=REGIONS, b=DAYS) == MultiPartitions(a=StaticPartitions(list(REGIONS)), b=DAYS)
    assert MultiPartitions(a=REGIONS, b=DAYS) != MultiPartitions(b=DAYS, a=REGIONS)
    assert MultiPartitions(a=REGIONS, b=DAYS) != MultiPartitions(a=REGIONS, c=DAYS)
