"""Steps that wait for a pool or a rate take no place of their run, and no more run than may."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager

import pytest

from flowstone import FileIO, Pipeline, RunCancelled, Runtime, StaticPartitions
from flowstone.runtime.run.control import Look
from flowstone.runtime.run.parking import Parking
from flowstone.testing.clock import VirtualClock
from tests.runtime.test_pools import until

KEYS = StaticPartitions(list("abcd"))


class Rooms:
    """What assets of a test are inside, each until it is let out."""

    def __init__(self):
        self.inside = []
        self.order = []
        self._doors = defaultdict(asyncio.Event)
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def room(self, name):
        self.order.append(name)
        self.inside.append(name)
        self._changed.set()
        try:
            await self._doors[name].wait()
            yield
        finally:
            self.inside.remove(name)
            self._changed.set()

    def open(self, *names):
        for name in names:
            self._doors[name].set()

    async def until(self, *names):
        """Until just these are inside."""
        async with asyncio.timeout(200):
            while sorted(self.inside) != sorted(names):
                self._changed.clear()
                await self._changed.wait()


def town(rooms, **options):
    """`pooled` and `other` take slots of a pool, `free` does not; `both` takes `pooled` and `free`."""
    pipeline = Pipeline("town")
    pipeline.pool("warehouse", slots=options.get("slots", 1))
    pipeline.rate("api", limit=1, per=10.0)

    @pipeline.asset(pool="warehouse", partitions=KEYS)
    async def pooled(context):
        async with rooms.room(f"pooled {context.partition}"):
            return context.partition

    @pipeline.asset(pool="warehouse")
    async def other():
        async with rooms.room("other"):
            return 1

    @pipeline.asset(partitions=KEYS)
    async def free(context):
        async with rooms.room(f"free {context.partition}"):
            return context.partition

    @pipeline.asset(partitions=KEYS)
    async def both(pooled, free):
        return pooled + free

    @pipeline.asset(rate="api", partitions=KEYS)
    async def rated(context):
        async with rooms.room(f"rated {context.partition}"):
            return context.partition

    @pipeline.asset(partitions=KEYS)
    async def with_rate(rated, free):
        return rated + free

    @pipeline.asset
    async def parent(context):
        async with rooms.room("parent"):
            return await options["runtime"]().materialize("other")

    @pipeline.asset(partitions=KEYS)
    async def with_parent(pooled, parent):
        return 1

    return pipeline


@pytest.fixture
def rooms():
    return Rooms()


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    """The options of a runtime, for one store after the other."""
    if request.param == "memory":
        return {"store": "memory://"}
    if request.param == "postgres":
        return {"store": request.getfixturevalue("database"), "shutdown_timeout": 0.5}
    return {"store": f"file://{tmp_path / 'store'}", "io": {"default": FileIO(tmp_path / "values")}}


async def test_what_waits_for_a_full_pool_keeps_no_other_step_of_its_run_waiting(place, rooms, background):
    """All that needs no slot runs meanwhile, as many as may."""
    async with Runtime(town(rooms), **place) as runtime:
        other = background(runtime.materialize("other"))
        await rooms.until("other")
        run = background(runtime.backfill("both", upstream=True, max_parallel=2))
        await rooms.until("other", "free a", "free b")
        rooms.open("free a")
        await rooms.until("other", "free b", "free c")
        rooms.open("free b", "free c")
        await rooms.until("other", "free d")
        rooms.open("free d", "other", *(f"pooled {key}" for key in "abcd"))
        assert (await run).status == "succeeded"
        await other
        await until(runtime, taken=0, waiting=0)


async def test_one_that_is_served_while_its_run_is_full_takes_the_next_place(place, rooms, background):
    """It keeps its slot meanwhile, and no more run than may."""
    async with Runtime(town(rooms), **place) as runtime:
        other = background(runtime.materialize("other"))
        await rooms.until("other")
        run = background(runtime.backfill("both", upstream=True, max_parallel=2))
        await rooms.until("other", "free a", "free b")
        rooms.open("other")
        await other
        await until(runtime, taken=1)
        late = background(runtime.materialize("other"))
        assert rooms.inside == ["free a", "free b"]
        rooms.open("free b")
        await rooms.until("free a", "pooled a")
        rooms.open(*(f"{kind} {key}" for kind in ("free", "pooled") for key in "abcd"))
        assert (await run).status == "succeeded"
        await late


@pytest.mark.parametrize("how", ["cancelled", "drained"])
async def test_a_run_that_is_stopped_leaves_nothing_in_line(place, rooms, background, how):
    """Neither of those that wait for slots, nor of one that has its slot and waits for a place."""
    async with Runtime(town(rooms), **place) as runtime:
        other = background(runtime.materialize("other"))
        await rooms.until("other")
        run = await runtime.submit_backfill("both", upstream=True, max_parallel=2)
        await rooms.until("other", "free a", "free b")
        rooms.open("other")
        await other
        await until(runtime, taken=1)
        if how == "cancelled":
            await run.cancel()
        else:
            drained = background(run.drain())
            await until(runtime, taken=0, waiting=0)
            rooms.open("free a", "free b")
            await drained
        with pytest.raises(RunCancelled):
            await run.wait()
        await until(runtime, taken=0, waiting=0)


async def test_few_of_many_stand_in_line(rooms, background):
    """A run orders fewer than twice as many steps as may run, however many there are."""
    pipeline = Pipeline("many")
    pipeline.pool("warehouse", slots=1)

    @pipeline.asset(pool="warehouse", partitions=StaticPartitions([f"k{n}" for n in range(1_000)]))
    async def pooled():
        return 1

    @pipeline.asset(pool="warehouse")
    async def other():
        async with rooms.room("other"):
            return 1

    clock = VirtualClock()
    async with Runtime(pipeline, clock=clock) as runtime:
        other_run = background(runtime.materialize("other"))
        await rooms.until("other")
        run = background(runtime.backfill("pooled", max_parallel=4))
        await clock.advance(10.0)
        (pool,) = await runtime.pools()
        assert 4 <= pool.waiting < 8
        rooms.open("other")
        assert (await run).status == "succeeded"
        await other_run


async def test_a_step_does_not_wait_with_slots_that_the_run_of_a_step_before_it_needs(
    place, rooms, background
):
    """It gives them back, and asks for them again when it has a place."""
    async with Runtime(town(rooms, runtime=lambda: runtime), **place) as runtime:
        other = background(runtime.materialize("other"))
        await rooms.until("other")
        run = background(runtime.backfill("with_parent", upstream=True, max_parallel=1))
        await rooms.until("other", "parent")
        rooms.open("other")
        await other
        await until(runtime, taken=1)  # By `pooled a`, which waits for the place that `parent` has.
        rooms.open("parent", *(f"pooled {key}" for key in "abcd"))
        assert (await run).status == "succeeded"


@pytest.mark.parametrize("source", ["list", "reader"])
async def test_a_step_does_not_wait_with_slots_that_items_of_a_step_before_it_need(
    place, rooms, background, source
):
    """The step that goes through them has the place until they are done, and so does the reader that reads them."""
    pipeline = town(rooms)

    @pipeline.asset(pool="warehouse")
    async def first():
        return 1

    if source == "list":

        @pipeline.asset
        async def names():
            return list("abc")

    else:

        @pipeline.asset
        async def names():
            for name in "abc":
                yield name

    @pipeline.asset(each="names", pool="warehouse")
    async def item(names):
        return names

    @pipeline.asset
    async def last(first, item):
        return len(item) + first

    async with Runtime(pipeline, **place) as runtime:
        other = background(runtime.materialize("other"))
        await rooms.until("other")
        run = background(runtime.materialize_all("last", max_parallel=1))
        await until(runtime, taken=1, waiting=4)
        rooms.open("other")
        async with asyncio.timeout(200):
            assert await (await run).value() == 4
        await other


async def test_a_turn_of_a_rate_that_finds_its_run_full_is_another_ones(rooms, background):
    """With its place the step has the first turn there is."""
    clock = VirtualClock()
    async with Runtime(town(rooms), clock=clock) as runtime:
        rooms.open("rated d")
        await runtime.materialize("rated", partition="d")
        full = background(runtime.backfill("with_rate", partitions=["a", "b"], upstream=True, max_parallel=1))
        await clock.advance(1.0)
        await rooms.until("free a")
        other = background(runtime.materialize("rated", partition="c"))
        await clock.advance(9.5)
        await rooms.until("free a", "rated c")
        rooms.open("free a", "free b")
        await clock.advance(5.0)
        await rooms.until("rated c")
        await clock.advance(5.0)
        await rooms.until("rated c", "rated a")
        rooms.open("rated a", "rated b", "rated c")
        while not (full.done() and other.done()):
            await clock.advance(1.0)
        assert (await full).status == "succeeded"
    assert rooms.order[-2:] == ["rated a", "rated b"]


async def test_what_each_queued_step_waits_for_can_be_seen(rooms, background):
    """Its slots, its turn, a place among the steps of its run, or a slot of the runtime."""
    clock = VirtualClock()
    async with Runtime(town(rooms), clock=clock, max_concurrency=3) as runtime:
        rooms.open("rated d")
        await runtime.materialize("rated", partition="d")
        other = background(runtime.materialize("other"))
        await rooms.until("other")
        full = background(runtime.backfill("both", partitions=["a"], upstream=True, max_parallel=1))
        rated = background(runtime.materialize("rated", partition="a"))
        await clock.advance(0.5)
        await rooms.until("other", "free a")
        pools = {pool.name: pool for pool in await runtime.pools()}
        assert {step.name: step.told(pools) for step in runtime.queued_steps()} == {
            "pooled[a]": "pool warehouse (1 of 1 slot taken)",
            "rated[a]": "rate api",
        }
        assert await runtime.status("pooled", partition="a") == "queued"
        rooms.open("other")
        await other
        third = [background(runtime.materialize("free", partition=key)) for key in "bcd"]
        await rooms.until("free a", "free b", "free c")
        assert {step.name: step.told({}) for step in runtime.queued_steps()} == {
            "pooled[a]": "another step of its run to end",
            "rated[a]": "rate api",
            "free[d]": "a slot of its node",
        }
        rooms.open("free a", "free b", "free c", "free d", "pooled a", "rated a")
        await clock.advance(20.0)
        await asyncio.gather(full, rated, *third)
        assert runtime.queued_steps() == ()


async def test_nothing_stands_in_line_of_a_coordinator_that_has_crashed(rooms, background, monkeypatch):
    """Its successor asks again, and nothing is begun by the one that is gone."""
    clock = VirtualClock()
    look, crashes = Parking.look, []

    def crash_once(self):
        if not crashes:
            crashes.append(True)
            raise RuntimeError("injected")
        look(self)

    async with Runtime(town(rooms), clock=clock) as runtime:
        other = background(runtime.materialize("other"))
        await rooms.until("other")
        run = await runtime.submit_backfill("both", upstream=True, max_parallel=2)
        await clock.advance(0.05)
        monkeypatch.setattr(Parking, "look", crash_once)
        runtime._runs.live[run.id].ask(Look())
        await clock.advance(0.07)
        assert crashes
        assert rooms.inside == ["other"]
        (pool,) = await runtime.pools()
        assert pool.waiting == 2
        await clock.advance(1.0)
        await rooms.until("other", "free a", "free b")
        rooms.open("other", *(f"{kind} {key}" for kind in ("free", "pooled") for key in "abcd"))
        await clock.advance(1.0)
        assert (await run.result()).status == "succeeded"
        await other
    assert sorted(rooms.order) == sorted({*rooms.order}), "each began once"


def harbour(rooms):
    """`ship` and `other` take the only slot, `first` and `rated` keep to a rate, `item` goes through items."""
    pipeline = Pipeline("harbour")
    pipeline.pool("warehouse", slots=1)
    pipeline.rate("api", limit=1, per=10.0)

    @pipeline.asset(pool="warehouse", partitions=StaticPartitions(["a", "b"]))
    async def ship(context):
        async with rooms.room(f"ship {context.partition}"):
            return context.partition

    @pipeline.asset(pool="warehouse")
    async def other():
        async with rooms.room("other"):
            return 1

    @pipeline.asset(rate="api")
    async def first():
        return 1

    @pipeline.asset
    async def short():
        async with rooms.room("short"):
            return 1

    @pipeline.asset(rate="api")
    async def rated(short):
        async with rooms.room("rated"):
            return 1

    @pipeline.asset
    async def long():
        async with rooms.room("long"):
            return 1

    @pipeline.asset
    async def names():
        return ["x"]

    @pipeline.asset(each="names")
    async def item(names):
        async with rooms.room("item"):
            return names

    @pipeline.asset
    async def with_items(item, ship):
        return len(item) + len(ship)

    @pipeline.asset
    async def with_rate(ship, rated, long):
        return len(ship) + rated + long

    return pipeline


async def test_a_step_keeps_the_slot_that_a_step_of_its_run_leaves_it_with_its_place(rooms, background):
    """A step that goes through items has the other place: it is not waited for."""
    clock = VirtualClock()
    async with Runtime(harbour(rooms), clock=clock) as runtime:
        run = background(runtime.materialize_all("with_items", max_parallel=2))
        await clock.advance(1.0)
        assert sorted(rooms.inside) == ["item", "ship a"]
        other = background(runtime.materialize("other"))
        await clock.advance(1.0)
        rooms.open("ship a")
        await clock.advance(1.0)
        inside = sorted(rooms.inside)
        rooms.open("item", "ship b", "other")
        await clock.advance(1.0)
        assert (await run).status == "succeeded"
        await other
    assert inside == ["item", "ship b"]


async def test_a_step_that_is_served_by_one_of_its_run_takes_its_place_and_not_that_of_one_that_waits(
    rooms, background
):
    """Or the one that waits for its turn of a rate would then wait for a step that runs for long."""
    clock = VirtualClock()
    async with Runtime(harbour(rooms), clock=clock) as runtime:
        await runtime.materialize("first")
        run = background(runtime.materialize_all("with_rate", max_parallel=2))
        await clock.advance(9.94)
        assert sorted(rooms.inside) == ["ship a", "short"]
        rooms.open("short")
        await clock.advance(0.01)
        assert sorted(rooms.inside) == ["ship a"]
        rooms.open("ship a")
        await clock.advance(0.01)
        await clock.advance(1.0)
        inside = sorted(rooms.inside)
        rooms.open("ship b", "rated", "long")
        await clock.advance(20.0)
        assert (await run).status == "succeeded"
    assert inside == ["rated", "ship b"]
