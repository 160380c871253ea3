"""Assets together: order, reach, what is refused, and at what cost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from flowstone.assets import AssetGraph, Dependency, Pipeline
from flowstone.errors import AssetNotFound, CycleError, DefinitionError, DuplicateAsset, UnknownDependency
from tests.counting import counted_lines

HERE = "test_graph.py"


class Unprintable:
    """A stranger."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def wired(links: dict[str, list[str]]) -> Pipeline:
    """A pipeline with these assets in this order, each depending on the names of its list."""
    pipeline = Pipeline("wired")
    for name, upstream in links.items():
        pipeline.asset(name=name, deps=upstream)(_nothing)
    return pipeline


def _nothing(): ...


DIAMOND = {"top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"], "alone": []}


# Order ------------------------------------------------------------------------------------------------------


def test_order_is_that_of_definition_where_it_can_be():
    """Each asset after what it depends on; among equals the first defined comes first."""
    assert wired(DIAMOND).graph.order() == ["top", "left", "right", "bottom", "alone"]
    assert wired(dict(reversed(DIAMOND.items()))).graph.order() == ["alone", "top", "right", "left", "bottom"]


def test_the_order_is_a_list_of_your_own():
    """Changing the returned list changes nothing."""
    graph = wired(DIAMOND).graph
    graph.order().clear()
    assert len(graph.order()) == 5
    assert graph.rank("bottom") == 3


@st.composite
def graphs(draw) -> dict[str, list[str]]:
    """Assets without a circle, defined in any order."""
    names = [f"a{i}" for i in range(draw(st.integers(1, 12)))]
    links = {
        name: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []
        for i, name in enumerate(names)
    }
    return {name: links[name] for name in draw(st.permutations(names))}


@given(graphs())
def test_the_order_is_the_smallest_topological_one(links):
    """At every place stands the earliest defined asset of those whose dependencies are done."""
    defined, done, expected = list(links), set(), []
    while len(expected) < len(links):
        ready = next(name for name in defined if name not in done and set(links[name]) <= done)
        done.add(ready)
        expected.append(ready)
    assert wired(links).graph.order() == expected


@given(graphs())
def test_upstream_and_downstream_are_the_transitive_closure(links):
    """Both directions agree with following the links by hand, and are in topological order."""
    graph = wired(links).graph

    def above(name: str) -> set[str]:
        return set(links[name]).union(*(above(each) for each in links[name]))

    for name in links:
        assert set(graph.upstream(name)) == above(name)
        assert set(graph.downstream(name)) == {other for other in links if name in above(other)}
        for reached in (graph.upstream(name), graph.downstream(name)):
            assert reached == sorted(reached, key=graph.rank)


@given(graphs(), st.data())
def test_any_circle_is_found_and_shown_whole(links, data):
    """Closing a circle anywhere raises; the path is a circle of dependencies, first name repeated."""
    name = data.draw(st.sampled_from(list(links)))
    below = data.draw(st.sampled_from([name, *wired(links).graph.downstream(name)]))
    links[name] = [*links[name], below]
    with pytest.raises(CycleError) as caught:
        _ = wired(links).graph
    path = caught.value.path
    assert path[0] == path[-1]
    assert len(set(path)) == len(path) - 1
    assert all(upstream in links[each] for each, upstream in pairwise(path))


# Questions --------------------------------------------------------------------------------------------------


def test_direct_neighbours():
    """Dependencies as declared, dependents in the order of definition."""
    graph = wired(DIAMOND).graph
    assert graph.dependencies("bottom") == (Dependency("left", None), Dependency("right", None))
    assert graph.dependents("top") == ("left", "right")
    assert graph.dependents("bottom") == ()
    assert graph.upstream("alone") == graph.downstream("alone") == []


def test_a_graph_is_a_mapping_of_its_assets():
    """Length, membership, iteration, items; read only."""
    pipeline = wired(DIAMOND)
    graph = pipeline.graph
    assert (len(graph), "top" in graph, "nowhere" in graph, list(graph)) == (5, True, False, list(DIAMOND))
    assert graph["top"] is graph.assets["top"] is pipeline.assets["top"]
    assert repr(graph) == "AssetGraph(5 assets: top, left, right, bottom, alone)"
    assert repr(AssetGraph([])) == "AssetGraph(no assets)"
    with pytest.raises(TypeError):
        graph.assets["top"] = None


@pytest.mark.parametrize(
    "method", ["__getitem__", "upstream", "downstream", "dependencies", "dependents", "rank"]
)
def test_unknown_names_are_suggested(method):
    """Every question about a name that is not there says which one it is like."""
    with pytest.raises(AssetNotFound, match=r"no asset 'botom'\. Did you mean 'bottom'"):
        getattr(wired(DIAMOND).graph, method)("botom")
    with pytest.raises(LookupError, match="There are: top, left"):
        getattr(wired(DIAMOND).graph, method)("xyz")


def test_names_that_differ_by_case_are_suggested():
    """The likeliest typing error of all."""
    with pytest.raises(AssetNotFound, match="Did you mean 'top'"):
        wired(DIAMOND).graph["TOP"]


# Refusals ---------------------------------------------------------------------------------------------------


def test_an_unknown_dependency_names_the_asset_its_line_and_a_suggestion():
    """By parameter and by `deps=` alike."""
    pipeline = wired({"orders": []})

    @pipeline.asset
    def report(order): ...

    with pytest.raises(UnknownDependency) as caught:
        _ = pipeline.graph
    assert str(caught.value).startswith(f"Asset 'report' ({report.source}) depends through its parameter on")
    assert "'order', but there is no such asset" in str(caught.value)
    assert "Did you mean 'orders'?" in str(caught.value)
    with pytest.raises(UnknownDependency, match=r"through deps= on 'zzz'.*annotate a resource"):
        _ = wired({"a": ["zzz"]}).graph


