"""Nodes that die, that seem to have died, and who goes on with what they drove."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise

import pytest

from flowstone import (
    Context,
    Each,
    Pipeline,
    Retry,
    RunCancelled,
    RunFailed,
    RuntimeStopping,
    StoreUnavailable,
)
from flowstone.runs.events import StepStarted
from flowstone.runtime.cluster import adoption
from flowstone.runtime.run.coordinator import RunCoordinator
from flowstone.runtime.run.reuse import Reuses
from tests.runtime.cluster.scene import LEASE
from tests.runtime.doubles import Gate


async def begun(town, gate, node="first", asset="one", **options):
    """A run that this node has taken, waiting at a gate."""
    town.gates[node, *gate] = Gate()
    run = await (await town.node(node)).submit(asset, **options)
    await town.until(town.gates[node, *gate].entered.is_set, 3)
    return run


async def test_runs_of_a_dead_node_go_on(town):
    """Within the lease and a second; what had succeeded is not run again, and each step succeeds once."""
    town.gates["first", "raw", 4] = Gate()
    first = await town.node("first")
    run = await first.submit_backfill("clean", upstream=True, max_parallel=1)
    await town.until(town.gates["first", "raw", 4].entered.is_set, 3)
    second = await town.node("second")
    await town.clock.advance(20)
    assert town.owner(run.id) == "first"
    done = {step for step, count in town.successes(run.id).items() if count}
    town.stores["first"].cut()
    await town.clock.advance(LEASE + 1.0)
    assert town.owner(run.id) == "second"
    result = await town.outcome((await second.run(run.id)).wait(), 5)
    assert len(result.succeeded) == 14
    assert set(town.successes(run.id).values()) == {1}
    again = {(asset, f"d:2025-01-{day:02}") for node, asset, day, _ in town.starts if node == "second"}
    assert not again & done
    assert ("second", "raw", 4, 2) in town.starts


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.6, 0.9])
async def test_the_end_of_a_lease_is_not_slept_over(town, offset):
    """Adoption follows it at once, wherever it lies between two looks."""
    run = await begun(town, ("one", None))
    await town.clock.advance(offset)
    await town.node("second")
    await town.clock.advance(20)
    town.stores["first"].cut()
    row = town.shared.nodes[town.stores["first"].node]
    await town.clock.advance(row.beaten + LEASE - town.clock.monotonic() + 0.2)
    assert town.owner(run.id) == "second"


async def test_an_orphan_is_adopted_by_one_node(town):
    """Of those who see it, the first to raise its epoch drives it, and the others let go."""
    run = await begun(town, ("one", None))
    for name in ("b", "c", "d"):
        await town.node(name)
    town.stores["first"].cut()
    await town.clock.advance(LEASE + 2.0)
    await town.until(lambda: town.status(run.id) == "succeeded", 5)
    assert len([start for start in town.starts if start[0] != "first"]) == 1


async def test_a_node_that_comes_back_records_nothing(town):
    """Stopped past its lease and resumed, it finds its run taken, stops it, and every write of it is refused."""
    run = await begun(town, ("one", None))
    await town.node("second")
    town.gates["second", "one", None] = Gate()
    town.stores["first"].freeze()
    await town.clock.advance(LEASE + 2.0)
    assert town.owner(run.id) == "second"
    town.gates["first", "one", None].open()  # Its function returns; the success waits for the store.
    await town.clock.settle()
    town.stores["first"].mend()
    await town.clock.advance(1.0)
    assert town.successes(run.id) == {}
    assert town.status(run.id) == "running"
    town.gates["second", "one", None].open()
    await town.until(lambda: town.status(run.id) == "succeeded", 3)
    record = town.shared.history.ledger.current([("one", None)])["one", None]
    assert (record.attempt, town.io.values[record.location]) == (2, "second")


async def test_a_node_that_lost_its_lease_stops_what_others_drive(town):
    """Its attempts are stopped without a word, though their store works again."""
    run = await begun(town, ("one", None))
    await town.node("second")
    town.gates["second", "one", None] = Gate()
    town.stores["first"].freeze()
    await town.clock.advance(LEASE + 2.0)
    town.stores["first"].mend()
    await town.clock.advance(1.0)
    first = town.runtimes["first"]
    assert (await first.health()).runs == 0
    assert (await first.health()).steps == 0
    assert town.owner(run.id) == "second"


async def test_who_awaits_a_run_does_not_see_its_owner_change(town, background):
    """`materialize` on a node that loses its lease returns what another node made of it."""
    first = await town.node("first")
    town.gates["first", "one", None] = Gate()
    waiting = [background(first.materialize("one")), background(first.materialize_all("one"))]
    await town.until(town.gates["first", "one", None].entered.is_set, 3)
    second = await town.node("second")
    await town.die("first")
    await town.clock.advance(3.0)
    town.stores["first"].mend()
    await town.until(lambda: all(task.done() for task in waiting), 10)
    record, result = [await task for task in waiting]
    assert record.status == "succeeded"
    assert await result.value() == "second"
    handle = await second.run(record.run_id)
    assert await handle.status() == "succeeded"


async def test_an_outage_of_the_store_orphans_nobody(town):
    """When the store is away for longer than a lease, all leases run out at once; nobody robs anybody then."""
    runs = {}
    for name in ("first", "second", "third"):
        town.gates[name, "one", None] = Gate()
        runs[name] = await (await town.node(name, max_concurrency=1)).submit("one")
        await town.until(town.gates[name, "one", None].entered.is_set, 3)
    for name in runs:
        town.stores[name].freeze()
    await town.clock.advance(2 * LEASE)
    for number, name in enumerate(runs):
        await town.clock.advance(number)
        town.stores[name].mend()
    await town.clock.advance(2 * LEASE)
    assert {name: town.owner(run.id) for name, run in runs.items()} == {name: name for name in runs}
    for gate in town.gates.values():
        gate.open()
    for run in runs.values():
        await town.until(lambda run=run: town.status(run.id) == "succeeded", 3)
    assert len(town.starts) == 3


async def test_a_node_that_died_in_an_outage_is_found_afterwards(town):
    """It takes one lease longer: the time in which those who live beat."""
    run = await begun(town, ("one", None))
    await town.node("second")
    for store in town.stores.values():
        store.freeze()
    await town.clock.advance(2 * LEASE)
    town.stores["second"].mend()
    await town.clock.advance(LEASE - 1.0)
    assert town.owner(run.id) == "first"
    await town.clock.advance(3.0)
    assert town.owner(run.id) == "second"


async def test_what_a_node_gave_up_in_an_outage_it_resumes(town, background):
    """A store that refuses writes ends the run's life here; when it is back, its owner goes on with it."""
    first = await town.node("first")
    town.gates["first", "one", None] = Gate()
    task = background(first.materialize("one"))
    await town.until(town.gates["first", "one", None].entered.is_set, 3)
    town.stores["first"].cut()
    town.gates.pop(("first", "one", None)).open()
    await town.clock.advance(5.0)
    assert not task.done()
    town.stores["first"].mend()
    await town.until(task.done, 5)
    assert (await task).attempt == 2
    assert [start[0] for start in town.starts] == ["first", "first"]


