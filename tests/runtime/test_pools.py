"""Pools: only so many steps of all runs at a time, in the order of priority and arrival."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import (
    DefinitionError,
    Each,
    FileIO,
    MaterializationFailed,
    MemoryIO,
    Pipeline,
    RunCancelled,
    RunFailed,
    Runtime,
    StaticPartitions,
)
from flowstone.runs.pools import Pool
from flowstone.runtime.services.admission import Admission
from flowstone.runtime.services.pools import Pools
from flowstone.runtime.services.rates import Rates, Waiting
from flowstone.testing.clock import VirtualClock
from tests.counting import counted_lines


class Held:
    """What assets of a test hold: they stay inside until they are let go."""

    def __init__(self):
        self.inside = []
        self.order = []
        self.most = 0
        self._changed = asyncio.Event()
        self._let = asyncio.Semaphore(0)

    @asynccontextmanager
    async def hold(self, name):
        self.inside.append(name)
        self.order.append(name)
        self.most = max(self.most, len(self.inside))
        self._changed.set()
        try:
            await self._let.acquire()
            yield
        finally:
            self.inside.remove(name)
            self._changed.set()

    def inside_steps(self):
        """Those inside, as people know them."""
        return [name if name == "second" else f"first[{name}]" for name in self.inside]

    def let(self, count=1):
        for _ in range(count):
            self._let.release()

    async def until(self, number):
        """Until so many have come in, in all."""
        async with asyncio.timeout(200):
            while len(self.order) < number:
                self._changed.clear()
                await self._changed.wait()


class User:
    """Somebody who asks for slots."""

    def __init__(self, name, pools, priority=0):
        self.name = name
        self.pools = tuple(sorted(pools.items()))
        self.pooled = False
        self.priority = priority
        self.run_id = "run-1"


def shop(held, **pools):
    """`first` and `second` take a slot of the pool `warehouse`, `free` takes none."""
    pipeline = Pipeline("shop")
    pipeline.pool("warehouse", slots=pools.get("slots", 1))

    @pipeline.asset(pool="warehouse", partitions=StaticPartitions(["a", "b", "c", "d"]))
    async def first(context):
        async with held.hold(context.partition):
            return context.partition

    @pipeline.asset(pool="warehouse")
    async def second():
        async with held.hold("second"):
            return 2

    @pipeline.asset
    async def free():
        return 3

    return pipeline


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    """The options of a runtime, for one store after the other."""
    if request.param == "memory":
        return {"store": "memory://"}
    if request.param == "postgres":
        return {"store": request.getfixturevalue("database"), "shutdown_timeout": 0.5}
    return {"store": f"file://{tmp_path / 'store'}", "io": {"default": FileIO(tmp_path / "values")}}


async def until(runtime, **numbers):
    """Until the only pool is so."""
    async with asyncio.timeout(200):
        while True:
            (pool,) = await runtime.pools()
            if all(getattr(pool, name) == number for name, number in numbers.items()):
                return
            await asyncio.sleep(0.005)


async def test_a_pool_is_shared_by_all_runs(place, background):
    """No more steps than it has slots, whichever run they belong to; each one that ends lets one in."""
    held = Held()
    async with Runtime(shop(held, slots=2), **place) as runtime:
        runs = [background(runtime.backfill("first")), background(runtime.materialize("second"))]
        await held.until(2)
        await until(runtime, slots=2, taken=2, waiting=3)
        (pool,) = await runtime.pools()
        assert pool.name == "warehouse"
        assert {holder.partition(" of run ")[0] for holder in pool.holders} == set(held.inside_steps())
        for number in (3, 4, 5):
            held.let()
            await held.until(number)
        held.let(2)
        await asyncio.gather(*runs)
        assert held.most == 2
        await until(runtime, taken=0)
        assert await runtime.pools() == [Pool("warehouse", 2, 0, 0)]


async def test_a_step_that_waits_for_a_pool_takes_no_slot_of_the_runtime(place, background):
    """So others run meanwhile."""
    held = Held()
    async with Runtime(shop(held), max_concurrency=2, **place) as runtime:
        runs = [background(runtime.materialize("first", partition=key)) for key in "abcd"]
        await held.until(1)
        assert (await runtime.materialize("free")).status == "succeeded"
        held.let(4)
        await asyncio.gather(*runs)


async def test_higher_priorities_are_served_first_then_those_who_came_first(place, background):
    """Over all runs."""
    held = Held()
    async with Runtime(shop(held), **place) as runtime:
        runs = []
        for key, priority in (("a", 0), ("b", 0), ("c", 5), ("d", 0)):
            run = await runtime.submit("first", partition=key, priority=priority)
            runs.append(run)
            await held.until(1)
        await until(runtime, waiting=3)
        held.let(4)
        for run in runs:
            await run.wait()
    assert held.order == ["a", "c", "b", "d"]


async def test_a_run_that_is_cancelled_while_it_waits_leaves_the_queue(place, background):
    """The next one is served."""
    held = Held()
    async with Runtime(shop(held), **place) as runtime:
        first = background(runtime.materialize("first", partition="a"))
        await held.until(1)
        waiting = await runtime.submit("first", partition="b")
        last = background(runtime.materialize("second"))
        await until(runtime, waiting=2)
        await waiting.cancel()
        await until(runtime, waiting=1)
        held.let(2)
        await asyncio.gather(first, last)
    assert held.order == ["a", "second"]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_a_slot_is_free_when_its_holder_is_gone(place, background, how):
    """Whatever ended it."""
    pipeline = Pipeline("shop")
    pipeline.pool("warehouse", slots=1)
    begun = asyncio.Event()

    @pipeline.asset(pool="warehouse")
    async def holder():
        begun.set()
        if how == "fails":
            raise ValueError("no")
        await asyncio.get_running_loop().create_future()

    @pipeline.asset(pool="warehouse")
    async def other():
        return 1

    async with Runtime(pipeline, **place) as runtime:
        run = await runtime.submit("holder")
        await begun.wait()
        if how == "is cancelled":
            await run.cancel()
        with suppress(RunFailed, RunCancelled):
            await run.wait()
        assert (await runtime.materialize("other")).status == "succeeded"


async def test_slots_can_be_set_at_run_time(place, background):
    """More let waiters in at once; fewer take nothing from anybody."""
    held = Held()
    async with Runtime(shop(held), **place) as runtime:
        run = background(runtime.backfill("first"))
        await held.until(1)
        assert (await runtime.set_pool("warehouse", slots=3)).slots == 3
        await held.until(3)
        pool = await runtime.set_pool("warehouse", slots=1)
        assert (pool.slots, pool.taken) == (1, 3)
        held.let(4)
        await run
        with pytest.raises(ValueError, match=r"no pool 'warehuose'.*warehouse"):
            await runtime.set_pool("warehuose", slots=3)
        with pytest.raises(ValueError, match="whole number, at least 1"):
            await runtime.set_pool("warehouse", slots=0)


async def test_the_items_of_a_step_take_slots_one_by_one(place):
    """Not the step that goes through them."""
    inside, most = 0, 0
    pipeline = Pipeline("shop")
    pipeline.pool("warehouse", slots=2)

    @pipeline.asset
    async def numbers() -> list[int]:
        return list(range(20))

    @pipeline.asset(each=Each("numbers", max_parallel=8), pool="warehouse")
    async def page(numbers: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return numbers

    async with Runtime(pipeline, **{**place, "io": {"default": MemoryIO()}}) as runtime:
        await runtime.materialize_all("page")
        assert list(await runtime.load("page")) == list(range(20))
    assert most == 2


async def test_pools_cannot_have_fewer_slots_than_an_asset_asks_for(place):
    """It could never run."""
    pipeline = Pipeline("shop")
    pipeline.pool("warehouse", slots=4)

    @pipeline.asset(pool={"warehouse": 2})
    async def big():
        return 1

    async with Runtime(pipeline, **place) as runtime:
        with pytest.raises(ValueError, match=r"'big'.*asks for 2 and could never run"):
            await runtime.set_pool("warehouse", slots=1)
        assert (await runtime.materialize("big")).status == "succeeded"


def refuse(message, **options):
    """An asset with these options is refused."""
    pipeline = Pipeline("shop")
    pipeline.pool("warehouse", slots=2)
    with pytest.raises(DefinitionError, match=message):

        @pipeline.asset(**options)
        async def asset():
            pass


def test_what_cannot_be_had_is_refused_at_definition():
    """With the asset, the line and the remedy."""
    refuse("asks for 3 slots of the pool 'warehouse', which has 2", pool={"warehouse": 3})
    refuse("there is no pool 'warehuose'. Did you mean 'warehouse'.*pipeline.pool", pool="warehuose")
    refuse("takes a whole number of slots, at least 1", pool={"warehouse": 0})
    refuse("takes a whole number of slots, at least 1", pool={"warehouse": True})
    refuse("takes the name of a pool", pool={})
    refuse("takes the name of a pool", pool=3)
    pipeline = Pipeline()
    for slots in (0, -1, 1.5, True, None, "2"):
        with pytest.raises(DefinitionError, match="takes a whole number of slots from 1"):
            pipeline.pool("warehouse", slots=slots)
    for name in ("", None, "x" * 201, "a\0b"):
        with pytest.raises(DefinitionError, match="takes a name"):
            pipeline.pool(name, slots=1)


def test_one_pool_has_one_number_of_slots():
    """Said twice alike, it is one; in pipelines that are run together as well."""
    one, other = Pipeline("one"), Pipeline("other")
    one.pool("warehouse", slots=2)
    one.pool("warehouse", slots=2)
    with pytest.raises(DefinitionError, match="give it one number"):
        one.pool("warehouse", slots=3)
    other.pool("warehouse", slots=3)
    with pytest.raises(DefinitionError, match="give it one number"):
        Runtime([one, other])
    with pytest.raises(DefinitionError, match="give it one number"):
        one.include(other)
    third = Pipeline("third")
    third.include(one)
    assert third.pools["warehouse"].slots == 2


@pytest.mark.parametrize("kind", ["pools", "slots", "turns"])
def test_many_who_wait_cost_each_of_them_no_more_than_a_few(kind):
    """Whoever waits for what else, they ask, are served and leave the line within a bounded number of lines."""
    work = {}
    for many in (40, 400):
        with counted_lines() as lines:
            {"pools": queue_for_pools, "slots": queue_for_slots, "turns": queue_for_turns}[kind](many)
        work[many] = lines[0] / many
    assert work[400] < 1.5 * work[40]


def queue_for_pools(many):
    pools = Pools()
    pools.define([("a", 1), ("b", 1), ("c", 1)])
    users = [User(number, {"ab"[number % 2]: 1}) for number in range(many)]
    for user in users:
        pools.ask(user, lambda: None)
    for user in users[: many // 2]:
        pools.release(user)
    assert [user.name for user in users if user.pooled] == [many // 2, many // 2 + 1]
    for user in reversed(users):
        pools.withdraw(user)
    assert pools.shown("a") == Pool("a", 1, 0, 0)


def queue_for_slots(many):
    admission = Admission(1, Pools(), Rates(VirtualClock()))
    users = [User(number, {}) for number in range(many)]
    for user in users:
        user.rate, user.admitted, user.exclusive = None, False, False
        admission.admit(user, lambda _: True)
    for user in users[: many // 2]:
        admission.leave(user)
    for user in reversed(users[many // 2 + 1 :]):
        admission.withdraw(user)
    assert [user.name for user in users if user.admitted] == [many // 2]
    assert admission.statistics().waiting == 0


def queue_for_turns(many):
    waiting = Waiting()
    users = [User(number, {}) for number in range(many)]
    for user in users:
        waiting.add(user, 0, 0.0, lambda: None)
    assert [waiting.pop()[1].name for _ in range(many // 2)] == list(range(many // 2))
    for user in reversed(users[many // 2 :]):
        waiting.remove(user)
    assert len(waiting) == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("ask"),
                st.dictionaries(st.sampled_from("ab"), st.integers(1, 2), min_size=1),
                st.integers(0, 2),
            ),
            st.tuples(st.just("gone"), st.integers(0, 20), st.none()),
            st.tuples(st.just("set"), st.sampled_from("ab"), st.integers(2, 4)),
        ),
        max_size=40,
    )
)
def test_no_more_than_there_are_and_nobody_waits_for_what_is_free(orders):
    """Whoever comes and goes: never too many, nobody overtakes in a pool, and in the end all have been served."""
    pools = Pools()
    pools.define([("a", 2), ("b", 3)])
    users = []

    def granted(user):
        for other in users:
            if other is not user and not other.pooled and not other.gone and rank(other) < rank(user):
                assert set(dict(other.pools)).isdisjoint(dict(user.pools))

    def rank(user):
        return -user.priority, users.index(user)

    for what, which, number in orders:
        if what == "ask":
            user = User(len(users), which, number)
            user.gone = False
            users.append(user)
            pools.ask(user, lambda user=user: granted(user))
        elif what == "set":
            pools.give(which, number)
        elif users:
            user = users[which % len(users)]
            user.gone = True
            pools.withdraw(user)
        for name in "ab":
            holds = sum(dict(user.pools).get(name, 0) for user in users if user.pooled)
            shown = pools.shown(name)
            assert shown.taken == holds
            if not any(order[0] == "set" for order in orders):
                assert holds <= shown.slots
        waiting = [user for user in users if not (user.pooled or user.gone)]
        if waiting:
            first = min(waiting, key=rank)
            shown = {name: pools.shown(name) for name in "ab"}
            assert any(shown[name].taken + n > shown[name].slots for name, n in first.pools)
    for _ in users:
        for user in users:
            if user.pooled:
                user.gone = True
                pools.release(user)
    assert all(user.gone for user in users)


def nested(slots, held):
    """`outer` holds a slot of the pool and waits for a run of `inner`, which needs one as well."""
    pipeline = Pipeline("shop")
    pipeline.pool("warehouse", slots=slots)
    runtimes = []

    @pipeline.asset(pool="warehouse")
    async def inner():
        return 1

    @pipeline.asset
    async def between():
        await runtimes[0].materialize("inner")
        return 2

    @pipeline.asset(pool="warehouse")
    async def outer():
        await runtimes[0].materialize("inner")
        return 3

    @pipeline.asset(pool="warehouse")
    async def deep():
        await runtimes[0].materialize("between")
        return 4

    @pipeline.asset(pool="warehouse")
    async def later():
        run = await runtimes[0].submit("inner")
        await held.until(1)
        await run.wait()
        return 5

    @pipeline.asset
    async def page_source() -> list[int]:
        return [1, 2]

    @pipeline.asset(each=Each("page_source", max_parallel=1), pool="warehouse")
    async def page(page_source: int) -> int:
        return page_source

    @pipeline.asset(pool="warehouse")
    async def of_items():
        await runtimes[0].materialize_all("page")
        return 6

    return pipeline, runtimes


@pytest.mark.parametrize("asset", ["outer", "deep", "of_items"])
async def test_a_run_that_needs_what_is_held_for_its_end_is_refused(place, asset):
    """Instead of waiting for ever; with a remedy, which helps."""
    pipeline, runtimes = nested(1, Held())
    async with Runtime(pipeline, **place) as runtime:
        runtimes.append(runtime)
        words = (
            "WaitsForItself: .* needs 1 of the 1 slot of the pool 'warehouse', and 1 is held by what waits"
        )
        with pytest.raises(MaterializationFailed, match="(?s)" + words):
            async with asyncio.timeout(200):
                await runtime.materialize(asset)
        await runtime.set_pool("warehouse", slots=2)
        async with asyncio.timeout(200):
            assert (await runtime.materialize(asset)).status == "succeeded"
        await until(runtime, taken=0, waiting=0)


async def test_a_run_that_waits_already_is_refused_when_its_holder_waits_for_it(place, background):
    """It may have waited for somebody else before."""
    held = Held()
    pipeline, runtimes = nested(1, held)
    async with Runtime(pipeline, **place) as runtime:
        runtimes.append(runtime)
        run = background(runtime.materialize("later"))
        await until(runtime, taken=1, waiting=1)
        held.let()
        async with held.hold("go"):
            pass
        with pytest.raises(MaterializationFailed, match="WaitsForItself"):
            async with asyncio.timeout(200):
                await run
        await until(runtime, taken=0, waiting=0)
