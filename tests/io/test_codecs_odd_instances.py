"""Instances whose state lies in unusual places, and generic ones: kept whole, or refused with a reason."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import typing
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest
from pydantic import Field

from flowstone.io import FileIO
from flowstone.io.codecs import CodecError
from flowstone.io.codecs.classes import Classes
from flowstone.io.codecs.encoding import decode_tree, encode_tree
from flowstone.io.codecs.instances import INSTANCE_TAGS
from flowstone.io.postgres import _CLASSES
from tests.io import odd_classes as odd
from tests.io.contract import target
from tests.io.exactness import assert_same


def round_trip(value, *, read=None):
    """The value encoded, and decoded as by another process that has the same modules."""
    return decode_tree(encode_tree(value, Classes()), read or Classes())


def assert_exact(value):
    """The value comes back equal, of its type, looking the same and with the same attributes."""
    back = round_trip(value)
    assert type(back) is type(value)
    assert back == value
    assert getattr(back, "__dict__", None) == getattr(value, "__dict__", None)
    assert repr(back) == repr(value)
    assert getattr(back, "model_fields_set", None) == getattr(value, "model_fields_set", None)
    return back


VISIT = '{"url":"http://x.org","address":"127.0.0.1","at":"2025-01-01T00:00:00+05:30","size":"3kb"}'
PARSED = odd.Visit.model_validate_json(VISIT)


# pydantic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        odd.Visit(url="http://x.org", address="127.0.0.1", at=datetime.now(UTC)),
        odd.Visit(url="http://x.org", address="127.0.0.1", at=PARSED.at, database="postgres://u@h1,h2/d"),
        odd.Network(net="10.0.0.0/8", interface="::1/64", pattern="a+", share="1/3", moments={"a": [PARSED.at]}),
        odd.Measured(foreign=odd.Foreign(3), at=PARSED.at, anything=(1, {2}), many=[1], unit=odd.Unit("kg")),
        odd.OpenSecret(secret="s"),
        odd.LoopAffinity(pet=odd.Cat(lives=9), others=(odd.Dog(dogName="x"), odd.Cat(lives=1))),
        odd.Urls(["http://x.org"]),
        odd.OrderPage(items=[odd.Cat(lives=1)]),
        odd.OpenChecked(1, other=(2,)),
        odd.Unit("kg"),
        [PARSED.url, PARSED.size],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_models_keep_what_only_pydantic_can_write_beside_everything_else(value):
    """A URL does not send the whole model to its own JSON: the set of given fields and the types of others stay."""
    assert_exact(value)
    assert_exact([value, {"k": (value,)}])


def test_a_model_with_a_field_only_it_can_write_keeps_the_rest():
    """Private attributes and exact types are kept beside a field that goes by the model's own JSON."""
    value = odd.Measured(foreign=odd.Foreign(3), at=PARSED.at, anything=(1,))
    value._seen = 7
    back = assert_exact(value)
    assert back._seen == 7
    assert_same(back.anything, (1,))
    content = json.loads(encode_tree(value, Classes()))["$model"]
    assert content["own_json"][0] == ["foreign"]


def test_a_field_only_the_model_can_write_passes_through_a_changed_class():
    """When the class has changed, its validators see the field's JSON, and the others as they were."""

    class Measured(pydantic.BaseModel):
        foreign: int
        anything: Any = None
        more: int = 5

    Measured.__module__, Measured.__qualname__ = odd.__name__, "Measured"
    value = odd.Measured(foreign=odd.Foreign(3), at=PARSED.at, anything=(1,))
    back = round_trip(value, read=Classes([Measured]))
    assert (back.foreign, back.anything, back.more) == (3, (1,), 5)


@pytest.mark.parametrize("zoned", [PARSED.at, PARSED.at.timetz(), PARSED.at.replace(fold=1)], ids=type)
def test_a_time_that_pydantic_has_parsed_keeps_its_kind_of_zone(zoned):
    """Inside containers as in models."""
    back = round_trip({"a": [zoned], zoned: 1})
    assert_same(back["a"], [zoned])
    assert_same(list(back), ["a", zoned])


def test_a_type_whose_json_has_not_all_it_keeps_is_refused():
    """An attribute that is in neither `==` nor `repr` is compared as well."""
    value = odd.Forgetful("kg")
    assert_exact(value)
    value.note = "x"
    with pytest.raises(
        CodecError, match=r"Forgetful, whose own JSON does not lead back to it, at value\[0\]; "
    ):
        round_trip([value])


