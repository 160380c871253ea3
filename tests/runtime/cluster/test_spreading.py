"""Steps of one run on several nodes: who executes what, and what becomes of it when nodes go."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from flowstone import (
    Config,
    Context,
    DailyPartitions,
    MemoryIO,
    Outcome,
    Pipeline,
    Retry,
    RunCancelled,
    RunFailed,
    Skip,
    Status,
)
from flowstone.runs.events import StepRetried, StepStarted
from flowstone.runtime.cluster import step_executor
from flowstone.runtime.cluster.step_executor import StepExecutor
from flowstone.store.protocol import StoreRefused
from tests.runtime.cluster.scene import LEASE, WEEK
from tests.runtime.doubles import Gate

DAYS = range(1, 8)


def gate_all(town, asset="raw"):
    """Every step of an asset waits until its gate is opened."""
    for day in DAYS:
        town.gates[asset, day] = Gate()


def open_all(town):
    for gate in town.gates.values():
        gate.open()


def started_by(town):
    """How many functions each node has started."""
    return Counter(start[0] for start in town.starts)


async def leased(town, *, max_parallel=4, peers=("second",), owner="first", **options):
    """A backfill of `raw` that `owner` drives, as many of its steps waiting at their gates as may run."""
    gate_all(town)
    for name in peers:
        await town.node(name, **options)
    first = await town.node(owner, worker=False)
    task = asyncio.create_task(first.backfill("raw", max_parallel=max_parallel))
    await town.until(lambda: len(town.starts) == max_parallel, 3)
    (log,) = town.shared.history.all_runs()
    return task, log.head().id


def events(town, run_id, kind):
    log = town.shared.history.find(run_id).log.page(0, 10_000)
    return [event for _, event in log if isinstance(event, kind)]


class Share(Config):
    """What a run may change."""

    part: int = 1


async def test_every_node_computes_with_the_config_of_the_run(town):
    """Each reads it from the run; so does what it records."""
    seen = []

    def pipeline(node):
        made = Pipeline("town")

        @made.asset(partitions=DailyPartitions("2025-01-01", "2025-01-07"))
        async def share(context: Context, config: Share) -> int:
            seen.append((node, config.part))
            await town.gates["share"].wait()
            return config.part

        return made

    town.gates["share"] = Gate()
    await town.node("second", pipeline("second"))
    first = await town.node("first", pipeline("first"), worker=False)
    task = asyncio.create_task(first.backfill("share", max_parallel=4, config={"part": 5}))
    await town.until(lambda: len(seen) == 4, 3)
    town.gates["share"].open()
    result = await town.outcome(task, 5)
    assert {node for node, _ in seen} == {"first", "second"}
    assert {part for _, part in seen} == {5}
    assert [record.config for record in result.succeeded] == [{"part": 5}] * 7


async def test_a_backfill_spreads_over_the_nodes(town):
    """Evenly, never more at a time than `max_parallel` says, and each step once."""
    task, run_id = await leased(town, max_parallel=6, peers=("second", "third"))
    assert started_by(town) == {"first": 2, "second": 2, "third": 2}
    assert len(town.shared.leases) == 4
    open_all(town)
    result = await town.outcome(task, 5)
    assert len(result.succeeded) == 7
    assert set(town.successes(run_id).values()) == {1}
    assert len(town.starts) == 7
    assert town.shared.leases == {}
    assert await result.value(partition="2025-01-03") == 3


async def test_a_step_may_choose_to_be_skipped_on_another_node(town):
    """The owner learns of it as of every other end."""
    ran = Counter()

    def pipeline(node):
        made = Pipeline("town")

        @made.asset(partitions=WEEK)
        async def raw(context: Context) -> int:
            ran[node] += 1
            await town.gates["raw"].wait()
            raise Skip("nothing today")

        @made.asset(partitions=WEEK)
        async def clean(raw: Outcome[int]) -> str:
            return raw.reason

        return made

    town.gates["raw"] = Gate()
    await town.node("second", pipeline("second"))
    first = await town.node("first", pipeline("first"), worker=False)
    task = asyncio.create_task(first.backfill("clean", max_parallel=4, upstream=True))
    await town.until(lambda: ran.total() == 4, 3)
    town.gates["raw"].open()
    result = await town.outcome(task, 5)
    assert ran["second"] > 1
    assert await result.value("clean", partition="2025-01-07") == "nothing today"
    assert [step.failure.message for step in result.skipped] == ["nothing today"] * 7


async def test_max_parallel_is_of_all_nodes_together(town):
    """A step on another node takes one of the run's places, until its end is known."""
    task, _ = await leased(town, max_parallel=3, peers=("second", "third"))
    await town.clock.advance(5)
    assert len(town.starts) == 3
    open_all(town)
    await town.outcome(task, 5)


