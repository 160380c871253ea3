"""Which steps have no use for a value, because others are about to fail."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.failure_reach import is_of_no_use
from tests.runs.plans import HandPlan, same
from tests.runs.test_choices import edges, graphs


def foreseen(plan: Any, step: int, failing: set[int]) -> bool:
    return is_of_no_use(plan, step, failing)


@pytest.mark.parametrize("most", [1, 3])
@given(st.data())
def test_it_is_as_a_look_at_every_step_says(most, data):
    """A step that needs a value that is lost has none itself; it is of use to those that take it and have one."""
    plan, _ = data.draw(graphs(most))
    step = data.draw(st.integers(0, plan.total - 1))
    failing = data.draw(st.sets(st.integers(0, plan.total - 1), min_size=1, max_size=2))
    lost = set(failing)
    takers = []
    for each in range(plan.total):
        needed = [(kind["takes"], above) for _, kind, above in edges(plan, each)]
        if any(takes != "outcome" and lost.intersection(above) for takes, above in needed):
            lost.add(each)
        if any(step in above for _, above in needed):
            takers.append(each)
    asked = any(step in steps for steps in plan.targets)
    assert foreseen(plan, step, failing) == (not asked and lost.issuperset(takers))


def chain(count: int) -> tuple[dict[str, int], dict[str, Any]]:
    """Assets in a row, each of which needs the one before it."""
    names = [f"row{number}" for number in range(count)]
    return dict.fromkeys(names, 1), {name: {before: same} for before, name in pairwise(names)}


def test_it_is_found_in_large_graphs():
    """At the end of thousands in a row, and where each of many needs two that need the same two."""
    sizes, links = chain(3_000)
    links["row2999"]["row0"] = same
    assert foreseen(HandPlan(sizes, links), 0, {1})
    sizes, links = {"left0": 1, "right0": 1}, {}
    for level in range(1, 61):
        for side in ("left", "right"):
            sizes[f"{side}{level}"] = 1
            links[f"{side}{level}"] = {f"left{level - 1}": same, f"right{level - 1}": same}
    assert foreseen(HandPlan(sizes, links), 1, {0})
    free = {**links, "last": {"left60": same}, "free": {"right0": same}}
    assert not foreseen(HandPlan({**sizes, "free": 1, "last": 1}, free), 1, {0})


def test_all_keys_of_a_wide_asset_are_marked_at_once():
    """Where steps of both assets stand in the same order there is no look at each."""
    wide = 1_000_000
    plan = HandPlan({"one": 1, "near": wide, "far": wide}, {"far": {"near": same}, "near": {}})
    plan.assets[1].edges = [_Constant(plan.assets[0])]  # type: ignore[list-item]  # structural twin
    plan.assets[0].downstream = [1]
    assert is_of_no_use(_Asked(plan, 2 * wide), 1, {0})  # type: ignore[arg-type]  # structural twin


class _Constant:
    """A dependency of all keys on one step, which is asked for that once."""

    aligned, constant, takes, optional = False, True, "value", False

    def __init__(self, upstream: Any) -> None:
        self.upstream = upstream

    def numbers(self, position: int, keys: Any) -> list[range]:
        del keys
        assert position == 0
        return [range(1)]


class _Asked:
    """A plan of which one step was asked for."""

    def __init__(self, plan: HandPlan, step: int) -> None:
        self.assets, self.total, self.of = plan.assets, plan.total, plan.of
        self.targets = [range(step, step + 1)]
