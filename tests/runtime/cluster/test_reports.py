"""What nodes say of themselves with their beats: what they try again, and what waits in the queue in vain."""

from __future__ import annotations

import pytest

from flowstone import Context, Pipeline, RunFailed, StaticPartitions, StoreUnavailable
from flowstone.runtime.cluster import adoption, node_report
from flowstone.store.cluster import NodeReport
from tests.runtime.cluster.scene import LEASE
from tests.runtime.doubles import Gate


def pipeline(**assets):
    """A pipeline of the town's name with these assets, each with its partition set or None."""
    made = Pipeline("town")
    for name, partitions in assets.items():

        @made.asset(name=name, partitions=partitions)
        async def some() -> int:
            return 1

    return made


def report(town, name):
    """What a node has said last."""
    return town.shared.nodes[town.stores[name].node].report


async def test_a_run_of_an_asset_that_a_node_does_not_know_is_said(town):
    """At once, and no more when another node has run it."""
    command = await town.node("command", worker=False)
    await town.node("old", pipeline(another=None))
    run = await command.submit("one")
    await town.clock.advance(3.0)
    assert "The pipeline 'town' has no asset 'one' any more" in report(town, "old").unfit[run.id]
    await town.node("new")
    await town.outcome(run.wait(), 30)
    await town.clock.advance(LEASE)
    assert report(town, "old") == NodeReport()


async def test_a_parked_run_for_which_a_program_waits_is_said(town, background):
    """Its node takes no work of others, so that whoever answers could not know that the run goes on there."""
    asked = pipeline()

    @asked.asset
    async def sleeper(context: Context) -> int:
        context.sleep("nap", 100)
        return 1

    command = await town.node("command", asked, worker=False)
    task = background(command.materialize("sleeper"))
    await town.clock.advance(3.0)
    (run,) = await command.runs()
    assert (run.status, report(town, "command").resumes) == ("waiting", (run.id,))
    await town.clock.advance(100.0)
    assert (await town.outcome(task, 30)).status == "succeeded"
    await town.clock.advance(3.0)
    assert report(town, "command").resumes == ()


@pytest.mark.parametrize(
    ("before", "after", "partition", "said"),
    [
        (None, StaticPartitions(["eu"]), None, "is partitioned by StaticPartitions(['eu']) since"),
        (StaticPartitions(["eu"]), None, "eu", "has no partitions any more, and eu of it was asked for"),
        (StaticPartitions(["eu", "us"]), StaticPartitions(["eu"]), "us", "which has no us any more"),
    ],
)
async def test_a_run_that_fits_no_more_is_said_before_there_is_room(town, before, after, partition, said):
    """While the node is full; then it takes the run, which fails of the same."""
    town.gates["busy", None] = Gate()
    changed = pipeline(report=after)

    @changed.asset
    async def busy() -> None:
        await town.gates["busy", None].wait()

    command = await town.node("command", pipeline(busy=None, report=before), worker=False)
    await town.node("worker", changed, max_concurrency=1)
    await command.submit("busy")
    await town.until(town.gates["busy", None].entered.is_set, 3)
    run = await command.submit("report", partition=partition)
    await town.clock.advance(LEASE)
    assert town.owner(run.id) is None
    assert said in report(town, "worker").unfit[run.id]
    town.gates["busy", None].open()
    with pytest.raises(RunFailed) as caught:
        await town.outcome(run.wait(), 5)
    assert said in caught.value.failures[0].failure.message
    await town.clock.advance(LEASE)
    assert report(town, "worker") == NodeReport()


async def test_an_asset_without_a_set_still_takes_any_key(town):
    """It had none when it was asked for either."""
    command = await town.node("command", worker=False)
    run = await command.submit("one", partition="anything")
    await town.node("worker", pipeline(one=None))
    await town.outcome(run.wait(), 5)


