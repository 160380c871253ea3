"""Items of one step on several nodes: who goes through them, and what becomes of them when nodes go."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import pytest

from flowstone import Each, MemoryIO, Outcome, Pipeline, RunCancelled, RunFailed
from flowstone.runs.items import ENDED
from flowstone.runtime.cluster.step_executor import StepExecutor
from flowstone.runtime.run.item_leases import ItemLeases
from flowstone.runtime.run.kept_items import KeptItems
from flowstone.runtime.run.scatter import Scatter
from flowstone.store.protocol import StoreRefused
from tests.runtime.cluster.scene import LEASE
from tests.runtime.doubles import Gate

COUNT = 24


class Items:
    """Pipelines of several nodes, and which node was called with which item.

    Attributes:
        calls: Node and item, in order.
        gates: Where an item waits.
        failing: Items that fail.
        running: How many run now, by node.
        beside: Nodes, items, and how many ran there when that was called and when it returned, in order.
    """

    def __init__(self, town):
        self.town = town
        self.calls = []
        self.gates = {}
        self.failing = set()
        self.beside = []
        self.running = Counter()

    def pipeline(self, node, **each):
        made = Pipeline("town")

        @made.asset
        async def files():
            return list(range(COUNT))

        @made.asset(each=Each("files", **{"max_parallel": 4, **each}))
        async def page(files):
            self.calls.append((node, files))
            self.running[node] += 1
            self.beside.append((node, files, self.running[node]))
            try:
                if files in self.gates:
                    await self.gates[files].wait()
                await asyncio.sleep(0)
                if files in self.failing:
                    raise ValueError(f"no {files}")
            finally:
                self.beside.append((node, files, self.running[node]))
                self.running[node] -= 1
            return [files]

        return made

    def gate_all(self):
        self.gates = {number: Gate() for number in range(COUNT)}

    def open_all(self):
        for gate in self.gates.values():
            gate.open()

    @property
    def by_node(self):
        return Counter(node for node, _ in self.calls)

    @property
    def called(self):
        return Counter(files for _, files in self.calls)


@pytest.fixture
def items(town):
    found = Items(town)
    yield found
    found.open_all()


async def spread(town, items, nodes=("second",), **each):
    """A run whose items wait at their gates, as many as may, on all nodes."""
    items.gate_all()
    first = await town.node("first", items.pipeline("first", **each), worker=False)
    for name in nodes:
        await town.node(name, items.pipeline(name, **each))
    task = asyncio.create_task(first.materialize_all("page"))
    await town.until(lambda: len(items.calls) == 4, 3)
    return first, task


async def test_items_spread_over_the_nodes(town, items):
    """As evenly as steps of a backfill, no more at a time than `max_parallel` says, and each once."""
    first, task = await spread(town, items)
    assert items.by_node == {"first": 2, "second": 2}
    await town.clock.advance(5)
    assert len(items.calls) == 4
    assert len(town.shared.leases) == 2
    items.open_all()
    result = await town.outcome(task, 10)
    assert await result.value("page") == [[number] for number in range(COUNT)]
    assert set(items.called.values()) == {1}
    assert len(items.called) == COUNT
    assert town.shared.leases == {}
    found = await first.items(result.run_id, "page", limit=100)
    assert [(item.position, item.status) for item in found] == [(at, "succeeded") for at in range(COUNT)]


async def test_items_of_a_dead_node_are_attempted_alone(town, items):
    """They may be what ended it. What it has recorded is not called again."""
    _, task = await spread(town, items)
    there = [number for node, number in items.calls if node == "second"]
    items.gates[there[0]].open()
    await town.clock.advance(1)
    await town.die("second")
    first_again = len(items.beside)
    items.open_all()
    result = await town.outcome(task, LEASE + 5)
    assert await result.value("page") == [[number] for number in range(COUNT)]
    again = [number for number, count in items.called.items() if count == 2]
    assert set(again) <= {number for node, number in items.calls if node == "second"}
    assert there[1] in again
    assert there[0] not in again
    assert {
        active for node, number, active in items.beside[first_again:] if node == "first" and number in again
    } == {1}
    assert town.shared.leases == {}


async def test_an_item_that_was_lost_too_often_fails(town, items):
    """As a step does."""
    items.gate_all()
    first = await town.node("first", items.pipeline("first", tolerate=2), worker=False, lost_attempts=1)
    await town.node("second", items.pipeline("second", tolerate=2))
    task = asyncio.create_task(first.materialize_all("page"))
    await town.until(lambda: len(items.calls) == 4, 3)
    lost = {number for node, number in items.calls if node == "second"}
    await town.die("second")
    items.open_all()
    result = await town.outcome(task, LEASE + 5)
    failed = await first.items(result.run_id, "page", status="failed")
    assert {item.position for item in failed} == lost
    assert {item.failure.kind for item in failed} == {"lost"}


async def test_whoever_adopts_the_run_goes_through_what_is_not_on_record(town, items):
    """Leases of the former owner end with it."""
    _, task = await spread(town, items, nodes=("second", "third"))
    done = [number for node, number in items.calls if node != "first"][:1]
    for number in done:
        items.gates[number].open()
    await town.clock.advance(1)
    (log,) = town.shared.history.all_runs()
    run_id = log.head().id
    before = len(items.calls)
    await town.die("first")
    await town.until(lambda: town.owner(run_id) != "first", 5)
    items.open_all()
    owner = town.runtimes[town.owner(run_id)]
    result = await town.outcome((await owner.run(run_id)).wait(), 20)
    assert await result.value("page") == [[number] for number in range(COUNT)]
    assert not {number for _, number in items.calls[before:]} & set(done)
    found = await owner.items(run_id, "page", limit=100)
    assert [item.position for item in found] == list(range(COUNT))
    assert town.shared.leases == {}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_cancel_stops_items_on_every_node(town, items):
    first, task = await spread(town, items)
    (run,) = await first.runs()
    await town.outcome((await first.run(run.id)).cancel(), 5)
    with pytest.raises(RunCancelled):
        await town.outcome(task, 5)
    await town.clock.advance(1)
    assert len(items.calls) == 4
    assert town.shared.leases == {}


async def test_failures_on_other_nodes_count(town, items):
    """The step fails as soon as there are more than are tolerated, wherever they failed."""
    items.failing = set(range(COUNT))
    _, task = await spread(town, items, tolerate=2)
    items.open_all()
    with pytest.raises(RunFailed, match="more than tolerate=2 allows"):
        await town.outcome(task, 10)
    assert len(items.calls) < COUNT
    assert town.shared.leases == {}


async def test_a_node_that_leaves_hands_its_items_back(town, items):
    """They are nobody's failure, and no suspects."""
    _, task = await spread(town, items)
    await town.leave("second")
    items.open_all()
    result = await town.outcome(task, 5)
    assert await result.value("page") == [[number] for number in range(COUNT)]
    assert items.by_node["second"] == 2


