"""Which assets a selection means, and where one breaks that cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Pipeline
from flowstone.assets.selection import select
from flowstone.errors import SelectionError


def shop():
    """Raw → clean → report, and weather → report; page stands alone."""
    pipeline = Pipeline("shop")
    pipeline.value("limit", 3)

    @pipeline.asset(tags={"team": "core"})
    async def raw(limit: int) -> int:
        return limit

    @pipeline.asset(tags={"team": "core", "old": "yes"})
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset(tags={"team": "sky"})
    async def weather() -> int:
        return 1

    @pipeline.asset
    async def report(clean: int, weather: int) -> int:
        return clean

    @pipeline.asset
    async def page() -> int:
        return 1

    return pipeline.graph


GRAPH = shop()
ALL = {"raw", "clean", "weather", "report", "page"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("report", {"report"}),
        ("+report", {"raw", "clean", "weather", "report"}),
        ("1+report", {"clean", "weather", "report"}),
        ("2+report", {"raw", "clean", "weather", "report"}),
        ("0+report", {"report"}),
        ("raw+", {"raw", "clean", "report"}),
        ("raw+1", {"raw", "clean"}),
        ("1+clean+1", {"raw", "clean", "report"}),
        ("tag:team=core", {"raw", "clean"}),
        ("tag:team", {"raw", "clean", "weather"}),
        ("tag:old=yes+", {"clean", "report"}),
        ("*", ALL),
        ("raw,page", {"raw", "page"}),
        ("raw, page", {"raw", "page"}),
        ("+report tag:team=core", {"raw", "clean"}),
        ("* -page", ALL - {"page"}),
        ("-page", ALL - {"page"}),
        ("-+clean", ALL - {"raw", "clean"}),
        ("raw,clean -raw", {"clean"}),
        ("raw page", set()),
    ],
)
def test_what_it_means(text, meant):
    assert set(select(GRAPH, text)) == meant


def test_upstream_comes_first():
    found = select(GRAPH, "*")
    assert found.index("raw") < found.index("clean") < found.index("report")


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "at least one"),
        ("  ", 0, "at least one"),
        ("raw clen", 4, "Did you mean 'clean'?"),
        ("tag:team=sea", 0, "No asset has the tag"),
        ("raw,,page", 3, "A comma stands between"),
        (",raw", 0, "A comma stands between"),
        ("raw,", 3, "another asset follows"),
        ("raw page++", 9, "This is no asset"),
        ("raw *x", 5, "This is no asset"),
        ("raw,-page", 4, "stands alone"),
        ("raw limit", 4, "never computed"),
    ],
)
def test_where_it_breaks(text, position, words):
    with pytest.raises(SelectionError) as caught:
        select(GRAPH, text)
    assert caught.value.position == position
    sentence, shown, mark = str(caught.value).split("\n")
    assert words in sentence
    assert shown.strip() == text.strip()
    assert mark.index("^") - 2 == position


ATOMS = st.sampled_from(["raw", "clean", "weather", "report", "page", "*", "tag:team", "tag:team=core"])
BELOW = st.sampled_from(["", "+", "+1"])
OPERANDS = st.tuples(st.sampled_from(["", "+", "1+", "2+"]), ATOMS, BELOW).map("".join)


@given(st.lists(OPERANDS, min_size=1, max_size=4), st.lists(OPERANDS, max_size=3))
def test_a_comma_is_or_and_a_minus_leaves_out(either, out):
    text = " ".join([",".join(either), *(f"-{each}" for each in out)])
    wanted = set().union(*(select(GRAPH, each) for each in either))
    assert set(select(GRAPH, text)) == wanted - set().union(*(select(GRAPH, each) for each in out))


@given(OPERANDS, OPERANDS)
def test_a_space_is_and(one, other):
    assert set(select(GRAPH, f"{one} {other}")) == set(select(GRAPH, one)) & set(select(GRAPH, other))


@given(st.text(alphabet="raw,+-* tag:=1", max_size=12))
def test_any_text_is_read_or_refused_with_a_place_in_it(text):
    found, position = (), 0
    try:
        found = select(GRAPH, text)
    except SelectionError as error:
        position = error.position
    assert set(found) <= ALL
    assert 0 <= position <= len(text)
