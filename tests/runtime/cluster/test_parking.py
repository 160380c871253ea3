"""Runs that only wait, where several nodes share a store: nobody's until they are woken, then anybody's."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, Pipeline, RunCancelled, StaticPartitions
from tests.runtime.cluster.scene import LEASE
from tests.runtime.doubles import Gate


def naps(town, node, seconds=60.0):
    """A pipeline whose asset sleeps; what it did is among the town's starts."""
    pipeline = Pipeline("naps")

    @pipeline.asset
    async def rested(context: Context) -> str:
        town.starts.append((node, "rested", None, context.attempt))
        context.sleep("nap", seconds)
        return node

    @pipeline.asset(partitions=StaticPartitions(["a", "b"]))
    async def parts(context: Context) -> str:
        if context.partition == "a":
            context.sleep("nap", seconds)
        elif ("parts", "b") in town.gates:
            await town.gates["parts", "b"].wait()
        return node

    return pipeline


async def node(town, name, **options):
    return await town.node(name, naps(town, name), **options)


async def parked(town, run_id):
    await town.until(lambda: town.status(run_id) == "waiting", 2.0, 0.01)
    assert town.owner(run_id) is None


async def test_a_parked_run_is_gone_on_with_by_whoever_is_there(town):
    """Its node may have left meanwhile; another one keeps its deadline."""
    first = await node(town, "first")
    run = await first.submit("rested")
    await parked(town, run.id)
    await node(town, "second")
    await town.leave("first")
    await town.clock.advance(50.0)
    assert town.status(run.id) == "waiting"
    await town.until(lambda: town.status(run.id) == "succeeded", 15.0)
    assert town.starts == [("first", "rested", None, 1), ("second", "rested", None, 2)]


async def test_the_timekeeper_may_die(town):
    """Another node takes its duty over within the lease; the caller, on a third one, is told the result."""
    await node(town, "first")
    await node(town, "second")
    command = await node(town, "command", worker=False)
    waiting = asyncio.create_task(command.materialize("rested"))
    await town.until(lambda: town.shared.history.waits.waiting(None), 2.0, 0.01)
    assert town.shared.duties == {"timekeeper": town.stores["first"].node}
    await town.die("first")
    record = await town.outcome(waiting, 60.0)
    assert record.attempt == 2
    assert town.shared.duties["timekeeper"] != town.stores["first"].node


async def test_a_command_that_nobody_helps_goes_on_with_its_own_run(town):
    """It takes no work, but its caller waits."""
    command = await node(town, "command", worker=False)
    record = await town.outcome(command.materialize("rested"), 61.0)
    assert (record.attempt, [start[0] for start in town.starts]) == (2, ["command", "command"])
    assert not town.shared.queue


async def test_nothing_is_asked_of_the_store_for_parked_runs(town):
    """Not for one, so not for a hundred thousand: as without them, but for the deadline once a lease."""
    first = await node(town, "first")
    before = await calls(town, "first")
    for _ in range(5):
        run = await first.submit("rested")
        await parked(town, run.id)
    after = await calls(town, "first")
    assert after.pop("expire", 0) <= 3
    assert before.pop("expire", 0) <= 3
    assert {
        name: after[name] - before.get(name, 0) for name in after if after[name] > before.get(name, 0) + 1
    } == {}


async def calls(town, name):
    """What a node asks in two leases."""
    seen = dict(town.stores[name].calls)
    await town.clock.advance(30.0)
    return {call: count - seen.get(call, 0) for call, count in town.stores[name].calls.items()}


async def test_a_parked_run_is_cancelled_without_being_started(town):
    """Whoever asks for it, and at once."""
    first = await node(town, "first")
    command = await node(town, "command", worker=False)
    run = await first.submit("rested")
    waiting = asyncio.create_task(run.wait())
    await parked(town, run.id)
    await town.outcome((await command.run(run.id)).cancel(), 0.5, 0.01)
    with pytest.raises(RunCancelled):
        await town.outcome(waiting, 1.0)
    assert [each.asset for each in (await run.result()).cancelled] == ["rested"]
    assert len(town.starts) == 1
    assert not town.shared.history.waits.waiting(None)


def without_naps():
    """The pipeline of a later release: the assets that slept are gone."""
    pipeline = Pipeline("naps")

    @pipeline.asset
    async def other() -> None: ...

    return pipeline


@pytest.mark.parametrize("by", ["worker", "command"])
@pytest.mark.parametrize("left", ["parked", "woken", "handed back", "orphaned"])
async def test_a_run_is_cancelled_of_an_asset_that_no_node_has_any_more(town, left, by):
    """That needs nobody's code: neither of those who ask for it, nor of a node that would take it over."""
    first = await town.node("first", naps(town, "first", 20.0), lease=LEASE)
    if left in {"handed back", "orphaned"}:
        town.gates["parts", "b"] = Gate()
        run = await first.submit("parts", partition="b")
        await town.until(town.gates["parts", "b"].entered.is_set, 2.0, 0.01)
    else:
        run = await first.submit("parts", partition="a")
        await parked(town, run.id)
    later = await town.node("later", without_naps())
    if left == "orphaned":
        await town.die("first")
    else:
        await town.leave("first")
    if left in {"woken", "handed back"}:
        await town.until(lambda: town.stores["later"].calls.get("release"), 40.0)
        assert (town.status(run.id), town.owner(run.id)) == ("running", None)
    asked = later if by == "worker" else await town.node("command", without_naps(), worker=False)
    await town.outcome((await asked.run(run.id)).cancel(), 1.0 if left != "orphaned" else LEASE + 5.0)
    assert town.status(run.id) == "cancelled"
    assert [(step.asset, step.status) for step in await asked.steps(run.id)] == [("parts", "cancelled")]