@pytest.mark.parametrize(
    ("default", "shown"),
    [(3, "3"), (None, "None"), ("x" * 100, "…"), (Unprintable(), "…")],
)
def test_a_parameter_with_a_default_that_names_no_asset_names_the_constant(default, shown):
    """Whoever meant a setting is told how to define one."""
    pipeline = wired({"limits": []})

    @pipeline.asset
    def report(limit=default, *, depth=default): ...

    with pytest.raises(UnknownDependency) as caught:
        _ = pipeline.graph
    assert "Did you mean 'limits'?" in str(caught.value)
    assert f'pipeline.value("limit", {shown})' in str(caught.value)
    pipeline.value("limit", 3)
    with pytest.raises(UnknownDependency, match=r'pipeline\.value\("depth", .*annotate a resource'):
        _ = pipeline.graph


class Limits(BaseModel):
    """A model that is no `Config`."""

    depth: int = 3


@pytest.mark.parametrize("default", [None, {}])
def test_a_parameter_for_settings_names_config(default):
    """Whoever wrote `config: dict`, or a model of his own, is told of the class that runs can set."""
    pipeline = Pipeline("settings")

    @pipeline.asset
    def daily_report(config: dict = default): ...

    with pytest.raises(
        UnknownDependency, match=r"annotate the parameter .*`class DailyReportConfig\(Config\)`"
    ):
        _ = pipeline.graph

    other = Pipeline("models")

    @other.asset
    def report(limits: Limits): ...

    with pytest.raises(UnknownDependency, match=r"`class ReportConfig\(Config\)`"):
        _ = other.graph
    other.value("limits", Limits())
    assert other.graph.order() == ["limits", "report"]


def test_an_optional_dependency_must_exist_too():
    """A default is for an upstream without a value, not for one that nobody defines."""
    pipeline = Pipeline("optional")

    @pipeline.asset
    def report(orders=None): ...

    with pytest.raises(UnknownDependency, match="'orders'"):
        _ = pipeline.graph


@pytest.mark.parametrize(
    ("links", "circle"),
    [
        ({"a": ["a"]}, "a -> a"),
        ({"a": ["b"], "b": ["a"]}, "a -> b -> a"),
        ({"z": [], "a": ["z", "b"], "b": ["c"], "c": ["a"], "after": ["a"]}, "a -> b -> c -> a"),
        ({"after": ["a"], "a": ["b"], "b": ["a"]}, "a -> b -> a"),
    ],
)
def test_a_circle_is_shown_with_its_lines(links, circle):
    """The whole path, in words and as `path`, and where each asset of it is defined."""
    with pytest.raises(CycleError) as caught:
        _ = wired(links).graph
    assert circle in str(caught.value)
    assert caught.value.path == tuple(circle.split(" -> "))
    assert str(caught.value).count(HERE) == len(caught.value.path) - 1
    assert isinstance(caught.value, DefinitionError)


# Several pipelines ------------------------------------------------------------------------------------------


def test_pipelines_merge_into_one_graph():
    """Dependencies may cross them, and an asset that two share counts once."""
    one, two = wired({"a": []}), Pipeline("two")
    two.include(one)

    @two.asset
    def b(a): ...

    three = wired({"c": ["b"]})
    graph = AssetGraph.of([one, two, three])
    assert graph.order() == ["a", "b", "c"]
    assert AssetGraph.of(two) is two.graph
    assert AssetGraph.of(iter([two, one])).order() == ["a", "b"]


def test_pipelines_with_two_assets_of_one_name_do_not_merge():
    """Both lines are named."""
    with pytest.raises(DuplicateAsset) as caught:
        AssetGraph.of([wired({"a": []}), wired({"a": []})])
    assert str(caught.value).count(HERE) == 2


# Size -------------------------------------------------------------------------------------------------------


def chain(length: int, *, backwards: bool) -> Pipeline:
    names = [f"a{i}" for i in range(length)]
    links = {name: [names[i - 1]] if i else [] for i, name in enumerate(names)}
    return wired(dict(reversed(links.items())) if backwards else links)


@pytest.mark.parametrize("backwards", [False, True])
def test_an_asset_costs_the_same_among_many(backwards):
    """Building, checking and ordering a chain, defined in either direction, takes time for each asset, not more."""
    lines = {}
    for length in (300, 3_000):
        assets = list(chain(length, backwards=backwards).assets.values())
        with counted_lines() as counted:
            graph = AssetGraph(assets)
            assert graph.order()[-1] == f"a{length - 1}"
        lines[length] = counted[0]
    assert lines[3_000] <= 10 * lines[300]


def test_long_chains_need_no_deep_stack():
    """Reach and drawings work on a chain far longer than the interpreter's stack."""
    graph = chain(5_000, backwards=False).graph
    assert len(graph.upstream("a4999")) == len(graph.downstream("a0")) == 4_999
    assert graph.to_ascii().count("\n") == 5_000
    circle = dict(graph.assets)
    assert len(circle) == 5_000


def test_a_long_circle_is_found():
    """A circle of thousands is one error, with the places of the first few."""
    names = [f"a{i}" for i in range(5_000)]
    with pytest.raises(CycleError) as caught:
        _ = wired({name: [names[i - 1]] for i, name in enumerate(names)}).graph
    assert len(caught.value.path) == 5_001