@pytest.mark.parametrize(
    "secret",
    [
        pydantic.SecretStr("s"),
        pydantic.SecretBytes(b"s"),
        pydantic.Secret[int](1),
        pydantic.SecretStr("*" * 10),
    ],
)
def test_a_secret_is_refused_and_does_not_show(secret):
    """Neither its stars nor itself are stored, and the remedy is a resource."""
    with pytest.raises(CodecError, match=r"Secret.*which no codec takes, at value.*; hand it") as raised:
        round_trip({"k": secret})
    assert repr(secret.get_secret_value()) not in str(raised.value)


def test_a_computed_field_is_computed_again():
    """Its cached value is no state."""
    home = odd.LoopAffinity(pet=odd.Cat(lives=9))
    assert home.size == 1
    back = round_trip(home)
    assert "size" not in vars(back)
    assert back.size == 1


# Generic classes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        odd.Page[odd.Cat],
        odd.Page[None],
        odd.Page[Any],
        odd.Page[int | None],
        odd.Page[Optional[typing.List[int]]],  # noqa: UP006, UP045 - another class than Page[list[int] | None]
        odd.Page[dict[str, tuple[int, ...]] | None],
        odd.Page[Literal["a", 1, True]],
        odd.Page[odd.Page[odd.Cat]],
        odd.Pair[int, odd.Page[odd.Box[int]]],
    ],
)
def test_a_model_with_arguments_is_found_by_its_parts(made):
    """What names it leads back to the very class, and is stored once for each of its instances."""
    classes = Classes()
    assert Classes().find(json.loads(json.dumps(classes.reference(made))), lambda _: True) is made


READER = """
import asyncio, sys
from flowstone.io import FileIO
from tests.io import odd_classes as odd
back = asyncio.run(FileIO(sys.argv[1]).load(sys.argv[2]))
assert type(back) is odd.Page[odd.Cat], type(back)
assert back == odd.Page[odd.Cat](items=[odd.Cat(lives=9)]), back
"""


async def test_a_model_with_arguments_loads_in_another_process(files, root):
    """Though nobody there has written `Page[Cat]` yet."""
    stored = await files.store(target(), odd.Page[odd.Cat](items=[odd.Cat(lives=9)]))
    command = [sys.executable, "-c", READER, str(root), stored.location]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=200)


def test_models_of_one_name_with_arguments_of_one_name_stay_apart():
    """`Page[Cat]` of one Cat is never taken for `Page[Cat]` of another."""

    class Cat(pydantic.BaseModel):
        lives: int

    Cat.__qualname__ = "Cat"
    value = odd.Page[Cat](items=[Cat(lives=1)])
    assert odd.Page[Cat].__qualname__ == odd.Page[odd.Cat].__qualname__
    assert type(round_trip(value, read=Classes([odd.Page[odd.Cat], Cat]))) is odd.Page[Cat]
    with pytest.raises(CodecError, match=r"Cat is not in this process"):
        round_trip(value, read=Classes([odd.Page[odd.Cat]]))


async def test_a_given_model_with_arguments_is_found_without_its_module(root, monkeypatch):
    """`models=[Page[Cat]]` is enough to load one."""
    made = odd.Page[odd.Cat]
    writer, reader = FileIO(root), FileIO(root, models=[made, odd.Cat])
    stored = await writer.store(target(), made(items=[odd.Cat(lives=1)]))
    monkeypatch.delitem(sys.modules, odd.__name__)
    assert type(await reader.load(stored.location)) is made
    for files in (writer, reader):
        await files.teardown()


@pytest.mark.parametrize("argument", [Annotated[int, Field(gt=1)], odd.T], ids=str)
def test_an_argument_without_a_name_is_refused(argument):
    """An annotation or a type variable cannot be found again; a class of its own can."""
    with pytest.raises(CodecError, match=r"cannot be (found|put).*; give the type a name of its own: class "):
        round_trip([odd.Box[argument](1), odd.Pair[argument, int](left=2, right=1)][:1])


def test_generic_instances_keep_what_they_were_called_as():
    """`Box[int](1)` comes back as one that knows it is a `Box[int]`."""
    for value in (
        odd.Box[int](1),
        odd.FrozenBox[list[odd.Cat]]([odd.Cat(lives=1)]),
        odd.GenericPoint[int](1),
    ):
        back = assert_exact(value)
        assert getattr(back, "__orig_class__", None) == getattr(value, "__orig_class__", None)
    assert_exact(odd.Box(1))


