"""Schedules on several nodes of one database: one of them drives each, another one takes over."""

from __future__ import annotations

import asyncio
import time

import pytest

from flowstone import Pipeline, RunRequest, Runtime
from flowstone.store.cluster import Notification

FAST = {"lease": 0.5}


def looking(seen, name):
    """A pipeline whose sensor notes who looks."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report() -> int:
        return 1

    @pipeline.sensor("files", every=0.02)
    async def files(context):
        seen.append(name)
        context.cursor = (context.cursor or 0) + 1
        yield RunRequest("report", key=str(context.cursor), join=False)

    return pipeline


async def until(condition):
    """Wait for what other tasks do."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_one_node_looks_and_another_takes_over_when_it_leaves(database):
    """At once: who leaves says so. The cursor goes on where it was."""
    seen = []
    async with Runtime(looking(seen, "b"), store=database, **FAST) as watching:
        async with Runtime(looking(seen, "a"), store=database, automate=True, **FAST):
            await until(lambda: len(seen) > 5)
            async with Runtime(looking(seen, "c"), store=database, automate=True, **FAST) as other:
                await until(lambda: len(seen) > 20)
                assert set(seen) == {"a"}
                paused = await other.pause("files")
                assert paused.paused
                await watching.resume("files")
                before = len(seen)
                await until(lambda: len(seen) > before + 5)
                assert set(seen) == {"a"}
        async with Runtime(looking(seen, "d"), store=database, automate=True, **FAST) as last:
            await until(lambda: "d" in seen)
            (status,) = await last.automations()
            record = await last._started().store.automations.record(("sales", "files"))
    assert record.cursor >= len(status.last_fires)
    assert record.cursor <= len(seen)


@pytest.mark.usefixtures("database")
async def test_two_fire_the_same_sensor_by_hand(database):
    """Each look is one change: the cursor counts them all, and no key is asked for twice."""
    seen = []
    pipeline = looking(seen, "a")
    async with Runtime(pipeline, store=database) as one, Runtime(pipeline, store=database) as two:
        fired = await asyncio.gather(*(runtime.fire("files") for runtime in (one, two) * 5))
        assert [len(runs) for runs in fired] == [1] * 10
        record = await one._started().store.automations.record(("sales", "files"))
        assert record.cursor == 10
        assert len(await one.runs()) == 10


async def test_what_else_happens_does_not_shorten_the_pause_after_a_failure(database):
    """A node looks once a second whether others are there: a sensor that fails waits all the same."""
    pipeline = Pipeline("sales")
    calls = []

    @pipeline.sensor("files", every=0.02)
    async def files(_context):
        calls.append(time.monotonic())
        raise OSError("no route")

    async with Runtime(pipeline, store=database, automate=True) as runtime:
        async with runtime.subscribe("automation.failed") as events:
            await anext(events)
        for _ in range(30):
            for kind in ("look", "nodes"):
                runtime._started().notifications.heard(Notification(kind, ""))
            await runtime.automations()
        assert len(calls) == 1 or calls[1] - calls[0] >= 0.5
        await runtime.resume("files")
        await until(lambda: len(calls) > 1)


def named(pipeline, name, seen):
    """A pipeline of one sensor that notes that it looks."""
    made = Pipeline(pipeline)

    @made.asset
    async def report() -> int:
        return 1

    @made.sensor(name, every=0.02)
    async def look(_context):
        seen.append(name)

    return made


async def test_names_with_slashes_are_not_mixed_up(database):
    """`a` with `b/c` and `a/b` with `c` are two, each with a node of its own."""
    one, two = [], []
    async with (
        Runtime(named("a", "b/c", one), store=database, automate=True, **FAST),
        Runtime(named("a/b", "c", two), store=database, automate=True, **FAST),
    ):
        await until(lambda: len(one) > 3 < len(two))


async def test_a_node_that_drains_leaves_its_automations_to_others(database):
    """At once, not when it has ended."""
    one, two, gate = [], [], asyncio.Event()
    pipeline = named("a", "files", one)

    @pipeline.asset
    async def slow() -> int:
        await gate.wait()
        return 1

    async with Runtime(pipeline, store=database, automate=True, **FAST) as first:
        await until(lambda: one)
        await first.submit("slow")
        async with (
            Runtime(named("a", "files", two), store=database, automate=True, **FAST),
            asyncio.TaskGroup() as group,
        ):
            await until(first.live_runs)
            group.create_task(first.drain(30))
            await until(lambda: two)
            gate.set()


async def test_a_node_with_older_code_takes_away_nothing_for_good(database):
    """What it does not define, or defines otherwise, goes on at the node that has it."""
    seen = []
    new = named("a", "files", seen)

    @new.sensor("more", every=0.02)
    async def more(_context):
        seen.append("more")

    async with Runtime(new, store=database, automate=True, **FAST) as runtime:
        await until(lambda: "files" in seen and "more" in seen)
        old = Pipeline("a")

        @old.asset
        async def report() -> int:
            return 1

        @old.sensor("files", every=0.03)
        async def files(_context):
            seen.append("old")

        async with Runtime(old, store=database, automate=True, **FAST):
            await until(lambda: "old" in seen)
            seen.clear()
            await until(lambda: "more" in seen)
        seen.clear()
        await until(lambda: "files" in seen and "more" in seen)
        assert [each.gone_at for each in await runtime.automations()] == [None, None]


async def test_an_old_client_that_fires_takes_nothing_away(database):
    """It says nothing of what else there is."""
    seen = []
    async with (
        Runtime(named("a", "new", seen), store=database, automate=True, **FAST) as runtime,
        Runtime(named("a", "old", []), store=database, **FAST) as old,
    ):
        await until(lambda: seen)
        await old.fire("old")
        assert {each.name: each.gone_at for each in await runtime.automations()}["new"] is None


async def test_to_fire_by_hand_after_a_lost_answer_starts_nothing_twice(database, monkeypatch):
    """Also if another node has fired the same meanwhile."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report() -> int:
        return 1

    pipeline.schedule("nightly", cron="0 3 * * *", asset="report", refresh="all")
    async with Runtime(pipeline, store=database) as one, Runtime(pipeline, store=database) as two:
        connected = one._started().store._database
        transact = connected.transact
        others = []

        async def lost(what, work):
            answer = await transact(what, work)
            if not what.startswith("changing the automation") or others:
                return answer
            others.extend(await two.fire("nightly"))
            return await transact(what, work)  # As it is sent again when its answer has not come.

        monkeypatch.setattr(connected, "transact", lost)
        fired = await one.fire("nightly")
        assert len(others) == 1
        # One run if the other node fired while it was under way, and so joined it.
        assert {run.id for run in await one.runs()} == {fired[0].id, others[0].id}