async def test_a_run_that_was_taken_without_an_answer_is_found(town, monkeypatch):
    """The database may take a run for a node and lose the connection before it says so."""
    first = await town.node("first")
    store = town.stores["first"]
    take, cut = store.take, []

    async def take_and_cut(*arguments, **options):
        taken = await take(*arguments, **options)
        if taken and not cut:
            cut.extend(taken)
            return []
        return taken

    monkeypatch.setattr(store, "take", take_and_cut)
    run = await first.submit("one")
    await town.clock.advance(LEASE)
    assert town.owner(run.id) == "first"
    assert town.starts == []
    await town.clock.advance(LEASE + 2)
    assert town.status(run.id) == "succeeded"


async def test_a_node_without_a_worker_adopts_nothing(town):
    """Neither a queued run nor an orphan; and it closes none, because its owner may yet come back."""
    run = await begun(town, ("one", None))
    await town.node("command", worker=False)
    await town.die("first")
    await town.clock.advance(60)
    assert (town.status(run.id), town.owner(run.id)) == ("running", "first")


async def test_a_run_that_kills_its_nodes_is_given_up(town):
    """After `lost_attempts` losses the step has failed with kind lost, and what needs it is skipped."""
    for name in ("a", "b", "c"):
        town.gates[name, "raw", 2] = Gate()
    command = await town.node("command", worker=False)
    run = await command.submit_backfill("clean", upstream=True, max_parallel=1)
    for name in ("a", "b", "c"):
        await town.node(name)
        await town.until(town.gates[name, "raw", 2].entered.is_set, 30)
        await town.die(name)
    await town.node("d")
    with pytest.raises(RunFailed) as caught:
        await town.outcome((await command.run(run.id)).wait(), 30)
    (failed,) = caught.value.result.failed
    assert (failed.name, failed.failure.kind) == ("raw[2025-01-02]", "lost")
    assert [record.name for record in caught.value.result.skipped] == ["clean[2025-01-02]"]
    assert len(caught.value.result.succeeded) == 12


