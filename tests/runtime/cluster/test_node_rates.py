"""Rates of several nodes: together they keep to one rate, and reach it."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from random import Random

import pytest

from flowstone import Context, Pipeline, StaticPartitions, StoreUnavailable
from flowstone.runtime.cluster.node_rates import NodeRates
from flowstone.testing.clock import VirtualClock
from tests.runtime.test_rates import LateClock
from tests.store.shared_memory import SharedMemory

KEYS = [f"k{number}" for number in range(40)]


class Node:
    """One node, which wants a turn whenever it has had one."""

    def __init__(self, shared, clock, random, trip, **rate):
        self.rates = NodeRates(clock, shared.connect().rates)
        self.rates.define([("api", rate.get("limit", 100), rate.get("per", 1.0))])
        self.turns = []
        self._clock, self._random, self._trip = clock, random, trip
        self._numbers = count()
        self.busy = True
        self._ask()

    def _ask(self):
        number = next(self._numbers)
        self.rates.ask("api", number, 0, lambda: self._go(number))

    def _go(self, number):
        if self.rates.in_time("api", number):
            self.turns.append(self._clock.monotonic())
        self.rates.started("api", number)
        if self.busy:
            self._ask()

    async def say(self):
        """Reserve, over a connection that takes its time."""
        shared, clock, random, trip = self.rates._shared, self._clock, self._random, self._trip

        class Slow:
            async def reserve(self, wanted):
                clock._elapsed += random.uniform(0.0, trip)
                answer = await shared.reserve(wanted)
                clock._elapsed += random.uniform(0.0, trip)
                return answer

        self.rates._shared = Slow()
        try:
            await self.rates.reserve()
        finally:
            self.rates._shared = shared


async def third_of_a_minute(nodes, clock):
    """20 seconds go by; every turn there was."""
    while clock.monotonic() < 20.0:
        for node in nodes:
            await node.say()
        await clock.advance(0.01)
    return sorted(turn for node in nodes for turn in node.turns)


@pytest.mark.parametrize(("late", "trip"), [(0.0, 0.0), (0.001, 0.0005), (0.003, 0.001)])
async def test_four_nodes_keep_to_a_rate_and_reach_it(late, trip):
    """100 a second: within 2 %, and no second has more."""
    random = Random(1)
    clock = LateClock(random, late)
    shared = SharedMemory(clock)
    nodes = [Node(shared, clock, random, trip) for _ in range(4)]
    turns = await third_of_a_minute(nodes, clock)
    assert 2_000 * 0.98 <= len(turns) <= 2_000
    assert all(last - first >= 1.0 - 1e-6 for first, last in zip(turns, turns[100:], strict=False))
    assert min(len(node.turns) for node in nodes) > 300


async def test_what_a_node_does_not_use_it_does_not_keep_from_the_others():
    """One that wants nothing more costs the others what it has reserved: a moment."""
    random = Random(1)
    clock = LateClock(random, 0.0)
    shared = SharedMemory(clock)
    nodes = [Node(shared, clock, random, 0.0) for _ in range(2)]
    nodes[0].busy = False
    turns = await third_of_a_minute(nodes, clock)
    assert len(nodes[0].turns) == 1
    assert len(turns) >= 2_000 * 0.98


@pytest.mark.parametrize("late", [0.0, 0.004, 0.02])
async def test_a_turn_that_is_given_back_is_had_by_the_next_one_if_it_is_in_time(late):
    """It is reserved: nobody else can have it."""
    clock = VirtualClock()
    rates = NodeRates(clock, SharedMemory(clock).connect().rates)
    rates.define([("api", 10, 1.0)])
    turns = []
    for name in ("first", "second"):
        rates.ask("api", name, 0, lambda name=name: turns.append((name, clock.monotonic())))
    await rates.reserve()
    while not turns:
        await clock.advance(0.0005)
    ((_, at),) = turns
    await clock.advance(late)
    rates.withdraw("api", "first")
    await rates.reserve()
    await clock.advance(0.2)
    (_, (name, again)) = turns
    assert name == "second"
    assert again - at == pytest.approx(late if late < 0.01 else 0.101, abs=0.001)


def calls(begun, clock):
    """An asset that keeps to a rate."""
    pipeline = Pipeline("town")
    pipeline.rate("api", limit=10, per=1.0)

    @pipeline.asset(rate="api", partitions=StaticPartitions(KEYS))
    async def call(context: Context) -> str:
        begun.append(clock.monotonic())
        return context.partition

    @pipeline.asset(partitions=StaticPartitions(KEYS))
    async def limited(context: Context) -> str:
        async with context.limit("api"):
            begun.append(clock.monotonic())
        return context.partition

    return pipeline


@pytest.mark.parametrize("options", [{}, {"max_concurrency": 1}])
@pytest.mark.parametrize("asset", ["call", "limited"])
async def test_steps_of_all_nodes_keep_to_a_rate(town, background, asset, options):
    """Whether the asset has it or its function, and however few slots there are."""
    begun = []
    runs = []
    for name in ("first", "second"):
        runtime = await town.node(name, calls(begun, town.clock), worker=False, **options)
        keys = KEYS[:20] if name == "first" else KEYS[20:]
        runs.append(background(runtime.backfill(asset, partitions=keys)))
    for run in runs:
        assert (await town.outcome(run, step=0.01, seconds=10)).status == "succeeded"
    begun.sort()
    assert len(begun) == 40
    assert all(last - first >= 1.0 - 1e-6 for first, last in zip(begun, begun[10:], strict=False))
    assert begun[-1] - begun[0] < 4.4


async def test_a_step_that_gets_a_slot_too_late_waits_for_another_turn(town, background):
    """And keeps the slot, so that it gets one; cancelled meanwhile, it keeps nothing."""
    begun = []
    pipeline = calls(begun, town.clock)

    @pipeline.asset
    async def long() -> int:
        await town.clock.sleep(0.95)
        return 1

    runtime = await town.node("first", pipeline, worker=False, max_concurrency=1)
    holder = background(runtime.materialize("long"))
    await town.clock.settle()
    waits = background(runtime.materialize("call", partition="k0"))
    gone = background(runtime.materialize("call", partition="k1"))
    last = background(runtime.materialize("call", partition="k2"))
    await town.outcome(holder, step=0.01)
    await town.outcome(waits, step=0.01)
    gone.cancel()
    assert (await town.outcome(last, step=0.01)).status == "succeeded"
    assert runtime._ctx.admission.statistics().taken == 0
    assert len(begun) == 2


async def test_a_store_that_is_away_costs_the_turns_of_that_time(town, background):
    """What waits goes on when it is back."""
    begun = []
    runtime = await town.node("first", calls(begun, town.clock), worker=False)
    run = background(runtime.backfill("limited", partitions=KEYS[:10]))
    await town.clock.advance(0.35)
    town.stores["first"].cut()
    await town.clock.advance(3.0)
    town.stores["first"].mend()
    with suppress(StoreUnavailable):
        await town.outcome(run, 10)
    assert len(begun) >= 4
