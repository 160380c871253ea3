"""Calls on several nodes that come, leave and die at random: one run at a time, and what becomes of it is known."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import Status
from flowstone.testing.clock import VirtualClock
from tests.runtime.cluster.scene import LEASE, Town
from tests.runtime.doubles import Gate

NAMES = ("a", "b", "c")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 9), st.just(False)),
        st.tuples(st.just("submit"), st.integers(0, 2), st.just(False)),
        st.tuples(st.sampled_from(["die", "finish"]), st.integers(0, 2), st.just(False)),
    ),
    max_size=14,
)


class Expected:
    """A run, and who wants it.

    Attributes:
        callers: Call -> its node and whether it cancels the run as the last one.
        starter: The call that started it; None: it was submitted.
        kept: Whether it goes on whoever leaves.
    """

    def __init__(self, run_id, starter):
        self.run_id = run_id
        self.starter = starter
        self.callers = {}
        self.kept = starter is None

    def left(self, calls, *, died=False):
        """These have left. Why the run is cancelled, or None."""
        gone = [self.callers.pop(call) for call in calls if call in self.callers]
        if not gone or self.callers or self.kept:
            return None
        if any(cancels for _, cancels in gone):
            return "unwanted"
        return "caller" if self.starter in calls and not died else None


class World(Town):
    """The nodes, the calls on them, and what is to be true of the run."""

    def __init__(self, clock):
        super().__init__(clock)
        self.gate = self.gates["one", None] = Gate()
        self.alive = list(NAMES)
        self.calls = {}  # Those that wait, by number.
        self.lost = []  # Those of nodes that died.
        self.asked = 0
        self.run = None

    def unfinished(self):
        return [log.id for log in self.shared.unfinished()]

    async def ask(self, node, cancels):
        name = self.alive[node % len(self.alive)]
        number, self.asked = self.asked, self.asked + 1
        before = self.unfinished()
        call = self.runtimes[name].materialize("one", join=True, cancel_when_unwanted=cancels)
        self.calls[number] = asyncio.create_task(call)
        await self.clock.settle()
        (run_id,) = self.unfinished()
        assert before in ([], [run_id])
        if self.run is None:
            self.run = Expected(run_id, number)
        assert self.run.run_id == run_id
        self.run.callers[number] = (name, cancels)

    async def submit(self, node):
        name = self.alive[node % len(self.alive)]
        known = self.run
        run = await self.outcome(self.runtimes[name].submit("one", upstream=False, join=True))
        assert run.submitted == (known is None)
        if known is None:
            self.run = Expected(run.id, None)
        self.run.kept = True
        assert run.id == self.run.run_id
        await self.until(lambda: self.owner(run.id) is not None)

    async def leave_one(self, number):
        if not self.calls:
            return
        number = sorted(self.calls)[number % len(self.calls)]
        call = self.calls.pop(number)
        call.cancel()
        await self.until(call.done, step=0.05)
        assert call.cancelled()
        await self.becomes(self.run.left([number]))

    async def dies(self, node):
        if len(self.alive) == 1:
            return
        name = self.alive.pop(node % len(self.alive))
        here = [] if self.run is None else [n for n, (at, _) in self.run.callers.items() if at == name]
        self.lost += [self.calls.pop(number) for number in here]
        await self.die(name)
        await self.clock.advance(3.0)
        if self.run is not None:
            await self.becomes(self.run.left(here, died=True))

    async def finish(self):
        if self.run is None:
            return
        run_id = self.run.run_id
        await self.until(lambda: self.owner(run_id) in self.alive)
        self.gate.open()
        await self.until(lambda: self.status(run_id) is Status.SUCCEEDED)
        await self.until(lambda: all(call.done() for call in self.calls.values()))
        for call in self.calls.values():
            assert call.result().run_id == run_id
        assert self.successes(run_id) == {("one", None): 1}
        self.calls, self.run = {}, None
        self.gate = self.gates["one", None] = Gate()

    async def becomes(self, why):
        """The run is cancelled for that reason, or goes on."""
        run_id = self.run.run_id
        if why is None:
            assert not self.status(run_id).terminal
            return
        await self.until(lambda: self.status(run_id) is Status.CANCELLED)
        events = [event for _, event in self.shared.history.find(run_id).log.page(0, 1000)]
        reasons = [event.reason for event in events if isinstance(event, RunCancelRequested)]
        assert reasons[0] == why
        self.run = None
        for call in self.calls.values():
            assert call.done()
        self.calls = {}


async def play(moves):
    """Do all that, and end well."""
    clock = VirtualClock()
    async with World(clock) as world:
        for name in NAMES:
            await world.node(name)
        for what, number, cancels in moves:
            match what:
                case "ask":
                    await world.ask(number, cancels)
                case "leave":
                    await world.leave_one(number)
                case "submit":
                    await world.submit(number)
                case "die":
                    await world.dies(number)
                case "finish":
                    await world.finish()
        await world.finish()
        assert world.unfinished() == []
    await asyncio.gather(*world.lost, return_exceptions=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_any_order_of_calls_that_come_leave_and_die(moves):
    """There is one run at a time; it goes on while somebody wants it, and all who do get its result."""
    assert LEASE > 0
    asyncio.run(play(moves))