async def test_inputs_are_loaded_wherever_they_were_made(town):
    """A step's upstream may have run on another node than the step."""
    await town.node("second")
    first = await town.node("first", worker=False)
    result = await town.outcome(first.backfill("clean", upstream=True, max_parallel=4), 10)
    assert len(result.succeeded) == 14
    assert await result.value("clean", partition="2025-01-07") == 70
    assert set(started_by(town)) == {"first", "second"}


async def test_steps_that_are_done_sooner_than_lent_stay(town):
    """Once that is known: the first of them show it."""
    grants = []
    await town.node("second")
    first = await town.node("first", worker=False)
    store = town.stores["first"]

    async def grant(leases, grant=store.grant):
        grants.extend(leases)
        await town.clock.sleep(0.5)
        await grant(leases)

    store.grant = grant
    await town.outcome(first.backfill("raw", max_parallel=2), 5)
    result = await town.outcome(first.backfill("raw", max_parallel=2, refresh="all"), 5)
    assert len(result.succeeded) == 7
    assert len(grants) == 2


async def test_a_backfill_spreads_without_notices(town):
    """Everybody looks, and so it takes longer."""
    await town.node("second")
    first = await town.node("first", worker=False)
    for store in town.stores.values():
        store.listens = False
    result = await town.outcome(first.backfill("raw", max_parallel=4), 20)
    assert len(result.succeeded) == 7
    assert set(started_by(town)) == {"first", "second"}


async def test_only_backfills_spread(town):
    """Other runs would be over before another node has heard of them."""
    await town.node("second")
    first = await town.node("first", worker=False)
    await town.outcome(first.materialize_all("clean", partition="2025-01-01"), 3)
    assert set(started_by(town)) == {"first"}


async def test_values_in_memory_keep_their_steps_here(town, caplog):
    """Another process could not load them; this is said once."""
    io = {"default": MemoryIO()}
    await town.node("second", io=io)
    first = await town.node("first", worker=False, io=io)
    await town.outcome(first.backfill("raw"), 3)
    assert set(started_by(town)) == {"first"}
    assert len([record for record in caplog.records if "stay in this process" in record.getMessage()]) == 2


async def test_nodes_of_other_pipelines_are_left_alone(town):
    """So are those that take no work."""
    await town.node("stranger", Pipeline("other"))
    await town.node("idle", worker=False)
    first = await town.node("first")
    await town.outcome(first.backfill("raw"), 3)
    assert set(started_by(town)) == {"first"}


async def test_progress_and_events_tell_of_all_steps(town):
    """Whoever executed them."""
    await town.node("second")
    first = await town.node("first", worker=False)
    heard = []
    await town.outcome(first.backfill("raw", on_progress=heard.append), 5)
    assert [progress.done for progress in heard] == list(range(1, 8))
    (log,) = town.shared.history.all_runs()
    run = await first.run(log.head().id)
    kinds = Counter([event.kind async for event in run.events()])
    assert kinds["step.started"] == kinds["step.succeeded"] == 7


