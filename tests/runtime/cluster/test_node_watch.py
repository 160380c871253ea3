"""`runtime.nodes()`: what every node does, as it said at most half a second ago, while somebody looks."""

from __future__ import annotations

import pytest

from flowstone import Context, Pipeline, Runtime, StaticPartitions
from flowstone.runtime.cluster.timekeeper import Timekeeper
from flowstone.runtime.cluster.watched import REPORT_INTERVAL
from flowstone.store.cluster import Notification
from tests.runtime.cluster.scene import LEASE
from tests.runtime.doubles import Gate

SOON = 0.5


class Reported:
    """The reports and trees that a node's store is given.

    Attributes:
        reports: Each with whether its beat is to come at once.
        trees: How many.
    """

    def __init__(self, store):
        self.reports = []
        self.trees = 0
        report, publish = store.report, store.publish_tree

        def note(said, *, at_once=True):
            self.reports.append((said, at_once))
            report(said, at_once=at_once)

        async def show(node_id, tree):
            self.trees += 1
            await publish(node_id, tree)

        store.report, store.publish_tree = note, show


def working(steps, gate):
    """A pipeline of `letter`, which says how far it is and waits."""
    letters = Pipeline("town")
    contexts = {}

    @letters.asset(partitions=StaticPartitions([f"{number:03}" for number in range(steps)]))
    async def letter(context: Context) -> None:
        contexts[context.partition] = context
        await gate.wait()

    return letters, contexts


async def seen(town, runtime, **options):
    """What a runtime sees of the nodes, by their names."""
    found = await town.outcome(runtime.nodes(**options), 5, 0.05)
    names = {store.node: name for name, store in town.stores.items()}
    return {names[each.id]: each for each in found}


async def test_a_step_of_another_node_is_seen_with_its_progress(town):
    """Wherever one asks, and while it goes on."""
    gate = Gate()
    letters, contexts = working(1, gate)
    command = await town.node("command", letters, worker=False)
    node = await town.node("worker", letters)
    run = await command.submit("letter", partition="000")
    await town.until(lambda: contexts, 5)
    (step,) = (await seen(town, command))["worker"].running
    assert (step.run_id, step.name, step.node, step.fraction) == (run.id, "letter[000]", node.node, None)
    for fraction in (0.25, 0.75):
        contexts["000"].progress(fraction, "writes")
        await town.clock.advance(SOON - REPORT_INTERVAL)
        (step,) = (await seen(town, command))["worker"].running
        assert (step.fraction, step.message) == (fraction, "writes")
    gate.open()
    await town.outcome(run.wait(), 5)
    await town.clock.advance(SOON - REPORT_INTERVAL)
    assert (await seen(town, command))["worker"].running == ()


async def test_nobody_who_watches_costs_nothing(town):
    """What runs goes with the beats, as it would without any of this; the tree every half minute."""
    gate = Gate()
    letters, contexts = working(1, gate)
    await town.node("worker", letters)
    told = Reported(town.stores["worker"])
    command = await town.node("command", letters, worker=False)
    await command.submit("letter", partition="000")
    await town.until(lambda: contexts, 5)
    await town.clock.advance(5.0)
    assert [at_once for _, at_once in told.reports] == [False]
    assert told.trees <= 1


async def test_reports_end_with_those_who_look(town):
    """Ten seconds after the last call a node says what it does with its beats again."""
    gate = Gate()
    letters, contexts = working(1, gate)
    await town.node("worker", letters)
    command = await town.node("command", letters, worker=False)
    await command.submit("letter", partition="000")
    await town.until(lambda: contexts, 5)
    await seen(town, command)
    told = Reported(town.stores["worker"])
    for number in range(60):
        contexts["000"].progress(number / 60)
        await town.clock.advance(0.5)
    at_once = [said for said, now in told.reports if now]
    assert len(at_once) <= 21
    assert at_once[-1].running[0].fraction < 0.5 < told.reports[-1][0].running[0].fraction


async def test_a_node_reports_at_most_five_times_a_second(town):
    """However often its steps say how far they are, and however often it is woken."""
    gate = Gate()
    letters, contexts = working(1, gate)
    await town.node("worker", letters)
    command = await town.node("command", letters, worker=False)
    await command.submit("letter", partition="000")
    await town.until(lambda: contexts, 5)
    await seen(town, command)
    told = Reported(town.stores["worker"])
    for number in range(100):
        contexts["000"].progress(number / 100)
        await town.clock.advance(0.02)
    assert len(told.reports) <= 12


