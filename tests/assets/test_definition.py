"""From a function to an asset: what is read from it, what is kept, and what is refused with its line."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from flowstone.assets import (
    UNANNOTATED,
    AllPartitions,
    Asset,
    Context,
    DailyPartitions,
    Dependency,
    Output,
    Pipeline,
    Resource,
    ResourceParameter,
    Retry,
    SourceLine,
    Unknown,
)
from flowstone.errors import DefinitionError, DuplicateAsset, UnknownDependency

if TYPE_CHECKING:
    from elsewhere import Frame, Pool

HERE = "test_definition.py"
shared = Pipeline("shared")


class Database:
    """A resource."""


Alias = Annotated[Database, Resource("warehouse")]


@shared.asset
async def raw(context: Context) -> list[int]:
    """The raw numbers.

    With more to say about them.
    """
    return [1, context.attempt]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline("sales")


def names(asset: Asset[..., Any]) -> list[str]:
    return [dependency.asset for dependency in asset.dependencies]


# What an asset is -------------------------------------------------------------------------------------------


async def test_an_asset_is_still_the_function():
    """Calling it calls the function; name, docstring, module and signature are the function's."""
    assert await raw(Context("raw")) == [1, 1]
    assert raw.__name__ == "raw"
    assert raw.__qualname__ == "raw"
    assert raw.__module__ == __name__
    assert raw.__doc__.startswith("The raw numbers.")
    assert list(inspect.signature(raw).parameters) == ["context"]
    assert raw.__wrapped__ is raw.function


def test_an_asset_knows_where_it_is_defined():
    """The source line is that of the definition, and prints as the file's name and the line."""
    line = inspect.getsourcelines(raw.function)[1]
    assert raw.source == SourceLine(__file__, line)
    assert str(raw.source) == f"{HERE}:{line}"
    assert repr(raw) == f"Asset('raw', {HERE}:{line})"


def test_an_asset_is_itself():
    """It compares by identity, copies are the same object, and it pickles as a reference."""
    assert copy.copy(raw) is raw
    assert copy.deepcopy({"asset": raw})["asset"] is raw
    assert pickle.loads(pickle.dumps(raw)) is raw
    assert hash(raw) == hash(raw)


def test_an_asset_cannot_be_changed():
    """A definition is fixed once it is made."""
    with pytest.raises(AttributeError):
        raw.name = "cooked"


def test_defaults_are_those_of_the_contract(pipeline):
    """Nothing said means: no partitions, the default IO manager, one attempt, no limit, no version."""

    @pipeline.asset
    def plain(): ...

    assert (plain.partitions, plain.io, plain.retry, plain.timeout, plain.version) == (
        None,
        "default",
        None,
        None,
        None,
    )
    assert (dict(plain.tags), dict(plain.mappings), plain.requires) == ({}, {}, frozenset())
    assert (plain.description, plain.is_constant, plain.dependencies) == (None, False, ())
    assert plain.return_type is UNANNOTATED


def test_every_option_is_kept(pipeline):
    """What is said in the decorator is what the asset has."""
    retry = Retry(attempts=2)

    @pipeline.asset
    def upstream(): ...

    @pipeline.asset(
        name="report",
        deps=["upstream"],
        partitions=DailyPartitions("2025-01-01"),
        mappings={},
        io="files",
        requires=["db"],
        retry=retry,
        timeout=200,
        run_in="process",
        version="2",
        tags={"team": "core"},
        description="A report.",
    )
    def something(raw, db: Alias): ...

    assert something.name == "report"
    assert names(something) == ["raw", "upstream"]
    assert something.dependencies[1] == Dependency("upstream", None)
    assert something.partitions == DailyPartitions("2025-01-01")
    assert (something.io, something.retry, something.timeout) == ("files", retry, 200.0)
    assert something.requires == {"db", "warehouse"}
    assert (something.run_in, something.version, something.tags["team"]) == ("process", "2", "core")
    assert something.description == "A report."
    with pytest.raises(TypeError):
        something.tags["team"] = "other"


def test_the_first_line_of_the_docstring_describes(pipeline):
    """Unless a description is given; an empty docstring describes nothing."""

    def silent(): ...

    def late(): ...

    silent.__doc__ = "  "
    late.__doc__ = "\n    On the second line.\n    "
    silent, late = pipeline.asset(silent), pipeline.asset(late)

    assert raw.description == "The raw numbers."
    assert silent.description is None
    assert late.description == "On the second line."


