"""A task group of which a task failed, in code that FlowStone calls or surrounds.

Before Python 3.13 its owner's task still counts the cancel by which it was woken, although nobody stops that task.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

import pytest

from flowstone import (
    MaterializationFailed,
    MemoryIO,
    Pipeline,
    Resource,
    ResourceProvider,
    RunFailed,
    Runtime,
)

pytestmark = pytest.mark.both_loops


class Lost(Exception):
    """What a task of the group raises."""


async def lose():
    """Open a task group and wait for it until one of its tasks has failed."""

    async def fail():
        await asyncio.sleep(0)
        raise Lost("no route to host")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


async def lose_and_go_on():
    """The same, for those who have another way."""
    with suppress(ExceptionGroup):
        await lose()


class GroupedIO(MemoryIO):
    """Keeps values in memory, and opens task groups."""

    def __init__(self, *, fail):
        super().__init__()
        self.lose = lose if fail else lose_and_go_on

    async def setup(self):
        await lose_and_go_on()

    async def store(self, target, value):
        await self.lose()
        return await super().store(target, value)

    async def load(self, location):
        await self.lose()
        return await super().load(location)

    async def health(self):
        await lose_and_go_on()


def sales():
    """Two assets, of which the second one needs a resource."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def raw() -> int:
        await lose_and_go_on()
        return 1

    @pipeline.asset
    async def report(raw: int, db: Annotated[str, Resource]) -> str:
        return f"{db} {raw}"

    return pipeline


class Fallback(ResourceProvider[str]):
    """A resource that has another way."""

    async def setup(self):
        await lose_and_go_on()
        return "second"

    async def health(self, _):
        await lose_and_go_on()

    async def teardown(self, _):
        await lose_and_go_on()


async def test_a_body_that_survived_one_leaves_the_runtime_as_any_other():
    """Leaving the runtime raises nothing: nobody has cancelled anything."""
    async with Runtime(sales(), resources={"db": "first"}) as runtime:
        await lose_and_go_on()
        await runtime.materialize("raw")


async def test_a_failed_step_in_one_cancels_no_more_than_the_group():
    """The steps beside it are cancelled; the runtime runs on."""
    pipeline = sales()

    @pipeline.asset
    async def bad() -> None:
        raise Lost

    async with Runtime(pipeline, resources={"db": "first"}) as runtime:
        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.TaskGroup() as group:
                group.create_task(runtime.materialize("bad"))
        assert raised.group_contains(MaterializationFailed)
        assert (await runtime.materialize("raw")).status == "succeeded"


async def test_a_resource_and_an_io_manager_that_survived_one_are_set_up():
    """Neither is taken for told to stop, at its set-up, in a step, or when it is asked for its health."""
    managers = {"default": GroupedIO(fail=False)}
    async with Runtime(sales(), resources={"db": Fallback()}, io=managers) as runtime:
        result = await runtime.materialize_all("report")
        assert await result.value() == "second 1"
        assert (await runtime.health()).status == "ok"


async def test_a_set_up_that_ends_in_one_is_a_set_up_that_failed():
    """As any other error; the runtime runs on, and the step says why."""

    class Failing(Fallback):
        async def setup(self):
            await lose()

    async with Runtime(sales(), resources={"db": Failing()}) as runtime:
        with pytest.raises(RunFailed, match="no route to host"):
            await runtime.materialize_all("report")


async def test_a_store_that_ends_in_one_is_a_failed_step():
    """An upload in parts, of which one fails."""
    async with Runtime(sales(), resources={"db": "first"}, io={"default": GroupedIO(fail=True)}) as runtime:
        with pytest.raises(MaterializationFailed, match="could not store raw"):
            await runtime.materialize("raw")
