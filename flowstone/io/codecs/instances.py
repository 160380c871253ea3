"""Instances of the user's own classes as JSON: dataclasses, pydantic models, enums and named tuples.

An instance is its class's name and its state, and is rebuilt by putting the state back, as `copy` and
`pickle` do: no `__init__`, `__post_init__` or validator runs, because running them twice may change a value
(one that hashes a password, say, or strips a prefix).
"""

from __future__ import annotations

import dataclasses
from enum import Enum, Flag
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from flowstone.io.codecs.attributes import attributes, encode_attributes, put_back
from flowstone.io.codecs.codec import CodecError, type_name
from flowstone.io.codecs.models import decode_model, decode_model_json, encode_model, is_model
from flowstone.io.codecs.pydantic_types import (
    decode_pydantic_type,
    encode_pydantic_type,
    is_of_pydantic_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.io.codecs.classes import Classes

__all__ = ["INSTANCE_TAGS", "encode_instance", "is_dataclass_instance", "is_instance_of_user_class"]

_CALLED_AS: Final = "__orig_class__"


def encode_instance(value: object, classes: Classes, encode: Callable[[Any], Any]) -> dict[str, Any] | None:
    """The instance as a tagged object, or None if it is of no kind known here.

    Args:
        value: Anything.
        classes: Where its class will be looked for.
        encode: Encodes a part of its state.
    """
    if isinstance(value, Enum):
        return _encode_enum(value, classes)
    if is_model(value):
        return encode_model(value, classes, encode)
    if is_dataclass_instance(value):
        return _encode_dataclass(value, classes, encode)
    if _is_named_tuple(value):
        return _encode_named_tuple(value, classes, encode)
    if is_of_pydantic_type(value):
        return encode_pydantic_type(value, classes)
    return None


def is_dataclass_instance(value: object) -> bool:
    """Whether `value` is an instance of a dataclass (stdlib's or pydantic's)."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def is_instance_of_user_class(value: object) -> bool:
    """Whether `encode_instance` has a way to write `value`."""
    return (
        isinstance(value, Enum)
        or is_model(value)
        or is_dataclass_instance(value)
        or _is_named_tuple(value)
        or is_of_pydantic_type(value)
    )


# Enums ------------------------------------------------------------------------------------------------------


def _encode_enum(value: Enum, classes: Classes) -> dict[str, Any]:
    cls = type(value)
    if cls.__members__.get(value.name) is value:
        return {"$enum": [classes.name(cls), value.name]}
    if isinstance(value, Flag):
        names, rest = _named_flags(value)
        if _combined(cls, names, rest) is value:
            return {"$flags": [classes.name(cls), names, rest]}
    raise CodecError(f"it contains {value!r}, which is not a member of its class", "store its value")


def _named_flags(value: Flag) -> tuple[list[str], int]:
    """The names in a combination, and what is left without a name."""
    rest: int = value.value
    names = []
    for name, member in type(value).__members__.items():
        if member.name == name and member.value and rest & member.value == member.value:
            names.append(name)
            rest &= ~member.value
    return names, rest


def _decode_enum(content: list[Any], classes: Classes) -> object:
    cls = classes.find(content[0], lambda found: issubclass(found, Enum))
    return _member(cls, content[1])


def _decode_flags(content: list[Any], classes: Classes) -> object:
    name, names, rest = content
    return _combined(classes.find(name, lambda found: issubclass(found, Flag)), names, rest)


def _combined(cls: Any, names: list[str], rest: int) -> object:
    return reduce(or_, (_member(cls, each) for each in names), cls(rest))


def _member(cls: Any, name: str) -> Any:
    member = cls.__members__.get(name)
    if member is None:
        raise CodecError(
            f"{cls.__qualname__} no longer has a member {name!r}",
            "materialize it again, or keep the old name as an alias",
        )
    return member


# Named tuples -----------------------------------------------------------------------------------------------


def _is_named_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple) and _is_named_tuple_class(type(value))


def _is_named_tuple_class(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def _encode_named_tuple(
    value: tuple[Any, ...], classes: Classes, encode: Callable[[Any], Any]
) -> dict[str, Any]:
    cls = type(value)
    content: list[Any] = [classes.name(cls), [encode(item) for item in tuple.__iter__(value)]]
    kept = attributes(value, classes.slots(cls))  # A subclass that says nothing of slots has a `__dict__`.
    if kept:
        content.append(_encode_others(kept, classes, encode))
    return {"$namedtuple": content}


def _decode_named_tuple(content: list[Any], classes: Classes) -> object:
    name, items, *kept = content
    cls: Any = classes.find(name, _is_named_tuple_class)
    if len(cls._fields) != len(items):
        raise CodecError(f"the fields of {cls.__qualname__} have changed since", "materialize it again")
    instance = tuple.__new__(cls, items)
    if kept:
        put_back(instance, _decode_others(kept[0], classes), classes.slots(cls))
    return instance


# Dataclasses ------------------------------------------------------------------------------------------------


def _encode_dataclass(value: Any, classes: Classes, encode: Callable[[Any], Any]) -> dict[str, Any]:
    cls: Any = type(value)
    if cls.__new__ is not object.__new__:
        raise CodecError(
            f"it contains a {type_name(value)}, a dataclass that is built in a way of its own",
            'return a plain dataclass, or store it with an IO manager that has codec="pickle"',
        )
    kept = attributes(value, classes.slots(cls))
    fields, unset = {}, []
    for field in dataclasses.fields(cls):
        if field.name in kept:
            fields[field.name] = kept.pop(field.name)
            continue
        unset.append(field.name)
        if _is_read_from_class(cls, field, field.default):
            fields[field.name] = field.default  # The class may have another one day.
    content = {
        "class": classes.name(cls),
        "fields": encode_attributes(fields, encode),
        **_encode_others(kept, classes, encode),
    }
    if unset:
        content["unset"] = unset
    return {"$dataclass": content}


def _decode_dataclass(content: dict[str, Any], classes: Classes) -> object:
    cls: Any = classes.find(content["class"], dataclasses.is_dataclass)
    instance = object.__new__(cls)
    unset = content.get("unset", ())
    gained = _defaults(cls, {*content["fields"], *unset})
    kept = {**gained, **content["fields"], **_decode_others(content, classes)}
    for field in dataclasses.fields(cls):
        if field.name in unset and field.name in kept and _is_read_from_class(cls, field, kept[field.name]):
            del kept[field.name]
    put_back(instance, kept, classes.slots(cls))
    return instance


def _is_read_from_class(cls: Any, field: dataclasses.Field[Any], value: object) -> bool:
    """Whether an instance without the attribute has this value of the field nevertheless: its default."""
    default = field.default
    if default is dataclasses.MISSING or hasattr(default, "__get__"):  # None, or a property's.
        return False
    return getattr(cls, field.name, dataclasses.MISSING) is default and _is_same_plain(default, value)


def _is_same_plain(default: object, value: object) -> bool:
    return default is value or (type(default) is type(value) and repr(default) == repr(value))


def _encode_others(kept: dict[str, Any], classes: Classes, encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Attributes beside the fields. A generic class notes there what it was called as, such as `Box[int]`."""
    alias = kept.pop(_CALLED_AS, None)
    content = {} if alias is None else {"called_as": classes.type_name(alias)}
    if kept:
        content["others"] = encode_attributes(kept, encode)
    return content


def _decode_others(content: dict[str, Any], classes: Classes) -> dict[str, Any]:
    others = content.get("others", {})
    if "called_as" not in content:
        return others  # type: ignore[no-any-return]  # it is JSON, and a dict
    return {**others, _CALLED_AS: classes.type_of(content["called_as"])}


def _defaults(cls: Any, then: set[str]) -> dict[str, Any]:
    """Values for fields the class has gained since; fields it has lost are an error, not a silent loss."""
    now = {f.name: f for f in dataclasses.fields(cls)}
    lost = sorted(then - now.keys())
    if lost:
        raise CodecError(f"{cls.__qualname__} no longer has the field {lost[0]!r}", "materialize it again")
    return {name: _default(cls, f) for name, f in now.items() if name not in then and f.init}


def _default(cls: Any, field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise CodecError(
        f"{cls.__qualname__} has gained the field {field.name!r}, which has no default",
        "give it one, or materialize it again",
    )


INSTANCE_TAGS: Final[Mapping[str, Callable[[Any, Classes], object]]] = {
    "$enum": _decode_enum,
    "$flags": _decode_flags,
    "$namedtuple": _decode_named_tuple,
    "$dataclass": _decode_dataclass,
    "$model": decode_model,
    "$model_json": decode_model_json,
    "$pydantic": decode_pydantic_type,
}
"""How each kind is rebuilt, by tag."""
