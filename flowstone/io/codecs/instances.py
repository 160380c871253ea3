"""Instances of the user's own classes as JSON: dataclasses, pydantic models, enums and named tuples.

An instance is its class's name and its state, and is rebuilt by putting the state back, as `copy` and
`pickle` do: no `__init__`, `__post_init__` or validator runs, because running them twice may change a value
(one that hashes a password, say, or strips a prefix).
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from flowstone.io.codecs.codec import CodecError, type_name
from flowstone.io.codecs.models import decode_model, decode_model_json, encode_model, is_model
from flowstone.io.codecs.state import encode_state, is_cached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.io.codecs.classes import Classes

__all__ = ["INSTANCE_TAGS", "encode_instance", "is_dataclass_instance", "is_instance_of_user_class"]


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
        return {"$namedtuple": [classes.name(type(value)), [encode(item) for item in value]]}
    return None


def is_dataclass_instance(value: object) -> bool:
    """Whether `value` is an instance of a dataclass (stdlib's or pydantic's)."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def is_instance_of_user_class(value: object) -> bool:
    """Whether `encode_instance` has a way to write `value`."""
    return (
        isinstance(value, Enum) or is_model(value) or is_dataclass_instance(value) or _is_named_tuple(value)
    )


# Enums ------------------------------------------------------------------------------------------------------


def _encode_enum(value: Enum, classes: Classes) -> dict[str, Any]:
    cls = type(value)
    if cls.__members__.get(value.name) is not value:
        raise CodecError(
            f"it contains {value!r}, a combination of flags without a name", "store its integer value"
        )
    return {"$enum": [classes.name(cls), value.name]}


def _decode_enum(content: list[Any], classes: Classes) -> object:
    cls = classes.find(content[0], lambda found: issubclass(found, Enum))
    assert issubclass(cls, Enum)
    member = cls.__members__.get(content[1])
    if member is None:
        raise CodecError(
            f"{cls.__qualname__} no longer has a member {content[1]!r}",
            "materialize it again, or keep the old name as an alias",
        )
    return member


# Named tuples -----------------------------------------------------------------------------------------------


def _is_named_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple) and _is_named_tuple_class(type(value))


def _is_named_tuple_class(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def _decode_named_tuple(content: list[Any], classes: Classes) -> object:
    cls: Any = classes.find(content[0], _is_named_tuple_class)
    if len(cls._fields) != len(content[1]):
        raise CodecError(f"the fields of {cls.__qualname__} have changed since", "materialize it again")
    return tuple.__new__(cls, content[1])


# Dataclasses ------------------------------------------------------------------------------------------------


def _encode_dataclass(value: Any, classes: Classes, encode: Callable[[Any], Any]) -> dict[str, Any]:
    cls: Any = type(value)
    if cls.__new__ is not object.__new__:
        raise CodecError(
            f"it contains a {type_name(value)}, a dataclass that is built in a way of its own",
            'return a plain dataclass, or store it with an IO manager that has codec="pickle"',
        )
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(cls) if hasattr(value, f.name)}
    others = {
        name: part
        for name, part in getattr(value, "__dict__", {}).items()
        if name not in fields and not is_cached(cls, name)
    }
    content = {"class": classes.name(cls), "fields": encode_state(fields, encode)}
    if others:
        content["others"] = encode_state(others, encode)
    unset = [f.name for f in dataclasses.fields(cls) if f.name not in fields]
    if unset:
        content["unset"] = unset
    return {"$dataclass": content}


def _decode_dataclass(content: dict[str, Any], classes: Classes) -> object:
    cls: Any = classes.find(content["class"], dataclasses.is_dataclass)
    instance = object.__new__(cls)
    stored = {**content["fields"], **content.get("others", {})}
    gained = _defaults(cls, {*content["fields"], *content.get("unset", ())})
    for name, part in {**gained, **stored}.items():
        object.__setattr__(instance, name, part)  # Frozen ones too.
    return instance


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
    "$namedtuple": _decode_named_tuple,
    "$dataclass": _decode_dataclass,
    "$model": decode_model,
    "$model_json": decode_model_json,
}
"""How each kind is rebuilt, by tag."""