async def test_a_coordinator_that_crashes_for_ever_ends_its_run(town, monkeypatch):
    """Our own bug is not tried again by node after node: the run is closed as failed."""
    begin = RunCoordinator._begin

    async def crash(self):
        if self._run.record.request.asset == "one":
            raise RuntimeError("injected")
        await begin(self)

    monkeypatch.setattr(RunCoordinator, "_begin", crash)
    first = await town.node("first")
    await town.node("second")
    run = await first.submit("one")
    await town.until(lambda: town.status(run.id) == "failed", 5)
    with pytest.raises(RunFailed) as caught:
        await town.outcome(run.wait(), 5)
    assert "injected" in caught.value.result.failed[0].failure.message


# Stopping ---------------------------------------------------------------------------------------------------


async def test_a_node_that_stops_hands_its_claimed_runs_back(town):
    """Another one goes on at once: nothing is cancelled, and no attempt counts as lost."""
    town.gates["first", "one", None] = Gate()
    await town.node("first")
    command = await town.node("command", worker=False)
    run = await command.submit("one")
    await town.until(town.gates["first", "one", None].entered.is_set, 3)
    await town.leave("first")
    assert (town.status(run.id), town.owner(run.id)) == ("running", None)
    await town.node("second", lost_attempts=1)
    result = await town.outcome(run.wait(), 3)
    assert await result.value() == "second"
    assert [record.attempt for record in result.succeeded] == [2]


@pytest.mark.parametrize("taken", [True, False], ids=["with what takes its items", "alone"])
async def test_a_node_that_stops_hands_back_a_reader(town, taken):
    """What it has read is on record, and the other node goes on behind it."""
    read = []

    def pipeline(node):
        made = Pipeline("town")

        @made.asset
        async def pages(context: Context) -> AsyncIterator[int]:
            for number in range(context.cursor or 0, 6):
                read.append((node, number))
                yield number
                context.checkpoint(number + 1)
                if (node, number) == ("first", 2):
                    await town.gates["reading"].wait()

        @made.asset(each=Each("pages"))
        async def page(pages: int) -> int:
            return pages

        return made

    town.gates["reading"] = Gate()
    first = await town.node("first", pipeline("first"))
    run = await first.submit("page" if taken else "pages")
    await town.until(town.gates["reading"].entered.is_set, 3)
    await town.leave("first")
    assert town.status(run.id) == "running"
    second = await town.node("second", pipeline("second"))
    result = await town.outcome((await second.run(run.id)).wait(), 3)
    assert [record.attempt for record in result.succeeded] == [2, 1] if taken else [2]
    assert read == [("first", n) for n in range(3)] + [("second", n) for n in range(3, 6)]