def test_where_a_function_runs(pipeline):
    """A coroutine function runs on the loop, any other in a thread, unless said otherwise."""

    @pipeline.asset
    async def one(): ...

    @pipeline.asset
    def two(): ...

    @pipeline.asset(run_in="loop")
    def three(): ...

    assert [(asset.run_in, asset.is_async) for asset in (one, two, three)] == [
        ("loop", True),
        ("thread", False),
        ("loop", False),
    ]


# Parameters -------------------------------------------------------------------------------------------------


def test_parameters_are_dependencies(pipeline):
    """Each names an asset; a default makes it optional; keyword-only ones count as well."""

    @pipeline.asset
    def report(orders: list[int], customers, *, prices: dict[str, float], rates=None): ...

    assert report.dependencies == (
        Dependency("orders", "orders", False, list[int]),
        Dependency("customers", "customers", False, UNANNOTATED),
        Dependency("prices", "prices", False, dict[str, float]),
        Dependency("rates", "rates", True, UNANNOTATED),
    )


def test_the_context_is_known_by_name_or_by_type(pipeline):
    """A parameter called context, or annotated `Context`, is no dependency."""

    @pipeline.asset
    def one(context): ...

    @pipeline.asset
    def two(orders, ctx: Context): ...

    assert (one.context_parameter, names(one)) == ("context", [])
    assert (two.context_parameter, names(two)) == ("ctx", ["orders"])
    assert raw.context_parameter == "context"


def test_resources_are_known_by_their_annotation(pipeline):
    """Bare, named, through an alias, or with a type that exists only for the type checker."""

    @pipeline.asset(requires={"extra"})
    def report(
        orders,
        db: Annotated[Database, Resource],
        cache: Annotated[Any, "unrelated", Resource("redis")],
        store: Alias,
        pool: Annotated[Pool, Resource("pool")],
    ): ...

    assert names(report) == ["orders"]
    assert report.resource_parameters == (
        ResourceParameter("db", "db"),
        ResourceParameter("cache", "redis"),
        ResourceParameter("store", "warehouse"),
        ResourceParameter("pool", "pool"),
    )
    assert report.requires == {"extra", "db", "redis", "warehouse", "pool"}


def test_local_classes_can_be_named(pipeline):
    """Annotations are read with the names at the place of definition, in a function as well."""

    class Local: ...

    @pipeline.asset
    def report(orders: list[Local], db: Annotated[Local, Resource]) -> Output[Local]: ...

    @pipeline.asset(name="other")
    def _(db: Annotated[Local, Resource]) -> Local: ...

    assert report.dependencies[0].annotation == list[Local]
    assert report.return_type == Output[Local]
    assert report.resource_parameters == (ResourceParameter("db", "db"),)
    assert pipeline.assets["other"].return_type is Local


def test_names_that_do_not_exist_at_run_time_are_unknown(pipeline):
    """Imports under TYPE_CHECKING, typing errors and odd expressions never stop a definition."""
    name = "name"

    @pipeline.asset
    def report(a: Frame, b: Frame | None, c: list[Frame], d: Frame.Row[int], e: 1 / 0) -> Frame: ...

    @pipeline.asset
    def other(a: int | Frame, b: name, c: "not an expression"): ...  # noqa: F722 - odd on purpose

    assert [type(each.annotation) for each in other.dependencies] == [Unknown] * 3
    assert [type(each.annotation) for each in report.dependencies if each.asset != "c"] == [Unknown] * 4
    assert report.dependencies[2].annotation.__origin__ is list
    assert repr(report.return_type) == "Frame"


def test_marks_are_known_even_when_imported_for_the_type_checker_only():
    """`Context`, `Annotated` and `Resource` are recognised by name when nothing else is left of them."""
    source = (
        "from __future__ import annotations\n"
        "@pipeline.asset\n"
        "def report(orders, ctx: fs.Context, a: Annotated[Pool, Resource],"
        " b: typing.Annotated[Pool, fs.Resource('db')], c: Annotated[Pool, Resource(name='dc')]): ...\n"
    )
    pipeline = Pipeline("unresolved")
    exec(source, {"pipeline": pipeline})
    report = pipeline.assets["report"]
    assert report.context_parameter == "ctx"
    assert [(each.parameter, each.resource) for each in report.resource_parameters] == [
        ("a", "a"),
        ("b", "db"),
        ("c", "dc"),
    ]
    assert names(report) == ["orders"]


