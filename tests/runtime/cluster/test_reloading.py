"""A node that works by other definitions: what the others come to know, and what of the queue it takes then."""

from __future__ import annotations

from flowstone import Pipeline
from tests.runtime.cluster.scene import LEASE


def holding(name, *assets):
    """A pipeline of that name."""
    made = Pipeline(name)
    for asset in assets:

        @made.asset(name=asset)
        async def some() -> str:
            return name

    return made


def pipelines(town, name):
    """Which the others think it takes work of."""
    return town.shared.nodes[town.stores[name].node].node.pipelines


async def test_the_others_hear_which_pipelines_it_holds(town):
    """A run of a pipeline that it has come to hold is taken at once."""
    command = await town.node("command", holding("sales", "report"), worker=False)
    node = await town.node("node", holding("stock", "count"))
    run = await command.submit("report")
    await town.clock.advance(3.0)
    assert town.owner(run.id) is None
    await node.reload([holding("stock", "count"), holding("sales", "report")])
    await town.outcome(run.wait(), 1)
    assert set(pipelines(town, "node")) == {"stock", "sales"}
    assert pipelines(town, "command") == ()


async def test_a_run_that_waited_for_a_newer_release_is_taken_at_once(town):
    """It had been put back into the queue, because its asset was not known."""
    command = await town.node("command", holding("town", "new"), worker=False)
    node = await town.node("node", holding("town", "old"))
    run = await command.submit("new")
    await town.clock.advance(1.0)
    assert town.owner(run.id) is None
    await node.reload(holding("town", "old", "new"))
    await town.outcome(run.wait(), 1)


async def test_the_store_is_told_when_it_answers_again(town):
    """Reloading does not need it."""
    node = await town.node("node", holding("stock", "count"))
    town.stores["node"].cut()
    await node.reload(holding("sales", "report"))
    await town.clock.advance(2.0)
    assert pipelines(town, "node") == ("stock",)
    town.stores["node"].mend()
    await town.clock.advance(2.0)
    assert pipelines(town, "node") == ("sales",)


async def test_a_node_that_only_commands_holds_nothing(town):
    """Whatever it works by."""
    node = await town.node("command", holding("stock", "count"), worker=False)
    await node.reload(holding("sales", "report"))
    await town.clock.advance(LEASE)
    assert pipelines(town, "command") == ()
