"""Conditions whose record somebody else changes while they are decided about, and nodes that drain."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowstone import Automation, Pipeline, Runtime, StoreUnavailable
from flowstone.store import MemoryStore
from flowstone.store.memory_automations import MemoryAutomations
from flowstone.store.protocol import StaleWrite
from tests.automation.test_conditions import computed, sums
from tests.automation.test_two_codes import Summing
from tests.automation.test_two_nodes import until


def restarts(runtime):
    """How often the processes of automations were restarted."""
    automation = next(child for child in runtime.tree().children if child.name == "automation")
    return sum(child.restarts for child in automation.children)


async def test_a_failure_that_meets_another_change_is_tried_again(clock):
    """The record is read again, and the process goes on."""
    calls = []

    async def wanted(_context):
        calls.append(None)
        if len(calls) == 1:
            await runtime.pause("total")
            await runtime.resume("total")
            raise OSError("no route")
        return True

    pipeline = sums(Automation.on_upstream_change().when(wanted))
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(10)
        assert len(await computed(runtime, "total")) == 1
        assert restarts(runtime) == 0


async def test_a_start_that_meets_another_change_is_made_once(clock, monkeypatch):
    """Nobody says that the record has changed: it is read again all the same, and no run is waited for in vain."""
    move, refused = MemoryAutomations.move, []

    async def stale(self, change):
        if change.runs and not refused:
            refused.append(change)
            raise StaleWrite("it was changed")
        return await move(self, change)

    monkeypatch.setattr(MemoryAutomations, "move", stale)
    pipeline = sums()
    async with Runtime(pipeline, store=MemoryStore(), clock=clock, automate=True) as runtime:
        monkeypatch.setattr(runtime._started().notifications, "heard", _but_automations(runtime))
        await runtime.materialize("raw")
        await clock.advance(10)
        assert refused
        assert len(await computed(runtime, "total")) == 1


async def test_what_follows_from_one_change_is_one_change_of_the_store(clock, monkeypatch):
    """However many follow; one of them that meets another change is made by itself, and a failure is its own."""
    move_each, asked = MemoryAutomations.move_each, []

    async def watched(self, changes):
        asked.append([change.key[1] for change in changes])
        if len(asked) == 1:
            await self.move(replace(changes[3], runs=(), pending=()))  # Somebody else.
        return await move_each(self, changes)

    pipeline = Pipeline("p")
    names = [f"n{number}" for number in range(8)]

    @pipeline.asset
    async def raw() -> int:
        return 1

    async def broken(_context):
        raise OSError("no route")

    eager = Automation.on_upstream_change()
    for name in names:

        @pipeline.asset(name=name, deps=["raw"], automation=eager.when(broken) if name == "n5" else eager)
        async def follower() -> int:
            return 1

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        monkeypatch.setattr(MemoryAutomations, "move_each", watched)
        await runtime.materialize("raw")
        await clock.advance(0.5)
        assert [len(await computed(runtime, name)) for name in names] == [1, 1, 1, 1, 1, 0, 1, 1]
        assert restarts(runtime) == 0
    assert asked[0] == ["n0", "n1", "n2", "n3", "n4"], "they do not wait for the function of the next one"
    assert [name for changes in asked for name in changes].count("n6") <= 2, "its start, and its end"


@pytest.mark.parametrize("fault", [ValueError("no text"), StoreUnavailable("gone")])
async def test_a_change_that_the_store_cannot_take_is_no_matter_to_others(clock, monkeypatch, fault):
    """They are tried one by one; where the store is away, all of them are tried again."""
    move_each, failed = MemoryAutomations.move_each, []

    async def failing(self, changes):
        if any(change.key[1] == "left" and change.runs for change in changes) and len(failed) < 2:
            failed.append(len(changes))
            raise fault
        return await move_each(self, changes)

    monkeypatch.setattr(MemoryAutomations, "move_each", failing)
    pipeline = Pipeline("p")

    @pipeline.asset
    async def raw() -> int:
        return 1

    for name in ("left", "right"):

        @pipeline.asset(name=name, deps=["raw"], automation=Automation.on_upstream_change())
        async def follower() -> int:
            return 1

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(0.5)
        alone = isinstance(fault, ValueError)
        assert failed == ([2, 1] if alone else [2])
        assert len(await computed(runtime, "right")) == alone
        await clock.advance(600)
        assert [len(await computed(runtime, name)) for name in ("left", "right")] == [1, 1]


async def test_the_store_is_asked_one_by_one_where_a_function_is_slow(clock):
    """Whoever asks a function waits for it, and who comes after; not who comes before."""
    pipeline, gate = Pipeline("p"), asyncio.Event()

    @pipeline.asset
    async def raw() -> int:
        return 1

    async def slow(_context):
        await gate.wait()
        return True

    eager = Automation.on_upstream_change()
    for name, automation in (("a", eager), ("b", eager.when(slow))):

        @pipeline.asset(name=name, deps=["raw"], automation=automation)
        async def follower() -> int:
            return 1

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(1)
        assert [len(await computed(runtime, name)) for name in "ab"] == [1, 0]
        gate.set()
        await clock.advance(1)
        assert [len(await computed(runtime, name)) for name in "ab"] == [1, 1]


async def test_a_single_change_is_looked_at_after_a_lull(clock):
    """Of an eighth of the time; what comes within it is gathered, until that time is over."""
    pipeline = sums()
    async with Runtime(pipeline, clock=clock, automate=True, condition_delay=0.8) as runtime:
        await runtime.materialize("raw")
        await clock.advance(0.09)
        assert await computed(runtime, "total") == []
        await clock.advance(0.02)
        assert len(await computed(runtime, "total")) == 1
        for _ in range(16):
            assert len(await computed(runtime, "total")) == 1
            pipeline.number += 1
            await runtime.materialize("raw")
            await clock.advance(0.05)
        await clock.advance(0.01)
        assert len(await computed(runtime, "total")) == 2


def _but_automations(runtime):
    """What passes on all that is said, but of automations."""
    heard = runtime._started().notifications.heard

    def passed(notification):
        if notification.kind != "automation":
            heard(notification)

    return passed


@pytest.mark.parametrize("name", ["sales", "my sales/b"])
async def test_a_node_that_drains_leaves_its_conditions_to_others(database, tmp_path, name):
    """At once, not when it has ended."""
    one, two, gate = Summing(name), Summing(name), asyncio.Event()

    @one.pipeline.asset
    async def slow() -> int:
        await gate.wait()
        return 1

    async with one.runtime(database, tmp_path) as first:
        await first.materialize("raw")
        await until(lambda: one.computed == [1])
        await first.submit("slow")
        await until(first.live_runs)
        two.number = 2
        async with two.runtime(database, tmp_path) as second, asyncio.TaskGroup() as group:
            group.create_task(first.drain(30))
            await second.materialize("raw")
            await until(lambda: two.computed == [2])
            gate.set()