async def test_a_node_that_cannot_go_through_them_is_not_asked_again(town, items, monkeypatch):
    """They run where the step is driven."""
    asked = []
    monkeypatch.setattr(StepExecutor, "_equipped", lambda *_: asked.append(1))
    first, task = await spread(town, items)
    assert items.by_node == {"first": 4}
    assert 0 < len(asked) <= 2
    items.open_all()
    result = await town.outcome(task, 5)
    assert len(await first.items(result.run_id, "page", limit=100)) == COUNT
    assert len(asked) <= 2


@pytest.mark.parametrize("each", [{"batch": 3}, {"key": lambda item: f"item {item}"}], ids=["batch", "key"])
async def test_batches_and_named_items_travel_as_well(town, items, each):
    made = {}

    def pipeline(node):
        pipeline = Pipeline("town")

        @pipeline.asset
        async def files():
            return list(range(COUNT))

        @pipeline.asset(each=Each("files", max_parallel=4, **each))
        async def page(files):
            made[str(files)] = node
            await town.gates["page"].wait()
            return files

        return pipeline

    town.gates["page"] = Gate()
    first = await town.node("first", pipeline("first"), worker=False)
    await town.node("second", pipeline("second"))
    task = asyncio.create_task(first.materialize_all("page"))
    await town.until(lambda: len(made) == 4, 3)
    town.gates["page"].open()
    result = await town.outcome(task, 10)
    expected = (
        [list(range(at, at + 3)) for at in range(0, COUNT, 3)] if "batch" in each else list(range(COUNT))
    )
    assert await result.value("page") == expected
    assert set(made.values()) == {"first", "second"}
    names = [item.key for item in await first.items(result.run_id, "page", limit=100)]
    assert names == [f"item {at}" for at in range(COUNT)] if "key" in each else len(names) == 8


