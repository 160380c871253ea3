"""What health says of automations: what does not work of those that are driven here, until it works again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from flowstone import Automation, Freshness, Pipeline, Runtime, StaticPartitions
from flowstone.runtime.automation.condition_damping import Damping
from flowstone.runtime.automation.watched_assets import WatchedAssets
from flowstone.store import MemoryStore
from tests.automation.looking import until

HOUR = 3_600.0
FAST = {"lease": 0.5}


class Wrong:
    """Whether what a function looks at is away, and how often it was looked at."""

    def __init__(self):
        self.away = True
        self.calls = 0

    def look(self):
        self.calls += 1
        if self.away:
            raise OSError("no route")


def everything(wrong, *names):
    """A pipeline of one automation of each of these kinds, which fails while it is `wrong`."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def raw() -> int:
        return 1

    if "schedule" in names:

        @pipeline.schedule("nightly", cron="@hourly")
        async def nightly(_tick):
            wrong.look()

    if "sensor" in names:

        @pipeline.sensor("inbox", every=HOUR)
        async def inbox(_context):
            wrong.look()

    if "condition" in names:

        async def is_time(_context):
            wrong.look()
            return False

        @pipeline.asset(automation=Automation.on_upstream_change().when(is_time))
        async def report(raw: int) -> int:
            return raw

    if "listener" in names:

        @pipeline.on("run.succeeded", name="alert")
        async def alert(_event):
            wrong.look()

    return pipeline


NAMED = {
    "schedule": "schedule nightly",
    "sensor": "sensor inbox",
    "condition": "condition report",
    "listener": "listener alert",
}


async def fail(runtime, clock, kind):
    """Have it act, which fails."""
    await runtime.materialize("raw")
    await clock.advance(HOUR if kind == "schedule" else 2)


async def problems(runtime):
    """What health says of automations."""
    return dict((await runtime.health()).automations)


@pytest.mark.parametrize("kind", NAMED)
async def test_what_fails_is_said_until_it_works(clock, kind):
    """With how often and why; health is degraded meanwhile."""
    wrong = Wrong()
    async with Runtime(everything(wrong, kind), clock=clock, automate=True) as runtime:
        await fail(runtime, clock, kind)
        assert list(await problems(runtime)) == [NAMED[kind]]
        assert "OSError: no route" in (await problems(runtime))[NAMED[kind]]
        assert not await runtime.health()
        wrong.away = False
        await clock.advance(HOUR)
        assert await problems(runtime) == {}
        assert await runtime.health()


@pytest.mark.parametrize("kind", NAMED)
async def test_what_is_not_defined_any_more_is_no_problem(clock, kind):
    """Nor is what is defined otherwise and works."""
    wrong = Wrong()
    async with Runtime(everything(wrong, kind), clock=clock, automate=True) as runtime:
        await fail(runtime, clock, kind)
        assert await problems(runtime) != {}
        await runtime.reload(everything(wrong, *sorted(NAMED.keys() - {kind, "listener"})))
        await clock.settle()
        assert NAMED[kind] not in await problems(runtime)


@pytest.mark.parametrize("kind", ["schedule", "sensor", "condition"])
async def test_it_is_known_again_after_a_restart(clock, kind):
    """At once, though the next try is later; and gone when it has worked."""
    wrong, store = Wrong(), MemoryStore()
    async with Runtime(everything(wrong, kind), clock=clock, automate=True, store=store) as runtime:
        await fail(runtime, clock, kind)
        before, calls = await problems(runtime), wrong.calls
    async with Runtime(everything(wrong, kind), clock=clock, automate=True, store=store) as runtime:
        await clock.settle()
        if kind == "condition":  # It is asked at once.
            assert list(await problems(runtime)) == list(before)
        else:
            assert (await problems(runtime), wrong.calls) == (before, calls)
        wrong.away = False
        await clock.advance(HOUR)
        assert await problems(runtime) == {}