async def test_those_who_watch_say_so_seldom(town):
    """Not with each question."""
    command = await town.node("command", worker=False)
    await town.node("worker")
    for _ in range(60):
        await seen(town, command)
        await town.clock.advance(0.2)
    assert town.stores["command"].calls["watch_nodes"] <= 6


async def test_many_steps_are_counted_and_few_are_named(town):
    """The report stays small; how many are left out can be told."""
    gate = Gate()
    letters, contexts = working(300, gate)
    command = await town.node("command", letters, worker=False)
    await town.node("worker", letters, max_concurrency=250)
    run = await command.submit_backfill("letter", max_parallel=300)
    await town.until(lambda: len(contexts) == 250, 30)
    worker = (await seen(town, command))["worker"]
    assert (len(worker.running), worker.running_count) == (200, 250)
    assert worker.queued_count == 50
    gate.open()
    await town.outcome(run.wait(), 30)


async def test_trees_are_shown_when_they_change_while_they_are_watched(town, monkeypatch):
    """A crash and its restart within half a second; not while nothing changes, and not while only reports are."""
    command = await town.node("command", worker=False)
    await town.node("worker")
    await town.clock.advance(1.0)
    await seen(town, command)
    told = Reported(town.stores["worker"])
    await town.clock.advance(3.0)
    assert (await seen(town, command))["worker"].tree is None
    assert told.trees == 0
    tree = (await seen(town, command, trees=True))["worker"].tree
    assert tree.find("timekeeper").restarts == 0
    await town.clock.advance(1.0)
    quiet = told.trees
    for _ in range(10):
        await seen(town, command, trees=True)
        await town.clock.advance(0.3)
    assert told.trees == quiet

    poll, crashed = Timekeeper._poll, []

    async def crash_once(self):
        if not crashed:
            crashed.append(self._ctx.node)
            raise RuntimeError("a bug")
        await poll(self)

    monkeypatch.setattr(Timekeeper, "_poll", crash_once)
    town.shared.tell(Notification("deadline"))
    await town.until(lambda: crashed, 5, 0.05)
    await town.clock.advance(SOON)
    (shown,) = [each for each in (await seen(town, command, trees=True)).values() if each.id == crashed[0]]
    assert shown.tree.find("timekeeper").restarts == 1


async def test_a_node_that_left_is_gone_and_one_that_is_silent_is_not_alive(town):
    """The others see to both."""
    command = await town.node("command", worker=False)
    await town.node("one")
    await town.node("two")
    assert {name: each.alive for name, each in (await seen(town, command)).items()} == {
        "command": True,
        "one": True,
        "two": True,
    }
    await town.leave("one")
    await town.clock.advance(SOON)
    assert set(await seen(town, command)) == {"command", "two"}
    town.stores["two"].cut()
    await town.clock.advance(LEASE + 1)
    assert (await seen(town, command))["two"].alive is False


async def test_a_node_that_does_not_answer_holds_up_for_half_a_second(town):
    """It may be blocked: it is shown as it was."""
    command = await town.node("command", worker=False)
    await town.node("worker")
    town.stores["worker"].cut()
    before = town.clock.monotonic()
    assert (await seen(town, command))["worker"].alive
    assert town.clock.monotonic() - before <= 0.6


async def test_the_only_node_of_a_store_shows_itself():
    """Where no other process can share the store, with the same words."""
    gate = Gate()
    letters, contexts = working(3, gate)
    async with Runtime(letters) as runtime:
        run = await runtime.submit_backfill("letter", max_parallel=2)
        await gate.entered.wait()
        (node,) = await runtime.nodes(trees=True)
        assert (node.id, node.alive, node.runs, node.pipelines) == (runtime.node, True, 1, ("town",))
        assert node.running_count == len(node.running) == len(contexts)
        assert node.tree.find("runs") is not None
        assert (await runtime.nodes())[0].tree is None
        gate.open()
        await run.wait()


@pytest.mark.parametrize("trees", [False, True])
async def test_a_store_that_takes_no_writes_is_looked_at_as_it_is(town, trees):
    """A standby, or a user who may only read: what the nodes said last."""
    command = await town.node("command", worker=False)
    await town.node("worker")

    async def nothing(_seconds, *, trees):
        return None

    town.stores["command"].watch_nodes = nothing
    before = town.clock.monotonic()
    assert set(await seen(town, command, trees=trees)) == {"command", "worker"}
    assert town.clock.monotonic() == before