async def test_a_run_that_is_taken_over_while_it_is_drained_stops(town, background):
    """`drain()` returns when the run has stopped, not when this node has lost it."""
    town.gates["one", None] = Gate()
    run = await (await town.node("first")).submit("one")
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.node("second")
    drained = background(run.drain())
    await town.clock.advance(1)
    town.stores["first"].cut()
    await town.until(lambda: town.owner(run.id) == "second", LEASE + 3)
    town.stores["first"].mend()
    await town.until(drained.done, 2 * LEASE)
    assert town.status(run.id) == "cancelled"


async def test_what_finishes_in_time_is_not_handed_back(town, background):
    """A node that stops lets running work finish for `shutdown_timeout`."""
    town.gates["first", "one", None] = Gate()
    first = await town.node("first", shutdown_timeout=30.0)
    run = await first.submit("one")
    await town.until(town.gates["first", "one", None].entered.is_set, 3)
    leaving = background(town.leaving("first"))
    await town.clock.advance(10)
    assert town.owner(run.id) == "first"
    town.gates["first", "one", None].open()
    await town.until(leaving.done, 5)
    assert town.status(run.id) == "succeeded"


async def test_a_run_that_somebody_here_awaits_is_cancelled(town, background):
    """As without a cluster: who asked for it goes away with the node."""
    town.gates["one", None] = Gate()
    first = await town.node("first")
    task = background(first.materialize("one"))
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.leave("first")
    with pytest.raises((RunCancelled, RuntimeStopping)):
        await task
    (log,) = town.shared.history.all_runs()
    assert log.status == "cancelled"


async def test_a_hostile_asset_cannot_hold_a_node_that_stops(town):
    """One that swallows its cancel is killed; its run is handed back even so, within the limit."""
    hostile = Pipeline("town")
    entered = asyncio.Event()

    @hostile.asset
    async def one() -> None:
        entered.set()
        while True:
            try:
                await asyncio.Event().wait()
            except BaseException:
                continue

    first = await town.node("first", hostile)
    run = await first.submit("one")
    await town.until(entered.is_set, 3)
    began = town.clock.monotonic()
    await town.leave("first")
    assert town.clock.monotonic() - began < 1.3
    assert (town.status(run.id), town.owner(run.id)) == ("running", None)


async def test_a_node_that_leaves_is_not_waited_for(town):
    """Its lease ends with it, and runs that it could not hand back are adopted at once."""
    await town.node("first")
    assert town.shared.alive(town.stores["first"].node)
    await town.leave("first")
    assert not town.shared.alive(town.stores["first"].node)


async def test_a_waiter_learns_that_its_runtime_has_stopped(town, background):
    """Who waits for a run that lives elsewhere does not wait for ever."""
    command = await town.node("command", worker=False)
    task = background((await command.submit("one")).wait())
    await town.clock.settle()
    await town.leave("command")
    with pytest.raises(RuntimeStopping):
        await task


async def test_a_store_that_is_away_when_a_node_enters_is_said(town):
    """Entering needs the store, in this part as well."""
    runtime = town.made("first")
    town.stores["first"].cut()
    with pytest.raises(StoreUnavailable):
        async with runtime:
            pass


async def test_trouble_with_the_store_is_logged_and_survived(town, caplog):
    """Restart intensity is for bugs: no process of the node crashes on a store that is away."""
    first = await town.node("first")
    town.stores["first"].cut()
    with caplog.at_level(logging.ERROR):
        await town.clock.advance(60)
        town.stores["first"].mend()
        await town.clock.advance(30)
    assert caplog.records == []
    assert all(process.restarts == 0 for process in first.tree().walk())
    assert await (await town.outcome((await first.submit("one")).wait(), 5)).value() == "first"


