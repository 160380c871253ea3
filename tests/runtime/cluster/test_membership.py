"""A node among others: what it says of itself."""

from __future__ import annotations

import asyncio

from flowstone.store.cluster import Notification


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
