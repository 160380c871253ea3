"""The definition of one asset: what it is called, what computes it, what it needs and how it is run."""

from __future__ import annotations

import os.path
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Self, TypeAlias, TypeVar

from flowstone.assets.type_hints import UNANNOTATED
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.assets.automation.condition import Automation
    from flowstone.assets.automation.freshness import Freshness
    from flowstone.assets.each import Each
    from flowstone.assets.partition_mapping import PartitionMapping
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.retry import Retry

__all__ = [
    "Asset",
    "ConfigParameter",
    "Configured",
    "Dependency",
    "ResourceParameter",
    "RunIn",
    "SourceLine",
    "Takes",
]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

RunIn: TypeAlias = Literal["loop", "thread", "process"]
"""Where an asset's function runs: on the event loop, in a worker thread, or in a worker process."""

Takes: TypeAlias = Literal["value", "outcome", "choice"]
"""What an asset takes of another one: its value, whatever became of it, or being chosen by it, a route."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@frozen
class SourceLine:
    """Where something is defined; as text `sales.py:12`.

    Attributes:
        file: The path of the file, as Python knows it.
        line: The line, from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"  # noqa: PTH119 - a path object for each message is waste


@frozen
class Dependency:
    """One upstream asset of an asset.

    Attributes:
        asset: The name of the upstream asset.
        parameter: The parameter that receives its value; None for a `deps=` entry, whose value is not loaded.
        optional: Whether the parameter has a default, to be used when the upstream has no value.
        annotation: The parameter's type; an `Unknown` where it has none or it cannot be resolved. Of an
            `Outcome[T]` it is `T`.
        takes: What is taken of the upstream asset. Who is chosen by it may take its value as well.
    """

    asset: str
    parameter: str | None
    optional: bool = False
    annotation: Any = UNANNOTATED
    takes: Takes = "value"

    @property
    def is_bare_choice(self) -> bool:
        """Whether nothing is needed of the upstream asset but that it chooses this one."""
        return self.takes == "choice" and self.parameter is None


@frozen
class ResourceParameter:
    """A parameter that receives a resource.

    Attributes:
        parameter: The parameter's name.
        resource: The resource's name.
    """

    parameter: str
    resource: str


class Configured:
    """What marks `Config` and its subclasses: the class itself is pydantic's, which only those load who use it."""

    __slots__ = ()


@frozen
class ConfigParameter:
    """The parameter that takes an asset's config.

    Attributes:
        parameter: The parameter's name.
        model: The subclass of `Config` that it is annotated with.
    """

    parameter: str
    model: type[Any]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Asset(Generic[P, R_co]):
    """A named data product and the function that computes it; call it to call the function.

    Made by `pipeline.asset` and `pipeline.value`, immutable, equal only to itself. It carries the name,
    module, docstring and signature of the function, and pickles as a reference to the place it is defined at.

    Attributes:
        name: Unique within a pipeline.
        function: The function as written; all its parameters can be passed by keyword.
        dependencies: Upstream assets: those of parameters in order, then `deps=`.
        resource_parameters: Parameters that receive resources.
        requires: Names of all resources the asset needs.
        context_parameter: The parameter that receives the `Context`, or None.
        config_parameter: The parameter that takes the config and its class, or None.
        partitions: The asset's partition set, or None.
        mappings: Explicit partition mappings, by upstream name.
        io: Name of the IO manager that keeps its value.
        retry: What happens after a failure; None: one attempt.
        timeout: Seconds one attempt may take, or None.
        run_in: Where the function runs.
        is_async: Whether calling the function gives an awaitable.
        version: The version of the code, or None.
        tags: Free labels.
        description: What it is; default the first line of the docstring.
        source: Where it is defined.
        return_type: The declared type of the value; an `Unknown` if there is none or it cannot be resolved.
        is_constant: Whether it was made by `pipeline.value`.
        value: The value of a constant.
        each: How it goes through the items of an upstream asset, if it does.
        rate: The rate it keeps to when it starts, or None.
        routes_to: The assets of which it chooses, if it is a route.
        pools: The slots it takes while it runs: names of pools, in order, and numbers.
        is_reader: Whether its function is a generator: its value is what that yields.
        automation: When it is computed by itself, or None.
        freshness: How old its newest value may become, or None.
    """

    name: str
    function: Callable[P, R_co]
    source: SourceLine
    dependencies: tuple[Dependency, ...] = ()
    resource_parameters: tuple[ResourceParameter, ...] = ()
    requires: frozenset[str] = frozenset()
    context_parameter: str | None = None
    config_parameter: ConfigParameter | None = None
    partitions: PartitionSet[Any] | None = None
    mappings: Mapping[str, PartitionMapping] = field(default_factory=lambda: _NOTHING)
    io: str = "default"
    retry: Retry | None = None
    timeout: float | None = None
    run_in: RunIn = "loop"
    is_async: bool = True
    version: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    description: str | None = None
    return_type: Any = UNANNOTATED
    is_constant: bool = False
    value: Any = None
    each: Each | None = None
    routes_to: tuple[str, ...] = ()
    pools: tuple[tuple[str, int], ...] = ()
    is_reader: bool = False
    rate: str | None = None
    automation: Automation | None = None
    freshness: Freshness | None = None

    def __init__(self, name: str, function: Callable[P, R_co], source: SourceLine, **said: Any) -> None:
        # A generated one would set each of the attributes through `object.__setattr__`, 80 ns each; what is not
        # said is an attribute of the class.
        own = self.__dict__
        own["name"] = name
        own["function"] = function
        own["source"] = source
        own["mappings"] = own["tags"] = _NOTHING
        own.update(said)
        # Kept in the instance, where they win over the class's own: help(), inspect.signature() and
        # documentation tools then show the function.
        own["__wrapped__"] = function
        own["__name__"] = getattr(function, "__name__", name)
        own["__qualname__"] = getattr(function, "__qualname__", name)
        own["__module__"] = getattr(function, "__module__", __name__)
        own["__doc__"] = getattr(function, "__doc__", None)

    @property
    def has_items(self) -> bool:
        """Whether its value is a sequence of items that are recorded one by one."""
        return self.each is not None or self.is_reader

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself: no partition, no retry, nothing is stored."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Asset({self.name!r}, {self.source})"

    def __reduce__(self) -> str:
        # By reference, as functions pickle: the module attribute is this asset.
        return self.__dict__["__qualname__"]  # type: ignore[no-any-return] # written above as a str

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self
