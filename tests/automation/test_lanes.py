"""What a listener has in hand, in any order of reads, successes and failures."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.events import StepStarted
from flowstone.runtime.automation.lanes import Lanes
from flowstone.store.deliveries import Delivery
from tests.store.facts import at

RUNS = ("one", "two", "three")


def delivery(run, number):
    """The event of this number of a run."""
    return Delivery(run, number, StepStarted(at(number), run, "a", None, 1))


steps = st.one_of(
    st.tuples(st.just("record"), st.sampled_from(RUNS)),
    st.tuples(st.just("read"), st.integers(1, 6)),
    st.tuples(st.just("begin"), st.none()),
    st.tuples(st.sampled_from(["deliver", "fail", "give up"]), st.integers(0, 5)),
    st.tuples(st.just("settle"), st.none()),
    st.tuples(st.just("wait"), st.integers(1, 3)),
)


class World:
    """The store and the calls around the lanes, as the driver has them."""

    def __init__(self):
        self.lanes = Lanes()
        self.outbox = {run: deque() for run in RUNS}
        self.numbers = dict.fromkeys(RUNS, 0)
        self.calls = []
        self.done = []
        self.heard = {run: [] for run in RUNS}
        self.now = 0.0

    def do(self, what, given):
        """One thing that may happen."""
        if what == "record":
            self.numbers[given] += 1
            self.outbox[given].append(delivery(given, self.numbers[given]))
        elif what == "read":
            open_runs = (run for run in RUNS if run not in self.lanes.keys)
            self.lanes.add([each for run in open_runs for each in self.outbox[run]][:given])
        elif what == "begin":
            lane = self.lanes.next()
            if lane is not None:
                self.calls.append(lane)
        elif what == "settle":
            for lane, number in self.done:
                assert self.outbox[lane].popleft().number == number
            self.done = []
            self.lanes.drop_empty(())
        elif what == "wait":
            self.now += given
            self.lanes.release(self.now)
        elif self.calls:
            self.end(what, self.calls.pop(given % len(self.calls)))

    def end(self, what, lane):
        """A call is over."""
        first = lane.events[0]
        if what == "fail":
            self.lanes.block(lane, self.now + 2)
            return
        self.heard[lane.key].append(first.number)
        self.done.append(first.key)
        self.lanes.delivered(lane)

    def check(self):
        """What is true at any time."""
        runs = [lane.key for lane in self.calls]
        assert len(runs) == len(set(runs)), "one call at a time for each run"
        for run in RUNS:
            assert self.heard[run] == list(range(1, len(self.heard[run]) + 1)), "in order, each once"
        assert self.lanes.held == sum(len(lane.events) for lane in self.lanes._lanes.values())


@given(st.lists(steps, max_size=80))
def test_every_run_is_told_in_order_and_whole(deeds):
    """Whatever fails in between, and however little is read at a time."""
    world = World()
    for what, given_to in deeds:
        world.do(what, given_to)
        world.check()
    for _ in range(2 * sum(world.numbers.values()) + 10):
        for what, given_to in (("wait", 3), ("settle", None), ("read", 3), ("begin", None), ("deliver", 0)):
            world.do(what, given_to)
            world.check()
    world.do("settle", None)
    assert {run: len(heard) for run, heard in world.heard.items()} == world.numbers
    assert world.lanes.held == 0
    assert not world.lanes.keys


def test_the_longest_blocked_is_known():
    """Who is given up when too many wait; it goes on with what comes after."""
    lanes = Lanes()
    lanes.add([delivery(run, number) for run in RUNS for number in (1, 2)])
    for due in (5.0, 4.0, 6.0):
        lanes.block(lanes.next(), due)
    assert (lanes.blocked, lanes.held, lanes.next_due()) == (3, 3, 4.0)
    assert lanes.longest_blocked().key == "one"
    assert lanes.longest_blocked().events[0].attempts == 1
    lanes.delivered(lanes.longest_blocked())
    assert lanes.longest_blocked().key == "two"
    lanes.release(4.0)
    assert lanes.next().key == "two"
