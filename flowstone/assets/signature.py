"""Reads what an asset needs from the parameters of its function.

A parameter called `context` or annotated `Context` receives the context, one annotated `Annotated[T, Resource]` a
resource, one annotated with a subclass of `Config` the config, and every other one is a dependency on the asset of
that name; annotated `Outcome[T]` it takes whatever became of it. It says so also as one side of a union, as in
`Context | None`, and behind an alias. Functions by `def` are read from their code object, which is ten times faster
than `inspect.signature`; everything else that can be called goes there.
"""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from flowstone.assets.arguments import is_name
from flowstone.assets.asset import ConfigParameter, Configured, Dependency, ResourceParameter, SourceLine
from flowstone.assets.context import Context
from flowstone.assets.outcome import Outcome
from flowstone.assets.type_hints import UNANNOTATED, Alternative, Unknown, alternatives, evaluate
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

__all__ = ["Resource", "Signature", "Site", "innermost", "is_async", "read_signature"]


@frozen
class Resource:
    """Marks a parameter: `Annotated[Pool, Resource]`, or `Annotated[Pool, Resource("warehouse")]`.

    Args:
        name: The resource's name in `Runtime(resources={…})`; default: the name of the parameter.

    Raises:
        DefinitionError: `name` is empty or no text.
    """

    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None and not is_name(self.name):
            raise DefinitionError(f"Resource({self.name!r}) takes the name of a resource, a non-empty str.")


_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


class Site(NamedTuple):
    """An asset that is being defined, as error messages call it: `Asset 'report' (sales.py:12)`."""

    name: str
    source: SourceLine

    def __str__(self) -> str:
        return f"Asset {self.name!r} ({self.source})"


class Signature(NamedTuple):
    """What a function's parameters and its return annotation say."""

    dependencies: tuple[Dependency, ...]
    resources: tuple[ResourceParameter, ...]
    context: str | None
    config: ConfigParameter | None
    return_type: Any


def read_signature(function: Callable[..., Any], where: Site, frame: FrameType) -> Signature:
    """Read a function.

    Args:
        function: A function, method, partial or object with `__call__`.
        where: The asset, for error messages.
        frame: Where it is defined: annotations may use its local names.

    Raises:
        DefinitionError: A parameter cannot be passed by keyword, two receive the context or the config, or the
            function is a generator.
    """
    inner = innermost(function)
    annotations = getattr(inner, "__annotations__", {})
    global_names = getattr(inner, "__globals__", {})
    dependencies: list[Dependency] = []
    resources: list[ResourceParameter] = []
    context: str | None = None
    config: ConfigParameter | None = None
    for name, optional in _parameters(function, where):
        annotation = annotations.get(name, UNANNOTATED)
        if type(annotation) is str:
            annotation = evaluate(annotation, global_names, frame.f_locals)
        if (
            (annotation is UNANNOTATED or type(annotation) is type)
            and annotation is not Context
            and annotation is not Outcome
            and name != "context"
        ):
            # As nearly every parameter is: there is nothing to look for.
            dependencies.append(Dependency(name, name, optional, annotation))
            continue
        allowed = tuple(alternatives(annotation, global_names, frame.f_locals))
        if (resource := _resource(name, allowed, where)) is not None:
            resources.append(ResourceParameter(name, resource))
        elif name == "context" or any(map(_is_context, allowed)):
            if context is not None:
                raise DefinitionError(
                    f"{where}: {context!r} and {name!r} both receive the context; drop one."
                )
            context = name
        elif (found := _config(name, allowed, where, has_default=optional)) is not None:
            if config is not None:
                raise DefinitionError(
                    f"{where}: {config.parameter!r} and {name!r} both take a config; make one class of the two."
                )
            config = found
        else:
            dependencies.append(_dependency(name, annotation, allowed, optional=optional))
    return_type = annotations.get("return", UNANNOTATED)
    if type(return_type) is str:
        return_type = evaluate(return_type, global_names, frame.f_locals)
    return Signature(tuple(dependencies), tuple(resources), context, config, return_type)


def innermost(function: Any) -> Any:
    """The function in which the code stands: without partials, bound instances and `functools.wraps`."""
    while type(function) is not FunctionType or function.__dict__:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not isinstance(function, FunctionType) and isinstance(
            call := _call_method(function), FunctionType
        ):
            function = call
        else:
            break
    return function


def _call_method(function: Any) -> Any:
    return getattr(type(function), "__call__", None)  # noqa: B004 - not whether it can be called, but what is


def is_async(function: Any) -> bool:
    """Whether calling it, as it stands, gives a coroutine."""
    if type(function) is FunctionType and not function.__dict__:
        return bool(function.__code__.co_flags & inspect.CO_COROUTINE)
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return True
    return inspect.iscoroutinefunction(_call_method(function))


