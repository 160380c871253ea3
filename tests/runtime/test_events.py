"""`runtime.subscribe` and looking at a runtime: events, the tree, health."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from flowstone import Context, DailyPartitions, Pipeline, ResourceProvider, RunFailed, Runtime
from flowstone.runs.events import RunStarted, StepStarted
from flowstone.runtime.client.progress import report_progress
from flowstone.runtime.services.events import EventStream
from flowstone.testing import VirtualClock
from tests.runtime.chains import simple, take
from tests.runtime.doubles import BrokenIO, Gate

WEEK = DailyPartitions("2025-01-01", "2025-01-07")


@pytest.mark.both_loops
async def test_a_subscriber_gets_everything_that_happens():
    """Run and step events in order, each with its kind, time, run, asset and key."""
    async with Runtime(simple()) as runtime, runtime.subscribe() as events:
        result = await runtime.materialize_all("b")
        taken = await take(events, 6)
        assert [event.kind for event in taken] == [
            "run.started",
            "step.started",
            "step.succeeded",
            "step.started",
            "step.succeeded",
            "run.finished",
        ]
        assert {event.run_id for event in taken} == {result.run_id}
        assert [event.asset for event in taken] == ["b", "a", "a", "b", "b", "b"]
        assert all(event.at.tzinfo is not None for event in taken)
        assert {event.partition_key for event in taken} == {None}
        assert taken[2].materialization.status == "succeeded"
        assert taken[-1].status == "succeeded"


async def test_kinds_choose_what_is_heard():
    """Full names, or `step` and `run` for all of theirs."""
    async with (
        Runtime(simple()) as runtime,
        runtime.subscribe("step.succeeded", "run.finished") as some,
        runtime.subscribe("run") as runs,
    ):
        await runtime.materialize_all("b")
        assert [e.kind for e in await take(some, 3)] == ["step.succeeded", "step.succeeded", "run.finished"]
        assert [e.kind for e in await take(runs, 2)] == ["run.started", "run.finished"]


async def test_failures_skips_reuses_and_retries_are_heard():
    """Each end of a step has an event of its own kind."""
    pipeline = Pipeline()

    @pipeline.asset
    async def good() -> int:
        return 1

    @pipeline.asset
    async def bad(good: int) -> int:
        raise ValueError

    @pipeline.asset
    async def after(bad: int) -> int:
        return bad

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("good")
        async with runtime.subscribe("step") as events:
            with pytest.raises(RunFailed):
                await runtime.materialize_all("after", refresh="missing")
            kinds = [(e.kind, e.asset) for e in await take(events, 4)]
        assert kinds == [
            ("step.reused", "good"),
            ("step.started", "bad"),
            ("step.failed", "bad"),
            ("step.skipped", "after"),
        ]


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_progress_is_published(run_in):
    """`context.progress` reaches subscribers from the loop and from threads; it is not recorded."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK, run_in=run_in)
    def slow(context: Context) -> None:
        context.progress(0.25, "a quarter")
        context.progress(1)

    async with Runtime(pipeline) as runtime, runtime.subscribe("step.progressed") as events:
        record = await runtime.materialize("slow", partition="2025-01-02")
        taken = await take(events, 2)
        assert [(e.fraction, e.message) for e in taken] == [(0.25, "a quarter"), (1.0, None)]
        assert [(e.asset, e.partition_key, e.attempt) for e in taken] == [("slow", "d:2025-01-02", 1)] * 2
        run = await runtime.run(record.run_id)
        assert "step.progressed" not in {event.kind async for event in run.events()}


async def test_progress_nobody_listens_to_costs_nothing_and_breaks_nothing():
    """A wrong fraction is the asset's own error, heard or not."""
    pipeline = Pipeline()

    @pipeline.asset
    async def fine(context: Context) -> None:
        context.progress(0.5)

    @pipeline.asset
    async def wrong(context: Context) -> None:
        context.progress(50)

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("fine")
        with pytest.raises(RunFailed, match="1 of 1"):
            await runtime.materialize_all("wrong")


async def test_a_slow_subscriber_loses_the_oldest_events_and_slows_no_run():
    """It keeps the newest 10,000 and says how many it missed."""
    pipeline = Pipeline()

    @pipeline.asset
    async def chatty(context: Context) -> None:
        for number in range(10_050):
            context.progress(number / 20_000)
            if number % 1000 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    async with Runtime(pipeline) as runtime, runtime.subscribe("step.progressed") as events:
        async with asyncio.timeout(200):
            await runtime.materialize("chatty")
        assert events.dropped == 50
        assert len(events) == 10_000
        first = await anext(events)
        assert first.fraction == 50 / 20_000


