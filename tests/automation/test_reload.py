"""Automations follow the definitions: what is new acts, what has gone does not, what has changed begins anew."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowstone import AutomationNotFound, Pipeline, Runtime
from flowstone.store import MemoryStore

HOUR = 3600


def hour(number):
    """An instant of the first day."""
    return datetime(2025, 1, 1, number, tzinfo=UTC)


def scheduled(**schedules):
    """A pipeline with a schedule of each name and cron expression."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report() -> int:
        return 1

    for name, cron in schedules.items():
        pipeline.schedule(name, cron=cron, asset="report", refresh="all")
    return pipeline


async def fired(runtime):
    """The ticks of each schedule that fired, oldest first."""
    return {
        each.name: [fire.scheduled_at for fire in reversed(each.last_fires)]
        for each in await runtime.automations()
    }


async def test_schedules_follow_a_reload(clock):
    """One goes, one stays, one comes."""
    async with Runtime(scheduled(a="@hourly", b="@hourly"), clock=clock, automate=True) as runtime:
        await clock.advance(HOUR)
        await runtime.reload(scheduled(b="@hourly", c="@hourly"))
        await clock.advance(HOUR)
        assert await fired(runtime) == {"a": [hour(1)], "b": [hour(1), hour(2)], "c": [hour(2)]}
        (gone,) = [each for each in await runtime.automations() if each.gone_at is not None]
        assert (gone.name, gone.next_fire) == ("a", None)
        tree = next(child for child in runtime.tree().children if child.name == "automation")
        assert {"schedule:b", "schedule:c"} == {c.name for c in tree.children if c.name.startswith("sch")}
        with pytest.raises(AutomationNotFound):
            await runtime.fire("a")
        await clock.advance(25 * HOUR)
        await runtime.reload(scheduled(b="@hourly"))
        await clock.settle()
        assert set(await fired(runtime)) == {"b", "c"}


async def test_one_that_is_defined_otherwise_begins_anew(clock):
    """Ticks that it would have had before are no ticks that were missed."""
    async with Runtime(scheduled(a="0 6 * * *"), clock=clock, automate=True) as runtime:
        await clock.advance(5 * HOUR)
        await runtime.reload(scheduled(a="0 3,8 * * *"))
        await clock.advance(4 * HOUR)
        assert await fired(runtime) == {"a": [hour(8)]}


async def test_one_that_comes_back_goes_on(clock):
    """Within a day it is the one that it was: what it missed is caught up with."""
    store = MemoryStore()
    async with Runtime(scheduled(a="@hourly"), store=store, clock=clock, automate=True) as runtime:
        await clock.advance(HOUR)
        await runtime.reload(scheduled())
        await clock.advance(2.5 * HOUR)
        await runtime.reload(scheduled(a="@hourly"))
        await clock.advance(1)
        assert await fired(runtime) == {"a": [hour(1), hour(3)]}


async def test_a_run_of_a_schedule_that_has_gone_goes_on(clock):
    """It is a run as any other."""
    pipeline = scheduled(a="@hourly")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(HOUR)
        await runtime.reload(scheduled())
        await clock.advance(1)
        (run,) = await runtime.runs()
        assert run.tags == {"automation": "a"}
        assert run.status == "succeeded"