async def test_a_failure_elsewhere_is_a_failure(town):
    """It is retried as the asset says, wherever, and its attempts are counted over all nodes."""
    tries = []

    def pipeline(name):
        made = Pipeline("town")

        @made.asset(
            partitions=DailyPartitions("2025-01-01", "2025-01-04"), retry=Retry(attempts=3, delay=1.0)
        )
        async def flaky(context: Context) -> int:
            tries.append((name, context.partition.day, context.attempt))
            if context.partition.day == 2 and context.attempt < 3:
                raise ValueError("not yet")
            if context.partition.day == 4:
                raise ValueError("never")
            return context.attempt

        return made

    await town.node("second", pipeline("second"))
    first = await town.node("first", pipeline("first"), worker=False)
    result = await town.outcome(first.backfill("flaky", max_parallel=4), 20)
    assert {record.partition.day: record.attempt for record in result.succeeded} == {1: 1, 2: 3, 3: 1}
    assert [(record.partition.day, record.attempt) for record in result.failed] == [(4, 3)]
    assert {name for name, *_ in tries} == {"first", "second"}


# Nodes that die --------------------------------------------------------------------------------------------


async def test_steps_of_a_dead_node_are_run_again(town):
    """Numbered again; each alone, because one of them may have ended the process; each succeeds once."""
    task, run_id = await leased(town)
    mine = [day for node, _, day, _ in town.starts if node == "second"]
    assert len(mine) == 2
    await town.die("second")
    await town.clock.advance(3)
    again = [start for start in town.starts if start[3] == 2]
    assert again == []  # Nothing starts beside the others.
    for node, _, day, _ in tuple(town.starts):
        if node == "first":
            town.gates["raw", day].open()
    await town.clock.advance(1)
    assert [(node, attempt) for node, _, day, attempt in town.starts if day in mine and attempt > 1] == [
        ("first", 2)
    ]
    open_all(town)
    result = await town.outcome(task, 10)
    assert len(result.succeeded) == 7
    again = {record.partition.day: record.attempt for record in result.succeeded if record.attempt > 1}
    assert again == dict.fromkeys(mine, 2)
    assert set(town.successes(run_id).values()) == {1}


async def test_a_step_that_had_not_begun_is_no_suspect(town):
    """A node that dies before it saw its lease has lost nothing: the step is started again, not alone."""
    gate_all(town)
    await town.node("second")
    first = await town.node("first", worker=False)
    town.stores["second"].freeze()
    task = asyncio.create_task(first.backfill("raw", max_parallel=4))
    await town.clock.settle()
    assert started_by(town) == {"first": 2}
    await town.clock.advance(LEASE + 2)
    assert started_by(town) == {"first": 4}
    open_all(town)
    await town.outcome(task, 5)


async def test_a_node_that_comes_back_finds_its_lease_gone(town):
    """Stopped past its lease and resumed, its attempts are stopped, and what they say is refused."""
    task, run_id = await leased(town)
    mine = [day for node, _, day, _ in town.starts if node == "second"]
    town.stores["second"].freeze()
    await town.clock.advance(LEASE + 2)
    for node, _, day, _ in tuple(town.starts):
        if node == "first":
            town.gates["raw", day].open()
    await town.clock.advance(1)
    open_all(town)  # The functions of the second node return too.
    await town.clock.settle()
    town.stores["second"].mend()
    result = await town.outcome(task, 10)
    assert len(result.succeeded) == 7
    assert {record.attempt for record in result.succeeded if record.partition.day in mine} == {2}
    assert set(town.successes(run_id).values()) == {1}
    await town.clock.advance(2)
    assert (await town.runtimes["second"].health()).steps == 0


async def test_a_node_that_comes_back_may_be_just_in_time(town, monkeypatch):
    """What it records before the next attempt has started is the step's end; the run goes on with it."""
    task, run_id = await leased(town)
    mine = [day for node, _, day, _ in town.starts if node == "second"]
    held, write = Gate(), town.stores["first"].write

    async def hold_second_attempts(event, epoch=0, *, payload=None):
        if isinstance(event, StepStarted) and event.attempt == 2:
            await held.wait()
        await write(event, epoch, payload=payload)

    monkeypatch.setattr(town.stores["first"], "write", hold_second_attempts)
    town.stores["second"].freeze()
    await town.clock.advance(LEASE + 2)
    for node, _, day, _ in tuple(town.starts):
        if node == "first":
            town.gates["raw", day].open()
    await town.until(held.entered.is_set, 3)
    open_all(town)
    await town.clock.settle()
    town.stores["second"].mend()
    await town.clock.settle()
    held.open()
    result = await town.outcome(task, 10)
    assert len(result.succeeded) == 7
    assert 1 in {record.attempt for record in result.succeeded if record.partition.day in mine}
    assert set(town.successes(run_id).values()) == {1}


