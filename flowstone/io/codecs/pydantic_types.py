"""Single values of types that tell pydantic how to write them: URLs, byte sizes, the user's own.

Such a value is written as its type's JSON, provided that this very text leads back to an equal value.

Loading validates the text with the type's own schema. `ImportString`, which would import whatever the text says,
is never asked.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowstone.io.codecs.attributes import attributes
from flowstone.io.codecs.codec import CodecError, type_name
from flowstone.io.codecs.remedies import remedy_for

if TYPE_CHECKING:
    from flowstone.io.codecs.classes import Classes

__all__ = ["decode_pydantic_type", "encode_pydantic_type", "is_of_pydantic_type"]


def is_of_pydantic_type(value: object) -> bool:
    """Whether the type of `value` has a pydantic schema of its own."""
    return _has_schema(type(value))


def encode_pydantic_type(value: Any, classes: Classes) -> dict[str, Any]:
    """The value as a tagged object.

    Raises:
        CodecError: Its JSON does not lead back to it, as that of a `SecretStr` does not.
    """
    cls = type(value)
    if hasattr(cls, "get_secret_value"):
        raise CodecError(
            f"it contains a value of type {type_name(value)}, which no codec takes", remedy_for(value)
        )
    with suppress(Exception):  # It is the user's code; whatever it raises, the value has no JSON.
        text = classes.adapter(cls).dump_json(value).decode()
        if _is_same(classes.adapter(cls).validate_json(text), value, classes):
            return {"$pydantic": [classes.name(cls), text]}
    raise CodecError(
        f"it contains a value of type {type_name(value)}, whose own JSON does not lead back to it",
        remedy_for(value),
    )


def decode_pydantic_type(content: list[str], classes: Classes) -> object:
    """The value of a `$pydantic` object."""
    cls = classes.find(content[0], _has_schema)
    value = classes.adapter(cls).validate_json(content[1])
    if type(value) is not cls:
        raise CodecError(f"{cls.__qualname__} now makes a {type_name(value)} of it", "materialize it again")
    return value


def _has_schema(cls: type) -> bool:
    if not hasattr(cls, "__get_pydantic_core_schema__"):
        return False
    importing = getattr(sys.modules.get("pydantic.types"), "ImportString", None)
    return importing is None or not issubclass(cls, importing)


def _is_same(loaded: Any, value: Any, classes: Classes) -> bool:
    # `repr` as well, because `==` alone takes one type for another; and what it keeps, which may be in neither.
    slots = classes.slots(type(value))
    return (
        type(loaded) is type(value)
        and loaded == value
        and repr(loaded) == repr(value)
        and attributes(loaded, slots) == attributes(value, slots)
    )
