"""How a supervisor knows which tasks its children have started: the loop's task factory notes them."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import Actor, Call, Child, Supervisor, TaskSupervisor
from tests.actors.probes import Crash, Do, probe


def plain(loop, coroutine, **options):
    """A task factory of the application."""
    return asyncio.Task(coroutine, loop=loop, **options)


async def forever():
    """Wait."""
    await asyncio.get_running_loop().create_future()


async def test_trees_that_come_and_go_in_any_order_leave_the_loop_as_it_was():
    """While one is there, tasks are still made by the application's own factory, each once."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    made = []

    def factory(loop, coroutine, **options):
        made.append(coroutine)
        return plain(loop, coroutine, **options)

    loop.set_task_factory(factory)
    try:
        first, second = Supervisor([probe("a")]), TaskSupervisor()
        await first.__aenter__()
        await second.__aenter__()
        await first.__aexit__(None, None, None)
        made.clear()
        await asyncio.create_task(asyncio.sleep(0))
        assert len(made) == 1
        await second.__aexit__(None, None, None)
        assert loop.get_task_factory() is factory
    finally:
        loop.set_task_factory(before)


async def test_a_tree_that_does_not_start_leaves_the_loop_as_it_was():
    """A failed start is an end."""
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    with pytest.raises(Exception, match="could not start"):
        async with Supervisor([Child("a", lambda: 1 / 0)], on_report=str):
            pytest.fail("the body must not run")
    assert loop.get_task_factory() is factory


async def test_tasks_that_have_ended_are_forgotten(tree):
    """An actor that lives long remembers those that live, and a few besides."""

    async def spawn(times):
        for _ in range(times):
            await asyncio.create_task(asyncio.sleep(0))

    async with tree([probe("a")]) as root:
        ref = root.child("a")
        living = []
        await ref.call(Do(lambda: living.extend(asyncio.create_task(forever()) for _ in range(10))))
        await ref.call(Do(lambda: spawn(1_000)))
        known = ref._process.child_tasks
        assert len(known) < 50
        assert set(living) <= set(known.living())
    assert all(task.cancelled() for task in living)


@pytest.mark.parametrize("replacement", [None, plain])
async def test_leftovers_are_found_where_the_factory_was_replaced(replacement, tree, clock):
    """An application may set a factory of its own at any time: then all tasks are searched."""
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    left = []
    async with tree([probe("a")]) as root:
        try:
            await root.child("a").call(Do(lambda: left.append(asyncio.create_task(forever()))))
            loop.set_task_factory(replacement)
            await root.child("a").call(Do(lambda: left.append(asyncio.create_task(forever()))))
            root.child("a").cast(Crash())
            await clock.settle()
            assert [task.cancelled() for task in left] == [True, True]
        finally:
            loop.set_task_factory(factory)


async def test_a_task_that_was_made_past_the_factory_ends_with_the_tree(tree):
    """At the end of a tree every task of the loop is looked at."""
    left = []

    def spawn():
        left.append(asyncio.Task(forever(), loop=asyncio.get_running_loop()))
        left.append(asyncio.create_task(forever()))

    async with tree([probe("a")]) as root:
        await root.child("a").call(Do(spawn))
    assert [task.cancelled() for task in left] == [True, True]


async def test_tasks_of_another_loop_are_none_of_the_actors(tree):
    """A thread that runs a loop of its own inherits the context of the actor that started it."""

    async def elsewhere():
        async with Supervisor([probe("there")]):
            await asyncio.create_task(asyncio.sleep(0))

    class Away(Call["Threaded", None]):
        pass

    class Threaded(Actor):
        async def handle(self, message):
            await asyncio.to_thread(asyncio.run, elsewhere())

    async with tree([Child("a", Threaded)]) as root:
        await root.child("a").call(Away(), timeout=None)
        assert root.child("a")._process.child_tasks is None
