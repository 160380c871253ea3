"""Admission: so many at a time, first come first served, and the steps that run exclusively."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flowstone.runtime.services.admission import Admission, AdmissionStatistics
from flowstone.runtime.services.pools import Pools
from flowstone.runtime.services.rates import Rates
from flowstone.testing.clock import VirtualClock


class Item:
    """Somebody who wants in; the unwilling hand back what they are given."""

    def __init__(self, name, *, exclusive=False, willing=True):
        self.name = name
        self.exclusive = exclusive
        self.willing = willing
        self.admitted = False
        self.pools = ()
        self.pooled = False
        self.priority = 0
        self.rate = None
        self.rated = False


class Line:
    """An admission and who was let in, in order."""

    def __init__(self, limit):
        self.clock = VirtualClock()
        self.admission = Admission(limit, Pools(), Rates(self.clock))
        self.items = {}
        self.started = []
        self.unwilling = set()

    def come(self, *names, exclusive=False):
        for name in names:
            item = self.items[name] = Item(name, exclusive=exclusive, willing=name not in self.unwilling)
            self.admission.admit(item, self.start)

    def leave(self, name):
        self.admission.leave(self.items[name])

    def start(self, item):
        assert item.admitted
        self.started.append(item.name)
        return item.willing


def test_a_step_that_finds_a_slot_starts_at_once():
    """The others start in the order they came, as slots are given back."""
    line = Line(2)
    line.come("a", "b", "c", "d")
    assert line.started == ["a", "b"]
    line.leave("a")
    assert line.started == ["a", "b", "c"]
    assert line.admission.statistics() == AdmissionStatistics(limit=2, taken=2, waiting=1)


def test_a_slot_that_is_handed_back_goes_to_the_next():
    """Also if it was free when it was asked for."""
    line = Line(1)
    line.unwilling = {"a", "c"}
    line.come("a", "b", "c", "d")
    assert line.started == ["a", "b"]
    line.leave("b")
    assert line.started == ["a", "b", "c", "d"]
    assert [item.admitted for item in line.items.values()] == [False, False, False, True]


def test_what_is_given_back_twice_counts_once():
    """An attempt that gave its slot back while it waited has none when it ends."""
    line = Line(2)
    line.come("a", "b", "c")
    line.leave("a")
    line.leave("a")
    assert line.admission.statistics() == AdmissionStatistics(limit=2, taken=2, waiting=0)


def test_exclusive_means_that_nobody_else_is_in():
    """It starts when the last one has left, and nobody starts beside it."""
    line = Line(3)
    line.come("a", "b")
    line.come("exclusive", exclusive=True)
    line.leave("a")
    assert line.started == ["a", "b"]
    line.leave("b")
    assert line.started == ["a", "b", "exclusive"]
    line.come("c", "d")
    assert line.started == ["a", "b", "exclusive"]
    assert line.admission.statistics() == AdmissionStatistics(3, taken=1, waiting=2, exclusive=True)
    line.leave("exclusive")
    assert line.started == ["a", "b", "exclusive", "c", "d"]


def test_nobody_overtakes_one_that_waits_to_run_exclusively():
    """Otherwise it might wait for ever: there would always be somebody in."""
    line = Line(3)
    line.come("a")
    line.come("exclusive", exclusive=True)
    line.come("b")
    assert line.started == ["a"]
    line.leave("a")
    assert line.started == ["a", "exclusive"]


def test_one_that_withdraws_lets_those_behind_it_in():
    """Who was to run exclusively and is not wanted any more holds nobody up."""
    line = Line(2)
    line.come("a")
    line.come("exclusive", exclusive=True)
    line.come("b", "c")
    line.admission.withdraw(line.items["exclusive"])
    assert line.started == ["a", "b"]
    line.admission.withdraw(Item("nobody"))
    line.leave("a")
    assert line.started == ["a", "b", "c"]


class Crossing:
    """A place for everybody, which costs those of the run their slots: it is taken together with another one."""

    def __init__(self, admission):
        self.admission = admission

    def take(self, applicant, go):
        applicant.places = None
        self.admission.give_back(applicant.run_id)
        return True


@pytest.mark.parametrize("rate", [None, "api"])
async def test_one_that_loses_its_slots_for_its_place_asks_for_them_again(rate):
    """It does not start without, and holds up no rate while it waits."""
    line = Line(2)
    admission = line.admission
    admission.pools.define([("warehouse", 1)])
    admission.rates.define([("api", 1, 1.0)])
    holder, placeless, last, unpooled = (Item(name) for name in ("holder", "placeless", "last", "unpooled"))
    for item in (holder, placeless, last):
        item.pools, item.run_id, item.places = (("warehouse", 1),), item.name, None
    admission.admit(holder, line.start)
    placeless.rate, placeless.places = rate, Crossing(admission)
    admission.admit(placeless, line.start)
    admission.admit(last, line.start)
    admission.leave(holder)
    assert line.started == ["holder", "last"]
    assert not placeless.pooled
    assert not placeless.rated
    unpooled.rate, unpooled.places = rate, None
    admission.admit(unpooled, line.start)
    assert line.started == ["holder", "last", "unpooled"]
    admission.leave(unpooled)
    admission.leave(last)
    await line.clock.advance(1.5)
    assert line.started == ["holder", "last", "unpooled", "placeless"]


class AnyOrder(RuleBasedStateMachine):
    """Whoever comes, leaves and withdraws in whatever order."""

    def __init__(self):
        super().__init__()
        self.admission = Admission(3, Pools(), Rates(VirtualClock()))
        self.inside = []
        self.waiting = []

    def start(self, item):
        assert self.waiting == [] or self.waiting[0] is item, "overtaken"
        self.waiting.remove(item)
        if item.willing:
            assert not any(other.exclusive for other in self.inside), "beside one that runs exclusively"
            assert not (item.exclusive and self.inside), "exclusive beside others"
            self.inside.append(item)
        return item.willing

    @rule(exclusive=st.sampled_from([False, False, True]), willing=st.sampled_from([True, True, False]))
    def come(self, exclusive, willing):
        item = Item("", exclusive=exclusive, willing=willing)
        self.waiting.append(item)
        self.admission.admit(item, self.start)

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data):
        item = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        self.admission.leave(item)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data):
        item = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.admission.withdraw(item)

    @invariant()
    def it_is_as_full_as_it_may_be(self):
        """Nobody waits without a reason, and whoever is inside is marked so."""
        statistics = self.admission.statistics()
        assert (statistics.taken, statistics.waiting) == (len(self.inside), len(self.waiting))
        assert statistics.taken <= 3
        assert all(item.admitted for item in self.inside)
        assert not any(item.admitted for item in self.waiting)
        if self.waiting and not statistics.exclusive:
            assert statistics.taken == 3 or (self.waiting[0].exclusive and self.inside)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(stateful_step_count=40)
