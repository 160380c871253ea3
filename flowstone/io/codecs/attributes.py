"""The attributes of an instance: where Python keeps them, which is in its `__dict__` and in slots.

What is stored is what is kept there, not what `getattr` says: a property is code, not state, and a slot that a
base class has is state though no field names it.
"""

from __future__ import annotations

import functools
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.io.codecs.codec import CodecError, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Slots", "attributes", "encode_attributes", "is_cached", "put_back", "slots_of"]


class Slots(NamedTuple):
    """The slots of a class, those of its bases included.

    Attributes:
        names: Those an instance can be asked for.
        hidden: Those that a subclass has given the name of to something else, with the base's place in the MRO.
    """

    names: frozenset[str]
    hidden: tuple[tuple[int, str], ...]


def slots_of(cls: type) -> Slots:
    """The slots of `cls`, but for what pydantic keeps in its own."""
    names: set[str] = set()
    hidden: list[tuple[int, str]] = []
    seen: set[str] = set()
    for place, base in enumerate(cls.__mro__):
        own = vars(base)
        if "__slots__" in own:
            for name, member in own.items():
                if type(member) is not MemberDescriptorType or name.startswith("__pydantic_"):
                    continue
                if name in seen:
                    hidden.append((place, name))
                else:
                    names.add(name)
        seen.update(own)
    return Slots(frozenset(names), tuple(hidden))


def attributes(value: object, slots: Slots) -> dict[str, Any]:
    """What the instance keeps, by name; cached properties, which are computed again when asked for, are left out.

    Raises:
        CodecError: It keeps something where nobody can put it back.
    """
    cls = type(value)
    kept = {name: part for name, part in getattr(value, "__dict__", {}).items() if not is_cached(cls, name)}
    for name in slots.names:
        try:
            kept[name] = object.__getattribute__(value, name)
        except AttributeError:
            continue
    for place, name in slots.hidden:
        if hasattr(_Hidden(vars(cls.__mro__[place])[name], value), "content"):
            raise CodecError(
                f"it contains a {type_name(value)}, which keeps something in the slot {name!r} of a base class "
                f"that another attribute of that name hides",
                "give the two different names",
            )
    return kept


class _Hidden(NamedTuple):
    slot: MemberDescriptorType
    owner: object

    @property
    def content(self) -> object:
        return self.slot.__get__(self.owner)


def encode_attributes(kept: Mapping[str, Any], encode: Callable[[Any], Any]) -> Any:
    """Every attribute encoded; a refusal says which one it was. Decoded, it is a dict again."""
    if not all(map(_is_ordinary, kept)):
        return encode(dict(kept))  # Names that JSON may not be able to say, or would take for a tag.
    encoded = {}
    for name, part in kept.items():
        try:
            encoded[name] = encode(part)
        except CodecError as error:
            error.inside(f".{name}")
            raise
    return encoded


def _is_ordinary(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier()


def put_back(value: object, kept: Mapping[str, Any], slots: Slots) -> None:
    """Give a new instance its attributes; no setter of the user's runs, and frozen ones take them too.

    Raises:
        CodecError: Its class has no place for one of them any more.
    """
    own = getattr(value, "__dict__", None)
    for name, part in kept.items():
        if name in slots.names:
            object.__setattr__(value, name, part)
        elif own is not None:
            own[name] = part
        else:
            raise CodecError(
                f"{type(value).__qualname__} no longer has the attribute {name!r}", "materialize it again"
            )


def is_cached(cls: type, name: str) -> bool:
    """Whether the attribute is a `functools.cached_property`, which will be computed again when asked for."""
    return isinstance(getattr(cls, name, None), functools.cached_property)