async def test_what_a_node_tries_again_is_said_without_secrets(town, monkeypatch):
    """A run that it had to give up, and why."""

    async def fail(*_):
        raise StoreUnavailable("postgresql://u:hunter2@h/d says\nno")

    town.gates["first", "one", None] = Gate()
    run = await (await town.node("first")).submit("one")
    await town.until(town.gates["first", "one", None].entered.is_set, 3)
    second = await town.node("second")
    monkeypatch.setattr(adoption, "take_up", fail)
    await town.die("first")
    await town.until(lambda: report(town, "second").retried, 5)
    assert report(town, "second").retried == {run.id: "postgresql://u:***@h/d says\\nno"}
    assert "hunter2" not in str(await second.health())
    await town.until(lambda: town.status(run.id) == "failed", 10)
    await town.clock.advance(3.0)
    assert report(town, "second") == NodeReport()


async def test_what_the_store_refuses_for_now_is_said(town):
    """The rest of the store answers, so the others can read it."""
    await town.node("first")
    town.stores["first"].trouble = "locked (tried again since 10:00:00 UTC: recording)"
    await town.clock.advance(2.0)
    assert report(town, "first").store == "locked (tried again since 10:00:00 UTC: recording)"
    town.stores["first"].trouble = None
    await town.clock.advance(2.0)
    assert report(town, "first") == NodeReport()


async def test_the_steps_that_run_on_a_node_are_said_with_their_progress(town):
    """The first fifty, their messages masked and cut; nothing is said of them any more when they have ended."""
    gate = town.gates["letter", None] = Gate()
    letters = Pipeline("town")

    @letters.asset(partitions=StaticPartitions([f"{number:02}" for number in range(60)]))
    async def letter(context: Context) -> None:
        if context.partition == "00":
            context.progress(0.5, "reads postgresql://ada:secret@db/x " + "x" * 1_000)
        if context.partition == "01":
            context.progress(1, object)
        await gate.wait()

    node = await town.node("worker", letters)
    run = await node.submit_backfill("letter", max_parallel=60)
    await town.clock.advance(3.0)
    running = report(town, "worker").running
    assert [step.partition for step in running] == [f"{number:02}" for number in range(50)]
    first, second, third = running[:3]
    assert (first.run_id, first.name, first.attempt, first.node) == (run.id, "letter[00]", 1, node.node)
    assert (first.fraction, second.fraction, third.fraction) == (0.5, 1.0, None)
    assert "secret" not in first.message
    assert len(first.message) == 500
    assert isinstance(second.message, str)
    gate.open()
    await town.outcome(run.wait(), 3)
    await town.clock.advance(2.0)
    assert report(town, "worker") == NodeReport()


async def test_a_step_that_runs_hurries_no_beat(town):
    """Steps come and go all the time; what is wrong is said at once."""
    town.gates["one", None] = Gate()
    node = await town.node("worker")
    hurried = []
    store = town.stores["worker"]
    told = store.report
    store.report = lambda report, *, at_once=True: (hurried.append(at_once), told(report, at_once=at_once))
    run = await node.submit("one")
    await town.until(town.gates["one", None].entered.is_set, 3)
    await town.clock.advance(2.0)
    assert hurried == [False]
    store.trouble = "it does not answer"
    await town.clock.advance(2.0)
    store.trouble = None
    town.gates["one", None].open()
    await town.outcome(run.wait(), 3)
    await town.clock.advance(2.0)
    assert hurried[:2] == [False, True]
    assert report(town, "worker") == NodeReport()


async def test_memory_and_load_go_with_the_beats(town, monkeypatch):
    """They change all the time, and hurry no beat."""
    monkeypatch.setattr(node_report, "memory", lambda: 412_000_000)
    monkeypatch.setattr(node_report, "load", lambda: 0.5)
    await town.node("worker")
    await town.clock.advance(LEASE)
    assert (report(town, "worker").memory, report(town, "worker").load) == (412_000_000, 0.5)
    monkeypatch.setattr(node_report, "load", lambda: 0.75)
    await town.clock.advance(LEASE)
    assert report(town, "worker").load == 0.75
    assert report(town, "worker") == NodeReport()
