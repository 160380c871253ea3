"""The window by itself: how many steps it lets be live, and when it looks for more."""

from __future__ import annotations

import pytest

from flowstone.runs.step_states import CANCELLED, READY, RUNNING, SUCCEEDED
from flowstone.runs.window import Window
from tests.runs.plans import HandPlan, same


def opened(plan, size, live=()):
    """A window on a plan, some of whose steps run already, and the states it looks at."""
    states = bytearray(plan.total)
    for step in live:
        states[step] = RUNNING
    window = Window(plan, states, size)
    window.open(live)
    return window, states


def started(window, states):
    """Start what may be; which steps that are."""
    steps = []
    for step, _ in window.walk():
        states[step] = RUNNING
        steps.append(step)
    return steps


def ended(window, states, step):
    """A step has a value, and that is recorded; which steps waited for nothing else."""
    states[step] = SUCCEEDED
    window.leave(step)
    return window.release(step)


def test_what_ran_before_a_restart_is_in_the_window():
    """Steps that are live when it is opened take room like those that it lets in."""
    window, states = opened(HandPlan({"a": 20}), 4, live=(0, 1))
    assert started(window, states) == [2, 3]
    ended(window, states, 0)
    assert started(window, states) == [4]


def test_each_asset_of_many_steps_has_its_share():
    """The assets of one step take nothing of it, wherever they stand."""
    window, states = opened(HandPlan({"a": 1, "b": 1, "c": 10}), 8)
    assert started(window, states) == [0, 1, *range(2, 10)]
    window, states = opened(HandPlan({"a": 10, "b": 10}), 8)
    assert started(window, states) == [*range(4), *range(10, 14)]


@pytest.mark.parametrize(("sizes", "bounded"), [((1, 1, 1), False), ((4,), False), ((5,), True), ((), False)])
def test_live_steps_are_counted_where_there_are_more_than_may_be_live(sizes, bounded):
    """Elsewhere nobody has to be told that a step has ended."""
    plan = HandPlan({str(number): size for number, size in enumerate(sizes)})
    assert Window(plan, bytearray(plan.total), 4).bounded == bounded


def test_more_steps_are_looked_for_when_there_is_room_for_several():
    """A sixteenth of an asset's share has to be free."""
    window, states = opened(HandPlan({"a": 100}), 32)
    assert started(window, states) == [*range(32)]
    ended(window, states, 0)
    assert not window.due
    ended(window, states, 1)
    assert window.due
    assert started(window, states) == [32, 33]


def test_an_asset_that_has_moved_at_all_moves_those_downstream():
    """Although its window is full with one step."""
    window, states = opened(HandPlan({"a": 3, "b": 3}, {"b": {"a": same}}), 2)
    assert started(window, states) == [0]
    assert window.blocked == 1
    assert ended(window, states, 0) == [3]
    assert started(window, states) == [1]


def test_a_cancelled_run_passes_what_is_not_live_at_once():
    """Whatever it would have waited for, and what waits or is deferred as well."""
    window, states = opened(HandPlan({"a": 8, "b": 8}, {"b": {"a": same}}), 8)
    assert started(window, states) == [0, 1, 2, 3]
    window.set_aside(3)
    assert started(window, states) == [4]
    blocked, ahead = window.close()
    assert (sorted(blocked), ahead) == ([8, 9, 10, 12], [])
    assert (window.aside, window.deferred, window.blocked) == (0, 0, 0)
    for step in [0, 1, 2, 4, *blocked]:
        states[step] = CANCELLED
        window.leave(step)
    passed = []
    for step, found in window.walk():
        assert found == READY
        states[step] = CANCELLED
        window.leave(step)
        passed.append(step)
    assert sorted(passed) == [3, 5, 6, 7, 11, 13, 14, 15]


def test_a_step_that_waits_makes_room():
    """And takes room again when its wait is about to end without another attempt."""
    window, states = opened(HandPlan({"a": 20, "b": 20}, {"b": {"a": same}}), 8)
    assert started(window, states) == [0, 1, 2, 3]
    window.set_aside(0)
    assert (window.aside, window.deferred, window.blocked) == (2, 1, 3)
    assert started(window, states) == [4]
    assert window.blocked == 4
    window.end_wait(0)
    assert window.aside == 1
    assert ended(window, states, 1) == [21]
    assert started(window, states) == []
    assert ended(window, states, 2) == [22]
    assert started(window, states) == [5]
