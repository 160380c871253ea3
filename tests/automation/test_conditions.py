"""Assets that are computed by themselves: what starts them, how often, and what does not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from flowstone import (
    Automation,
    Context,
    DailyPartitions,
    DynamicPartitions,
    MemoryIO,
    MultiPartitions,
    Output,
    Pipeline,
    Runtime,
    StaticPartitions,
    TimeOffset,
)
from flowstone.runs.records import Status
from flowstone.runtime.automation import conditions
from flowstone.store import MemoryStore

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = 3_600.0
DAY = 24 * HOUR


async def computed(runtime, asset):
    """The partition keys of runs of an asset that its condition asked for, oldest first."""
    return [run.request.keys[0] for run in reversed(await runtime.runs(tag=f"automation={asset}"))]


def sums(automation=None):
    """A value, and an asset computed from it."""
    pipeline = Pipeline("p")
    pipeline.number = 1

    @pipeline.asset
    async def raw() -> Output:
        return Output(pipeline.number, data_version=str(pipeline.number))

    @pipeline.asset(automation=Automation.on_upstream_change() if automation is None else automation)
    async def total(raw: int) -> int:
        return raw * 2

    return pipeline


async def test_a_changed_upstream_starts_a_run(clock):
    """Of the asset alone, tagged with its name and the rule; and it is computed from the new value."""
    async with Runtime(sums(), clock=clock, automate=True) as runtime:
        await clock.advance(1)
        assert await computed(runtime, "total") == []
        await runtime.materialize("raw")
        await clock.advance(1)
        (run,) = await runtime.runs(tag="automation=total")
        assert (run.status, run.request.upstream) == (Status.SUCCEEDED, False)
        assert run.tags["rule"] == "on_upstream_change()"
        assert await runtime.load("total") == 2
        (status,) = await runtime.automations()
        assert (status.name, status.kind, status.text) == ("total", "condition", "on_upstream_change()")
        assert status.last_fires[0].reason == "on_upstream_change(): raw changed"


async def test_an_equal_value_is_no_change(clock):
    """By its data version; another one is."""
    pipeline = sums()
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        for number, runs in ((1, 1), (1, 1), (2, 2)):
            pipeline.number = number
            await runtime.materialize("raw")
            await clock.advance(1)
            assert len(await computed(runtime, "total")) == runs


async def test_a_burst_is_one_run(clock):
    """A thousand changes within a second: those that are gathered, and one more for what came later."""
    pipeline = Pipeline("p")
    sources = [f"raw_{number}" for number in range(50)]
    for name in sources:

        @pipeline.asset(name=name)
        async def raw() -> int:
            return 1

    @pipeline.asset(deps=sources, automation=Automation.on_upstream_change())
    async def total() -> int:
        return 1

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        for _ in range(20):
            for name in sources:
                await runtime.materialize(name)
        await clock.advance(1)
        assert len(await computed(runtime, "total")) == 1


def diamond():
    """Two assets between one and another, which also takes the first itself."""
    pipeline = Pipeline("p")
    eager = Automation.on_upstream_change()

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(automation=eager)
    async def left(raw: int) -> int:
        return raw

    @pipeline.asset(automation=eager)
    async def middle(raw: int) -> int:
        return raw

    @pipeline.asset(automation=eager)
    async def right(middle: int) -> int:
        return middle

    @pipeline.asset(automation=eager)
    async def both(raw: int, left: int, right: int) -> int:
        return raw + left + right

    return pipeline


async def test_a_diamond_runs_once(clock):
    """What comes after several assets waits until all of them are computed, however long the ways are."""
    async with Runtime(diamond(), clock=clock, automate=True) as runtime:
        for number in range(1, 4):
            await runtime.materialize("raw")
            await clock.advance(3)
            for name in ("left", "middle", "right", "both"):
                assert len(await computed(runtime, name)) == number


@pytest.mark.parametrize("page", [1_000, 1])
async def test_what_one_run_computes_together_is_not_started_again(clock, monkeypatch, page):
    """Neither while that run goes on nor after it, whatever is read first of what came before it."""
    monkeypatch.setattr(conditions, "_PAGE", page)
    gate = asyncio.Event()
    pipeline = Pipeline("p")

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset
    async def slow(raw: int) -> int:
        await gate.wait()
        return raw

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def total(raw: int, slow: int) -> int:
        return raw + slow

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        gate.set()
        await runtime.materialize_all("total")
        gate.clear()
        run = await runtime.submit("total", refresh="all")
        await clock.advance(60)
        gate.set()
        await run.wait()
        await clock.advance(60)
        assert await computed(runtime, "total") == []


async def test_a_change_during_a_run_is_one_more_run(clock):
    """Exactly one, after that is over, however many changes there were; one that it has loaded is covered."""
    gate = asyncio.Event()
    pipeline = Pipeline("p")

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def total(raw: int) -> int:
        await gate.wait()
        return raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(1)
        for _ in range(3):
            await runtime.materialize("raw")
            await clock.advance(1)
        assert len(await computed(runtime, "total")) == 1
        gate.set()
        await clock.advance(5)
        assert len(await computed(runtime, "total")) == 2


async def test_a_change_during_somebody_elses_run_is_one_more_run(clock):
    """The inputs that it has recorded say so."""
    gate = asyncio.Event()
    pipeline = Pipeline("p")

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def total(raw: int) -> int:
        await gate.wait()
        return raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        gate.set()
        await runtime.materialize("raw")
        await clock.advance(1)
        gate.clear()
        run = await runtime.submit("total", upstream=False)
        await clock.advance(1)
        await runtime.materialize("raw")
        await clock.advance(1)
        gate.set()
        await run.wait()
        await clock.advance(5)
        assert len(await computed(runtime, "total")) == 2
        current, fresh = await runtime.history("total", limit=1), await runtime.history("raw", limit=1)
        assert current[0].inputs[0].run_id == fresh[0].run_id


async def test_what_failed_is_not_tried_again_for_the_same_inputs(clock):
    """A new change does; so an asset that always fails fails once a change."""
    pipeline = sums()
    fail = [True]

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def broken(raw: int) -> int:
        if fail[0]:
            raise ValueError("broken")
        return raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(60)
        await runtime.materialize("raw")  # It is equal.
        await clock.advance(60)
        assert len(await computed(runtime, "broken")) == 1
        fail[0], pipeline.number = False, 2
        await runtime.materialize("raw")
        await clock.advance(60)
        assert len(await computed(runtime, "broken")) == 2


async def test_it_waits_for_what_it_cannot_do_without(clock):
    """An upstream that has no value yet; one with a default is not waited for."""
    pipeline = Pipeline("p")

    @pipeline.asset
    async def one() -> int:
        return 1

    @pipeline.asset
    async def two() -> int:
        return 2

    @pipeline.asset
    async def three() -> int:
        return 3

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def total(one: int, two: int, three: int = 0) -> int:
        return one + two + three

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("one")
        await clock.advance(1)
        assert await computed(runtime, "total") == []
        await runtime.materialize("two")
        await clock.advance(1)
        assert await runtime.load("total") == 3
        await runtime.materialize("three")
        await clock.advance(1)
        assert await runtime.load("total") == 6


def days(automation, *, version=None, start="2024-12-20"):
    """Two assets by day."""
    pipeline = Pipeline("p")
    pipeline.seen = []

    @pipeline.asset(partitions=DailyPartitions(start))
    async def raw(context: Context) -> str:
        return str(context.partition)

    @pipeline.asset(partitions=DailyPartitions(start), automation=automation, version=version)
    async def clean(raw: str) -> str:
        pipeline.seen.append(raw)
        return raw

    return pipeline


async def test_only_the_partitions_concerned_are_computed(clock):
    """A day for a day."""
    pipeline = days(Automation.on_upstream_change())
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw", partition="2024-12-24")
        await runtime.materialize("raw", partition="2024-12-30")
        await clock.advance(1)
        assert await computed(runtime, "clean") == ["d:2024-12-24", "d:2024-12-30"]


async def test_many_partitions_at_once_share_a_run(clock):
    """A backfill upstream is a backfill downstream, not hundreds of runs."""
    pipeline = days(Automation.on_upstream_change(), start="2024-01-01")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.backfill("raw")
        await clock.advance(10)
        assert len(pipeline.seen) == len(set(pipeline.seen)) == 366
        assert {run.kind for run in await runtime.runs(tag="automation=clean")} == {"backfill"}
        assert len(await runtime.runs(tag="automation=clean")) < 10


async def test_what_is_missing_is_computed_once_it_can_be(clock):
    """What is there when the condition is new, and each day that comes into being."""
    pipeline = days(Automation.on_missing())

    @pipeline.asset(partitions=DailyPartitions("2024-12-28"), automation=Automation.on_missing())
    async def source(context: Context) -> str:
        return str(context.partition)

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(1)
        assert await computed(runtime, "clean") == []
        assert await computed(runtime, "source") == [f"d:2024-12-{day}" for day in range(28, 32)]
        await runtime.materialize("raw", partition="2024-12-24")
        await clock.advance(1)
        assert await computed(runtime, "clean") == ["d:2024-12-24"]
        await runtime.materialize("raw", partition="2024-12-24")  # It is there.
        await clock.advance(2 * DAY)
        assert await computed(runtime, "clean") == ["d:2024-12-24"]
        assert (await computed(runtime, "source"))[-2:] == ["d:2025-01-01", "d:2025-01-02"]


async def test_a_tick_computes_the_latest_partition(clock):
    """Of an asset that is partitioned by time; of another one all of them."""
    pipeline = Pipeline("p")
    six = Automation.on_cron("0 6 * * *")

    @pipeline.asset(partitions=DailyPartitions("2024-12-20"), automation=six)
    async def daily() -> int:
        return 1

    @pipeline.asset(partitions=StaticPartitions(["eu", "us"]), automation=six)
    async def regions() -> int:
        return 1

    @pipeline.asset(automation=six)
    async def whole() -> int:
        return 1

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        status = (await runtime.automations())[0]
        assert (status.name, status.next_fire) == ("daily", NEW_YEAR.replace(hour=6))
        await clock.advance(5 * HOUR)
        assert await computed(runtime, "daily") == []
        await clock.advance(2 * HOUR)
        assert await computed(runtime, "daily") == ["d:2024-12-31"]
        assert await computed(runtime, "regions") == ["eu", "us"]
        assert await computed(runtime, "whole") == [None]
        await clock.advance(DAY)
        assert await computed(runtime, "daily") == ["d:2024-12-31", "d:2025-01-01"]
        assert len(await computed(runtime, "whole")) == 2


async def test_a_tick_that_was_missed_comes_once(clock):
    """When there is somebody again; the one before that is not made up for."""
    store, io = MemoryStore(), {"default": MemoryIO()}
    pipeline = sums(Automation.on_cron("@hourly"))
    async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(HOUR + 10)
        assert len(await computed(runtime, "total")) == 1
    await clock.advance(5 * HOUR)
    async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
        await clock.advance(10)
        assert len(await computed(runtime, "total")) == 2


async def test_both_means_at_a_tick_if_it_has_changed(clock):
    """What has changed before is kept for the tick, also over a restart."""
    store, io = MemoryStore(), {"default": MemoryIO()}
    pipeline = sums(Automation.on_cron("@hourly") & Automation.on_upstream_change())
    async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(HOUR / 2)
        assert await computed(runtime, "total") == []
    async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
        await clock.advance(3 * HOUR)
        assert len(await computed(runtime, "total")) == 1
        (run,) = await runtime.runs(tag="automation=total")
        assert run.tags["rule"] == "on_cron('@hourly') & on_upstream_change()"


async def test_what_is_denied_keeps_it_from_starting(clock):
    """At a tick it is computed unless something has changed."""
    pipeline = sums(Automation.on_cron("@hourly") & ~Automation.on_upstream_change())
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize_all("total")
        await clock.advance(HOUR + 1)
        assert len(await computed(runtime, "total")) == 1
        pipeline.number = 2
        await runtime.materialize("raw")
        await clock.advance(HOUR + 1)
        assert len(await computed(runtime, "total")) == 1


async def test_a_new_version_of_the_code_computes_what_the_old_one_has(clock):
    """All that is current, once; what is missing stays so."""
    store, io = MemoryStore(), {"default": MemoryIO()}
    pipeline = days(Automation.on_code_change(), version="1")
    async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
        await runtime.materialize_all("clean", partition="2024-12-24")
        await runtime.materialize_all("clean", partition="2024-12-25")
        await clock.advance(10)
        assert await computed(runtime, "clean") == []
    pipeline = days(Automation.on_code_change(), version="2")
    for _ in range(2):
        async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
            await clock.advance(10)
            assert await computed(runtime, "clean") == ["d:2024-12-24", "d:2024-12-25"]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_function_has_a_say(clock, kind):
    """It is given what is known, and only asked where the rest of the condition holds."""
    asked = []

    def wanted(context):
        asked.append(context)
        return context.last is None

    async def wanted_async(context):
        return wanted(context)

    pipeline = sums(Automation.on_upstream_change().when(wanted_async if kind == "async" else wanted))
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        for number in (1, 2):
            pipeline.number = number
            await runtime.materialize("raw")
            await until(clock, lambda number=number: len(asked) == number)
        await clock.advance(10)
        assert len(await computed(runtime, "total")) == 1
        assert [each.changes for each in asked] == [("raw",), ("raw",)]
        assert (asked[0].asset, asked[0].partition, asked[0].last) == ("total", None, None)
        assert asked[1].last.run_id == (await computed_by(runtime, "total"))[0]


async def computed_by(runtime, asset):
    """Ids of the runs that a condition asked for, oldest first."""
    return [run.id for run in reversed(await runtime.runs(tag=f"automation={asset}"))]


async def until(clock, true):
    """Advance until something is so."""
    for _ in range(200):
        if true():
            return
        await clock.advance(0.1)
        await asyncio.sleep(0.005)
    raise AssertionError("it is not so")


async def test_a_function_that_fails_pauses_its_own_condition_alone(clock, caplog):
    """It is asked again later and later; after ten failures in a row no more, until somebody resumes it."""
    broken = [True]

    async def wanted(_context):
        if broken[0]:
            raise OSError("no route")
        return True

    pipeline = sums(Automation.on_upstream_change().when(wanted))

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def other(raw: int) -> int:
        return raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        async with runtime.subscribe("automation") as events:
            await runtime.materialize("raw")
            await clock.advance(2 * HOUR)
            told = [event.kind for event in events.taken()]
        assert told == ["automation.failed"] * 10 + ["automation.paused"]
        status = next(each for each in await runtime.automations() if each.name == "total")
        assert (status.paused, status.failures) == (True, 10)
        assert "condition total: it failed 10 times in a row and is paused: " in caplog.text
        assert len(await computed(runtime, "other")) == 1
        broken[0] = False
        await runtime.resume("total")
        await clock.advance(10)
        assert len(await computed(runtime, "total")) == 1


async def test_what_is_paused_starts_nothing_and_catches_up(clock):
    """Also over a restart; when it is resumed, what has changed meanwhile is one run."""
    store, io = MemoryStore(), {"default": MemoryIO()}
    pipeline = sums()
    async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
        await clock.advance(1)
        await runtime.pause("total")
        await runtime.materialize("raw")
        await clock.advance(10)
    async with Runtime(pipeline, store=store, io=io, clock=clock, automate=True) as runtime:
        pipeline.number = 2
        await runtime.materialize("raw")
        await clock.advance(10)
        assert await computed(runtime, "total") == []
        await runtime.resume("total")
        await clock.advance(10)
        assert len(await computed(runtime, "total")) == 1
        assert await runtime.load("total") == 4


async def test_it_is_fired_by_hand(clock):
    """Whatever its condition says; that is on record with who asked for it."""
    pipeline = sums()
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.materialize("raw")
        await clock.advance(10)
        (run,) = await runtime.fire("total", by="ada")
        await run.wait()
        await clock.advance(10)
        assert len(await computed(runtime, "total")) == 2
        (status,) = await runtime.automations()
        assert [fire.by for fire in status.last_fires] == ["ada", ""]


async def test_a_loop_is_damped_and_said(clock):
    """What follows from it changes what it is computed from: after a hundred times it is paused, and says why."""
    pipeline = Pipeline("p")

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def total(raw: int) -> int:
        return raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:

        async def turn():
            async with runtime.subscribe("run.succeeded") as ends:
                async for event in ends:
                    if event.asset == "total":
                        await runtime.materialize("raw")

        async with runtime.subscribe("automation") as events:
            loop = asyncio.create_task(turn())
            await clock.advance(0)
            await runtime.materialize("raw")
            for _ in range(150):
                await clock.advance(1)
            loop.cancel()
            told = events.taken()
        assert [event.kind for event in told] == ["automation.paused"]
        assert "started 100 times" in told[0].reason
        assert len(await runtime.runs(tag="automation=total", limit=1000)) == 100


async def test_an_asset_computes_its_own_next_partition(clock):
    """A running total goes on from where the past has changed, one day after the other, to the end."""
    pipeline = Pipeline("p")

    @pipeline.asset(partitions=DailyPartitions("2024-12-20"))
    async def raw() -> int:
        return 1

    @pipeline.asset(
        partitions=DailyPartitions("2024-12-20"),
        mappings={"balance": TimeOffset(days=-1)},
        automation=Automation.on_upstream_change(),
    )
    async def balance(raw: int, balance: int = 0) -> int:
        return balance + raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await runtime.backfill("raw")
        await clock.advance(60)
        assert await runtime.load("balance", partition="2024-12-31") == 12
        before = len(await runtime.history("balance", partition="2024-12-31"))
        await clock.advance(60)
        assert len(await runtime.history("balance", partition="2024-12-31")) == before


async def test_nothing_happens_while_nothing_happens(clock):
    """An hour without events is an hour without a question to the store."""
    asked = []

    class Counted(MemoryStore):
        def __getattribute__(self, name):
            if name in {"run", "current", "current_keys", "partitions", "automations", "deliveries"}:
                asked.append(name)
            return super().__getattribute__(name)

    pipeline = days(Automation.on_upstream_change() | Automation.on_missing())
    async with Runtime(pipeline, store=Counted(), clock=clock, automate=True):
        await clock.advance(10)
        asked.clear()
        await clock.advance(HOUR)
        assert asked == []


async def test_what_is_invalidated_is_computed_again(clock):
    """Where it is computed when it is missing; also what was computed from it."""
    pipeline = Pipeline("p")

    @pipeline.asset(automation=Automation.on_missing())
    async def raw() -> int:
        return 1

    @pipeline.asset(automation=Automation.on_missing())
    async def total(raw: int) -> int:
        return raw

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(2)
        assert await runtime.load("total") == 1
        assert await runtime.invalidate("raw", downstream=True) == 2
        await clock.advance(2)
        assert len(await computed(runtime, "raw")) == len(await computed(runtime, "total")) == 2


async def test_a_partition_that_is_added_is_computed(clock):
    """Of a dynamic set, alone or as one of several dimensions; one that is added again is there already."""
    pipeline = Pipeline("p")
    customers = DynamicPartitions("customers")
    both = MultiPartitions(customer=customers, region=StaticPartitions(["eu", "us"]))

    @pipeline.asset(partitions=customers, automation=Automation.on_missing())
    async def account() -> int:
        return 1

    @pipeline.asset(partitions=both, automation=Automation.on_missing())
    async def report() -> int:
        return 1

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(2)
        for _ in range(2):
            await runtime.add_partitions("customers", ["ada", "bob"])
            await clock.advance(2)
            assert await computed(runtime, "account") == ["ada", "bob"]
            assert len(await computed(runtime, "report")) == 4
