"""Nodes with other code on one store: what one defines otherwise is the other one's again when it has gone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from inspect import isawaitable

import asyncpg
import pytest

from flowstone import Automation, FileIO, Freshness, Output, Pipeline, Runtime
from flowstone.runs.automation import subject_of
from tests.automation.listening import Ear
from tests.runtime.cluster.scene import Town
from tests.runtime.doubles import Gate


class InMemory:
    """Nodes on a store in memory that they share, under a virtual clock."""

    def __init__(self, clock):
        self.town = Town(clock)

    async def enter(self, name, pipeline):
        return await self.town.node(name, pipeline, automate=True, condition_delay=0.01)

    async def leave(self, name):
        await self.town.leave(name)

    async def outcome(self, awaitable):
        return await self.town.outcome(awaitable)

    async def until(self, condition):
        """Move time on until something is so."""
        for _ in range(1_000):
            if await said(condition):
                return
            await self.town.clock.advance(0.25)
        raise AssertionError("it did not become so")

    async def driver(self, duty):
        """The id of the node that has a duty, or None."""
        return self.town.shared.duties.get(duty)

    async def close(self):
        await self.town.__aexit__()


class InPostgres:
    """Nodes on a database."""

    def __init__(self, database, values):
        self._options = {"store": database, "io": {"default": FileIO(values)}, "condition_delay": 0.01}
        self._entered = {}

    async def enter(self, name, pipeline):
        runtime = Runtime(pipeline, lease=2.0, automate=True, shutdown_timeout=0.0, **self._options)
        self._entered[name] = runtime
        return await runtime.__aenter__()

    async def leave(self, name):
        await self._entered.pop(name).__aexit__(None, None, None)

    async def outcome(self, awaitable):
        return await awaitable

    async def until(self, condition):
        """Wait until something is so."""
        async with asyncio.timeout(60):
            while not await said(condition):
                await asyncio.sleep(0.01)

    async def driver(self, duty):
        """The id of the node that has a duty, or None."""
        connection = await asyncpg.connect(self._options["store"])
        try:
            return await connection.fetchval("select node from flowstone.duties where name = $1", duty)
        finally:
            await connection.close()

    async def close(self):
        for name in reversed(tuple(self._entered)):
            await self.leave(name)


async def said(condition):
    """What a condition says, at once or later."""
    answer = condition()
    return await answer if isawaitable(answer) else answer


@pytest.fixture(params=["memory", "postgres"])
def place(request, clock, tmp_path):
    """Where nodes can be."""
    if request.param == "memory":
        return InMemory(clock)
    return InPostgres(request.getfixturevalue("database"), tmp_path)


@pytest.fixture
async def nodes(place):
    """The place, left by all of them in the end."""
    yield place
    await place.close()


def recorded(runtime, name, text):
    """Says whether an automation is on record as it is defined by this text."""

    async def is_so():
        record = await runtime._started().store.automations.record(("p", name))
        return record is not None and record.gone_at is None and text in record.text

    return is_so


async def drives(nodes, runtime, name):
    """Whether a node drives what has this name."""
    return await nodes.driver(f"automation:{subject_of(('p', name))}") == runtime._started().node


class Sums:
    """A value, and an asset that a condition has computed from it."""

    def __init__(self, condition):
        self.number = 1
        self.computed = []
        self.pipeline = pipeline = Pipeline("p")

        @pipeline.asset
        async def raw() -> Output:
            return Output(self.number, data_version=str(self.number))

        @pipeline.asset(automation=condition)
        async def total(raw: int) -> int:
            self.computed.append(raw)
            return raw


async def test_a_condition_is_taken_back(nodes):
    """The one of the node that is left holds again, and others of it have held all the time."""
    new = Sums(Automation.on_upstream_change())
    other = Sums(Automation.on_missing())
    first = await nodes.enter("a", new.pipeline)
    await nodes.outcome(first.materialize("raw"))
    await nodes.until(lambda: new.computed == [1])
    second = await nodes.enter("b", other.pipeline)
    await nodes.until(lambda: drives(nodes, second, ""))
    await nodes.leave("b")
    new.number = 2
    await nodes.until(recorded(first, "total", "upstream_change"))
    await nodes.outcome(first.materialize("raw"))
    await nodes.until(lambda: new.computed == [1, 2])


def watched(within):
    """An asset that is to be fresh."""
    pipeline = Pipeline("p")

    @pipeline.asset(freshness=Freshness(within=within))
    async def raw() -> int:
        return 1

    return pipeline


async def test_the_freshness_of_an_asset_is_taken_back(nodes):
    """It is late by the policy of the node that is left."""
    first = await nodes.enter("a", watched(timedelta(seconds=2)))
    await nodes.until(recorded(first, "freshness:raw", "within 2 s"))
    second = await nodes.enter("b", watched(timedelta(days=2)))
    await nodes.until(lambda: drives(nodes, second, "freshness:"))
    await nodes.leave("b")
    await nodes.outcome(first.materialize("raw"))
    await nodes.until(recorded(first, "freshness:raw", "within 2 s"))

    async def is_late():
        record = await first._started().store.automations.record(("p", "freshness:raw"))
        return record.cursor.get("status") in {"late", "overdue"}

    await nodes.until(is_late)


def listening(ear, kind):
    """A listener, and an asset of which it hears."""
    pipeline = Pipeline("p")

    @pipeline.asset
    async def raw() -> int:
        return 1

    pipeline.on(kind, name="alert")(ear.hear)
    return pipeline


async def test_a_listener_is_taken_back(nodes):
    """It hears of what the node that is left says that it is about."""
    ear, other = Ear(), Ear()
    first = await nodes.enter("a", listening(ear, "run.finished"))
    await nodes.outcome(first.materialize("raw"))
    await nodes.until(lambda: len(ear.heard) == 1)
    second = await nodes.enter("b", listening(other, "run.failed"))
    await nodes.until(lambda: drives(nodes, second, "alert"))
    await nodes.leave("b")
    await nodes.until(recorded(first, "alert", "run.finished"))
    await nodes.outcome(first.materialize("raw"))
    await nodes.until(lambda: len(ear.heard) == 2)
    assert not other.heard


@pytest.mark.parametrize("kind", ["listener", "freshness"])
async def test_a_node_that_drains_hands_over(nodes, kind):
    """At once, not when it has ended."""
    ears, gate = (Ear(), Ear()), Gate()
    pipelines = [
        listening(ear, "run.finished") if kind == "listener" else watched(timedelta(days=2)) for ear in ears
    ]

    @pipelines[0].asset
    async def slow() -> int:
        await gate.wait()
        return 1

    name = "alert" if kind == "listener" else "freshness:"
    first = await nodes.enter("a", pipelines[0])
    await nodes.until(lambda: drives(nodes, first, name))
    await first.submit("slow")
    second = await nodes.enter("b", pipelines[1])
    await nodes.until(gate.entered.is_set)
    async with asyncio.TaskGroup() as group:
        group.create_task(first.drain(300))
        await nodes.until(lambda: drives(nodes, second, name))
        assert first.live_runs()
        if kind == "listener":
            await nodes.outcome(second.materialize("raw"))
            await nodes.until(lambda: ears[1].heard)
        gate.open()