async def test_a_step_that_kills_its_nodes_is_given_up(town):
    """Losses on other nodes count like those of the owner; its neighbours finish."""
    gate_all(town)
    await town.node("second")
    first = await town.node("first", worker=False, lost_attempts=1)
    task = asyncio.create_task(first.backfill("raw", max_parallel=2, raise_on_failure=True))
    await town.until(lambda: len(town.starts) == 2, 3)
    (lost,) = [day for node, _, day, _ in town.starts if node == "second"]
    await town.die("second")
    open_all(town)
    with pytest.raises(RunFailed) as caught:
        await town.outcome(task, 20)
    (failed,) = caught.value.result.failed
    assert (failed.partition.day, failed.failure.kind) == (lost, "lost")
    assert len(caught.value.result.succeeded) == 6


async def test_what_runs_on_living_nodes_outlives_the_owner(town):
    """Whoever adopts the run goes on with it, on its own node as well; only what the owner ran itself is lost."""
    gate_all(town)
    command = await town.node("command", worker=False)
    for name in ("first", "second", "third"):
        await town.node(name)
    run = await command.submit_backfill("raw", max_parallel=6)
    await town.until(lambda: len(town.starts) == 6, 3)
    owner = town.owner(run.id)
    living = {day for node, _, day, _ in town.starts if node != owner}
    assert len(living) == 4
    await town.die(owner)
    await town.until(lambda: town.owner(run.id) not in {owner, None}, 3)
    await town.clock.advance(5)
    assert len(town.starts) == 6  # What the dead owner ran is suspected: it runs when nothing runs beside it.
    open_all(town)
    result = await town.outcome((await command.run(run.id)).wait(), 20)
    assert {record.partition.day for record in result.succeeded if record.attempt == 1} >= living
    assert {record.attempt for record in result.succeeded} == {1, 2}
    assert set(town.successes(run.id).values()) == {1}
    await town.clock.advance(2)
    assert town.shared.leases == {}


async def test_steps_on_other_nodes_outlive_a_restart_of_their_owner(town):
    """An upgrade of one node does not cost what the others compute."""
    gate_all(town)
    await town.node("second", max_concurrency=2)
    first = await town.node("first")
    town.gates["one", None] = Gate()
    run = await first.submit_backfill("raw", max_parallel=4)
    await town.until(lambda: len(town.starts) == 4, 3)
    owner = town.owner(run.id)
    other = {"first": "second", "second": "first"}[owner]
    leased = {day for node, _, day, _ in town.starts if node == other}
    await town.leave(owner)
    await town.until(lambda: town.owner(run.id) == other, 3)
    open_all(town)
    result = await town.outcome((await town.runtimes[other].run(run.id)).wait(), 20)
    assert {record.partition.day for record in result.succeeded if record.attempt == 1} >= leased
    assert len([start for start in town.starts if start[2] in leased]) == len(leased)


async def test_a_lent_step_that_ends_between_two_owners_is_not_lost(town):
    """Its end is refused, because its epoch is over; it is handed back and run again, and nobody waits for ever."""
    gate_all(town)
    command = await town.node("command", worker=False)
    for name in ("first", "second", "third"):
        await town.node(name)
    run = await command.submit_backfill("raw", max_parallel=6)
    await town.until(lambda: len(town.starts) == 6, 3)
    owner = town.owner(run.id)
    held = Gate()
    for name in {"first", "second", "third"} - {owner}:
        store = town.stores[name]

        async def grant(leases, grant=store.grant):
            await held.wait()
            await grant(leases)

        store.grant = grant
    await town.die(owner)
    await town.until(held.entered.is_set, 3)
    open_all(town)
    await town.clock.settle()
    held.open()
    result = await town.outcome((await command.run(run.id)).wait(), 30)
    assert len(result.succeeded) == 7
    assert set(town.successes(run.id).values()) == {1}


