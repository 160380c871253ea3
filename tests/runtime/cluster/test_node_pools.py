"""Pools of several nodes: who is next, and what becomes of slots whose node dies, is stopped or is cut off."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from flowstone import Context, Each, Pipeline, StaticPartitions, StoreUnavailable
from flowstone.alarms import Alarms
from flowstone.runtime.cluster.node_pools import NodePools
from flowstone.store.cluster import Notification
from flowstone.testing.clock import VirtualClock
from tests.runtime.cluster.scene import LEASE
from tests.runtime.doubles import Gate
from tests.store.cluster_contract import node as named_node
from tests.store.cluster_contract import nothing
from tests.store.shared_memory import SharedMemory

KEYS = list("abcdefgh")


def guarded(town, node, slots=1):
    """`step` takes a slot of the pool `w`, and waits at a gate of its key if there is one."""
    pipeline = Pipeline("town")
    pipeline.pool("w", slots=slots)

    async def visit(name, attempt):
        town.starts.append((node, name, attempt))
        for key in (name, (node, name)):
            if key in town.gates:
                await town.gates[key].wait()

    @pipeline.asset(pool="w", partitions=StaticPartitions(KEYS))
    async def step(context: Context) -> str:
        await visit(context.partition, context.attempt)
        return node

    @pipeline.asset
    async def numbers() -> list[int]:
        return [0, 1, 2]

    @pipeline.asset(each=Each("numbers", max_parallel=2), pool="w")
    async def page(numbers: int) -> int:
        await visit(numbers, 0)
        return numbers

    return pipeline


async def node(town, name, **options):
    """A node that drives what it is asked for and takes nothing of others."""
    slots = options.pop("slots", 1)
    return await town.node(name, guarded(town, name, slots), **{"worker": False, **options})


async def begin(town, runtime, background, key, **options):
    """A run of one partition, begun: it has the slot or waits for it."""
    task = background(runtime.materialize("step", partition=key, **options))
    await town.clock.settle()
    return task


async def pool(runtime):
    (shown,) = await runtime.pools()
    return shown


def gates(town, *keys):
    for key in keys:
        town.gates[key] = Gate()


async def test_nodes_share_the_slots_of_a_pool(town, background):
    """One at a time, in the order in which they came, without a moment between."""
    gates(town, *"abcd")
    first, second = await node(town, "first"), await node(town, "second")
    tasks = []
    for runtime, key in ((first, "a"), (second, "b"), (first, "c"), (second, "d")):
        tasks.append(await begin(town, runtime, background, key))
    for number, key in enumerate("abcd", 1):
        assert [name for _, name, _ in town.starts] == list("abcd")[:number]
        shown = await pool(second)
        assert (shown.slots, shown.taken, shown.waiting) == (1, 1, 4 - number)
        assert shown.holders[0].startswith(f"step[{key}] of run ")
        town.gates[key].open()
        await town.clock.settle()
    for task in tasks:
        assert (await task).status == "succeeded"
    assert (await pool(first)).taken == 0


async def test_the_slot_of_a_dead_node_is_free_within_its_lease(town, background):
    """Though nobody adopts its runs; and who comes back does not go on with what it held."""
    gates(town, ("first", "a"), "c")
    first, second = await node(town, "first"), await node(town, "second")
    held = await begin(town, first, background, "a")
    waits = await begin(town, second, background, "b")
    last = await begin(town, first, background, "c")
    town.stores["first"].cut()
    await town.clock.advance(LEASE / 2)
    assert not waits.done()
    await town.clock.advance(LEASE)
    assert (await town.outcome(waits)).status == "succeeded"
    town.stores["first"].mend()
    await town.until(lambda: ("first", "c", 1) in town.starts or ("first", "a", 2) in town.starts, 10)
    assert (await pool(second)).taken == 1
    for key in (("first", "a"), "c"):
        town.gates[key].open()
    assert (await town.outcome(held)).status == "succeeded"
    assert (await town.outcome(last)).status == "succeeded"
    assert ("first", "a", 2) in town.starts


async def test_items_go_on_when_their_slots_were_taken_away(town, background):
    """The step is made again, with the items that are left."""
    gates(town, ("first", 1))
    first, second = await node(town, "first"), await node(town, "second")
    run = background(first.materialize_all("page"))
    await town.until(lambda: ("first", 1, 0) in town.starts, 3)
    waits = await begin(town, second, background, "b")
    town.stores["first"].cut()
    await town.clock.advance(LEASE * 1.5)
    assert (await town.outcome(waits)).status == "succeeded"
    town.stores["first"].mend()
    town.gates["first", 1].open()
    assert (await town.outcome(run)).status == "succeeded"
    assert sum(name == 0 for _, name, _ in town.starts) == 1


async def test_a_node_that_stops_gives_its_slots_back(town, background):
    """At once, whoever waits for them elsewhere."""
    gates(town, "a")
    first, second = await node(town, "first"), await node(town, "second")
    run = await first.submit("step", partition="a")
    worker = await node(town, "third", worker=True)
    await town.until(lambda: town.starts, 3)
    waits = await begin(town, second, background, "b")
    assert (await pool(worker)).waiting == 1
    await town.leave("third")
    assert (await town.outcome(waits, 5)).status == "succeeded"
    await run.cancel()


async def test_a_run_that_is_cancelled_leaves_the_line(town, background):
    """Also one whose question is on its way to the store."""
    gates(town, "a")
    first, second = await node(town, "first"), await node(town, "second")
    held = await begin(town, first, background, "a")
    gone = background(second.materialize("step", partition="b"))
    waits = await begin(town, second, background, "c")
    gone.cancel()
    await town.clock.settle()
    assert (await pool(first)).waiting == 1
    town.gates["a"].open()
    await town.outcome(held)
    assert (await town.outcome(waits, 2)).status == "succeeded"


async def test_an_outage_costs_no_slot(town, background):
    """A notification that was lost costs a second."""
    gates(town, "a")
    first, second = await node(town, "first"), await node(town, "second")
    held = await begin(town, first, background, "a")
    waits = await begin(town, second, background, "b")
    town.stores["second"].cut()
    town.gates["a"].open()
    await town.outcome(held)
    town.stores["second"].mend()
    assert (await town.outcome(waits, 3)).status == "succeeded"
    assert (await pool(first)).taken == 0


async def test_nodes_that_differ_are_told_so(town, background, caplog):
    """The smallest number counts, until they agree."""
    gates(town, *"abc")
    first = await node(town, "first", slots=3)
    second = await node(town, "second", slots=2)
    assert "pool w: nodes define it with 2 slots and with 3: the smallest number counts" in caplog.text
    tasks = [await begin(town, first, background, key) for key in "abc"]
    assert (await pool(second)).taken == 2
    await second.reload(guarded(town, "second", 3))
    await town.clock.settle()
    assert (await pool(first)).taken == 3
    assert "pool w: all nodes define it alike" in caplog.text
    for key in "abc":
        town.gates[key].open()
    for task in tasks:
        await town.outcome(task)


async def test_slots_are_set_for_all_nodes(town, background):
    """And stay so; without a number it is as the pipeline says."""
    gates(town, *"abc")
    first, second = await node(town, "first"), await node(town, "second")
    tasks = [await begin(town, first, background, key) for key in "abc"]
    assert (await pool(second)).taken == 1
    assert (await second.set_pool("w", slots=2)).slots == 2
    await town.clock.settle()
    assert (await pool(first)).taken == 2
    third = await node(town, "third")
    assert (await pool(third)).slots == 2
    assert (await third.set_pool("w", slots=None)).slots == 1
    for key in "abc":
        town.gates[key].open()
    for task in tasks:
        await town.outcome(task)


class Lossy:
    """Pools behind a connection that may break before or after what is said has been done."""

    def __init__(self, shared):
        self._shared = shared
        self.breaks = None

    def __getattr__(self, name):
        return getattr(self._shared, name)

    async def exchange(self, *about, **said):
        breaks, self.breaks = self.breaks, None
        if breaks == "before":
            raise StoreUnavailable("it is away")
        answer = await self._shared.exchange(*about, **said)
        if breaks == "after":
            raise StoreUnavailable("the answer was lost")
        return answer


class User:
    """Somebody who wants slots."""

    def __init__(self, number, pools):
        self.name, self.run_id = f"step{number}", "run-1"
        self.pools = pools
        self.priority = number % 2
        self.pooled = self.lost = False

    def slots_lost(self):
        self.lost = True


class Late(Lossy):
    """A connection of which one call breaks off, and is done when everything else has been done."""

    def __init__(self, shared):
        super().__init__(shared)
        self.late = None
        self.looked_at = []

    async def exchange(self, *about, **said):
        self.looked_at.append(sorted(said["pools"]))
        if self.late is None:
            self.late = (about, said)
            raise StoreUnavailable("no answer in time")
        return await self._shared.exchange(*about, **said)


async def joined(link):
    """A node of its own, its pools behind such a connection, and the store."""
    shared = SharedMemory(VirtualClock())
    store = shared.connect()
    await store.join(named_node("n1"), nothing)
    pools = NodePools("n1", link(store.pools), store.pools, Alarms())
    pools.define(SLOTS.items())
    await pools.begin()
    return pools, pools._shared, shared


async def test_what_is_granted_after_it_was_given_back_is_given_back_again():
    """Though nobody here asks for anything any more: a node looks for a while after a call that broke off."""
    pools, link, shared = await joined(Late)
    user = User(0, (("v", 1), ("w", 1)))
    pools.ask(user, lambda: None)
    with suppress(StoreUnavailable):
        await pools.exchange()
    pools.withdraw(user)
    await pools.exchange()
    about, said = link.late
    await shared.connections[0].pools.exchange(*about, **said)
    assert [each.granted for each in shared.claims] == [True]
    for _ in range(2):
        pools.heard(Notification("look"))
        await pools.exchange()
    assert link.looked_at[-1] == ["v", "w"]
    assert shared.claims == []


async def test_pools_are_looked_at_after_a_call_that_broke_off_as_before_it():
    """Whoever said that they have to be does not say it again."""
    pools, link, _ = await joined(Late)
    link.late = ()
    users = [User(number, (("v", 1), ("w", 1))) for number in range(2)]
    for user in users:
        pools.ask(user, lambda: None)
    await pools.exchange()
    pools.heard(Notification("pool", "n1"))
    link.late = None
    with suppress(StoreUnavailable):
        await pools.exchange()
    await pools.exchange()
    assert link.looked_at[-2:] == [["v", "w"]] * 2


async def test_a_node_that_waits_for_one_pool_locks_none_when_it_looks():
    """Whoever frees a slot serves it; the look is for a notification that was lost."""
    pools, link, _ = await joined(Late)
    link.late = ()
    for number in range(2):
        pools.ask(User(number, (("v", 1),)), lambda: None)
    await pools.exchange()
    pools.heard(Notification("look"))
    await pools.exchange()
    assert link.looked_at[-1] == []


SLOTS = {"v": 1, "w": 2}
WANTED = [(("v", 1),), (("w", 1),), (("w", 2),), (("v", 1), ("w", 1))]
ORDERS = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 1), st.sampled_from(WANTED)),
    st.tuples(st.just("leave"), st.integers(0, 20), st.none()),
    st.tuples(st.just("say"), st.integers(0, 1), st.sampled_from([None, None, "before", "after"])),
    st.tuples(st.just("forget"), st.integers(0, 1), st.none()),
)


@given(st.lists(ORDERS, max_size=40))
def test_whatever_is_lost_no_slot_is_held_twice_or_by_nobody(orders):
    """Two nodes that ask, give back, hear no answer or are taken for dead; in the end everybody was served."""
    asyncio.run(follow(orders))


async def follow(orders):
    shared = SharedMemory(VirtualClock())
    nodes, links, users = [], [], []
    for name in ("n1", "n2"):
        store = shared.connect()
        await store.join(named_node(name), nothing)
        links.append(Lossy(store.pools))
        nodes.append(NodePools(name, links[-1], store.pools, Alarms()))
        nodes[-1].define(SLOTS.items())
        await nodes[-1].begin()

    async def say(which, breaks=None):
        links[which].breaks = breaks
        nodes[which].heard(Notification("look"))
        with suppress(StoreUnavailable):
            await nodes[which].exchange()
        await nodes[which].exchange()  # It may have learnt only that its fence has moved.

    def leave(user):
        user.gone = True
        user.node.withdraw(user)

    forgotten = set()
    for what, which, about in orders:
        if what == "ask":
            user = User(len(users), about)
            user.node, user.gone = nodes[which], False
            users.append(user)
            user.node.ask(user, lambda: None)
        elif what == "leave" and users:
            leave(users[which % len(users)])
        elif what == "say":
            await say(which, about)
            forgotten.discard(which)
        elif what == "forget":
            await shared.connections[0].pools.forget(f"n{which + 1}")
            forgotten.add(which)
        for user in users:
            if user.lost and not user.gone:
                leave(user)
        believed = [user for user in users if user.pooled and nodes.index(user.node) not in forgotten]
        for name, slots in SLOTS.items():
            assert sum(dict(user.pools).get(name, 0) for user in believed) <= slots
    for _ in range(2 * len(users) + 2):
        for which in (0, 1):
            await say(which)
        for user in users:
            if user.pooled or user.lost:
                leave(user)
    assert all(user.gone for user in users)
    await say(0)
    await say(1)
    assert shared.claims == []