async def test_iteration_ends_with_the_runtime():
    """A subscriber that waits when the runtime stops is not left waiting."""
    runtime = Runtime(simple())
    heard = []

    async def listen():
        async with runtime.subscribe() as events:
            ready.set()
            heard.extend([event.kind async for event in events])

    ready = asyncio.Event()
    async with runtime:
        listener = asyncio.create_task(listen())
        await ready.wait()
        await runtime.materialize("a")
    async with asyncio.timeout(200):
        await listener
    assert heard[-1] == "run.finished"


async def test_leaving_a_subscription_ends_it():
    """The runtime forgets it, also when its body raises."""
    async with Runtime(simple()) as runtime:
        with pytest.raises(OSError, match="body"):
            async with runtime.subscribe():
                raise OSError("body")
        await runtime.materialize("a")


async def test_several_may_read_one_subscription(background):
    """Each event goes to one of them, and none waits while there is one to read."""
    async with asyncio.timeout(200), Runtime(simple()) as runtime, runtime.subscribe() as events:
        readers = [background(anext(events)) for _ in range(3)]
        await asyncio.sleep(0)
        await runtime.materialize("a")
        assert len({(await reader).kind for reader in readers}) == 3


async def test_iteration_ends_when_its_subscription_is_left(background):
    """Also for a reader who waits in another task; what was heard is read first."""
    async with asyncio.timeout(200), Runtime(simple()) as runtime:
        events = runtime.subscribe("run.finished")
        async with events:
            await runtime.materialize("a")
            reading = background(kinds(events))
            await asyncio.sleep(0)
        assert await reading == ["run.finished"]
        async with events:
            await runtime.materialize("a")
            assert (await anext(events)).kind == "run.finished"
        assert await kinds(events) == []


async def kinds(events):
    """What is heard until the end."""
    return [event.kind async for event in events]


async def test_a_subscription_that_does_not_listen_says_so():
    """Instead of waiting for ever; entered after the end of its runtime, it ends at once."""
    async with asyncio.timeout(200):
        async with Runtime(simple()) as runtime:
            events = runtime.subscribe()
            with pytest.raises(RuntimeError, match="async with"):
                await anext(events)
        async with events:
            assert await kinds(events) == []


async def test_a_subscription_can_be_narrowed_to_one_run():
    """Events of other runs leave the buffer, and none come in any more."""
    stream = EventStream()
    at = datetime(2025, 1, 1, tzinfo=UTC)
    first, other = (RunStarted(at, run, "a", 1) for run in ("first", "other"))
    async with stream.subscribe(("run",)) as events:
        for event in (first, other):
            stream.publish(event)
        events.narrow("first")
        stream.publish(other)
        stream.publish(first)
        stream.publish(StepStarted(at, "first", "a", None, 1))
        stream.close()
        assert [event.run_id async for event in events] == ["first", "first"]


async def test_events_of_one_instant_are_told_apart():
    """Who follows a run hears each result of a `once` and each token, also if the clock stands still."""
    pipeline = Pipeline("instant")

    @pipeline.asset
    async def notes(context: Context) -> None:
        for number in range(3):
            context.signal_token(f"bank {number}")
            await context.once(f"part {number}", lambda: 1)

    async with Runtime(pipeline, clock=VirtualClock()) as runtime:
        run = await runtime.submit("notes")
        heard = [event.kind async for event in run.events()]
        assert heard.count("step.kept") == heard.count("step.token_issued") == 3
        assert [event.kind async for event in run.events()] == heard


async def test_progress_of_a_run_that_was_over_before_anybody_looked():
    """Nothing is waited for; the last word is all there is."""
    pipeline = simple()
    seen = []
    async with Runtime(pipeline) as runtime:
        async with runtime.subscribe("step") as events:
            run = await runtime.submit("b")
            live = runtime._runs.live[run.id]
            await run.wait()
        async with asyncio.timeout(200), runtime.subscribe("step") as later:
            await report_progress(later, live, seen.append)
        assert len(events) == 4
        assert [(progress.done, progress.step) for progress in seen] == [(2, None)]


