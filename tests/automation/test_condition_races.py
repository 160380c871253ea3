"""Conditions whose record somebody else changes while they are decided about, and nodes that drain."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Automation, Runtime
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