def test_annotations_may_be_objects():
    """Without the `annotations` import they are evaluated by Python, forward references apart."""
    pipeline = Pipeline("objects")
    source = (
        "@pipeline.asset\ndef report(orders: list[int], db: Annotated['Pool', Resource]) -> 'Frame': ...\n"
    )
    code = compile(source, "objects.py", "exec", dont_inherit=True)
    exec(code, {"pipeline": pipeline, "Annotated": Annotated, "Resource": Resource})
    report = pipeline.assets["report"]
    assert report.dependencies == (Dependency("orders", "orders", False, list[int]),)
    assert report.requires == {"db"}
    assert report.source == SourceLine("objects.py", 1)
    assert isinstance(report.return_type, Unknown)


def test_quotes_within_text_are_read_as_well(pipeline):
    """Quoting an annotation that is text already changes nothing."""

    @pipeline.asset
    def report(orders: "list[int]") -> "Database": ...  # noqa: UP037 - the quotes are the point

    assert report.dependencies[0].annotation == list[int]
    assert report.return_type is Database


class Loader:
    """Things that can be called, other than functions."""

    def method(self, orders, limit=3): ...

    @classmethod
    async def of_class(cls, orders): ...

    @staticmethod
    def of_nothing(orders): ...

    def __call__(self, orders, context): ...


class AsyncLoader:
    """A callable object whose call is a coroutine."""

    async def __call__(self, orders): ...


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of the usual kind."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def both(orders: list[int], customers: list[str], limit: int = 3, *, rates=None) -> int: ...


@pytest.mark.parametrize(
    ("function", "expected", "name"),
    [
        (Loader().method, ["orders", "limit"], "method"),
        (Loader.of_class, ["orders"], "of_class"),
        (Loader.of_nothing, ["orders"], "of_nothing"),
        (functools.partial(both, limit=5), ["orders", "customers", "rates"], "both"),
        (functools.partial(both, [1]), ["customers", "limit", "rates"], "both"),
        (functools.partial(functools.partial(both, rates=1), limit=1), ["orders", "customers"], "both"),
        (wrapped(both), ["orders", "customers", "limit", "rates"], "both"),
        (wrapped(functools.partial(both, limit=5)), ["orders", "customers", "rates"], None),
    ],
)
def test_whatever_can_be_called_can_be_an_asset(pipeline, function, expected, name):
    """Methods, partials and decorated functions have the parameters that are still open."""
    asset = pipeline.asset(name=None if name else "given")(function)
    assert names(asset) == expected
    assert asset.name == (name or "given")
    assert asset.source.file == __file__


def test_partials_keep_their_annotations(pipeline):
    """The types are those of the function inside, and what a partial fills in is no dependency."""
    asset = pipeline.asset(functools.partial(both, limit=5))
    assert asset.dependencies[0].annotation == list[int]
    assert asset.return_type is int


def test_a_function_may_be_defined_twice(pipeline):
    """Decorating an asset again makes a second one of the same function, which runs where it would."""
    again = pipeline.asset(name="again")(raw)
    assert again.function is raw.function
    assert (again.run_in, again.is_async, again.context_parameter) == ("loop", True, "context")


def test_callable_objects_need_a_name(pipeline):
    """An object has none of its own that would do; its call says what it needs and where it runs."""
    asset = pipeline.asset(name="loaded")(Loader())
    assert (names(asset), asset.context_parameter, asset.run_in) == (["orders"], "context", "thread")
    assert pipeline.asset(name="awaited")(AsyncLoader()).run_in == "loop"
    assert pipeline.asset(name="part")(functools.partial(AsyncLoader())).run_in == "loop"


# Refusals ---------------------------------------------------------------------------------------------------