async def test_two_subscribers_hear_the_same():
    """Reading in one takes nothing from the other."""
    async with Runtime(simple()) as runtime, runtime.subscribe() as one, runtime.subscribe() as two:
        await runtime.materialize("a")
        assert await take(one, 4) == await take(two, 4)


# The tree and health ----------------------------------------------------------------------------------------


async def test_the_tree_names_every_process(background):
    """Its repr shows the supervisors, the run under way, its attempts and the threads."""
    pipeline = Pipeline()
    gate = Gate()

    @pipeline.asset(partitions=WEEK)
    async def slow() -> None:
        await gate.wait()

    class Db(ResourceProvider[int]):
        async def setup(self):
            return 1

    async with Runtime(pipeline, resources={"warehouse_db": Db()}, shutdown_timeout=0) as runtime:
        background(runtime.materialize("slow", partition="2025-01-02"))
        await gate.entered.wait()
        tree = runtime.tree()
        shown = repr(tree)
        for name in (
            "runtime",
            "store",
            "services",
            "asset_registry",
            "io_managers",
            "default",
            "resources",
            "warehouse_db",
            "events",
            "runs",
            "coordinator",
            "steps",
            "slow[2025-01-02]",
            "recovery",
            "watchman",
            "threads",
        ):
            assert name in shown
        assert {"supervisor", "actor", "task"} <= {process.kind for process in tree.walk()}
        coordinator = next(process for process in tree.walk() if process.name == "coordinator")
        assert coordinator.state == "running"
        assert coordinator.restarts == 0
        assert coordinator.mailbox_depth == 0
        gate.open()


async def test_a_healthy_runtime_says_so():
    """Everything is listed without a problem, and the health is true."""
    async with Runtime(simple(), resources={"plain": object()}) as runtime:
        await runtime.materialize("a")
        health = await runtime.health()
        assert health
        assert health.status == "ok"
        assert dict(health.resources) == {"plain": None}
        assert dict(health.io) == {"default": None}
        assert health.problems == ()
        assert not health.draining


async def test_health_counts_what_is_under_way(background):
    """Live runs, steps that hold a slot, steps that wait for one."""
    pipeline = Pipeline()
    gate = Gate()

    @pipeline.asset
    async def slow() -> None:
        await gate.wait()

    async with Runtime(pipeline, max_concurrency=1) as runtime:
        background(runtime.materialize("slow", partition="a"))
        await gate.entered.wait()
        background(runtime.materialize("slow", partition="b"))
        for _ in range(20):
            await asyncio.sleep(0)
        health = await runtime.health()
        assert (health.runs, health.steps, health.waiting) == (2, 1, 1)
        gate.open()


async def test_an_io_manager_may_have_a_life_of_its_own():
    """`setup`, `health` and `teardown` are called if it has them; a failing one is named in the health."""
    calls = []

    class Managed(BrokenIO):
        __slots__ = ()

        async def setup(self):
            calls.append("setup")

        async def health(self):
            if "health" in self.broken:
                raise self.error

        async def teardown(self):
            calls.append("teardown")

    manager = Managed(OSError("bucket is gone"))
    async with Runtime(simple(), io={"default": manager}) as runtime:
        assert await runtime.health()
        manager.broken.add("health")
        health = await runtime.health()
        assert not health
        assert health.status == "degraded"
        assert "bucket is gone" in health.io["default"]
        assert any("default" in problem for problem in health.problems)
        manager.broken.clear()
        assert await runtime.health()
    assert calls == ["setup", "teardown"]


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("step.success", "Did you mean 'step.succeeded'?"),
        ("steps", "Did you mean 'step'?"),
        ("step.*", "Kinds are not patterns: pass 'step' to get all events of a step."),
        ("run*", "pass 'run' to get all events of a run."),
        ("*", "Pass nothing to get every event."),
        ("stp.*", "Did you mean 'step'?"),
        ("zzz", "There are: run, step, automation, asset, run.finished, run.queued,"),
        (3, "There are: run, step, automation, asset, run.finished, run.queued,"),
    ],
)
async def test_a_kind_that_does_not_exist_is_refused(kind, hint):
    """Rather than listened for in vain."""
    async with Runtime(Pipeline()) as runtime:
        with pytest.raises(ValueError, match="There are no events of kind") as caught:
            runtime.subscribe("run.finished", kind)
        assert hint in str(caught.value)
