"""Conditions as they are defined: what they say, what is refused, and when they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Automation, DefinitionError, Pipeline
from flowstone.assets.automation.condition import Facts
from flowstone.assets.automation.cron import Cron

HOURLY = Cron.of("@hourly")
STATES = ("missing", "upstream", "code")


def agree(_context):
    """A function of a condition."""
    return True


def expressions():
    """Expressions of a few parts, each with the function that says what it means."""
    leaves = st.sampled_from(
        [
            (Automation.on_missing(), lambda facts, _: "missing" in facts.states),
            (Automation.on_upstream_change(), lambda facts, _: "upstream" in facts.states),
            (Automation.on_code_change(), lambda facts, _: "code" in facts.states),
            (Automation.on_cron("@hourly"), lambda facts, _: HOURLY in facts.ticks),
        ]
    )

    def combined(inner):
        pairs = st.tuples(inner, inner)
        return st.one_of(
            pairs.map(lambda two: (two[0][0] & two[1][0], lambda f, s: two[0][1](f, s) and two[1][1](f, s))),
            pairs.map(lambda two: (two[0][0] | two[1][0], lambda f, s: two[0][1](f, s) or two[1][1](f, s))),
            inner.map(lambda one: (~one[0], lambda f, s: not one[1](f, s))),
            inner.map(lambda one: (one[0].when(agree), lambda f, s: one[1](f, s) and s)),
        )

    return st.recursive(leaves, combined, max_leaves=6)


def facts():
    """Any facts."""
    states = st.frozensets(st.sampled_from(STATES))
    return st.builds(Facts, states, st.sampled_from([frozenset(), frozenset({HOURLY})]))


@given(expressions(), facts(), st.booleans())
def test_it_holds_as_it_reads(expression, found, says):
    """Whatever is combined with what; a function is asked only where the answer depends on it."""
    automation, meant = expression
    answer = automation.holds(found, {})
    if not isinstance(answer, bool):
        assert answer is agree
        answer = automation.holds(found, {id(agree): says})
    else:
        assert answer == meant(found, True) == meant(found, False)
    assert answer == meant(found, says)


@given(expressions())
def test_what_holds_where_nothing_has_happened_is_refused(expression):
    """Nothing else is, and the message says what to do."""
    automation, meant = expression
    pipeline = Pipeline("p")

    def define():
        @pipeline.asset(automation=automation)
        async def total() -> int:
            return 1

    if meant(Facts(), True) or meant(Facts(), False):
        with pytest.raises(DefinitionError, match="combine it by `&`"):
            define()
    else:
        define()
        assert pipeline.assets["total"].automation == automation


@given(expressions(), expressions())
def test_it_is_equal_if_it_says_the_same(one, other):
    """By what it is made of; that is also what it looks like."""
    assert (one[0] == other[0]) == (repr(one[0]) == repr(other[0]))
    assert (one[0] & other[0]) == (one[0] & other[0])


def test_it_reads_as_it_was_written():
    """With brackets only where they are needed."""
    missing, changed = Automation.on_missing(), Automation.on_upstream_change()
    oslo = Automation.on_cron("0 6 * * *", timezone="Europe/Oslo")
    assert repr((missing | changed) & ~oslo) == (
        "(on_missing() | on_upstream_change()) & ~on_cron('0 6 * * *', timezone='Europe/Oslo')"
    )
    assert repr(missing | changed | oslo).count("(on_") == 0
    assert repr((missing | changed).when(agree)) == "(on_missing() | on_upstream_change()).when(agree)"
    assert ~~missing == missing


def test_the_rule_is_what_is_so():
    """Parts that hold, but nothing that is denied."""
    both = Automation.on_cron("@hourly") & Automation.on_upstream_change() & ~Automation.on_missing()
    found = Facts(frozenset({"upstream"}), frozenset({HOURLY}))
    assert both.rule(found) == "on_cron('@hourly') & on_upstream_change()"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Automation.on_cron("0 0 30 2 *"), "never"),
        (lambda: Automation.on_cron("@hourly", timezone="Europe/Nowhere"), "Europe/Nowhere"),
        (lambda: Automation.on_missing().when(3), "takes a function"),
    ],
)
def test_what_cannot_work_is_refused(make, match):
    """Where it is written."""
    with pytest.raises(DefinitionError, match=match):
        make()


def test_something_else_is_no_condition():
    """The message names the asset and its line; a bool is not combined with one."""
    pipeline = Pipeline("p")
    with pytest.raises(DefinitionError, match=r"test_condition.py:\d+.*takes a condition"):

        @pipeline.asset(automation="on_missing")
        async def total() -> int:
            return 1

    with pytest.raises(TypeError):
        Automation.on_missing() & True  # type: ignore[operator] # that is the point


def test_an_asset_and_a_schedule_do_not_share_a_name():
    """The condition of an asset has its name; both lines are told."""
    from flowstone import Runtime

    pipeline = Pipeline("p")

    @pipeline.asset(automation=Automation.on_missing())
    async def total() -> int:
        return 1

    pipeline.schedule("total", cron="@hourly", asset="total")
    with pytest.raises(DefinitionError, match=r"schedule at .*condition at"):
        Runtime(pipeline)


@pytest.mark.parametrize(
    "combined",
    [
        lambda one, other: one and other,
        lambda one, other: one or other,
        lambda one, _: not one,
    ],
)
def test_words_of_python_do_not_combine_conditions(combined):
    """They would drop one side without a word."""
    with pytest.raises(TypeError, match="not with `and`"):
        combined(Automation.on_cron("@daily"), Automation.on_upstream_change())
