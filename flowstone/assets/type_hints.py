"""Evaluates written annotations without ever failing on a name it does not know.

With `from __future__ import annotations`, and with imports under `TYPE_CHECKING`, an annotation is text with
names that may not exist at run time. `typing.get_type_hints` gives up on all of them as soon as one is
missing; here a missing name becomes an `Unknown` that can be subscripted, called and combined like the real
thing, so `Annotated[Pool, Resource]` still says "resource" when nobody can say what a `Pool` is.
"""

from __future__ import annotations

import builtins
from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, NamedTuple, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

__all__ = ["UNANNOTATED", "Alternative", "Unknown", "aliased", "alternatives", "evaluate", "unknown_names"]


class Unknown:
    """A name that could not be resolved, or what was built from one.

    Attributes:
        name: The last part of the dotted name.
        arguments: What it was subscripted or called with.
    """

    __slots__ = ("arguments", "name")

    def __init__(self, name: str, arguments: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.arguments = arguments

    def __getattr__(self, name: str) -> Unknown:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(name)

    def __getitem__(self, arguments: Any) -> Unknown:
        return Unknown(self.name, arguments if isinstance(arguments, tuple) else (arguments,))

    def __call__(self, *arguments: Any, **named: Any) -> Unknown:
        return Unknown(self.name, (*arguments, *named.values()))

    def __or__(self, other: object) -> Unknown:
        return Unknown("|", (self, other))

    def __ror__(self, other: object) -> Unknown:
        return Unknown("|", (other, self))

    def __repr__(self) -> str:
        return self.name or "unannotated"


UNANNOTATED = Unknown("")
"""Stands where there is no annotation; not None, which is an annotation of its own."""


class _Names(dict[str, Any]):
    """The names of an annotation: local local, then global, then built in, then unknown.

    Always empty, so that `__missing__` looks each name up where it is: copying the names of a module for
    every annotation in it would cost more than the annotation.
    """

    __slots__ = ("_places",)

    def __init__(self, *places: Mapping[str, Any]) -> None:
        super().__init__()
        self._places = places

    def __missing__(self, name: str) -> Any:
        for names in self._places:
            if name in names:
                return names[name]
        return Unknown(name)


@lru_cache(maxsize=1024)
def _compiled(annotation: str) -> CodeType:
    """The code of an annotation; one pipeline writes the same few types over and over."""
    return compile(annotation.strip(), "<annotation>", "eval")


def evaluate(annotation: Any, global_names: Mapping[str, Any], local_names: Mapping[str, Any]) -> Any:
    """The object an annotation means; an `Unknown` where that cannot be known.

    Args:
        annotation: An annotation as Python stores it: an object, or its text.
        global_names: The globals of the annotated function.
        local_names: The locals of the code that defines it.
    """
    # Twice, for quotes in an annotation that is text already: `-> "Frame"` below the `annotations` import.
    for _ in range(2):
        if isinstance(annotation, str):
            annotation = _meaning(annotation, global_names, local_names)
    return Unknown(annotation) if isinstance(annotation, str) else annotation


def _meaning(text: str, global_names: Mapping[str, Any], local_names: Mapping[str, Any]) -> Any:
    if text.isidentifier():
        return _Names(local_names, global_names, vars(builtins))[text]
    try:
        # The text is source code of the user's own module, which has already been run.
        return eval(_compiled(text), {}, _Names(local_names, global_names, vars(builtins)))  # noqa: S307 - see above
    except Exception:
        return Unknown(text)


class Alternative(NamedTuple):
    """One of the types that an annotation allows.

    Attributes:
        type: The type, or an `Unknown`.
        marks: What `Annotated` says about it, or about a union that it is in.
    """

    type: Any
    marks: tuple[Any, ...]


def alternatives(
    annotation: Any, global_names: Mapping[str, Any], local_names: Mapping[str, Any]
) -> Iterator[Alternative]:
    """The types that an annotation allows, seen through unions, `Annotated`, aliases and quotes in any order.

    Args:
        annotation: What `evaluate` gave.
        global_names: As for `evaluate`, for what is quoted inside.
        local_names: The same.
    """
    if type(annotation) is type:  # As nearly every one is.
        yield Alternative(annotation, ())
        return
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(annotation, ())]
    seen: set[int] = set()
    while waiting:
        found, marks = waiting.pop()
        if isinstance(found, ForwardRef):
            found = found.__forward_arg__
        if isinstance(found, str):
            found = evaluate(found, global_names, local_names)
        if (alias := aliased(found)) is not None:
            # An alias may be made of itself, as that of JSON is.
            if id(get_origin(found) or found) not in seen:
                seen.add(id(get_origin(found) or found))
                waiting.append((alias, marks))
        elif _is_named(found, Annotated, "Annotated"):
            inner, *more = _arguments(found)
            waiting.append((inner, (*more, *marks)))
        elif _is_union(found):
            waiting.extend((each, marks) for each in reversed(_arguments(found)))
        else:
            yield Alternative(found, marks)


def unknown_names(annotation: Any) -> Iterator[str]:
    """The names in an annotation, as `evaluate` gave it, that could not be resolved."""
    if isinstance(annotation, Unknown):
        if annotation.name not in ("", "|"):
            yield annotation.name
        for each in annotation.arguments:
            yield from unknown_names(each)
    elif not isinstance(annotation, type):
        for each in get_args(annotation):
            yield from unknown_names(each)


def aliased(annotation: Any) -> Any:
    """What an alias made by a `type` statement stands for, None for anything else.

    An alias whose value cannot be evaluated stands for an `Unknown`.
    """
    origin = get_origin(annotation) or annotation
    # By its name: `typing` has it from Python 3.12 on, `typing_extensions` has one of its own.
    if type(origin).__name__ != "TypeAliasType":
        return None
    try:
        value = origin.__value__
        return value if origin is annotation else value[get_args(annotation)]
    except Exception:  # Its value is code of the user's own, with names that may not exist at run time.
        return Unknown(origin.__name__)


def _is_union(annotation: Any) -> bool:
    if isinstance(annotation, Unknown):
        return bool(annotation.arguments) and annotation.name in ("|", "Union", "Optional")
    return get_origin(annotation) in (Union, UnionType)


def _is_named(annotation: Any, form: Any, name: str) -> bool:
    if isinstance(annotation, Unknown):
        return annotation.name == name and bool(annotation.arguments)
    return get_origin(annotation) is form


def _arguments(annotation: Any) -> tuple[Any, ...]:
    return annotation.arguments if isinstance(annotation, Unknown) else get_args(annotation)