REFUSED = [
    (lambda p: p.asset(lambda: 1), "'<lambda>' is not a name"),
    (lambda p: p.asset(name="1st")(both), "'1st' is not a name"),
    (lambda p: p.asset(name="a-b")(both), "'a-b' is not a name"),
    (lambda p: p.asset(name="ä")(both), "'ä' is not a name"),
    (lambda p: p.asset(name="a\n")(both), "is not a name"),
    (lambda p: p.asset(name="")(both), "'' is not a name"),
    (lambda p: p.asset(name=3)(both), "3 is not a name"),
    (lambda p: p.asset(name="a" * 201)(both), "at most 200 characters"),
    (lambda p: p.asset("report"), "takes a function, not 'report'"),
    (lambda p: p.asset(Database), "takes a function"),
    (lambda p: p.asset(lambda *args: 1), "not a name"),
    (lambda p: p.asset(name="x")(lambda *args: 1), r"'x'.*\*args names no asset"),
    (lambda p: p.asset(name="x")(lambda **kw: 1), r"'x'.*\*\*kw names no asset"),
    (lambda p: p.asset(name="x")(lambda a, /: 1), r"'x'.*'a' is positional-only"),
    (lambda p: p.asset(deps="raw")(both), r"'both'.*deps=\[…\]"),
    (lambda p: p.asset(deps=raw)(both), r"'both'.*deps=\[…\]"),
    (lambda p: p.asset(deps=[1])(both), "names of assets"),
    (lambda p: p.asset(deps=3)(both), r"deps=\[…\]"),
    (lambda p: p.asset(requires="db")(both), r"requires=\[…\]"),
    (lambda p: p.asset(requires=[1])(both), "names of resources"),
    (lambda p: p.asset(partitions=["eu"])(both), "takes a partition set"),
    (lambda p: p.asset(partitions=DailyPartitions)(both), "takes a partition set"),
    (lambda p: p.asset(mappings=AllPartitions())(both), "takes a dict"),
    (lambda p: p.asset(mappings={"order": AllPartitions()})(both), "not a dependency.*Did you mean 'orders'"),
    (
        lambda p: p.asset(mappings={"zzz": AllPartitions()})(both),
        "depends on orders, customers, limit, rates",
    ),
    (lambda p: p.asset(mappings={"orders": AllPartitions})(both), r"such as AllPartitions\(\)"),
    (lambda p: p.asset(mappings={"orders": "all"})(both), "takes partition mappings"),
    (lambda p: p.asset(io="")(both), "name of an IO manager"),
    (lambda p: p.asset(io=None)(both), "name of an IO manager"),
    (lambda p: p.asset(retry=3)(both), r"Retry\(attempts=3\)"),
    (lambda p: p.asset(timeout=0)(both), "more than 0"),
    (lambda p: p.asset(timeout=-1)(both), "more than 0"),
    (lambda p: p.asset(timeout="30")(both), "more than 0"),
    (lambda p: p.asset(timeout=True)(both), "more than 0"),
    (lambda p: p.asset(timeout=float("inf"))(both), "more than 0"),
    (lambda p: p.asset(timeout=float("nan"))(both), "more than 0"),
    (lambda p: p.asset(run_in="threads")(both), "Did you mean 'thread'"),
    (lambda p: p.asset(version=2)(both), "takes a str"),
    (lambda p: p.asset(tags={"a": 1})(both), "dict of str to str"),
    (lambda p: p.asset(tags=["a"])(both), "dict of str to str"),
    (lambda p: p.asset(description=1)(both), "description"),
    (lambda p: p.value("not a name", 1), "is not a name"),
]


@pytest.mark.parametrize(("define", "message"), REFUSED)
def test_bad_definitions_are_refused(pipeline, define, message):
    """Each names the line of the definition and what to write instead, and adds nothing."""
    with pytest.raises(DefinitionError, match=message) as caught:
        define(pipeline)
    assert HERE in str(caught.value)
    assert len(pipeline) == 0


def test_only_one_parameter_receives_the_context(pipeline):
    """A parameter by name and another by type would be two."""
    with pytest.raises(DefinitionError, match="'context' and 'ctx' both receive the context"):

        @pipeline.asset
        def report(context, ctx: Context): ...


def test_unknown_options_are_a_type_error(pipeline):
    """As for any other function call."""
    with pytest.raises(TypeError, match="timeot"):
        pipeline.asset(timeot=3)


# Pipelines --------------------------------------------------------------------------------------------------


def test_a_pipeline_holds_its_assets_in_order(pipeline):
    """By name, read only, in the order of definition."""

    @pipeline.asset
    def b(): ...

    @pipeline.asset
    def a(): ...

    assert list(pipeline.assets) == ["b", "a"]
    assert pipeline.assets["b"] is b
    assert "a" in pipeline
    assert repr(pipeline) == "Pipeline('sales', 2 assets)"
    with pytest.raises(TypeError):
        pipeline.assets["c"] = a