async def test_each_start_is_recorded_before_the_function_runs(town):
    """So that whoever adopts the run knows what was in flight."""
    run = await begun(town, ("one", None))
    events = [event for _, event in town.shared.history.find(run.id).log.page(0, 100)]
    assert any(isinstance(event, StepStarted) for event in events)


# Clocks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3600.0, -3600.0, 100_000.0])
async def test_a_step_of_the_databases_clock_kills_nobody(town, step):
    """Nor does it let the dead live: they are adopted in the same time as ever."""
    run = await begun(town, ("one", None))
    second = await town.node("second")
    await town.clock.advance(20)
    town.shared.ahead += step
    await town.clock.advance(2 * LEASE)
    assert town.owner(run.id) == "first"
    town.stores["first"].cut()
    town.shared.ahead -= step
    await town.clock.advance(LEASE + 1.0)
    assert town.owner(run.id) == "second"
    assert await (await town.outcome((await second.run(run.id)).wait(), 5)).value() == "second"


async def test_a_step_of_a_nodes_wall_clock_changes_nothing(town):
    """Beats, leases and silences are monotonic."""
    run = await begun(town, ("one", None))
    await town.node("second")
    await town.clock.advance(20)
    for step in (7200.0, -7200.0):
        town.clock.step(step)
        await town.clock.advance(2 * LEASE)
        assert town.owner(run.id) == "first"
    town.clock.step(7200.0)
    town.stores["first"].cut()
    await town.clock.advance(LEASE + 1.0)
    assert town.owner(run.id) == "second"


async def test_a_run_that_is_submitted_while_the_clock_is_wrong_is_taken_at_once(town):
    """What is in the queue is due."""
    worker = await town.node("worker")
    for step in (3600.0, -3600.0):
        town.shared.ahead += step
        run = await worker.submit("one")
        await town.outcome(run.wait(), 1)


async def test_an_idle_node_asks_little(town):
    """Four questions a second, also while others live and while one that is dead is remembered."""
    await town.node("first")
    await town.node("second")
    await town.die("first")
    await town.clock.advance(2 * LEASE)
    before = dict(town.stores["second"].calls)
    await town.clock.advance(60)
    asked = {call: count - before.get(call, 0) for call, count in town.stores["second"].calls.items()}
    assert sum(asked.values()) <= 4 * 60 + 15, asked


async def test_runs_that_wait_for_a_slot_are_not_blamed_for_the_death_of_their_nodes(town):
    """After a loss suspects run alone, so others wait; nodes may be killed as often as they like meanwhile."""
    names = "abcdef"
    for name in names:
        town.gates[name, "one", None] = Gate()
    command = await town.node("command", worker=False)
    runs = [await command.submit("one") for _ in range(8)]
    for name in names:
        await town.node(name)
        await town.until(lambda name=name: {town.owner(run.id) for run in left(town, runs)} == {name}, 30)
        await town.until(town.gates[name, "one", None].entered.is_set, 30)
        await town.die(name)
    await town.node("last")
    await town.until(lambda: not left(town, runs), 60)
    failed = [run for run in runs if town.status(run.id) == "failed"]
    for run in failed:
        record = await town.stores["last"].step(run.id, ("one", None))
        assert "Too many attempts" in record.failure.message
    assert len(failed) == 2


async def test_a_run_whose_look_ups_end_its_nodes_is_closed(town, monkeypatch):
    """Adopted three times with no record since, it fails and says why; its first node had begun it as any other."""
    looking = []

    async def deadly(reuses, *_):
        looking.append(reuses._ctx.node)
        await asyncio.Event().wait()

    monkeypatch.setattr(Reuses, "find", deadly)
    command = await town.node("command", worker=False)
    run = await command.submit_backfill("raw")
    for name in "abcd":
        await town.node(name)
        await town.until(lambda name=name: town.stores[name].node in looking, 40)
        await town.die(name)
    assert town.status(run.id) == "running"
    await town.node("e")
    await town.until(lambda: town.status(run.id) == "failed", 40)
    assert len(looking) == 4
    with pytest.raises(RunFailed) as caught:
        await town.outcome(run.wait(), 5)
    (failed,) = caught.value.result.failed
    assert failed.failure.kind == "lost"
    assert "taken over 3 times" in failed.failure.message
    assert "each time its node was gone before a step of it began" in failed.failure.message