@pytest.mark.parametrize("told_at_once", [True, False])
async def test_a_lent_step_whose_end_the_store_will_not_have_ends_its_run(town, monkeypatch, told_at_once):
    """Neither its success nor that it failed: the owner is told, once that can be said, and waits for nothing."""
    gate_all(town)
    command = await town.node("command", worker=False)
    for name in ("first", "second"):
        await town.node(name)
    run = await command.submit_backfill("raw", max_parallel=6)
    await town.until(lambda: len(town.starts) == 6, 3)
    owner = town.owner(run.id)
    leased = next(day for node, _, day, _ in town.starts if node != owner)
    revoked = not told_at_once
    for store in town.stores.values():
        write, refuse = store.write, store.refuse

        async def refusing(event, epoch=0, *, payload=None, write=write):
            made = getattr(event, "materialization", None)
            if made is not None and made.partition.day == leased:
                raise StoreRefused("not this one")
            await write(event, epoch, payload=payload)

        async def say(*arguments, refuse=refuse):
            if revoked:
                raise StoreRefused("nothing")
            await refuse(*arguments)

        monkeypatch.setattr(store, "write", refusing)
        monkeypatch.setattr(store, "refuse", say)
    open_all(town)
    await town.clock.advance(60 if revoked else 0)
    assert town.status(run.id) == "running"
    revoked = False
    with pytest.raises(RunFailed):
        await town.outcome((await command.run(run.id)).wait(), 10)
    assert len(await town.stores["command"].steps(run.id, status=Status.SUCCEEDED)) == 6
    await town.until(lambda: not town.shared.leases, 1)


async def test_a_cancel_reaches_steps_that_outlived_their_owner(town):
    """The heir stops what it kept."""
    gate_all(town)
    command = await town.node("command", worker=False)
    for name in ("first", "second", "third"):
        await town.node(name)
    run = await command.submit_backfill("raw", max_parallel=6)
    await town.until(lambda: len(town.starts) == 6, 3)
    owner = town.owner(run.id)
    await town.die(owner)
    await town.until(lambda: town.owner(run.id) not in {owner, None}, 3)
    await town.outcome(run.cancel(), 3)
    assert len((await run.result()).cancelled) == 7
    await town.clock.advance(1)
    for name in {"first", "second", "third"} - {owner}:
        assert (await town.runtimes[name].health()).steps == 0


async def test_an_outage_of_the_store_loses_no_lent_step(town):
    """All leases run out; nobody is called dead before all had time to beat."""
    task, _ = await leased(town)
    for store in town.stores.values():
        store.freeze()
    await town.clock.advance(2 * LEASE)
    for store in town.stores.values():
        store.mend()
    await town.clock.advance(2 * LEASE)
    open_all(town)
    result = await town.outcome(task, 10)
    assert {record.attempt for record in result.succeeded} == {1}


# Stopping ---------------------------------------------------------------------------------------------------


async def test_a_cancel_stops_steps_on_other_nodes(town):
    """They end cancelled, and the run with them."""
    task, run_id = await leased(town)
    run = await town.runtimes["first"].run(run_id)
    await town.outcome(run.cancel(), 2)
    assert (await town.runtimes["second"].health()).steps == 0
    result = await run.result()
    assert result.status == "cancelled"
    assert len(result.cancelled) == 7
    await asyncio.gather(task, return_exceptions=True)
    assert town.shared.leases == {}


async def test_a_cancel_does_not_wait_for_a_node_that_does_not_answer(town):
    """After the time an attempt has to stop, and a grace, the run ends without it."""
    task, run_id = await leased(town)
    town.stores["second"].freeze()
    run = await town.runtimes["first"].run(run_id)
    began = town.clock.monotonic()
    await town.outcome(run.cancel(), 10)
    assert town.clock.monotonic() - began < 7
    await asyncio.gather(task, return_exceptions=True)
    town.stores["second"].mend()
    await town.clock.advance(2)
    assert (await town.runtimes["second"].health()).steps == 0
    assert town.status(run_id) == "cancelled"


async def test_a_node_that_stops_hands_its_steps_back(town):
    """Nobody's failure and no loss; the owner goes on without it."""
    task, run_id = await leased(town)
    mine = {day for node, _, day, _ in town.starts if node == "second"}
    await town.leave("second")
    handed = events(town, run_id, StepRetried)
    assert {int(event.partition_key[-2:]) for event in handed} == mine
    assert {event.failure.kind for event in handed} == {"lost"}
    open_all(town)
    result = await town.outcome(task, 5)
    assert len(result.succeeded) == 7
    assert {record.partition.day for record in result.succeeded if record.attempt == 2} == mine


