"""Makes an asset of a function and its options, or refuses with the line that is to blame.

Map of this file
    Options                         what was said about the function
    define_asset, define_constant   the two ways to an asset
    _source ... _check_timeout      each option, read and checked
"""

from __future__ import annotations

import inspect
import math
import operator
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args, get_origin

from flowstone.assets.arguments import is_name, is_number
from flowstone.assets.asset import Asset, Dependency, ResourceParameter, RunIn, SourceLine
from flowstone.assets.automation.condition import checked_automation
from flowstone.assets.automation.freshness import checked_freshness
from flowstone.assets.each import Each
from flowstone.assets.one_shot import find_one_shot
from flowstone.assets.partition_mapping import PartitionMapping
from flowstone.assets.partition_set import PartitionSet
from flowstone.assets.pool import slots_asked
from flowstone.assets.rate import rate_asked
from flowstone.assets.retry import Retry
from flowstone.assets.signature import Signature, Site, generator_kind, innermost, is_async, read_signature
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from flowstone.assets.pool import DefinedPool
    from flowstone.assets.rate import DefinedRate

__all__ = ["Options", "define_asset", "define_constant"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NONE: frozenset[str] = frozenset()


class Options(NamedTuple):
    """The options of `pipeline.asset`, as they were passed."""

    name: Any = None
    deps: Any = ()
    partitions: Any = None
    mappings: Any = None
    io: Any = "default"
    requires: Any = ()
    retry: Any = None
    timeout: Any = None
    run_in: Any = None
    version: Any = None
    tags: Any = None
    description: Any = None
    each: Any = None
    pool: Any = None
    rate: Any = None
    automation: Any = None
    freshness: Any = None
    to: Any = None


_NO_OPTIONS = Options()[1:]


def define_asset(
    function: Any,
    options: Options,
    frame: FrameType,
    pools: Mapping[str, DefinedPool],
    rates: Mapping[str, DefinedRate],
) -> Asset[..., Any]:
    """The asset that a function and its options define.

    Args:
        function: What computes the value.
        options: Everything else that was said about it.
        frame: The frame of the definition, for its line and its local names.
        pools: The pools it may take slots of.
        rates: The rates it may keep to.

    Raises:
        DefinitionError: Something about it cannot work; the message names the asset, the line and the remedy.
    """
    function, source = _checked_function(function, frame)
    name = options.name if options.name is not None else _own_name(function)
    where = _checked_name(name, source)
    signature = read_signature(function, where, frame)
    generator = generator_kind(function)
    asynchronous = is_async(function) or generator == "loop"
    more = signature.resources or signature.context or signature.config or generator
    if not more and all(map(operator.is_, options[1:], _NO_OPTIONS)):
        return _plain(where, function, signature, asynchronous=asynchronous)  # As nearly every asset.
    _check_options(options, where)
    dependencies = _dependencies(signature.dependencies, options.deps, where)
    each = _each(options.each, signature.dependencies, where)
    return Asset(
        name,
        function,
        source,
        dependencies=dependencies,
        resource_parameters=signature.resources,
        requires=_requires(options.requires, where) | _named(signature.resources),
        context_parameter=signature.context,
        config_parameter=signature.config,
        partitions=options.partitions,
        mappings=_mappings(options.mappings, dependencies, where),
        io=options.io,
        retry=options.retry if each is None or each.retry is None else each.retry,
        timeout=None if options.timeout is None else float(options.timeout),
        run_in=options.run_in or ("loop" if asynchronous else "thread"),
        is_async=asynchronous,
        version=options.version,
        tags=_tags(options.tags, where),
        description=options.description if options.description is not None else _summary(function),
        return_type=signature.return_type,
        each=each,
        rate=None if options.rate is None else rate_asked(options.rate, rates, where),
        routes_to=() if options.to is None else _branches(options.to, signature.return_type, where),
        pools=() if options.pool is None else slots_asked(options.pool, pools, where),
        is_reader=_is_reader(generator, options, where),
        automation=None if options.automation is None else checked_automation(options.automation, where),
        freshness=None if options.freshness is None else checked_freshness(options.freshness, where),
    )


def _plain(where: Site, function: Any, signature: Signature, *, asynchronous: bool) -> Asset[..., Any]:
    """The asset of which there is no more to say than a function with dependencies does."""
    return Asset(
        where.name,
        function,
        where.source,
        dependencies=signature.dependencies,
        run_in="loop" if asynchronous else "thread",
        is_async=asynchronous,
        description=_summary(function),
        return_type=signature.return_type,
    )


def define_constant(
    name: str,
    value: Any,
    frame: FrameType,
    *,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Asset[[], Any]:
    """The asset that always has this value.

    Raises:
        DefinitionError: The name is invalid, or the value can be read only once.
    """
    source = SourceLine(frame.f_code.co_filename, frame.f_lineno)
    where = _checked_name(name, source)
    found = find_one_shot(value)
    if found is not None:
        raise DefinitionError(f"{where}: {found.explanation('give')}.")

    def constant() -> Any:
        return value

    constant.__name__ = constant.__qualname__ = name
    constant.__module__ = frame.f_globals.get("__name__", __name__)
    return Asset(
        name=name,
        function=constant,
        source=source,
        is_async=False,
        tags=_tags(tags, where),
        description=description,
        return_type=type(value),
        is_constant=True,
        value=value,
    )


def _checked_function(function: Any, frame: FrameType) -> tuple[Any, SourceLine]:
    if isinstance(function, Asset):  # Defined once more: in another pipeline, or with other options.
        function = function.function
    source = _source(function, frame)
    if not callable(function) or inspect.isclass(function):
        raise DefinitionError(f"{source}: pipeline.asset takes a function, not {function!r:.100}.")
    return function, source


def _source(function: Any, frame: FrameType) -> SourceLine:
    code = getattr(innermost(function), "__code__", None)
    if code is None:
        return SourceLine(frame.f_code.co_filename, frame.f_lineno)
    return SourceLine(code.co_filename, code.co_firstlineno)


def _own_name(function: Any) -> Any:
    return getattr(function, "__name__", None) or getattr(innermost(function), "__name__", None)


def _checked_name(name: object, source: SourceLine) -> Site:
    if isinstance(name, str) and len(name) <= 200 and name.isascii() and name.isidentifier():
        return Site(name, source)
    raise DefinitionError(
        f"{source}: {name!r:.250} is not a name for an asset: pass name= with letters, digits and underscores, "
        f"not starting with a digit, at most 200 characters."
    )


def _dependencies(from_parameters: tuple[Dependency, ...], deps: Any, where: Site) -> tuple[Dependency, ...]:
    if not deps and isinstance(deps, tuple):
        return from_parameters
    found = {dependency.asset: dependency for dependency in from_parameters}
    for entry in _listed(deps, "deps", "the name of an asset", where):
        name = entry.name if isinstance(entry, Asset) else entry
        if not isinstance(name, str):
            raise DefinitionError(f"{where}: deps={deps!r:.100} takes names of assets, or assets.")
        found.setdefault(name, Dependency(name, None))
    return tuple(found.values())


def _named(parameters: tuple[ResourceParameter, ...]) -> frozenset[str]:
    return frozenset([each.resource for each in parameters]) if parameters else _NONE


def _requires(requires: Any, where: Site) -> frozenset[str]:
    if not requires:
        return _NONE
    names = _listed(requires, "requires", "the name of a resource", where)
    for name in names:
        if not isinstance(name, str):
            raise DefinitionError(f"{where}: requires={requires!r:.100} takes names of resources.")
    return frozenset(names)


def _listed(entries: Any, option: str, what: str, where: Site) -> list[Any]:
    if isinstance(entries, str | Asset) or not isinstance(entries, Iterable):
        raise DefinitionError(
            f"{where}: {option}={entries!r:.100} is {what}, not a list: write {option}=[…]."
        )
    return list(entries)


def _mappings(
    mappings: Any, dependencies: tuple[Dependency, ...], where: Site
) -> Mapping[str, PartitionMapping]:
    if mappings is None:
        return _NOTHING
    if not isinstance(mappings, Mapping):
        raise DefinitionError(f"{where}: mappings={mappings!r:.100} takes a dict from dependency to mapping.")
    names = [dependency.asset for dependency in dependencies]
    checked: dict[str, PartitionMapping] = {}
    for key, mapping in mappings.items():
        name = key.name if isinstance(key, Asset) else key
        if name not in names:
            hint = did_you_mean(str(name), names) or (
                f" It depends on {', '.join(names) or 'nothing'}. If {name!r} is the route that leads to it, add "
                f"deps=[{name!r}]."
            )
            raise DefinitionError(
                f"{where}: mappings= names {name!r}, which is not a dependency of it.{hint}"
            )
        if not isinstance(mapping, PartitionMapping):
            called = f"{mapping.__name__}()" if inspect.isclass(mapping) else "AllPartitions()"
            raise DefinitionError(
                f"{where}: mappings={{{name!r}: {mapping!r:.100}}} takes partition mappings such as {called}."
            )
        checked[name] = mapping
    if where.name in checked:
        _check_first_key(dependencies, where)
    return MappingProxyType(checked)


def _check_first_key(dependencies: tuple[Dependency, ...], where: Site) -> None:
    """Refuse a parameter for the asset's own earlier value without a default: the first key has no earlier one."""
    own = next(each for each in dependencies if each.asset == where.name)
    if own.parameter is not None and not own.optional:
        raise DefinitionError(
            f"{where}: it depends on its own earlier partitions, and the first one has none: give the parameter "
            f"{own.parameter!r} a default, which the first one receives."
        )


def _is_reader(generator: str | None, options: Options, where: Site) -> bool:
    """Whether it is a reader, which can be no more than that."""
    if generator is None:
        return False
    if options.each is not None:
        raise DefinitionError(
            f"{where}: it yields items and takes those of another asset (each=): let it return a list for each "
            f"item, and let an asset after it put these together."
        )
    if options.run_in not in (None, generator):
        raise DefinitionError(
            f"{where}: run_in={options.run_in!r} is not where a generator can run: leave it out, and one by `async "
            f"def` runs on the loop, another one in a thread."
        )
    return True


def _each(given: Any, parameters: tuple[Dependency, ...], where: Site) -> Each | None:
    if given is None:
        return None
    if not isinstance(given, Each | str | Asset):
        raise DefinitionError(
            f"{where}: each={given!r:.100} takes the name of one upstream asset, or Each(name, …)."
        )
    each = given if isinstance(given, Each) else Each(given if isinstance(given, str) else given.name)
    names = [dependency.asset for dependency in parameters]
    if each.source not in names:
        hint = did_you_mean(each.source, names) or f" It has {', '.join(names) or 'none'}."
        raise DefinitionError(
            f"{where}: each={each.source!r:.250} names no parameter of it, and that parameter takes the item: add "
            f"one of this name.{hint}"
        )
    source = next(dependency for dependency in parameters if dependency.asset == each.source)
    if source.takes == "outcome":
        raise DefinitionError(
            f"{where}: the parameter {each.source!r} takes one item after the other, and an Outcome has none: "
            f"annotate it as the item."
        )
    if source.optional:
        raise DefinitionError(
            f"{where}: the parameter {each.source!r} takes one item after the other, so it has no default: "
            f"remove it."
        )
    return each


def _branches(to: Any, return_type: Any, where: Site) -> tuple[str, ...]:
    """The names of the assets of which a route chooses; what it is declared to return misspells none of them."""
    names = [
        entry.name if isinstance(entry, Asset) else entry
        for entry in _listed(to, "to", "the name of an asset", where)
    ]
    if not names or not all(isinstance(name, str) for name in names):
        raise DefinitionError(f"{where}: to={to!r:.100} takes the names of the assets of which it chooses.")
    choices = [choice for choice in _literals(return_type) if isinstance(choice, str)]
    unchosen = [name for name in names if name not in choices]
    for choice in choices:
        # Routes may share an annotation: a name that is not in to= is refused only if it is one of these misspelt.
        if choice not in names and (hint := did_you_mean(choice, unchosen)):
            raise DefinitionError(
                f"{where}: by its annotation it may return {choice!r:.250}, which is not in to=.{hint} A route "
                f"chooses of {', '.join(names)}: add the asset to to=, or change the annotation."
            )
    return tuple(dict.fromkeys(names))


def _literals(annotation: Any) -> Iterator[Any]:
    """The values of each `Literal` in an annotation, such as those in `list[Literal["fast"]] | None`."""
    inside = get_args(annotation)
    if get_origin(annotation) is Literal:
        yield from inside
        return
    for each in inside:
        yield from _literals(each)


def _tags(tags: Any, where: Site) -> Mapping[str, str]:
    if tags is None:
        return _NOTHING
    if not (
        isinstance(tags, Mapping) and all(isinstance(text, str) for item in tags.items() for text in item)
    ):
        raise DefinitionError(f"{where}: tags={tags!r:.100} takes a dict of str to str.")
    return MappingProxyType(dict(tags))


def _check_options(options: Options, where: Site) -> None:
    if options.partitions is not None and not isinstance(options.partitions, PartitionSet):
        raise DefinitionError(
            f"{where}: partitions={options.partitions!r:.100} takes a partition set such as "
            f"StaticPartitions([…]) or DailyPartitions('2025-01-01')."
        )
    if not is_name(options.io):
        raise DefinitionError(
            f"{where}: io={options.io!r:.100} takes the name of an IO manager of the runtime."
        )
    if options.retry is not None and not isinstance(options.retry, Retry):
        raise DefinitionError(
            f"{where}: retry={options.retry!r:.100} takes a Retry, such as Retry(attempts=3)."
        )
    if options.timeout is not None:
        _check_timeout(options.timeout, where)
    if options.run_in is not None and options.run_in not in get_args(RunIn):
        hint = did_you_mean(str(options.run_in), get_args(RunIn))
        raise DefinitionError(
            f"{where}: run_in={options.run_in!r:.100} takes 'loop', 'thread' or 'process'.{hint}"
        )
    if options.version is not None and not isinstance(options.version, str):
        raise DefinitionError(f"{where}: version={options.version!r:.100} takes a str, such as '2'.")
    if options.description is not None and not isinstance(options.description, str):
        raise DefinitionError(f"{where}: description={options.description!r:.100} takes a str.")


def _check_timeout(timeout: object, where: Site) -> None:
    if not is_number(timeout, at_least=math.ulp(0), at_most=sys.float_info.max):
        raise DefinitionError(
            f"{where}: timeout={timeout!r:.100} takes seconds, more than 0; leave it out for no limit."
        )


def _summary(function: Any) -> str | None:
    """The first line of the docstring."""
    text = cast("str | None", innermost(function).__doc__)
    return text.strip().partition("\n")[0] or None if text else None