async def test_a_run_that_waits_for_a_slot_after_its_look_ups_is_not_blamed(town, monkeypatch):
    """Whatever became of the nodes on which it waited, five in a row; the first died while it looked."""
    look = Reuses.find

    async def deadly_at_first(reuses, *arguments):
        if reuses._ctx.node == town.stores["a"].node:
            await asyncio.Event().wait()
        return await look(reuses, *arguments)

    monkeypatch.setattr(Reuses, "find", deadly_at_first)
    nodes = "abcdefg"
    for name in nodes:
        town.gates[name, "one", None] = Gate()
    command = await town.node("command", worker=False)
    busy = await command.submit("one", priority=1)
    run = await command.submit_backfill("raw")
    await town.node("a")
    for name, following in pairwise(nodes):
        await town.until(town.gates[name, "one", None].entered.is_set, 40)
        await town.until(lambda name=name: {town.owner(each.id) for each in (busy, run)} == {name}, 5)
        await town.die(name)
        await town.node(following, max_concurrency=1, lost_attempts=99)
    assert not [start for start in town.starts if start[1] == "raw"]
    await town.until(town.gates["g", "one", None].entered.is_set, 40)
    town.gates["g", "one", None].open()
    await town.outcome(run.wait(), 10)


def left(town, runs):
    """Those that have not ended."""
    return [run for run in runs if town.status(run.id) not in {"succeeded", "failed"}]


async def test_what_a_closed_run_failed_of_is_recorded_between_two_attempts(town, monkeypatch):
    """Its step had begun and was to be tried again: it is the one that has failed, with the reason of the run."""
    broken = Pipeline("town")

    @broken.asset(retry=Retry(attempts=9, delay=1_000.0))
    async def one() -> None:
        raise OSError("not yet")

    async def fail(*_):
        raise StoreUnavailable("it says no")

    command = await town.node("command", broken, worker=False)
    await town.node("first", broken)
    run = await command.submit("one")
    await town.until(lambda: "step.retried" in kinds(town, run), 5)
    await town.node("second", broken)
    monkeypatch.setattr(adoption, "take_up", fail)
    await town.die("first")
    await town.until(lambda: town.status(run.id) == "failed", 10)
    record = await town.stores["second"].step(run.id, ("one", None))
    assert (record.attempt, record.failure.kind) == (1, "lost")
    assert "it says no" in record.failure.message


def kinds(town, run):
    """Of the events of a run."""
    return [event.kind for _, event in town.shared.history.find(run.id).log.page(0, 1_000)]


async def test_a_run_that_nobody_gets_on_with_is_closed(town, monkeypatch):
    """Taken over three times without a step's record in between, it fails and says why; health shows it."""

    async def fail(*_):
        raise StoreUnavailable("it says no")

    run = await begun(town, ("one", None))
    second = await town.node("second")
    monkeypatch.setattr(adoption, "take_up", fail)
    await town.die("first")
    await town.until(lambda: "it says no" in str(second._runs.to_resume.get(run.id)), 5)
    assert (await second.health()).retried == {run.id: "it says no"}
    await town.until(lambda: town.status(run.id) == "failed", 10)
    await town.clock.advance(2.0)
    assert (await second.health()).retried == {}
    record = await town.stores["second"].step(run.id, ("one", None))
    assert record.failure.kind == "lost"
    assert "taken over 3 times" in record.failure.message
    assert "it says no" in record.failure.message