async def test_a_cancel_wakes_a_run_that_a_node_had_put_off(town):
    """By somebody who is of another pipeline, and leaves it to that node."""
    first = await town.node("first", naps(town, "first", 20.0))
    run = await first.submit("rested")
    await parked(town, run.id)
    await town.node("later", without_naps())
    await town.leave("first")
    await town.until(lambda: town.stores["later"].calls.get("release"), 40.0)
    stranger = await town.node("stranger", town.pipeline("stranger"))
    await town.outcome((await stranger.run(run.id)).cancel(), 1.0)
    assert town.status(run.id) == "cancelled"


async def test_a_full_node_cancels_what_waits_for_room_there(town):
    """It need not have begun again for that."""
    first = await town.node("first", naps(town, "first", 20.0), max_concurrency=1)
    run = await first.submit("rested")
    await parked(town, run.id)
    town.gates["parts", "b"] = Gate()
    busy = await first.submit("parts", partition="b")
    await town.until(town.gates["parts", "b"].entered.is_set, 2.0, 0.01)
    await town.until(lambda: town.status(run.id) == "running", 40.0)
    assert town.owner(run.id) is None
    await town.outcome(run.cancel(), 1.0)
    assert town.status(run.id) == "cancelled"
    town.gates["parts", "b"].open()
    await town.outcome(busy.wait(), 2.0)


async def test_the_timeout_of_a_run_counts_while_it_is_parked(town):
    """Before, meanwhile and after."""
    first = await node(town, "first")
    waiting = asyncio.create_task(first.materialize("rested", timeout=50.0))
    await town.until(lambda: town.shared.history.waits.waiting(None), 2.0, 0.01)
    with pytest.raises(TimeoutError):
        await town.outcome(waiting, 52.0)
    assert len(town.starts) == 1


async def test_a_step_of_a_live_run_is_woken_there(town):
    """Its run need not be parked for that; another step of it is under way."""
    gate = town.gates["parts", "b"] = asyncio.Event()
    gate.open = gate.set
    first = await node(town, "first")
    run = await first.submit_backfill("parts")
    await town.until(lambda: town.shared.history.waits.waiting(None), 2.0, 0.01)
    await town.until(lambda: len(town.successes(run.id)) == 1, 65.0)
    assert town.successes(run.id) == {("parts", "a"): 1}
    gate.set()
    result = await town.outcome(run.wait(), 2.0)
    assert len(result.succeeded) == 2


async def test_an_owner_that_dies_before_it_parks_loses_nothing(town):
    """The wait is on record; who takes the run over parks it."""
    first = await node(town, "first")
    gate = town.gates["parts", "b"] = asyncio.Event()
    gate.open = gate.set
    run = await first.submit_backfill("parts")
    await town.until(lambda: town.shared.history.waits.waiting(None), 2.0, 0.01)
    await node(town, "second")
    gate.set()
    await town.die("first")
    await town.until(lambda: town.status(run.id) == "succeeded", 90.0)
    assert set(town.successes(run.id).values()) == {1}


async def test_a_clock_that_is_set_forward_ends_a_sleep_within_the_lease(town):
    """Once: when it is set back, nobody sleeps again."""
    await node(town, "first")
    command = await node(town, "command", worker=False)
    run = await command.submit("rested")
    await parked(town, run.id)
    town.shared.ahead += 3600.0
    await town.until(lambda: town.status(run.id) == "succeeded", LEASE + 2.0)
    town.shared.ahead -= 3600.0
    await town.clock.advance(100.0)
    assert town.starts == [("first", "rested", None, 1), ("first", "rested", None, 2)]


async def test_a_clock_that_is_set_back_lets_a_sleep_go_on(town):
    """It ends when the clock says so, and no run is lost."""
    await node(town, "first")
    command = await node(town, "command", worker=False)
    run = await command.submit("rested")
    await parked(town, run.id)
    town.shared.ahead -= 100.0
    await town.clock.advance(100.0)
    assert town.status(run.id) == "waiting"
    await town.until(lambda: town.status(run.id) == "succeeded", 65.0)


@pytest.mark.parametrize("way", ["leave", "die"])
async def test_nodes_that_go_while_many_steps_wait_and_wake_lose_none(town, way):
    """Runs are handed back, or adopted, whether they are parked just then, woken, or driven."""
    for name in ("one", "two"):
        await node(town, name)
    command = await node(town, "command", worker=False)
    runs = []
    for number in range(30):
        runs.append(await command.submit("rested"))
        await town.clock.advance(0.7 + number % 3)
        if number % 10 == 9:
            name = f"more{number}"
            await node(town, name)
            first = next(each for each in town.runtimes if each not in {"command", name, *gone(town)})
            await (town.leave(first) if way == "leave" else town.die(first))
    await town.until(lambda: all(town.status(run.id) == "succeeded" for run in runs), 200.0)
    for run in runs:
        assert town.successes(run.id) == {("rested", None): 1}
        woken = [event for _, event in town.shared.history.find(run.id).log.after_waits(0)]
        assert len(woken) == 1


def gone(town):
    """The nodes that have left or died."""
    return [name for name, store in town.stores.items() if not town.shared.alive(store.node)]