def test_an_empty_pipeline_is_true():
    """`if pipeline:` asks whether there is one."""
    assert Pipeline("empty")
    assert Pipeline().name == "default"
    with pytest.raises(DefinitionError, match="takes a name"):
        Pipeline("")


def test_constants_are_assets(pipeline):
    """A value needs no function; None is a value; calling it gives the value."""
    config = pipeline.value("config", {"depth": 3}, description="Settings.", tags={"team": "core"})
    assert config.is_constant
    assert config.value == {"depth": 3}
    assert config() == {"depth": 3}
    assert config.return_type is dict
    assert (config.description, config.tags["team"]) == ("Settings.", "core")
    assert pipeline.value("nothing", None).value is None
    assert str(config.source).startswith(HERE)


def test_a_name_is_defined_once(pipeline):
    """The second definition is refused, naming both lines, and the first one stays."""

    @pipeline.asset
    def report(): ...

    with pytest.raises(DuplicateAsset) as caught:
        pipeline.value("report", 1)
    message = str(caught.value)
    assert message.count(HERE) == 2
    assert str(report.source) in message
    assert pipeline.assets["report"] is report


def test_including_merges(pipeline):
    """The assets of both, by reference; the very same asset may come by two ways."""
    middle = Pipeline("middle")
    middle.include(shared)
    pipeline.include(shared)
    pipeline.include(middle)
    assert pipeline.assets["raw"] is raw
    assert len(pipeline) == 1


def test_including_another_asset_of_the_name_is_refused(pipeline):
    """All or nothing: the pipeline is as it was."""

    @pipeline.asset(name="raw")
    def mine(): ...

    other = Pipeline("other")
    other.value("fresh", 1)
    other.include(shared)
    with pytest.raises(DuplicateAsset, match="'raw' is defined twice"):
        pipeline.include(other)
    assert list(pipeline.assets) == ["raw"]
    with pytest.raises(DefinitionError, match="takes a Pipeline"):
        pipeline.include(raw)


def test_the_graph_follows_changes(pipeline):
    """It is kept while nothing changes and built again after a change."""
    pipeline.value("a", 1)
    first = pipeline.graph
    assert pipeline.graph is first
    pipeline.value("b", 2)
    assert pipeline.graph.order() == ["a", "b"]
    assert first.order() == ["a"]


def test_dependencies_may_be_given_as_assets(pipeline):
    """In `deps=` and in `mappings=` an asset is as good as its name."""

    @pipeline.asset(partitions=DailyPartitions("2025-01-01"))
    def daily() -> int: ...

    @pipeline.asset(deps=[daily, "daily"], mappings={daily: AllPartitions()})
    def report(): ...

    assert names(report) == ["daily"]
    assert report.mappings["daily"] == AllPartitions()


def test_a_loaded_dependency_wins_over_a_bare_one(pipeline):
    """A name that is a parameter and in `deps=` is loaded."""

    @pipeline.asset(deps=["orders"])
    def report(orders: dict[date, int]): ...

    assert report.dependencies == (Dependency("orders", "orders", False, dict[date, int]),)


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        ("Ctx", "Ctx"),
        ("Ctx | None", "Ctx"),
        ("Annotated[Pool, Res]", "Pool or Res"),
        ("flow.Context_", "Context_"),
    ],
)
def test_an_annotation_that_cannot_be_resolved_is_named(annotation, names):
    """A context or a resource imported under TYPE_CHECKING by another name is a dependency: the error says why."""
    pipeline = Pipeline()

    async def report(ctx) -> int:
        return 1

    report.__annotations__["ctx"] = annotation
    pipeline.asset(report)
    with pytest.raises(UnknownDependency, match="'ctx', but there is no such asset") as caught:
        _ = pipeline.graph
    told = str(caught.value)
    assert f"at run time there is no {names}, as after an import under `if TYPE_CHECKING:`." in told
    assert "import it at run time." in told


def test_an_annotation_that_is_known_is_not_named():
    """What is merely missing is told so."""
    pipeline = Pipeline()

    @pipeline.asset
    async def report(numbers: list[int], plain) -> int:
        return 1

    with pytest.raises(UnknownDependency) as caught:
        _ = pipeline.graph
    assert "TYPE_CHECKING" not in str(caught.value)
