"""What a parameter is for is seen through whatever its annotation is wrapped in."""
# ruff: noqa: UP045 - the old spellings are tested as well

from __future__ import annotations

import typing
from typing import Annotated, Any, Optional, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from flowstone.assets import Context, Pipeline, Resource, ResourceParameter
from flowstone.errors import DefinitionError


class Pool:
    """A resource."""


KNOWN = {
    "Annotated": Annotated,
    "Any": Any,
    "Context": Context,
    "Optional": Optional,
    "Pool": Pool,
    "Resource": Resource,
    "Union": Union,
    "typing": typing,
}
CONTEXTS = st.just("Context")
RESOURCES = st.sampled_from(
    [
        "Annotated[Pool, Resource('db')]",
        "Annotated['Pool', 'note', Resource('db')]",
        "Annotated[Optional[Pool], Resource(name='db')]",
        "Annotated[Pool | None, Resource('db')]",
    ]
)
PLAIN = st.sampled_from(["int", "Pool", "list[Context]", "Annotated[int, 'note']", "Optional[Pool]", "Any"])


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """An annotation as one side of unions, under `Annotated`, and in quotes where those are allowed."""
    return st.recursive(
        inner,
        lambda each: st.one_of(
            each.map("Optional[{}]".format),
            each.map("Union[None, int, {}]".format),
            each.map("typing.Union[{}, None]".format),
            each.map("Annotated[{}, 'note']".format),
            each.map("({}) | None".format),
            each.map("None | ({})".format),
            each.map(lambda text: f"Optional[{text!r}]"),
            each.map(lambda text: f"Annotated[{text!r}, 'note']"),
        ),
        max_leaves=4,
    )


def defined(annotation: str, names: dict[str, Any]) -> Any:
    """An asset with one parameter of this annotation, written below the `annotations` import."""
    pipeline = Pipeline("roles")
    source = (
        f"from __future__ import annotations\n@pipeline.asset\ndef report(it: {annotation} = None): ...\n"
    )
    exec(source, {**names, "pipeline": pipeline})
    return pipeline.assets["report"]


places = st.sampled_from([KNOWN, {}, {"Optional": Optional, "Annotated": Annotated}, {"Context": Context}])


@settings(deadline=None, max_examples=50)
@given(nested(CONTEXTS), places)
def test_the_context_is_found_inside(annotation, names):
    """In unions, under `Annotated` and in quotes, whether or not the names exist at run time."""
    report = defined(annotation, names)
    assert (report.context_parameter, report.dependencies) == ("it", ())


@settings(deadline=None, max_examples=50)
@given(nested(RESOURCES), places)
def test_a_resource_is_found_inside(annotation, names):
    """The same for a resource and its name."""
    report = defined(annotation, names)
    assert report.resource_parameters == (ResourceParameter("it", "db"),)
    assert report.dependencies == ()


@settings(deadline=None, max_examples=50)
@given(nested(PLAIN), places)
def test_everything_else_is_a_dependency(annotation, names):
    """A type that merely mentions the context is none."""
    report = defined(annotation, names)
    assert [each.asset for each in report.dependencies] == ["it"]
    assert report.context_parameter is None


def test_annotations_may_be_objects():
    """Without the `annotations` import, and behind aliases, also those of a `type` statement."""
    pipeline = Pipeline("objects")
    db = TypeAliasType("db", Annotated[Pool, Resource("db")])
    ctx = TypeAliasType("ctx", Context | None)
    endless = TypeAliasType("endless", "endless | int | Annotated[Pool, Resource]")

    def report(a, b, c, d, e): ...

    report.__annotations__ = {
        "a": Optional[db],
        "b": Optional["Annotated[Pool, Resource]"],
        "c": Annotated[ctx, "note"],
        "d": endless,
        "e": int | None,
    }
    made = pipeline.asset(report)
    assert [(each.parameter, each.resource) for each in made.resource_parameters] == [
        ("a", "db"),
        ("b", "b"),
        ("d", "d"),
    ]
    assert made.context_parameter == "c"
    assert [each.asset for each in made.dependencies] == ["e"]


def test_an_alias_that_cannot_be_evaluated_is_a_dependency():
    """Its value is somebody's code, and that it fails must not stop a definition."""
    pipeline = Pipeline("broken")

    def fail(_self: object) -> Any:
        raise NameError("Frame")

    broken = type("TypeAliasType", (), {"__value__": property(fail), "__name__": "broken"})()

    def report(frame): ...

    report.__annotations__ = {"frame": broken}
    assert [each.asset for each in pipeline.asset(report).dependencies] == ["frame"]


def test_one_parameter_receives_one_resource():
    """Two in one union are refused by name."""
    with pytest.raises(DefinitionError, match=r"'it' asks for the resources 'a' and 'b'; take each as"):
        defined("Annotated[Pool, Resource('a')] | Annotated[Pool, Resource('b')]", KNOWN)
