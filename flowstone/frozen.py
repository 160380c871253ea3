"""Frozen records that cost about as much as unfrozen ones, to construct and to define.

`@dataclass(frozen=True, slots=True)` fills a new object through `object.__setattr__`, 80 ns a field, and compiles
six functions for each class, half a millisecond at import. `@frozen` makes the same sort of class in another way:

* Only `__init__` is compiled. The other methods are closures over the names of the fields.
* While `__init__` fills an object, the object is of a twin class: a subclass of the same layout whose attributes
  can be set. It becomes one of the frozen class before anybody else sees it, so plain assignments fill the fields.

Rejected: the slots' own descriptors (`cls.name.__set__`). They need no twin, and cost 45 ns a field; the twin 10.
"""

from __future__ import annotations

import sys
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["frozen"]

T = TypeVar("T")

_become = object.__dict__["__class__"].__set__
_set = object.__setattr__


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with slots: what `@dataclass(frozen=True, slots=True)` does, faster.

    Default factories, `KW_ONLY`, `__post_init__`, `field(compare=, hash=, repr=)` and methods of your own work as
    usual; `InitVar` and `field(init=False)` are not supported. A subclass is frozen too, decorated or not.
    """
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    listed = fields(made)
    for name, method in _methods(listed).items():
        # The class has none of its own; `None` is what `__eq__` makes of `__hash__`.
        if vars(made).get(name) is None:
            setattr(made, name, method)
    made.__init__ = _compiled_init(made, listed)
    made.__setattr__ = _refuse_to_set
    made.__delattr__ = _refuse_to_delete
    return made  # type: ignore[no-any-return] # the class that the decorator was given, made again with slots


def _refuse_to_set(_: object, name: str, value: object) -> NoReturn:  # noqa: ARG001 - the protocol's arguments
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


# The compiled constructor -----------------------------------------------------------------------------------


def _compiled_init(made: type, listed: Sequence[Field[Any]]) -> Callable[..., None]:
    """`__init__` with the fields as parameters; it sees the names of the class's module, as type hints need.

    Of a class with the fields `a` and `b = 1` it is:

        def __init__(self, a, b=_default_b):
            if type(self) is _own:
                _become(self, _twin)
                self.a = a
                self.b = b
                self.__class__ = _own
            else:
                _fill(self, a, b)
    """
    used: dict[str, Any] = {
        "_own": made,
        "_twin": _twin_of(made),
        "_become": _become,
        "_fill": _filler(listed),
    }
    parameters, defaults = _parameters(listed, used)
    names = [each.name for each in listed]
    body = [
        *defaults,
        "if type(self) is _own:",
        "    _become(self, _twin)",
        *[f"    self.{name} = {name}" for name in names],
        "    self.__class__ = _own",
        "else:",
        f"    _fill({', '.join(['self', *names])})",
        *(["self.__post_init__()"] if hasattr(made, "__post_init__") else []),
    ]
    lines = [f"def make({', '.join(used)}):", f"  def __init__(self, {', '.join(parameters)}):"]
    lines += [f"    {line}" for line in body]
    module = sys.modules.get(made.__module__)
    functions: dict[str, Any] = {}
    exec("\n".join([*lines, "  return __init__"]), vars(module) if module else {}, functions)  # noqa: S102 - our text
    init: Callable[..., None] = functions["make"](**used)
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__annotations__ = {each.name: each.type for each in listed} | {"return": None}
    return init


def _parameters(listed: Sequence[Field[Any]], used: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The parameters, and the lines that call default factories; what both refer to is added to `used`."""
    positional: list[str] = []
    by_keyword: list[str] = []
    factories: list[str] = []
    for each in listed:
        parameter = name = each.name
        if each.default is not MISSING:
            used[f"_default_{name}"] = each.default
            parameter = f"{name}=_default_{name}"
        elif each.default_factory is not MISSING:
            used["_missing"] = MISSING
            used[f"_factory_{name}"] = each.default_factory
            parameter = f"{name}=_missing"
            factories.append(f"if {name} is _missing: {name} = _factory_{name}()")
        (by_keyword if each.kw_only else positional).append(parameter)
    return [*positional, *(["*", *by_keyword] if by_keyword else [])], factories


def _twin_of(made: type) -> type:
    """The subclass that a new object is of while it is filled."""
    open_methods = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(made)(
        made.__name__, (made,), {"__slots__": (), "__module__": made.__module__, **open_methods}
    )


def _filler(listed: Sequence[Field[Any]]) -> Callable[..., None]:
    """The slow way, for subclasses: their layout may be another one than the twin's."""
    names = [each.name for each in listed]

    def fill(self: object, *values: object) -> None:
        for name, value in zip(names, values, strict=True):
            _set(self, name, value)

    return fill


# The methods that need not be compiled ----------------------------------------------------------------------


def _methods(listed: Sequence[Field[Any]]) -> dict[str, Callable[..., Any]]:
    """What a dataclass does by its fields: compare, hash, show itself, be pickled and copied."""
    shown = [each.name for each in listed if each.repr]
    compared = _values_of([each.name for each in listed if each.compare])
    hashed = _values_of([each.name for each in listed if (each.compare if each.hash is None else each.hash)])
    names = [each.name for each in listed]

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - it becomes a method
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807 - as above
        return hash(hashed(self))

    @recursive_repr()
    def __repr__(self: object) -> str:  # noqa: N807 - as above
        values = ", ".join([f"{name}={getattr(self, name)!r}" for name in shown])
        return f"{self.__class__.__qualname__}({values})"

    def __getstate__(self: object) -> list[Any]:  # noqa: N807 - as above
        return [getattr(self, name) for name in names]

    def __setstate__(self: object, state: list[Any]) -> None:  # noqa: N807 - as above
        for name, value in zip(names, state, strict=True):
            _set(self, name, value)

    made = (__eq__, __hash__, __repr__, __getstate__, __setstate__)
    return {method.__name__: method for method in made}


def _values_of(names: Sequence[str]) -> Callable[[object], tuple[Any, ...]]:
    """A function that returns these attributes of an object."""
    if len(names) > 1:
        return attrgetter(*names)
    # Of one name, the other makes no tuple.
    return lambda record: tuple([getattr(record, name) for name in names])