async def test_a_hostile_step_cannot_hold_the_node_that_executes_it(town):
    """One that swallows its cancel is killed; the step is handed back even so."""

    def pipeline(name):
        made = Pipeline("town")

        @made.asset(partitions=DailyPartitions("2025-01-01", "2025-01-02"))
        async def hostile(context: Context) -> None:
            town.starts.append((name, "hostile", context.partition.day, context.attempt))
            while name == "second":
                try:
                    await asyncio.Event().wait()
                except BaseException:
                    continue
            await town.clock.sleep(5.0)

        return made

    await town.node("second", pipeline("second"))
    first = await town.node("first", pipeline("first"), worker=False)
    task = asyncio.create_task(first.backfill("hostile", max_parallel=2))
    await town.until(lambda: len(town.starts) == 2, 3)
    began = town.clock.monotonic()
    await town.leave("second")
    assert town.clock.monotonic() - began < 1.5
    result = await town.outcome(task, 20)
    assert sorted(record.attempt for record in result.succeeded) == [1, 2]


async def test_a_node_that_stops_lets_its_steps_finish(town, background):
    """For `shutdown_timeout`, as its own."""
    task, _ = await leased(town, shutdown_timeout=30.0)
    mine = {day for node, _, day, _ in town.starts if node == "second"}
    leaving = background(town.leaving("second"))
    await town.clock.advance(5)
    open_all(town)
    await town.until(leaving.done, 5)
    result = await town.outcome(task, 5)
    assert {record.attempt for record in result.succeeded if record.partition.day in mine} == {1}


async def test_steps_that_wait_for_a_slot_are_handed_back_too(town):
    """What had not begun when the node stopped."""
    gate_all(town)
    town.gates["one", None] = Gate()
    second = await town.node("second", max_concurrency=2)
    busy = [asyncio.create_task(second.materialize("one")) for _ in range(2)]
    await town.until(lambda: len(town.starts) == 2, 3)
    first = await town.node("first", worker=False)
    task = asyncio.create_task(first.backfill("raw", max_parallel=2))
    await town.until(lambda: town.shared.leases, 3)
    await town.leave("second")
    await asyncio.gather(*busy, return_exceptions=True)
    open_all(town)
    result = await town.outcome(task, 10)
    assert len(result.succeeded) == 7
    assert "second" not in {node for node, asset, *_ in town.starts if asset == "raw"}


async def test_a_node_that_lacks_something_hands_back(town):
    """A resource that this node was not given: the step runs where it is, and the node is asked no more."""

    def pipeline(name):
        made = Pipeline("town")

        @made.asset(partitions=DailyPartitions("2025-01-01", "2025-01-07"), requires={"db"})
        async def needy(context: Context) -> str:
            town.starts.append((name, "needy", context.partition.day, context.attempt))
            return context.resources["db"]

        return made

    await town.node("second", pipeline("second"))
    first = await town.node("first", pipeline("first"), worker=False, resources={"db": "here"})
    result = await town.outcome(first.backfill("needy", max_parallel=2), 10)
    assert len(result.succeeded) == 7
    assert set(started_by(town)) == {"first"}


async def test_a_node_that_cannot_plan_a_run_hands_back(town, monkeypatch):
    """It holds another release; whatever its planner raises, none of its processes crashes."""
    planned = []

    async def refuse(ctx, record):
        planned.append(record.id)
        raise KeyError("no such asset")

    monkeypatch.setattr(step_executor, "plan_again", refuse)
    second = await town.node("second")
    first = await town.node("first", worker=False)
    result = await town.outcome(first.backfill("raw"), 5)
    assert len(result.succeeded) == 7
    assert planned
    assert set(started_by(town)) == {"first"}
    assert all(process.restarts == 0 for process in second.tree().walk())


