"""A node among others: what it says of itself, and what becomes of that when the process crashes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from flowstone import Pipeline
from flowstone.actors import ProcessInfo
from flowstone.runtime.client.nodes import process_of
from flowstone.runtime.cluster.membership import MembershipProcess, tree_as_data
from flowstone.store.cluster import Notification
from tests.runtime.cluster.scene import LEASE, WEEK
from tests.runtime.doubles import Gate


async def test_others_may_ask_for_the_tree_of_a_node_that_starts(town):
    """At every turn of its start: it shows the tree as far as there is one, and nothing has to be restarted."""

    async def ask():
        while True:
            town.shared.tell(Notification("tree"))
            await asyncio.sleep(0)

    asking = asyncio.create_task(ask())
    runtime = await town.node("first")
    asking.cancel()
    tree = runtime.tree()
    assert town.shared.nodes[tree_node(town)].tree is not None
    assert {each.restarts for each in processes(tree)} == {0}


def tree_node(town):
    """The only node that there is."""
    (node,) = town.shared.nodes
    return node


def processes(process):
    """A process and all below it."""
    yield process
    for child in process.children:
        yield from processes(child)


async def crash_once(town, monkeypatch, name, runtime):
    """Have a call of the node's store raise what no store raises, once, and wait until it has."""
    store = town.stores[name]
    publish = store.publish_tree
    crashed = asyncio.Event()

    async def crash(*arguments):
        if not crashed.is_set():
            crashed.set()
            raise RuntimeError("injected")
        await publish(*arguments)

    monkeypatch.setattr(store, "publish_tree", crash)
    await store.tell(Notification("tree", runtime.node))
    await town.until(crashed.is_set, 3)


async def test_a_membership_that_crashes_is_restarted_and_goes_on(town, monkeypatch):
    """It takes along what stands below it, and nothing else: the node works, says so, and leaves politely."""
    first = await town.node("first")
    await crash_once(town, monkeypatch, "first", first)
    await town.clock.advance(2)
    by_name = {each.name: each for each in processes(first.tree())}
    assert by_name["membership"].restarts == 1
    assert [by_name[name].restarts for name in ("runtime", "cluster", "notifications", "recovery")] == [0] * 4
    assert by_name["queue"].restarts == 1
    shown = town.shared.nodes[first.node].tree
    assert "membership" in str(shown)
    run = await first.submit("one")
    await town.outcome(run.wait(), 5)
    await town.leave("first")
    assert town.shared.nodes[first.node].left


async def test_a_lost_lease_is_made_good_by_the_next_incarnation(town, monkeypatch):
    """What somebody else took meanwhile is given up, though the process crashed over the question whose it is."""
    first = await town.node("first")
    town.gates["first", "one", None] = gate = Gate()
    run = await first.submit("one")
    await town.until(gate.entered.is_set, 3)
    store = town.stores["first"]
    reconcile, asked = MembershipProcess._reconcile, []

    async def crash(self):
        asked.append(self)
        if len(asked) == 1:
            raise RuntimeError("injected")
        await reconcile(self)

    monkeypatch.setattr(MembershipProcess, "_reconcile", crash)
    second = await town.node("second")
    store.freeze()
    await town.clock.advance(2 * LEASE + 2)
    await town.until(lambda: town.owner(run.id) == "second" or town.status(run.id) == "succeeded", 2 * LEASE)
    store.mend()
    await town.until(lambda: len(asked) == 2 and not first.live_runs(), 5)
    assert second.node != first.node
    restarts = {each.name: each.restarts for each in processes(first.tree())}
    assert (restarts["membership"], restarts["cluster"]) == (1, 0)


async def test_each_process_of_a_node_can_be_made_again(town):
    """The start of a child makes a fresh process each time: one that has ended cannot be restarted."""
    pipeline = Pipeline("made again")

    @pipeline.asset(partitions=WEEK)
    async def raw() -> int:
        return 1

    @pipeline.on("step.failed")
    async def heard(event):
        del event

    @pipeline.sensor("looks", every=5.0)
    async def looks(context):
        del context
        return []

    pipeline.schedule("nightly", cron="0 6 * * *", asset="raw", partition="latest")
    first = await town.node("first", pipeline, automate=True)
    same, seen = [], set()

    def make_again(supervisor):
        for entry in supervisor._process.children.entries.values():
            seen.add(entry.child.name)
            instance = entry.process.instance
            if hasattr(instance, "count_children"):
                make_again(instance)
            if entry.child.make() is instance:
                same.append(entry.child.name)

    make_again(first._tree)
    assert not same
    assert {
        "membership",
        "queue",
        "executor",
        "schedule:nightly",
        "sensor:looks",
        "listener",
        "watchman",
    } <= seen


def test_a_tree_goes_through_json_and_names_no_password():
    """When and why a process was restarted included."""
    at = datetime(2026, 11, 28, 15, 10, tzinfo=UTC)
    child = ProcessInfo(
        "db",
        "actor",
        "running",
        2,
        restarted_at=at,
        crash="OSError: postgresql://ada:hunter2@db/x",
        restart_times=(at, at),
    )
    tree = ProcessInfo("root", "supervisor", "running", children=(child,), max_restarts=3, within=5.0)
    read = process_of(json.loads(json.dumps(tree_as_data(tree))))
    assert (read.max_restarts, read.within) == (3, 5.0)
    (shown,) = read.children
    assert (shown.restarted_at, shown.restarts, shown.restart_times) == (at, 2, (at, at))
    assert shown.crash.startswith("OSError")
    assert "hunter2" not in shown.crash
    assert (
        process_of({"name": "a", "kind": "actor", "state": "running", "of_a_later_release": 1}).restarted_at
        is None
    )