async def test_items_stay_where_their_values_cannot_be_reached(town, items):
    """Nor do they travel where they take no time worth the way."""
    items.gate_all()
    first = await town.node("first", items.pipeline("first"), worker=False, io={"default": MemoryIO()})
    await town.node("second", items.pipeline("second"))
    task = asyncio.create_task(first.materialize_all("page"))
    await town.until(lambda: len(items.calls) == 4, 3)
    items.open_all()
    await town.outcome(task, 5)
    assert items.by_node == {"first": COUNT}


async def test_items_that_are_done_at_once_stay(town, items):
    first = await town.node("first", items.pipeline("first"), worker=False)
    await town.node("second", items.pipeline("second"))
    await town.outcome(first.materialize_all("page"), 5)
    assert items.by_node == {"first": COUNT}


async def test_leases_end_with_the_driver_that_crashes(town, items, monkeypatch):
    """While the run goes on: nobody would take over what they do."""
    record = KeptItems.record

    async def refuse(kept):
        if type(kept._attempt) is Scatter:
            raise StoreRefused("no such table")
        await record(kept)

    monkeypatch.setattr(KeptItems, "record", refuse)

    def pipeline(node):
        made = items.pipeline(node)

        @made.asset
        async def other():
            await town.gates["other"].wait()

        @made.asset
        async def both(page: Outcome[list[int]], other):
            return page.status

        return made

    town.gates["other"] = Gate()
    items.gate_all()
    first = await town.node("first", pipeline("first"), worker=False)
    await town.node("second", pipeline("second"))
    task = asyncio.create_task(first.materialize_all("both"))
    await town.until(lambda: len(items.calls) == 4, 3)
    assert items.running["second"] == 2
    items.gates[next(number for node, number in items.calls if node == "first")].open()
    await town.clock.advance(2)
    assert items.running == {"first": 0, "second": 0}
    assert town.shared.leases == {}
    assert not task.done()
    town.gates["other"].open()
    result = await town.outcome(task, 5)
    assert await result.value("both") == "failed"
    assert len(items.calls) == 4


async def test_items_that_are_done_are_passed_a_few_in_a_turn(town, items, monkeypatch):
    """Also on the way to those that are leased: a resumed step may have a million of them."""
    count, passed = 5_000, []
    resume, lease = Scatter._resume, Scatter._lease

    async def resume_with_much_done(scatter):
        await resume(scatter)
        if type(scatter) is Scatter:
            scatter._kept.done = bytes(4) + bytes([ENDED["succeeded"]]) * (count - 100)

    def lease_and_count(scatter, size, *rest):
        before = scatter._units.position
        answer = lease(scatter, size, *rest)
        passed.append(scatter._units.position - before - size)
        return answer

    monkeypatch.setattr(Scatter, "_resume", resume_with_much_done)
    monkeypatch.setattr(Scatter, "_lease", lease_and_count)
    monkeypatch.setattr(sys.modules[__name__], "COUNT", count)
    first, task = await spread(town, items)
    for node, number in tuple(items.calls):
        if node == "second":
            items.gates[number].open()
    await town.until(lambda: len(items.calls) == 6, 5)
    assert sum(each for each in passed if each > 0) > 1_000
    assert max(passed) <= 64
    (run,) = await first.runs()
    await town.outcome((await first.run(run.id)).cancel(), 5)
    with pytest.raises(RunCancelled):
        await town.outcome(task, 5)


def test_a_timer_that_rings_before_its_time_is_not_waited_for_again():
    """A loop may call up to the resolution of its clock early, and there is nobody else to wake the step."""
    timers, woken = [], []

    class Clock:
        def monotonic(self):
            return 10.0

        def call_later(self, _delay, callback):
            timers.append(callback)

    class Remote:
        def wants_items(self, _asset, _busy):
            return True

    leases = ItemLeases(Remote(), Clock(), ("page", None), 1, 4, lambda: woken.append(1))
    assert leases.size(1, 10) is None
    assert leases.size(1, 10) is None
    (ring,) = timers
    ring()
    assert woken == [1]
    assert leases.size(1, 10) == 1
