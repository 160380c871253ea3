"""Slots: so many at a time, first come first served, and the steps that run alone."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flowstone.runtime.slots import Slots, SlotsStatistics


class Line:
    """Slots and who was let in, in order; those in `unwilling` hand their slot back."""

    def __init__(self, limit):
        self.slots = Slots(limit)
        self.started = []
        self.unwilling = set()

    def take(self, *items, alone=False):
        for item in items:
            self.slots.take(self.start, item, alone=alone)

    def start(self, item):
        self.started.append(item)
        return item not in self.unwilling


def test_a_step_that_finds_a_slot_starts_at_once():
    """The others start in the order they came, as slots are given back."""
    line = Line(2)
    line.take("a", "b", "c", "d")
    assert line.started == ["a", "b"]
    line.slots.release()
    assert line.started == ["a", "b", "c"]
    assert line.slots.statistics() == SlotsStatistics(limit=2, taken=2, waiting=1)


def test_a_slot_that_is_handed_back_goes_to_the_next():
    """Also if it was free when it was asked for."""
    line = Line(1)
    line.unwilling = {"a", "c"}
    line.take("a", "b", "c", "d")
    assert line.started == ["a", "b"]
    line.slots.release()
    assert line.started == ["a", "b", "c", "d"]


def test_alone_means_that_nobody_else_is_in():
    """It starts when the last one has left, and nobody starts beside it."""
    line = Line(3)
    line.take("a", "b")
    line.take("alone", alone=True)
    line.slots.release()
    assert line.started == ["a", "b"]
    line.slots.release()
    assert line.started == ["a", "b", "alone"]
    line.take("c", "d")
    assert line.started == ["a", "b", "alone"]
    assert line.slots.statistics() == SlotsStatistics(3, taken=1, waiting=2, exclusive=True)
    line.slots.release()
    assert line.started == ["a", "b", "alone", "c", "d"]


def test_nobody_overtakes_one_that_waits_to_run_alone():
    """Otherwise it might wait for ever: there would always be somebody in."""
    line = Line(3)
    line.take("a")
    line.take("alone", alone=True)
    line.take("b")
    assert line.started == ["a"]
    line.slots.release()
    assert line.started == ["a", "alone"]


def test_one_that_withdraws_lets_those_behind_it_in():
    """Who was to run alone and is not wanted any more holds nobody up."""
    line = Line(2)
    line.take("a")
    line.take("alone", alone=True)
    line.take("b", "c")
    line.slots.withdraw("alone")
    assert line.started == ["a", "b"]
    line.slots.withdraw("nobody")
    line.slots.release()
    assert line.started == ["a", "b", "c"]


class AnyOrder(RuleBasedStateMachine):
    """Whoever comes, leaves and withdraws in whatever order."""

    def __init__(self):
        super().__init__()
        self.slots = Slots(3)
        self.inside = []
        self.waiting = []
        self.count = 0

    def start(self, item):
        _, alone, willing = item
        assert self.waiting == [] or self.waiting[0] == item, "overtaken"
        self.waiting.remove(item)
        if willing:
            assert not any(other_alone for _, other_alone, _ in self.inside), "beside one that runs alone"
            assert not (alone and self.inside), "alone beside others"
            self.inside.append(item)
        return willing

    @rule(alone=st.sampled_from([False, False, True]), willing=st.sampled_from([True, True, False]))
    def come(self, alone, willing):
        self.count += 1
        item = (self.count, alone, willing)
        self.waiting.append(item)
        self.slots.take(self.start, item, alone=alone)

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data):
        self.inside.remove(data.draw(st.sampled_from(self.inside)))
        self.slots.release()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data):
        item = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(item)
        self.slots.withdraw(item)

    @invariant()
    def it_is_as_full_as_it_may_be(self):
        """Nobody waits without a reason."""
        statistics = self.slots.statistics()
        assert (statistics.taken, statistics.waiting) == (len(self.inside), len(self.waiting))
        assert statistics.taken <= 3
        if self.waiting and not statistics.exclusive:
            _, alone, _ = self.waiting[0]
            assert statistics.taken == 3 or (alone and self.inside)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
