"""Instances of users' classes: rebuilt exactly, from classes that are there anyway, or not at all."""

from __future__ import annotations

import dataclasses
import enum
import gc
import math
import re
import subprocess
import sys
import types
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from flowstone.errors import IOManagerError
from flowstone.io import FileIO
from flowstone.io.codecs import CodecError
from flowstone.io.codecs.classes import Classes
from flowstone.io.codecs.encoding import decode_tree, encode_tree
from tests.io import shop
from tests.io.contract import target
from tests.io.exactness import assert_same


def round_trip(value, *, written=None, read=None):
    """The value encoded, and decoded as by another process that has the same modules."""
    return decode_tree(encode_tree(value, written or Classes()), read or Classes())


def order(**changes):
    """An order with a bit of everything."""
    fields = {
        "id": UUID(int=7),
        "day": date(2025, 1, 15),
        "at": datetime(2025, 1, 15, 12, tzinfo=UTC),
        "items": [shop.Item(sku="a", price=Decimal("1.10"), tags=frozenset({"x", "y"}))],
    }
    return shop.Order(**{**fields, **changes})


# Exact ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        order(score=1.5),
        order(score=math.inf, colour=shop.Colour.BLUE, position=shop.Point(1, 2)),
        order(score=0.0, notes={"t": (1, 2), "d": date(2025, 1, 1), "n": {1: "x"}, "b": b"\xff"}),
        order(score=0.0, items=[shop.GiftItem(sku="g", price=Decimal(1), greeting="hi")]),
        shop.Frozen(x=1),
        shop.Numbers([1, 2]),
        shop.BoxOfItem(content=shop.Item(sku="a", price=Decimal(1))),
        shop.Box(content=(1, 2)),
        shop.Site(url="https://example.org/?q=1", address="127.0.0.1", path="a/b", aliasUrl="http://x.org"),
        shop.Line("a", 2, {"t": (1,), 3: None}),
        shop.Key("eu", date(2025, 1, 15)),
        shop.Tree(1, [shop.Tree(2), shop.Tree((shop.Tree(3),))]),
        shop.Checked(1),
        shop.Outer.Inner(1),
        shop.Colour.RED,
        shop.Colour.CRIMSON,
        shop.Size.SMALL,
        shop.Access.ALL,
        shop.Point(1.0),
        shop.Point(math.inf, -0.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_instances_come_back_exactly(value):
    """Models, dataclasses, enum members and named tuples come back equal and of their class, at any depth."""
    assert_same(round_trip(value), value)
    assert_same(round_trip([value, {"k": (value,)}]), [value, {"k": (value,)}])
    # Sorted, because equal sets may show their members in different orders.
    assert sorted(repr(round_trip(value))) == sorted(repr(value))


def test_nan_in_a_model_comes_back():
    """A model's own JSON would turn NaN into null."""
    assert math.isnan(round_trip(order()).score)


def test_instances_may_be_keys_and_members():
    """Hashable instances come back as keys of dicts and members of sets."""
    key = shop.Key("eu", date(2025, 1, 15))
    value = {key: {shop.Colour.RED, shop.Size.SMALL}, shop.Point(1, 2): frozenset({key})}
    assert_same(round_trip(value), value)


def test_everything_pydantic_keeps_comes_back():
    """Aliases, extra fields, excluded fields, private attributes and the set of fields that were given."""
    model = shop.Aliased(grandTotal=3, hidden="yes", other=(1, 2))
    model._seen.add(7)
    assert model.double == 6
    back = round_trip(model)
    assert back == model
    assert (back.total, back.hidden, back.other, back._seen) == (3, "yes", (1, 2), {7})
    assert back.model_fields_set == model.model_fields_set == {"total", "hidden", "other"}
    assert "double" not in vars(back)
    assert back.double == 6
    with pytest.raises(AttributeError):
        _ = back._unset


def test_validators_do_not_run_a_second_time():
    """A validator that changes its input has had its say when the model was made."""
    model = shop.Hashing(password="x")
    assert round_trip(model).password == "hash(x)"


def test_post_init_does_not_run_a_second_time():
    """A dataclass gets back all its attributes, computed ones included, without its __init__."""
    value = shop.Computed(3, factor=5)
    value.secret = "s"
    assert value.square == 9
    back = round_trip(value)
    assert (back.base, back.product, back.runs, back.secret) == (3, 15, ["ran"], "s")
    assert "square" not in vars(back)


def test_an_attribute_that_is_not_set_stays_unset():
    """A field without a value is not invented."""
    value = shop.Line("a")
    del value.options
    assert not hasattr(round_trip(value), "options")


@settings(deadline=None)
@given(
    st.builds(
        shop.Line,
        st.text(),
        st.integers(),
        st.dictionaries(st.text(), st.floats() | st.tuples(st.text(st.characters(codec=None)), st.none())),
    )
)
def test_any_state_of_a_dataclass_comes_back(value):
    """Whatever values its fields hold, NaN and lone surrogates included."""
    assert_same(round_trip(value), value)


# Refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            shop.Login(secret="s"),
            r"of type pydantic\.types\.SecretStr, which no codec takes, at value\.secret; hand it to those",
        ),
        (shop.Box(content=object()), r"of type object, which no codec takes, at value\.content;"),
        ([shop.Tree(1, [shop.Tree(object())])], r"at value\[0\]\.children\[0\]\.value;"),
        (shop.Named("x"), r"Named, a dataclass that is built in a way of its own; return a plain dataclass"),
        (order(notes={"x": [1, {"y": object()}]}), r"at value\.notes\['x'\]\[1\]\['y'\];"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_would_change_is_refused(value, message):
    """A secret, a value that JSON would flatten, and unknown types are refused with their place."""
    with pytest.raises(CodecError, match=message):
        round_trip(value)


@pytest.mark.parametrize(
    "value",
    [
        shop.Access.READ, shop.Access(0), shop.Right.READ | shop.Right.RUN, shop.Right(0), shop.Right(64 + 1),
        shop.Right(-1), ~shop.Right.READ, re.IGNORECASE | re.MULTILINE,
    ],
)  # fmt: skip
def test_flags_and_their_combinations_come_back(value):
    """A combination is stored by the names in it, and what has no name by its number."""
    assert round_trip(value) is value or (round_trip(value), type(round_trip(value))) == (value, type(value))


def test_a_combination_with_a_flag_that_is_gone_is_an_error():
    """A number that now means something else is not guessed at."""
    changed = enum.IntFlag("Right", {"READ": 2, "RUN": 1})
    assert loaded_as(shop.Right.READ | shop.Right.RUN, changed) == 3
    with pytest.raises(CodecError, match=r"Right no longer has a member 'RUN'"):
        loaded_as(shop.Right.READ | shop.Right.RUN, enum.IntFlag("Right", {"READ": 2}))


def test_instances_nested_too_deep_are_refused():
    """A chain of instances longer than can be read again is refused like any other nesting."""
    tree = shop.Tree(0)
    for _ in range(1_000):
        tree = shop.Tree(0, [tree])
    with pytest.raises(CodecError, match=r"nested deeper than 100 levels"):
        encode_tree(tree, Classes())


# Where classes come from ------------------------------------------------------------------------------------


def forged(tag, name):
    """A file that names a class of its choice."""
    content = {
        "$enum": f'["{name}","X"]',
        "$flags": f'["{name}",["X"],0]',
        "$pydantic": f'["{name}","1"]',
        "$namedtuple": f'["{name}",[1]]',
        "$dataclass": f'{{"class":"{name}","fields":{{}}}}',
        "$model": f'{{"class":"{name}","shape":"","fields":{{}},"set":{{"$set":[]}}}}',
        "$model_json": f'["{name}","{{}}"]',
    }[tag]
    return f'{{"{tag}":{content}}}'.encode()


TAGS = ["$enum", "$flags", "$pydantic", "$namedtuple", "$dataclass", "$model", "$model_json"]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(
    "name",
    [
        "os:system", "subprocess:Popen", "builtins:eval", "builtins:dict", "antigravity:x", "this:s",
        "nowhere:X", "", ":", "os", "tests.io.shop", "tests.io.shop:", "tests.io.shop:Nothing",
        "tests.io.shop:Outer", "tests.io.shop:Order.__init__", "tests.io.shop:Item.model_validate",
        "tests.io.shop:__builtins__.eval", "tests.io.shop:T", "sys:modules", "tests.io.shop:enum.Enum.x",
    ],
)  # fmt: skip
def test_a_file_reaches_no_class_but_of_its_kind(tag, name):
    """Functions, builtins, modules and classes of another kind are never found, and nothing is imported."""
    before = set(sys.modules)
    with pytest.raises(
        CodecError, match=r"is not in this process, and loading imports nothing; import its module"
    ):
        decode_tree(forged(tag, name), Classes())
    assert set(sys.modules) == before


def test_a_class_of_one_kind_is_not_found_as_another():
    """A dataclass is no model and a model no enum, whatever the file says."""
    for tag, name in (
        ("$model", "Line"),
        ("$enum", "Order"),
        ("$dataclass", "Order"),
        ("$namedtuple", "Line"),
    ):
        with pytest.raises(CodecError, match=r"is not in this process"):
            decode_tree(forged(tag, f"tests.io.shop:{name}"), Classes())


def test_a_lazy_module_is_not_asked():
    """A module's `__getattr__`, which may import anything, is not called."""
    module = types.ModuleType("lazy_module_of_a_test")
    module.__getattr__ = lambda name: pytest.fail(f"asked for {name}")
    sys.modules[module.__name__] = module
    try:
        with pytest.raises(CodecError, match=r"is not in this process"):
            decode_tree(forged("$dataclass", "lazy_module_of_a_test:Thing"), Classes())
    finally:
        del sys.modules[module.__name__]


def test_a_class_whose_module_is_not_imported_is_named_with_a_remedy():
    """The error names the class and how to make it known."""
    data = encode_tree(shop.Line("a"), Classes()).replace(b"tests.io.shop", b"shop_of_old")
    with pytest.raises(CodecError) as raised:
        decode_tree(data, Classes())
    assert str(raised.value) == (
        "its class shop_of_old.Line is not in this process, and loading imports nothing; "
        "import its module first, or pass models=[Line] to the IO manager."
    )


def test_a_given_class_is_found_without_its_module(monkeypatch):
    """`models=` makes a class known even when its module is not imported."""
    data = encode_tree(shop.Line("a"), Classes())
    monkeypatch.delitem(sys.modules, "tests.io.shop")
    with pytest.raises(CodecError, match=r"is not in this process"):
        decode_tree(data, Classes())
    assert decode_tree(data, Classes([shop.Line])) == shop.Line("a")


def test_a_class_stored_by_a_script_is_found_when_the_script_is_a_module():
    """What `python shop.py` stored as `__main__:Line` loads where shop's classes are given."""
    data = encode_tree(shop.Line("a"), Classes()).replace(b"tests.io.shop:", b"__main__:")
    assert decode_tree(data, Classes([shop.Line])) == shop.Line("a")
    with pytest.raises(CodecError, match=r"__main__.Line is not in this process"):
        decode_tree(data, Classes())


def test_a_local_class_is_found_by_who_stored_it():
    """A class defined in a function loads in this process, and elsewhere where it is given."""

    @dataclasses.dataclass
    class Local:
        x: int

    class LocalModel(BaseModel):
        x: int

    class LocalEnum(enum.Enum):
        A = 1

    value = [Local(1), LocalModel(x=1), LocalEnum.A]
    classes = Classes()
    assert round_trip(value, written=classes, read=classes) == value
    assert round_trip(value, read=Classes([Local, LocalModel, LocalEnum])) == value
    with pytest.raises(CodecError, match=r"Local is not in this process.*models=\[Local\]"):
        round_trip(value)


def test_stored_classes_are_not_kept_alive():
    """Having stored an instance of a class does not keep the class for ever."""

    @dataclasses.dataclass
    class Local:
        x: int

    classes = Classes()
    data = encode_tree(Local(1), classes)
    del Local
    gc.collect()
    with pytest.raises(CodecError, match=r"is not in this process"):
        decode_tree(data, classes)


async def test_models_are_given_to_fileio(root):
    """`FileIO(models=[...])` loads what a FileIO without them refuses, and the record names the codec."""

    class Local(BaseModel):
        x: int

    writer, knowing, other = FileIO(root), FileIO(root, models=[Local]), FileIO(root)
    stored = await writer.store(target(), Local(x=1))
    assert stored.metadata == {"codec": "pydantic"}
    assert await knowing.load(stored.location) == Local(x=1)
    with pytest.raises(
        IOManagerError, match=r"^Cannot load 'orders/.*Local is not in this process.*models=\[Local\]"
    ):
        await other.load(stored.location)
    line = await writer.store(target(attempt=2), shop.Line("a"))
    assert line.metadata == {"codec": "dataclass"}
    for files in (writer, knowing, other):
        await files.teardown()


NO_PYDANTIC = """
import asyncio, dataclasses, sys
from flowstone.io import FileIO, Target

@dataclasses.dataclass
class Line:
    sku: str

async def main():
    files = FileIO(sys.argv[1])
    for attempt, value in enumerate([Line("a"), {"a": 1}, "x", b"x"]):
        stored = await files.store(Target("a", None, "r", attempt), value)
        assert await files.load(stored.location) == value

asyncio.run(main())
heavy = {"pydantic", "polars", "pandas", "pyarrow", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_nothing_heavy_is_imported_for_ordinary_values(root):
    """Pydantic and the table libraries are touched only by values that come from them."""
    command = [sys.executable, "-W", "error", "-c", NO_PYDANTIC, str(root)]
    subprocess.run(command, check=True, timeout=200)


# Classes that change ----------------------------------------------------------------------------------------


def renamed(cls, name):
    """The class, as if it were the class `name` of the shop."""
    cls.__module__, cls.__qualname__ = "tests.io.shop", name
    return cls


def loaded_as(value, cls):
    """`value` stored, and loaded after its class has become `cls`."""
    return round_trip(value, read=Classes([renamed(cls, type(value).__qualname__)]))


def test_a_model_that_gained_a_field_with_a_default_loads():
    """Old data has the default of a new field."""

    class Item(BaseModel):
        sku: str
        price: Decimal
        tags: frozenset[str] = frozenset()
        stock: int = 5

    back = loaded_as(shop.Item(sku="a", price=Decimal(1)), Item)
    assert back == Item(sku="a", price=Decimal(1), stock=5)


def test_a_model_that_changed_a_type_validates_old_data():
    """Old data passes through the class as it is now: converted if it can be."""

    class Frozen(BaseModel):
        x: float

    back = loaded_as(shop.Frozen(x=1), Frozen)
    assert_same(back.x, 1.0)


def test_a_model_that_lost_a_field_follows_its_own_rules():
    """`extra` decides about a field that is no longer there."""

    class Item(BaseModel):
        sku: str

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        sku: str

    item = shop.Item(sku="a", price=Decimal(1))
    assert loaded_as(item, Item) == Item(sku="a")
    with pytest.raises(
        CodecError,
        match=r"the model Item has changed since it was stored and refuses it \(price: Extra inputs",
    ):
        loaded_as(item, Strict)


def test_a_changed_model_gets_its_old_data_by_alias():
    """Fields with an alias are given by the name the class takes."""

    class Aliased(BaseModel):
        model_config = ConfigDict(extra="allow")
        total: float = pydantic.Field(alias="grandTotal")
        hidden: str = pydantic.Field(default="", validation_alias=pydantic.AliasChoices("h", "hid"))

    back = loaded_as(shop.Aliased(grandTotal=3, hidden="yes", other=1), Aliased)
    assert (back.total, back.hidden, back.other) == (3.0, "yes", 1)


def test_a_model_that_refuses_old_data_is_a_clear_error():
    """A new field without a default is an error that says what to do."""

    class Frozen(BaseModel):
        x: int
        y: int

    with pytest.raises(
        CodecError, match=r"model Frozen has changed.*\(y: Field required\); materialize it again, or let"
    ):
        loaded_as(shop.Frozen(x=1), Frozen)


def test_a_validator_that_breaks_on_old_data_is_a_clear_error():
    """Any exception of the changed class is reported, not only a validation error."""

    class Frozen(BaseModel):
        x: float

        @pydantic.field_validator("x")
        @classmethod
        def refuse(cls, value):
            raise RuntimeError(f"no {value}")

    with pytest.raises(CodecError, match=r"has changed .* \(RuntimeError: no 1.0\); materialize it again"):
        loaded_as(shop.Frozen(x=1), Frozen)


def test_a_dataclass_that_gained_fields_with_defaults_loads():
    """New fields have their defaults."""

    @dataclasses.dataclass
    class Line:
        sku: str
        amount: int = 1
        options: dict = dataclasses.field(default_factory=dict)
        colour: str = "red"
        tags: list = dataclasses.field(default_factory=list)

    back = loaded_as(shop.Line("a", 2, {"x": 1}), Line)
    assert back == Line("a", 2, {"x": 1}, "red", [])


def test_a_dataclass_that_lost_a_field_or_gained_one_without_default_is_an_error():
    """A plain dataclass cannot say what to do with old data, so it is not guessed."""

    @dataclasses.dataclass
    class Lost:
        sku: str

    @dataclasses.dataclass
    class Gained:
        weight: float
        sku: str
        amount: int = 1
        options: dict = dataclasses.field(default_factory=dict)

    with pytest.raises(CodecError, match=r"Line no longer has the field 'amount'; materialize it again"):
        loaded_as(shop.Line("a"), Lost)
    with pytest.raises(
        CodecError, match=r"Line has gained the field 'weight', which has no default; give it one"
    ):
        loaded_as(shop.Line("a"), Gained)


def test_an_enum_or_named_tuple_that_changed_is_an_error():
    """A member that is gone and a tuple of another length are not guessed."""
    changed_enum = enum.Enum("Colour", {"GREEN": "green"})
    changed_tuple = type("Point", (tuple,), {"_fields": ("x", "y", "z")})
    with pytest.raises(
        CodecError, match=r"Colour no longer has a member 'RED'; .*keep the old name as an alias"
    ):
        loaded_as(shop.Colour.RED, changed_enum)
    with pytest.raises(CodecError, match=r"fields of Point have changed since; materialize it again"):
        loaded_as(shop.Point(1), changed_tuple)


def test_the_shape_of_a_model_does_not_depend_on_the_process():
    """Annotations that print an address give the same file, and digest, in every process."""

    def model():
        class Local(BaseModel):
            x: list[pydantic.SkipValidation[int]]
            y: pydantic.types.Annotated[list[pydantic.types.Annotated[int, object()]], 1] = []

        return renamed(Local, "Local")

    assert encode_tree(model()(x=[1]), Classes()) == encode_tree(model()(x=[1]), Classes())
