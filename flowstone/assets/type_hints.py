"""Evaluates written annotations without ever failing on a name it does not know.

With `from __future__ import annotations`, and with imports under `TYPE_CHECKING`, an annotation is text with
names that may not exist at run time. `typing.get_type_hints` gives up on all of them as soon as one is
missing; here a missing name becomes an `Unknown` that can be subscripted, called and combined like the real
thing, so `Annotated[Pool, Resource]` still says "resource" when nobody can say what a `Pool` is.
"""

from __future__ import annotations

import builtins
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType

__all__ = ["UNANNOTATED", "Unknown", "annotation_metadata", "evaluate"]


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
    if text.isidentifier() and text not in local_names and text in global_names:
        return global_names[text]
    try:
        # The text is source code of the user's own module, which has already been run.
        return eval(_compiled(text), {}, _Names(local_names, global_names, vars(builtins)))  # noqa: S307 - see above
    except Exception:
        return Unknown(text)


def annotation_metadata(annotation: Any) -> tuple[Any, ...]:
    """What stands after the type in `Annotated[type, …]`; empty for anything else."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[1:]
    if isinstance(annotation, Unknown) and annotation.name == "Annotated":
        return annotation.arguments[1:]
    return ()