async def test_it_is_said_what_runs_alone_and_holds_up_the_node(town, caplog):
    """One line of the log; and who waits says for which step, whichever run that is of."""
    run = await begun(town, ("one", None))
    town.gates["second", "one", None] = Gate()
    second = await town.node("second")
    await town.die("first")
    await town.until(town.gates["second", "one", None].entered.is_set, 2 * LEASE)
    (line,) = [each.getMessage() for each in caplog.records if "in flight" in each.getMessage()]
    assert line == (
        f"Run {run.id}: 1 step was in flight when its node was lost (one), and runs again alone. "
        "Nothing else begins on this node until it has ended."
    )
    (alone,) = second.running_steps()
    assert (alone.name, alone.alone) == ("one", True)
    other = await second.submit("raw", partition="2025-01-01", upstream=False)
    await town.until(second.queued_steps, 5)
    (queued,) = second.queued_steps()
    assert (queued.run_id, queued.waits_for, queued.names) == (other.id, "alone", ("one",))
    assert queued.told({}) == "one, which was in flight when its node was lost, to end alone"
    town.gates["second", "one", None].open()
    await town.until(lambda: town.status(other.id) == "succeeded", 5)
    assert second.queued_steps() == second.running_steps() == ()


async def test_one_that_is_to_run_alone_waits_for_what_runs(town):
    """It is said of it as well, and what came later waits for its end."""
    run = await begun(town, ("one", None))
    town.gates["second", "raw", 1] = Gate()
    town.gates["second", "one", None] = Gate()
    second = await town.node("second")
    before = await second.submit("raw", partition="2025-01-01", upstream=False)
    await town.until(town.gates["second", "raw", 1].entered.is_set, 5)
    await town.die("first")
    await town.until(second.queued_steps, 2 * LEASE)
    later = await second.submit("raw", partition="2025-01-02", upstream=False)
    await town.until(lambda: len(second.queued_steps()) == 2, 5)
    queued = {step.run_id: step for step in second.queued_steps()}
    assert (queued[run.id].waits_for, queued[run.id].names) == ("alone", ())
    assert queued[run.id].told({}).startswith("all that runs on its node to end, to run alone")
    assert (queued[later.id].waits_for, queued[later.id].names) == ("alone", ("one",))
    for gate in town.gates.values():
        gate.open()
    for each in (run.id, before.id, later.id):
        await town.until(lambda each=each: town.status(each) == "succeeded", 5)


async def test_a_node_that_is_started_after_a_kill_says_what_it_waits_for(town, caplog):
    """In one line, long before the lease of its former self is over, with the instant at which that is."""
    run = await begun(town, ("one", None))
    await town.clock.advance(2.0)
    town.stores["first"].cut()
    await town.node("second")
    started_at = town.clock.monotonic()
    lines = []

    def said():
        lines[:] = [each.getMessage() for each in caplog.records if "no heartbeat" in each.getMessage()]
        return lines

    await town.until(said, LEASE)
    assert town.clock.monotonic() - started_at < LEASE / 2
    (line,) = said()
    assert "its 1 run and automations are left to it until " in line
    promised = line.partition(" until ")[2].partition(";")[0]
    await town.until(lambda: town.owner(run.id) == "second", 2 * LEASE)
    late = (town.clock.now() - timedelta(seconds=1.1)).strftime("%H:%M:%S %Z")
    assert late <= promised <= town.clock.now().strftime("%H:%M:%S %Z")
    await town.clock.advance(LEASE)
    assert len(said()) == 1


async def test_of_nodes_that_beat_nothing_is_said(town, caplog):
    """However long; nor of one that has left, or that is away for a moment."""
    for name in ("first", "second", "third"):
        await town.node(name)
    await town.clock.advance(4 * LEASE)
    await town.leave("third")
    await town.clock.advance(4 * LEASE)
    assert not [each for each in caplog.records if "no heartbeat" in each.getMessage()]
