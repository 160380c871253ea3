"""What one node may do with a run that another one drives."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import DefinitionError, RunCancelled, RunNotFound, Runtime
from flowstone.runtime.run import takeover
from tests.runtime.cluster.scene import LEASE
from tests.runtime.doubles import Gate


@pytest.fixture
async def busy(town):
    """A run that `worker` drives, waiting at a gate, and its handle on another node."""
    town.gates["one", None] = Gate()
    command = await town.node("command", worker=False)
    await town.node("worker")
    run = await command.submit("one")
    await town.until(town.gates["one", None].entered.is_set, 3)
    return run


@pytest.mark.parametrize("listens", [True, False])
async def test_a_cancel_reaches_the_owner(town, busy, listens):
    """Within two seconds, whether notifications arrive or not; `cancel` returns when the run has stopped."""
    for store in town.stores.values():
        store.listens = listens
    await town.outcome(busy.cancel(), 2.0)
    assert await busy.status() == "cancelled"
    assert (await town.runtimes["worker"].health()).steps == 0
    with pytest.raises(RunCancelled):
        await town.outcome(busy.wait(), 1.0)
    await town.outcome(busy.cancel(), 0.5)


async def test_a_run_elsewhere_is_not_drained_but_cancelled(town, busy):
    """`drain` returns when it has stopped."""
    await town.outcome(busy.drain(), 2.0)
    assert await busy.status() == "cancelled"


async def test_a_queued_run_is_cancelled(town):
    """No node need take it for that."""
    command = await town.node("command", worker=False)
    run = await command.submit("one")
    await town.outcome(run.cancel(), 0.5)
    assert await run.status() == "cancelled"
    await town.node("worker")
    await town.clock.advance(5)
    assert town.starts == []


async def test_the_run_of_a_dead_node_is_cancelled_by_its_heir(town, busy):
    """Whoever adopts it finds that it is to be cancelled, and starts nothing."""
    town.stores["worker"].cut()
    cancelling = asyncio.create_task(busy.cancel())
    await town.clock.settle()
    await town.node("heir")
    await town.until(cancelling.done, LEASE + 4)
    await cancelling
    assert await busy.status() == "cancelled"


async def test_a_run_that_is_to_be_cancelled_is_not_failed_because_nobody_can_plan_it(
    town, busy, monkeypatch
):
    """The store knows that somebody asked for it; nobody looks through its events for that."""

    async def refuse(*_):
        raise DefinitionError("the asset is another one by now")

    town.stores["worker"].cut()
    cancelling = asyncio.create_task(busy.cancel())
    await town.clock.settle()
    monkeypatch.setattr(takeover, "plan_again", refuse)
    await town.node("heir")
    await town.until(cancelling.done, LEASE + 4)
    await cancelling
    assert await busy.status() == "cancelled"


async def test_its_events_are_followed(town, busy):
    """Those recorded and those to come, to the last one."""

    async def follow():
        return [event.kind async for event in busy.events()]

    following = asyncio.create_task(follow())
    await town.clock.settle()
    town.gates["one", None].open()
    await town.until(following.done, 5)
    assert await following == ["run.queued", "run.started", "step.started", "step.succeeded", "run.finished"]


async def test_its_result_is_read(town, busy):
    """By a handle of another node, as by one of the owner."""
    town.gates["one", None].open()
    result = await town.outcome(busy.wait(), 2)
    assert await result.value() == "worker"
    assert await town.runtimes["command"].load("one") == "worker"


async def test_waiting_may_time_out(town, busy):
    """The run goes on."""
    with pytest.raises(TimeoutError):
        await busy.wait(timeout=0.01)
    assert await busy.status() == "running"


async def test_its_own_timeout_cancels_it(town):
    """The timeout of a run counts from its start, on whatever node."""
    town.gates["one", None] = Gate()
    command = await town.node("command", worker=False)
    run = await command.submit("one", timeout=30.0)
    await town.clock.advance(60)
    await town.node("worker")
    await town.clock.advance(20)
    assert await run.status() == "running"
    with pytest.raises(RunCancelled):
        await town.outcome(run.wait(), 15)


@pytest.mark.parametrize("step", [0.0, 7_200.0, -7_200.0])
async def test_no_step_of_a_clock_ends_the_time_of_an_adopted_run(town, step):
    """It had run for 100 s of its 200: it has the other hundred where it is adopted, give or take two leases."""
    town.gates["one", None] = Gate()
    await town.node("first")
    command = await town.node("command", worker=False)
    run = await command.submit("one", timeout=200.0)
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.clock.advance(100)
    town.clock.step(step)
    town.shared.ahead -= step
    await town.node("second")
    await town.die("first")
    await town.until(lambda: town.owner(run.id) == "second", 5)
    await town.clock.advance(80)
    assert town.status(run.id) == "running"
    await town.clock.advance(20 + 2 * LEASE)
    assert town.status(run.id) == "cancelled"


async def test_a_run_that_is_handed_back_keeps_the_time_it_has_left(town):
    """To the second; the time in which it waits for a node does not count."""
    town.gates["one", None] = Gate()
    await town.node("first")
    command = await town.node("command", worker=False)
    run = await command.submit("one", timeout=50.0)
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.clock.advance(30)
    await town.leave("first")
    await town.clock.advance(100)
    await town.node("second")
    await town.until(lambda: town.owner(run.id) == "second", 5)
    await town.clock.advance(18)
    assert town.status(run.id) == "running"
    await town.clock.advance(4)
    assert town.status(run.id) == "cancelled"


async def test_the_time_of_an_awaited_run_is_over_elsewhere(town, background):
    """`materialize(timeout=)` raises `TimeoutError` also if another node had to cancel the run."""
    town.gates["one", None] = Gate()
    first = await town.node("first")
    task = background(first.materialize("one", timeout=40.0))
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.node("second")
    town.stores["first"].cut()
    await town.clock.advance(LEASE + 3)
    town.stores["first"].mend()
    await town.until(task.done, 40)
    with pytest.raises(TimeoutError):
        await task


async def test_a_run_that_nobody_is_left_to_stop_is_cancelled_all_the_same(town):
    """Its owner is dead and no worker lives: whoever cancels it need not wait for one to come."""
    town.gates["one", None] = Gate()
    command = await town.node("command", worker=False)
    await town.node("first")
    run = await command.submit("one")
    await town.until(town.gates["one", None].entered.is_set, 3)
    town.stores["first"].cut()
    await town.outcome(run.cancel(), LEASE + 5)
    with pytest.raises(RunCancelled) as caught:
        await town.outcome(run.wait(), 1)
    assert [step.attempt for step in caught.value.result.cancelled] == [1]
    town.stores["first"].mend()
    await town.clock.advance(5)
    assert await run.status() == "cancelled"


async def test_a_released_run_that_nobody_is_left_to_take_is_cancelled(town):
    """It had begun, was handed back by a node that stopped, and waits in the queue."""
    town.gates["one", None] = Gate()
    command = await town.node("command", worker=False)
    await town.node("first")
    run = await command.submit("one")
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.leave("first")
    assert (town.status(run.id), town.owner(run.id)) == ("running", None)
    await town.outcome(run.cancel(), 5)
    assert await run.status() == "cancelled"
    town.gates["one", None].open()
    await town.node("second")
    await town.clock.advance(20)
    assert await run.status() == "cancelled"


async def test_a_cancelled_caller_cancels_its_run_elsewhere(town, background):
    """The run stops where it is driven by then, and the caller gets its CancelledError when it has."""
    town.gates["one", None] = Gate()
    first = await town.node("first")
    task = background(first.materialize("one"))
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.node("second")
    town.stores["first"].cut()
    await town.clock.advance(LEASE + 3)
    town.stores["first"].mend()
    await town.clock.advance(2)
    (log,) = town.shared.history.all_runs()
    assert log.status == "running"
    task.cancel()
    await town.until(task.done, 3)
    assert task.cancelled()
    assert log.status == "cancelled"


async def test_a_run_that_does_not_exist_is_not_found(town):
    """As without a cluster."""
    command = await town.node("command", worker=False)
    with pytest.raises(RunNotFound):
        await command.run("none")


async def test_many_waiters_cost_one_subscription(town, busy):
    """However many wait, one process hears; each is woken by the end of its own run."""
    waiting = [asyncio.create_task(busy.wait()) for _ in range(100)]
    await town.clock.settle()
    assert len(town.stores["command"]._watchers) == 1
    town.gates["one", None].open()
    await town.clock.settle()
    assert all(task.done() for task in waiting)
    await asyncio.gather(*waiting)


# Membership -------------------------------------------------------------------------------------------------


async def test_nodes_introduce_themselves(town):
    """Before anything is written down; with what they take and how much."""
    worker = await town.node("worker", max_concurrency=7)
    await town.node("command", worker=False)
    nodes = {watched.node.id: watched for watched in await town.stores["worker"].nodes()}
    about = nodes[town.stores["worker"].node].node
    assert (about.pipelines, about.capacity, about.lease) == (("town",), 7, LEASE)
    assert nodes[town.stores["command"].node].node.pipelines == ()
    assert isinstance(worker, Runtime)


async def test_a_tree_is_shown_to_who_asks(town):
    """Another process sees the live tree through the store."""
    worker = await town.node("worker")
    await town.node("command", worker=False)
    store = town.stores["command"]

    async def names():
        shown = {watched.node.id: watched for watched in await store.nodes()}[town.stores["worker"].node]
        return [child["name"] for child in shown.tree["children"]], shown.tree_at

    first, at = await names()
    assert first == [child.name for child in worker.tree().children]
    await town.clock.advance(2)
    assert (await names())[1] == at
    from flowstone.store.cluster import Notification

    await store.tell(Notification("tree", town.stores["worker"].node))
    await town.clock.settle()
    assert (await names())[1] > at


async def test_an_idle_node_asks_little(town):
    """A few questions a second, whatever the number of other nodes."""
    await town.node("worker")
    await town.node("other")
    calls = town.stores["worker"].calls
    before = dict(calls)
    await town.clock.advance(60)
    asked = {call: calls[call] - before.get(call, 0) for call in calls if calls[call] > before.get(call, 0)}
    assert sum(asked.values()) <= 4 * 60
    assert asked.get("nodes", 0) <= 12