def _parameters(function: Callable[..., Any], where: Site) -> Iterable[tuple[str, bool]]:
    """Each parameter's name, and whether it has a default."""
    if type(function) is not FunctionType or function.__dict__:
        return _inspected(function, where)
    code, defaults = function.__code__, function.__defaults__
    if code.co_posonlyargcount or code.co_flags & _VARIADIC:
        return _inspected(function, where)
    count = code.co_argcount
    optional = (
        [False] * count if defaults is None else [place >= count - len(defaults) for place in range(count)]
    )
    if not code.co_kwonlyargcount:
        return zip(code.co_varnames, optional, strict=False)  # Its local variables come after its parameters.
    by_keyword = code.co_varnames[count : count + code.co_kwonlyargcount]
    optional += [name in (function.__kwdefaults__ or ()) for name in by_keyword]
    return zip(code.co_varnames, optional, strict=False)


def _inspected(function: Callable[..., Any], where: Site) -> Iterator[tuple[str, bool]]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{where}: its parameters cannot be read; wrap it in a function.") from error
    bound = _bound_keywords(function)
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise DefinitionError(
                f"{where}: the parameter {stars}{parameter.name} names no asset; write each dependency as a "
                f"parameter of its own, or use deps=[…]."
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise DefinitionError(
                f"{where}: the parameter {parameter.name!r} is positional-only; remove the '/' so that it "
                f"can be passed by name."
            )
        if parameter.name not in bound:
            yield parameter.name, parameter.default is not parameter.empty


def _bound_keywords(function: Any) -> set[str]:
    """Keywords a partial has already filled in: they are decided, not dependencies."""
    bound: set[str] = set()
    while True:
        if isinstance(function, functools.partial):
            bound |= function.keywords.keys()
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return bound


def generator_kind(function: Any) -> str | None:
    """Where a generator function runs: one by `async def` on the `loop`, another in a `thread`; None for others."""
    code = getattr(innermost(function), "__code__", None)
    if code is None or not code.co_flags & _GENERATOR:
        return None
    return "loop" if code.co_flags & inspect.CO_ASYNC_GENERATOR else "thread"


def _resource(parameter: str, allowed: Sequence[Alternative], where: Site) -> str | None:
    """The name of the resource that a parameter asks for, if it asks for one."""
    found: set[str] = set()
    for mark in (mark for each in allowed for mark in each.marks):
        if mark is Resource:
            found.add(parameter)
        elif isinstance(mark, Resource):
            found.add(mark.name or parameter)
        elif isinstance(mark, Unknown) and mark.name == "Resource":
            found.add(next((text for text in mark.arguments if isinstance(text, str)), parameter))
    if len(found) > 1:
        names = " and ".join(map(repr, sorted(found)))
        raise DefinitionError(
            f"{where}: the parameter {parameter!r} asks for the resources {names}; take each as a parameter "
            f"of its own."
        )
    return next(iter(found), None)


def _is_context(each: Alternative) -> bool:
    if isinstance(each.type, Unknown):
        return each.type.name == "Context"
    return each.type is Context


def _dependency(name: str, annotation: Any, allowed: Sequence[Alternative], *, optional: bool) -> Dependency:
    """The dependency that a parameter is: on a value, or on an outcome."""
    for each in allowed:
        found = each.type
        unknown = isinstance(found, Unknown)
        if (found.name == "Outcome") if unknown else ((get_origin(found) or found) is Outcome):
            arguments = found.arguments if unknown else get_args(found)
            return Dependency(name, name, optional, next(iter(arguments), UNANNOTATED), "outcome")
    return Dependency(name, name, optional, annotation)


def _config(
    name: str, allowed: Sequence[Alternative], where: Site, *, has_default: bool
) -> ConfigParameter | None:
    """The parameter as one that takes the config, or None if it takes something else.

    Raises:
        DefinitionError: It may take something else as well, or no class says which fields it has.
    """
    models = [
        each.type for each in allowed if isinstance(each.type, type) and issubclass(each.type, Configured)
    ]
    if not models:
        return None
    model: Any = models[0]
    if len(allowed) > 1:
        raise DefinitionError(
            f"{where}: the parameter {name!r} takes a config or something else, but a config is always given: "
            f"annotate it {name}: {model.__name__}, and give the fields defaults."
        )
    if Configured in model.__bases__:
        raise DefinitionError(
            f"{where}: the parameter {name!r} is annotated {model.__name__}, which has no fields: annotate "
            f"it with a subclass of your own."
        )
    if has_default:
        raise DefinitionError(
            f"{where}: the parameter {name!r} takes the config, which is always given, so its default would never "
            f"be used: remove it, and give the fields of {model.__name__} defaults."
        )
    return ConfigParameter(name, model)
