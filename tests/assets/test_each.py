"""What `each=` may say, and what is refused where it is said."""

from __future__ import annotations

import re

import pytest

from flowstone import Batch, DefinitionError, Each, Pipeline, Retry, TypeMismatch


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": ["a", "b"]}, "takes the name of one upstream asset"),
        ({"source": ""}, "takes the name of one upstream asset"),
        ({"max_parallel": 0}, "max_parallel=0"),
        ({"max_parallel": 2.0}, "max_parallel=2.0"),
        ({"batch": 0}, "batch=0"),
        ({"batch": True}, "batch=True"),
        ({"tolerate": -1}, "tolerate=-1"),
        ({"tolerate": 1.5}, "a number of items, such as 10, or a share"),
        ({"tolerate": -0.1}, "tolerate=-0.1"),
        ({"tolerate": float("nan")}, "tolerate=nan"),
        ({"tolerate": True}, "tolerate=True"),
        ({"tolerate": "5%"}, "tolerate='5%'"),
        ({"key": "name"}, "key='name'"),
        ({"retry": 3}, r"Retry\(attempts=3\)"),
    ],
)
def test_what_is_out_of_range_is_refused(given, words):
    """With what is wrong and what would do."""
    with pytest.raises(DefinitionError, match=words):
        Each(**{"source": "files", **given})


@pytest.mark.parametrize("given", [{}, {"size": 0}, {"max_bytes": -1}, {"size": "2"}, {"by": 3}])
def test_a_batch_says_where_it_ends(given):
    """A batch that says nothing would never end."""
    with pytest.raises(DefinitionError, match="Batch"):
        Batch(**given)


@pytest.mark.parametrize(
    ("tolerate", "total", "allowed"), [(0, 10, 0), (3, 10, 3), (0.05, 100, 5), (0.05, 19, 0), (0.29, 100, 29)]
)
def test_a_share_is_of_all_items(tolerate, total, allowed):
    """Rounded down, as exactly as it was written."""
    assert Each("files", tolerate=tolerate).tolerated(total) == allowed


@pytest.mark.parametrize(
    ("each", "words"),
    [
        ("fils", "names no parameter of it.*Did you mean 'files'"),
        (Each("other"), "names no parameter of it"),
        (5, "takes the name of one upstream asset"),
        (["files"], "takes the name of one upstream asset"),
    ],
)
def test_each_names_a_parameter(each, words):
    """The one that takes the item."""

    def page(files):
        return files

    with pytest.raises(DefinitionError, match=words):
        Pipeline().asset(each=each)(page)


def test_the_parameter_that_takes_an_item_has_no_default():
    """There is an item whenever it is called."""

    def page(files=None):
        return files

    with pytest.raises(DefinitionError, match="has no default"):
        Pipeline().asset(each="files")(page)


def test_each_takes_an_asset_and_its_retry_is_that_of_the_items():
    """`Each(retry=)` wins over the asset's own."""
    pipeline = Pipeline()
    files = pipeline.asset(lambda: [1], name="files")

    @pipeline.asset(each=files, retry=Retry(attempts=2))
    def page(files):
        return files

    @pipeline.asset(each=Each(files, retry=Retry(attempts=5)), retry=Retry(attempts=2))
    def other(files):
        return files

    assert page.each == Each("files")
    assert page.retry.attempts == 2
    assert other.retry.attempts == 5


def test_to_go_through_items_of_what_goes_through_items_is_refused_with_the_remedy():
    """It would be a scatter of a scatter."""
    pipeline = Pipeline()
    pipeline.value("files", [1])

    @pipeline.asset(each="files")
    def page(files):
        return files

    @pipeline.asset(each="page")
    def word(page):
        return page

    with pytest.raises(
        DefinitionError, match=r"word.*page.*do both in one function, or put an asset between"
    ):
        assert pipeline.graph


def graph_of(returns, takes, each="files", consumer=None):
    """The graph of `files`, which returns this, and `page`, whose item is annotated like that."""
    pipeline = Pipeline()

    @pipeline.asset
    def files():
        return []

    def page(files) -> int:
        return 0

    def summary(page):
        return page

    files.function.__annotations__["return"] = returns
    page.__annotations__["files"] = takes
    pipeline = Pipeline()
    pipeline.asset(files.function)
    pipeline.asset(each=each)(page)
    if consumer is not None:
        summary.__annotations__["page"] = consumer
        pipeline.asset(summary)
    return pipeline.graph


@pytest.mark.parametrize(
    ("returns", "takes", "each"),
    [
        (list[str], str, "files"),
        (tuple[str, ...], str, "files"),
        (tuple[int, str], str, "files"),
        (dict[str, int], int, "files"),
        (list[int] | None, int, "files"),
        (list, int, "files"),
        (object, int, "files"),
        (list[int], list[int], Each("files", batch=2)),
    ],
)
def test_items_that_fit_are_let_through(returns, takes, each):
    """And what cannot be decided."""
    assert len(graph_of(returns, takes, each)) == 2


@pytest.mark.parametrize(
    ("returns", "takes", "each"),
    [
        (list[str], int, "files"),
        (dict[str, int], str, "files"),
        (list[int], int, Each("files", batch=2)),
        (int, int, "files"),
        (str, str, "files"),
    ],
)
def test_items_that_cannot_fit_are_refused(returns, takes, each):
    """When the graph is built."""
    with pytest.raises(TypeMismatch, match="page"):
        graph_of(returns, takes, each)


@pytest.mark.parametrize(
    "takes", ["list[int]", "dict[str, int]", "Iterable[int]", "AsyncIterator[int]", "object"]
)
def test_all_forms_of_the_value_are_let_through(takes):
    """A list, an iterator, a dict if the source is one."""
    from collections.abc import AsyncIterator, Iterable

    names = {"Iterable": Iterable, "AsyncIterator": AsyncIterator}
    assert len(graph_of(list[str], str, consumer=eval(takes, names))) == 3


@pytest.mark.parametrize("takes", [int, list[str]])
def test_other_forms_of_the_value_are_refused(takes):
    """One item is not all of them."""
    with pytest.raises(TypeMismatch, match=re.escape("gives list[int]")):
        graph_of(list[str], str, consumer=takes)
