"""Who takes what out of the queue, and when."""

from __future__ import annotations

import logging

import pytest

from flowstone import PartitionError, Pipeline, RunFailed
from flowstone.runtime.run import takeover as taking
from tests.runtime.cluster.scene import WEEK
from tests.runtime.doubles import Gate


async def submitted(town, node, asset, **options):
    """A run that is younger than all before."""
    await town.clock.advance(0.01)
    return await node.submit(asset, **options)


async def test_a_submitted_run_is_taken_by_a_worker(town):
    """It is durable when `submit` returns, and any node that takes work starts it."""
    command = await town.node("command", worker=False)
    run = await command.submit("one")
    await town.clock.settle()
    assert (town.status(run.id), town.owner(run.id)) == ("queued", None)
    await town.node("worker")
    result = await town.outcome(run.wait(), 3)
    assert await result.value() == "worker"
    assert [node for node, *_ in town.starts] == ["worker"]


async def test_a_node_starts_what_it_submits_without_waiting(town):
    """No time passes between submitting to an idle worker and the start."""
    worker = await town.node("worker")
    await worker.submit("one")
    await town.clock.settle()
    assert [start[:2] for start in town.starts] == [("worker", "one")]


async def test_without_a_notice_the_next_look_finds_the_run(town):
    """Notifications may be lost; it only takes longer."""
    command = await town.node("command", worker=False)
    await town.node("worker")
    town.stores["worker"].listens = False
    await command.submit("one")
    await town.clock.settle()
    assert town.starts == []
    await town.clock.advance(1.0)
    assert [start[0] for start in town.starts] == ["worker"]


async def test_an_awaited_run_is_driven_by_the_node_that_awaits_it(town):
    """It does not go through the queue, whoever is idle."""
    await town.node("worker")
    command = await town.node("command", worker=False)
    record = await town.outcome(command.materialize("one"), 1)
    assert town.owner(record.run_id) == "command"


async def test_a_full_node_leaves_runs_to_others(town):
    """It takes what it has slots for; the rest waits for another node or for a slot."""
    town.gates["one", None] = Gate()
    first = await town.node("first", max_concurrency=2)
    runs = [await submitted(town, first, "one") for _ in range(5)]
    await town.clock.advance(3)
    assert [town.owner(run.id) for run in runs] == ["first", "first", None, None, None]
    await town.node("second", max_concurrency=1)
    await town.clock.advance(1)
    assert [town.owner(run.id) for run in runs] == ["first", "first", "second", None, None]
    town.gates["one", None].open()
    for run in runs:
        await town.outcome(run.wait(), 5)


async def test_the_most_urgent_run_is_taken_first(town):
    """Then the oldest."""
    command = await town.node("command", worker=False)
    days = {day: f"2025-01-0{day}" for day in range(1, 6)}
    runs = [
        await submitted(town, command, "raw", partition=date, priority=day % 3) for day, date in days.items()
    ]
    worker = await town.node("worker", max_concurrency=1)
    for run in runs:
        await town.outcome((await worker.run(run.id)).wait(), 10)
    assert [day for _, _, day, _ in town.starts] == [2, 5, 1, 4, 3]


async def test_a_key_is_for_one_run_of_all_nodes(town):
    """Whoever submits with the key of an unfinished run is given that run."""
    town.gates["one", None] = Gate()
    nodes = [await town.node("first"), await town.node("second")]
    runs = [await node.submit("one", key="k") for node in (*nodes, *nodes)]
    assert len({run.id for run in runs}) == 1
    town.gates["one", None].open()
    await town.outcome(runs[0].wait(), 3)
    assert len(town.starts) == 1
    again = await nodes[1].submit("one", key="k")
    assert again.id != runs[0].id


async def test_a_run_waits_for_a_node_that_knows_its_asset(town, caplog):
    """A node of another release lets go of it, and does not take it again at once."""
    old = Pipeline("town")

    @old.asset
    async def other() -> None: ...

    command = await town.node("command", worker=False)
    run = await command.submit("one")
    with caplog.at_level(logging.WARNING):
        await town.node("old", old)
        await town.clock.advance(5.5)
    assert town.stores["old"].calls["release"] == 1
    assert "one" in caplog.text
    assert town.status(run.id) == "queued"
    await town.node("new")
    await town.outcome(run.wait(), 60)
    assert [start[0] for start in town.starts] == ["new"]


async def test_a_run_that_is_left_alone_by_one_node_is_free_for_others(town):
    """Who handed it back waits; who knows its asset does not."""
    old = Pipeline("town")

    @old.asset
    async def other() -> None: ...

    command = await town.node("command", worker=False)
    await town.node("old", old)
    run = await command.submit("one")
    await town.clock.advance(0.1)
    assert town.stores["old"].calls["release"] == 1
    await town.node("new")
    await town.outcome(run.wait(), 3)
    assert [start[0] for start in town.starts] == ["new"]


async def test_a_run_that_cannot_be_planned_has_failed(town, monkeypatch):
    """Where nobody can plan it, it does not go round and round; its record says why."""

    def refuse(*_):
        raise PartitionError("no such day")

    monkeypatch.setattr(taking, "plan_run", refuse)
    worker = await town.node("worker")
    run = await worker.submit("one")
    with pytest.raises(RunFailed) as caught:
        await town.outcome(run.wait(), 3)
    (failed,) = caught.value.result.failed
    assert "no such day" in failed.failure.message


async def test_an_asset_may_wait_for_a_run_it_submits(town):
    """Its node has one slot, which it gives back while it waits."""
    pipeline = Pipeline("town")

    @pipeline.asset
    async def inner() -> int:
        return 1

    @pipeline.asset
    async def outer() -> int:
        result = await (await worker.submit("inner")).wait()
        return await result.value() + 1

    worker = await town.node("worker", pipeline, max_concurrency=1)
    run = await worker.submit("outer")
    assert await (await town.outcome(run.wait(), 10)).value() == 2


async def test_without_a_worker_nothing_is_taken(town):
    """A command that only looks at things starts nothing."""
    command = await town.node("command", worker=False)
    run = await command.submit("one")
    await town.clock.advance(60)
    assert town.status(run.id) == "queued"
    names = [process.name for process in command.tree().walk()]
    assert "membership" in names
    assert "queue" not in names


async def test_the_queue_is_not_asked_again_while_it_is_empty(town):
    """What ends on a node is no reason to look for runs, unless some were left because the node was full."""
    node = await town.node("first")
    await node.materialize("one")
    await town.clock.settle()
    asked = town.stores["first"].calls["take"]
    for _ in range(5):
        await node.materialize("one")
        await town.clock.settle()
    assert town.stores["first"].calls["take"] == asked


async def test_a_queued_run_is_checked_against_the_definitions_of_today(town):
    """Its asset has gained partitions since: it fails with the reason instead of running for none."""
    command = await town.node("command", worker=False)
    run = await command.submit("one")
    redefined = Pipeline("town")

    @redefined.asset(partitions=WEEK)
    async def one() -> str:
        return "for no partition"

    await town.node("worker", redefined)
    with pytest.raises(RunFailed, match=r"'one' is partitioned by .* and was asked for without a partition"):
        await town.outcome(run.wait(), 5)
    assert not await town.outcome(command.exists("one"), 1)