@pytest.mark.parametrize("kind", ["schedule", "sensor", "condition"])
async def test_one_that_has_given_up_is_a_problem_until_it_is_resumed(clock, kind):
    """What somebody has paused is none, failing or not."""
    wrong = Wrong()
    async with Runtime(everything(wrong, kind), clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(48 * HOUR)
        said = "it failed 10 times in a row and is paused: OSError: no route"
        assert await problems(runtime) == {NAMED[kind]: said}
        name = NAMED[kind].split()[1]
        wrong.away = False
        await runtime.resume(name)
        await clock.settle()
        assert await problems(runtime) == {}
        await clock.advance(HOUR)
        wrong.away = True
        if kind == "sensor":
            await clock.advance(HOUR)
        await fail(runtime, clock, kind)
        assert await problems(runtime) != {}
        await runtime.pause(name, by="ann")
        await clock.settle()
        assert await problems(runtime) == {}


async def test_a_condition_that_answers_has_not_failed_any_more(clock):
    """Also if it says no, so that failures of different years do not add up."""
    wrong = Wrong()
    async with Runtime(everything(wrong, "condition"), clock=clock, automate=True) as runtime:
        for _ in range(6):
            wrong.away = True
            await runtime.materialize("raw")
            await clock.advance(5)
            wrong.away = False
            await clock.advance(HOUR)
        (status,) = await runtime.automations()
        assert (status.failures, status.failure, status.paused) == (0, None, False)


async def test_one_partition_that_fails_is_not_made_good_by_another(clock):
    """They share a condition, and each is asked about: ten failures in a row pause it."""
    pipeline = Pipeline("sales")

    @pipeline.asset(partitions=StaticPartitions(["a", "b"]))
    async def raw() -> int:
        return 1

    async def is_time(context):
        if context.partition == "b":
            raise OSError("no route")
        return False

    automation = Automation.on_upstream_change().when(is_time)

    @pipeline.asset(partitions=StaticPartitions(["a", "b"]), automation=automation)
    async def report(raw: int) -> int:
        return raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.backfill("raw")
        await clock.advance(HOUR)
        assert "and is paused" in (await problems(runtime))["condition report"]


async def test_a_condition_that_is_damped_is_a_problem(clock, monkeypatch):
    """Until it is resumed, also over a restart."""
    monkeypatch.setattr(Damping, "most", 3)
    pipeline, store = Pipeline("p"), MemoryStore()

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def total(raw: int) -> int:
        return raw

    async with Runtime(pipeline, clock=clock, automate=True, store=store) as runtime:
        for _ in range(5):
            await runtime.materialize("raw")
            await clock.advance(5)
        said = await problems(runtime)
        assert said["condition total"].startswith("it is paused: It was started 3 times in 10 minutes")
    async with Runtime(pipeline, clock=clock, automate=True, store=store) as runtime:
        await clock.settle()
        assert await problems(runtime) == said
        await runtime.resume("total")
        await clock.settle()
        assert await problems(runtime) == {}


async def test_a_crash_of_ours_is_a_problem_until_the_process_goes_on(clock, monkeypatch):
    """Freshness has no function of a user that may fail; its process may."""
    pipeline, broken = Pipeline("p"), [True]

    @pipeline.asset(freshness=Freshness(within=timedelta(hours=1)))
    async def report() -> int:
        return 1

    take_due = WatchedAssets.take_due

    def breaking(self):
        if broken[0]:
            raise RuntimeError("a fault of ours")
        return take_due(self)

    monkeypatch.setattr(WatchedAssets, "take_due", breaking)
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(10)
        assert await problems(runtime) == {"freshness": "its process crashed: RuntimeError: a fault of ours"}
        broken[0] = False
        await clock.advance(10)
        assert await problems(runtime) == {}


@pytest.mark.parametrize("kind", NAMED)
async def test_a_process_that_crashed_and_goes_on_is_no_problem(clock, monkeypatch, kind):
    """Whatever it drives; it is said until then."""
    wrong, broken = Wrong(), [True]
    wrong.away = False
    store = MemoryStore()
    record = type(store.automations).record

    async def breaking(self, key):
        if broken[0]:
            raise RuntimeError("a fault of ours")
        return await record(self, key)

    records = type(store.automations).records

    async def breaking_too(self, pipelines=()):
        if broken[0]:
            raise RuntimeError("a fault of ours")
        return await records(self, pipelines)

    monkeypatch.setattr(type(store.automations), "record", breaking)
    monkeypatch.setattr(type(store.automations), "records", breaking_too)
    async with Runtime(everything(wrong, kind), clock=clock, automate=True, store=store) as runtime:
        await clock.advance(3)
        (said,) = (await problems(runtime)).values()
        assert said == "its process crashed: RuntimeError: a fault of ours"
        broken[0] = False
        await clock.advance(10)
        assert await problems(runtime) == {}


@pytest.mark.parametrize("kind", ["sensor", "condition", "listener"])
async def test_the_node_that_drives_it_says_so(database, kind):
    """Another one does not, until it has taken over."""
    wrong = Wrong()
    pipeline = everything(wrong, kind)
    options = {"store": database, "automate": True, **FAST}

    async def says(runtime):
        return NAMED[kind] in await problems(runtime)

    async with Runtime(everything(wrong, kind), **options) as second:
        async with Runtime(pipeline, **options) as first:
            both = first, second
            await first.materialize("raw")
            await until(lambda: said_by(both, says), within=30)
            assert [await says(runtime) for runtime in both].count(True) == 1
        await until(lambda: says(second), within=30)
        wrong.away = False
        await second.materialize("raw")
        if kind == "sensor":
            await second.resume("inbox")
        await until(lambda: not_(says(second)), within=30)


@pytest.mark.parametrize("kind", ["sensor", "condition", "listener"])
async def test_a_node_that_drains_hands_its_problems_over(database, kind):
    """What fails is no matter of its own any more."""
    wrong, gate = Wrong(), asyncio.Event()
    pipeline = everything(wrong, kind)

    @pipeline.asset
    async def slow() -> int:
        await gate.wait()
        return 1

    options = {"store": database, "automate": True, **FAST}
    async with Runtime(pipeline, **options) as first:
        await first.materialize("raw")
        await until(lambda: problems(first), within=30)
        await first.submit("slow")
        async with asyncio.TaskGroup() as group:
            group.create_task(first.drain(30))
            await until(lambda: not_(problems(first)), within=30)
            async with Runtime(everything(wrong, kind), **options) as second:
                await until(lambda: problems(second), within=30)
                assert await problems(first) == {}
            gate.set()


async def said_by(runtimes, says):
    """Whether one of them says it."""
    return any([await says(runtime) for runtime in runtimes])


async def not_(said):
    """Whether it is not said."""
    return not await said