async def test_a_node_that_handed_back_is_asked_again_after_a_while(town):
    """What it lacked may be there by then."""
    pipeline = Pipeline("town")

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-07"), requires={"db"})
    async def needy(context: Context) -> None:
        await town.clock.sleep(50.0)

    second = await town.node("second", pipeline)
    first = await town.node("first", pipeline, worker=False, resources={"db": "here"})
    result = await town.outcome(first.backfill("needy", max_parallel=2), 400, 1.0)
    assert len(result.succeeded) == 7
    handed = events(town, result.run_id, StepRetried)
    assert 2 <= len(handed) <= 4
    assert (await second.health()).steps == 0


async def test_an_attempt_that_says_twice_that_it_is_retried_is_retried_once(town):
    """Interrupted while it recorded a failure, it may have recorded it, and records that it was handed over."""
    task, run_id = await leased(town)
    store = town.stores["first"]

    async def twice(run_id, attempts, endings=store.endings):
        found = await endings(run_id, attempts)
        return [end for event in found for end in [event] * (1 + isinstance(event, StepRetried))]

    store.endings = twice
    await town.leave("second")
    open_all(town)
    result = await town.outcome(task, 10)
    assert len(result.succeeded) == 7
    assert set(town.successes(run_id).values()) == {1}


async def test_an_executor_that_crashes_starts_over(town, monkeypatch):
    """What it ran is stopped and handed back, because it may have begun; nothing is recorded twice."""
    see, crashes = StepExecutor._see, []

    async def crash_once(self, key, lease):
        if town.starts and not crashes and self._runs.leased:
            crashes.append(key)
            raise RuntimeError("injected")
        await see(self, key, lease)

    monkeypatch.setattr(StepExecutor, "_see", crash_once)
    gate_all(town)
    await town.node("second")
    first = await town.node("first", worker=False)
    task = asyncio.create_task(first.backfill("raw", max_parallel=4))
    await town.until(lambda: crashes, 3)
    open_all(town)
    result = await town.outcome(task, 10)
    assert len(result.succeeded) == 7
    assert {record.attempt for record in result.succeeded} == {1, 2}
    assert set(town.successes(result.run_id).values()) == {1}


async def test_an_asset_elsewhere_may_wait_for_a_run_of_its_own(town):
    """It gives back its slot of the node that executes it."""

    def pipeline(name):
        made = Pipeline("town")

        @made.asset
        async def inner() -> int:
            return 1

        @made.asset(partitions=DailyPartitions("2025-01-01", "2025-01-04"))
        async def outer(context: Context) -> int:
            town.starts.append((name, "outer", context.partition.day, context.attempt))
            await town.runtimes[name].materialize("inner")
            return 2

        return made

    await town.node("second", pipeline("second"), max_concurrency=1)
    first = await town.node("first", pipeline("first"), worker=False, max_concurrency=1)
    result = await town.outcome(first.backfill("outer", max_parallel=2), 10)
    assert len(result.succeeded) == 4
    assert set(started_by(town)) == {"first", "second"}


async def test_a_run_that_is_drained_begins_nothing_anywhere(town):
    """What runs ends with its value on either node; what waits there for a slot of a pool is called back."""
    gate, begun = Gate(), []

    def pipeline(node):
        made = Pipeline("town")
        made.pool("desk", slots=2)

        @made.asset(partitions=DailyPartitions("2025-01-01", "2025-01-07"), pool="desk")
        async def raw() -> int:
            begun.append(node)
            await gate.wait()
            return 1

        return made

    await town.node("second", pipeline("second"))
    first = await town.node("first", pipeline("first"), worker=False)
    task = asyncio.create_task(first.backfill("raw", max_parallel=6))
    await town.until(lambda: len(begun) == 2 and len(town.shared.leases) == 3, 3)
    (log,) = town.shared.history.all_runs()
    run = await first.run(log.head().id)
    draining = asyncio.create_task(run.drain())
    await town.until(lambda: len(town.shared.leases) <= begun.count("second"), 3)
    gate.open()
    await town.outcome(draining, 5)
    with pytest.raises(RunCancelled):
        await task
    result = await run.result()
    assert len(begun) == 2 == len(result.succeeded)
    assert len(result.cancelled) == 5
    assert town.shared.leases == {}