@pytest.mark.parametrize(
    "name",
    [
        ["os:system", ["builtins:int"]], ["subprocess:Popen", ["builtins:int"]], ["antigravity:x", []],
        ["builtins:eval", ["builtins:int"]], ["typing:Annotated", ["builtins:int", "builtins:int"]],
        ["tests.io.odd_classes:Unit", ["builtins:int"]], ["tests.io.odd_classes:Page", ["os:system"]],
        ["tests.io.odd_classes:Page", []], ["typing:Callable", ["builtins:int"]], [], [1], ["|", []], {"a": 1},
    ],
    ids=str,
)  # fmt: skip
def test_forged_parts_reach_nothing_but_classes(name):
    """Only classes that take arguments are put together, of classes, and nothing is imported."""
    before = set(sys.modules)
    content = {"class": name, "shape": "", "fields": {}, "set": {"$set": []}}
    with pytest.raises(Exception, match=r".*"):
        decode_tree(json.dumps({"$model": content}).encode(), Classes())
    assert set(sys.modules) == before


def test_a_file_cannot_make_pydantic_import_anything():
    """`ImportString` is a type with a schema that imports what it is given."""
    before = set(sys.modules)
    for name in ("pydantic.types:ImportString", "pydantic:ImportString"):
        with pytest.raises(CodecError, match=r"is not in this process"):
            decode_tree(json.dumps({"$pydantic": [name, '"antigravity"']}).encode(), Classes())
    assert set(sys.modules) == before


# Slots and attributes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [odd.OnSlots, odd.AllSlots])
def test_what_a_base_keeps_in_its_slots_comes_back(cls):
    """Private slots too, which no field names."""
    value = cls(1)
    value.note = (1, 2)
    value.hide({3})
    back = round_trip(value)
    assert (back.x, back.note, back.hidden()) == (1, (1, 2), {3})
    back = round_trip(cls(1))
    assert not hasattr(back, "note")


def test_a_slot_of_a_model_comes_back():
    """A model may have slots beside its fields."""
    value = odd.SlotModel(x=1)
    object.__setattr__(value, "cache", [1])
    assert assert_exact(value).cache == [1]
    assert not hasattr(round_trip(odd.SlotModel(x=1)), "cache")


def test_a_slot_that_nobody_can_reach_is_refused_if_it_holds_something():
    """A subclass has given its name to something else."""
    value = odd.Shadowing(1)
    assert_exact(value)
    vars(odd.SlotBase)["note"].__set__(value, 5)
    with pytest.raises(
        CodecError, match=r"keeps something in the slot 'note' of a base.*; give the two different"
    ):
        round_trip(value)


def test_attributes_of_a_named_tuple_come_back():
    """A subclass without `__slots__` takes any attribute."""
    value = odd.Marked(1)
    assert_exact(value)
    value.extra = {1: (2,)}
    assert_same(assert_exact(value).extra, {1: (2,)})


def test_a_setter_does_not_run_when_state_is_put_back():
    """What a property keeps comes back under the name it is kept."""
    value = odd.WithProperty(1)
    assert value.x == 2
    assert assert_exact(value).x == 2


def test_odd_names_of_attributes_come_back():
    """Names that are no identifiers, that look like a tag or cannot be encoded are names like others."""
    for name in ("$date", "a b", "\ud800", "of"):
        value = odd.Box(1)
        vars(value)[name] = "2025-01-15"
        assert_exact(value)


def test_a_field_that_only_the_class_has_keeps_its_value():
    """A default that is read from the class stays there, and is kept should the class have another one later."""
    value = odd.Strict(a=1, c=3)
    back = assert_exact(value)
    assert (back.b, back.e) == (5, 3)
    data = encode_tree(value, Classes()).replace(b'"b":5', b'"b":4')
    assert decode_tree(data, Classes()).b == 4


def test_a_model_that_pydantic_reads_lazily_is_refused():
    """A field of `Iterable` holds an iterator, which is used up by its first reader."""

    class Lazy(pydantic.BaseModel):
        items: typing.Iterable[int]

    with pytest.raises(CodecError, match=r"which no codec takes, at value\.items"):
        round_trip(Lazy(items=[1]))


def test_classes_of_the_user_are_decoded_off_the_loop():
    """PostgresIO decodes at once only what names no class; it knows every tag that does."""
    assert {f'"{tag}"'.encode() for tag in INSTANCE_TAGS} == set(_CLASSES)
