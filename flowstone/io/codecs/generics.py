"""Types with arguments, such as `Page[Order]`, as names that lead back to them in another process.

`Page[Order]` is in no module: it is made of `Page` and `Order` where somebody writes it. So its name is its parts:
`["shop:Page", ["shop:Order"]]`. Only what is found without importing anything is put together again, and only
classes that are made for it: built-in containers, pydantic's generic models, subclasses of `typing.Generic`.
"""

from __future__ import annotations

import typing
from functools import reduce
from operator import or_
from types import GenericAlias, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.io.codecs.codec import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["TypeName", "find_type", "is_parametrised", "name_type"]

TypeName: TypeAlias = str | list[Any]
"""`module:Class`, or a list of what is parametrised and its arguments."""

_UNION: Final = "|"
_LITERAL: Final = "Literal"
_SPECIAL: Final[Mapping[str, Any]] = {"Any": Any, "None": None, "NoneType": NoneType, "...": ...}
_CONTAINERS: Final = (list, dict, tuple, set, frozenset, type)
_ALIASES: Final = ("List", "Dict", "Tuple", "Set", "FrozenSet", "Type", "Union")
_LITERALS: Final = (str, int, bool, NoneType)


def is_parametrised(cls: type) -> bool:
    """Whether it is a pydantic model with arguments, and so nowhere to be found under its own name."""
    return bool(_pydantic_arguments(cls))


def name_type(found: Any, name: Callable[[type], str]) -> TypeName:
    """The name of a type.

    Args:
        found: A class, a generic model with arguments, an alias such as `list[int]`, a union, a literal.
        name: Names a class.

    Raises:
        CodecError: It holds something without a name, such as a type variable.
    """
    for special, meant in _SPECIAL.items():
        if found is meant:
            return special
    if isinstance(found, UnionType):
        return [_UNION, _name_all(found.__args__, name)]
    arguments = _pydantic_arguments(found)
    if arguments:
        origin = found.__pydantic_generic_metadata__["origin"]
        return [name(origin), _name_all(arguments, name)]
    origin, arguments = typing.get_origin(found), typing.get_args(found)
    if origin is typing.Literal and all(type(each) in _LITERALS for each in arguments):
        return [_LITERAL, list(arguments)]
    if origin is not None:
        return [_name_origin(found, origin, name), _name_all(arguments, name)]
    if isinstance(found, type):
        return name(found)
    raise CodecError(
        f"its type has {found!r:.80} in it, which cannot be found again by name",
        "give the type a name of its own: class Orders(Page[Order]): ...",
    )


def find_type(name: Any, find: Callable[[str], type]) -> Any:
    """The type of a name.

    Args:
        name: What `name_type` gave.
        find: Finds a class by its name.

    Raises:
        CodecError: One of its parts is not in this process, or takes no arguments.
    """
    if isinstance(name, str):
        return _SPECIAL[name] if name in _SPECIAL else find(name)
    of, arguments = name
    if of == _LITERAL:
        return typing.Literal[tuple(arguments)]
    found = tuple(find_type(each, find) for each in arguments)
    if of == _UNION:
        return reduce(or_, found)
    module, _, alias = of.partition(":")
    if module == "typing" and alias in _ALIASES:
        return vars(typing)[alias][found]
    origin: Any = find(of)
    if origin in _CONTAINERS:
        return GenericAlias(origin, found)
    if not (issubclass(origin, typing.Generic) and getattr(origin, "__parameters__", ())):  # type: ignore[arg-type]  # Generic is a class
        raise CodecError(f"{of.replace(':', '.')} takes no arguments here", "materialize it again")
    return origin[found if len(found) > 1 else found[0]]


def _name_all(arguments: Any, name: Callable[[type], str]) -> list[TypeName]:
    return [name_type(each, name) for each in arguments]


def _name_origin(found: Any, origin: Any, name: Callable[[type], str]) -> str:
    """`List[int]` is not `list[int]`: both print as they were written, and so do classes made with them."""
    if origin is typing.Union:
        return "typing:Union"
    alias = None if type(found) is GenericAlias else getattr(found, "_name", None)
    return f"typing:{alias}" if alias in _ALIASES else name(origin)


def _pydantic_arguments(found: Any) -> tuple[Any, ...]:
    """The arguments of a pydantic generic model; empty for anything else."""
    about = vars(found).get("__pydantic_generic_metadata__") if isinstance(found, type) else None
    return tuple(about["args"]) if about else ()
