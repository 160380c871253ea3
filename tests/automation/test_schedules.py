"""Schedules fire each tick once, whatever happens in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from flowstone import DailyPartitions, Pipeline, RunRequest, Runtime, Skip
from flowstone.errors import AutomationNotFound
from flowstone.runs.records import Status
from flowstone.store import MemoryStore

MIDNIGHT = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = 3600


def hour(number):
    """An instant of the first day."""
    return MIDNIGHT.replace(hour=number)


def reports(*, partitions=None):
    """A pipeline with one asset."""
    pipeline = Pipeline("sales")

    @pipeline.asset(partitions=partitions)
    async def report() -> int:
        return 1

    return pipeline


async def fires_of(runtime, name):
    """What a schedule did, oldest first."""
    (found,) = [each for each in await runtime.automations(fires=100) if each.name == name]
    return list(reversed(found.last_fires))


async def ticks_of(runtime, name, status="started"):
    """The ticks that fired."""
    return [fire.scheduled_at for fire in await fires_of(runtime, name) if fire.status == status]


async def test_a_schedule_fires_at_each_tick(clock):
    """Each starts a run, tagged with its name, from when the runtime has begun."""
    pipeline = reports()
    pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(3 * HOUR)
        assert await ticks_of(runtime, "hourly") == [hour(1), hour(2), hour(3)]
        runs = await runtime.runs(tag="automation=hourly")
        assert len(runs) == 3
        (status,) = await runtime.automations()
        assert (status.kind, status.next_fire, status.pipeline) == ("schedule", hour(4), "sales")
        assert status.last_fires[0].runs[0].status is Status.SUCCEEDED


async def test_an_embedded_runtime_fires_nothing_unless_asked_to(clock):
    """It knows them all the same."""
    pipeline = reports()
    pipeline.schedule("hourly", cron="@hourly", asset="report")
    async with Runtime(pipeline, clock=clock) as runtime:
        await clock.advance(3 * HOUR)
        (status,) = await runtime.automations()
        assert (status.name, status.last_fires) == ("hourly", ())
        assert await runtime.runs() == []


async def test_a_function_is_given_the_tick_and_says_what_runs(clock):
    """In the schedule's time zone, with the tick before it; None starts nothing."""
    pipeline = reports()
    ticks = []

    @pipeline.schedule("hourly", cron="@hourly", timezone="Europe/Oslo")
    async def hourly(tick):
        ticks.append(tick)
        return None if len(ticks) == 2 else [RunRequest("report", refresh="all"), RunRequest("report")]

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(3 * HOUR)
        assert [len(fire.runs) for fire in await fires_of(runtime, "hourly")] == [2, 0, 2]
    assert [tick.scheduled_at for tick in ticks] == [hour(1), hour(2), hour(3)]
    assert [tick.last for tick in ticks] == [None, hour(1), hour(2)]
    assert str(ticks[0].scheduled_at.tzinfo) == "Europe/Oslo"


async def test_the_latest_partition_is_that_of_the_tick(clock):
    """Not that of the instant at which it is fired, nor of the run."""
    days = DailyPartitions("2024-12-30")
    pipeline = reports(partitions=days)
    pipeline.schedule("daily", cron="0 6 * * *", asset="report", partition="latest")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(48 * HOUR)
        keys = [run.request.keys for run in reversed(await runtime.runs())]
    assert keys == [("d:2024-12-31",), ("d:2025-01-01",)]


async def test_no_partition_yet_is_no_failure(clock):
    """The tick is skipped, and says why."""
    pipeline = reports(partitions=DailyPartitions("2025-06-01"))
    pipeline.schedule("daily", cron="0 6 * * *", asset="report", partition="latest")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(7 * HOUR)
        (fire,) = await fires_of(runtime, "daily")
        assert (fire.status, fire.scheduled_at) == ("skipped", hour(6))
        assert "no partition yet" in fire.reason


async def test_a_function_may_skip_a_tick(clock):
    """With its reason; that is no failure either."""
    pipeline = reports()

    @pipeline.schedule("hourly", cron="@hourly")
    def hourly(_tick):
        raise Skip("holiday")

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(HOUR)
        await until(lambda: _count(runtime, "hourly", 1))
        (fire,) = await fires_of(runtime, "hourly")
        assert (fire.status, fire.reason) == ("skipped", "holiday")


async def _count(runtime, name, number):
    return len(await fires_of(runtime, name)) >= number


async def until(condition):
    """Let other threads get on."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.001)


class TestOverlap:
    """What happens at a tick while a run of an earlier one is under way."""

    @pytest.fixture
    def gate(self):
        return asyncio.Event()

    @pytest.fixture
    def slow(self, gate):
        pipeline = Pipeline("sales")

        @pipeline.asset
        async def report() -> int:
            await gate.wait()
            return 1

        return pipeline

    async def test_skip(self, clock, slow, gate):
        """The tick is skipped, and says for which run."""
        slow.schedule("hourly", cron="@hourly", asset="report", refresh="all")
        async with Runtime(slow, clock=clock, automate=True) as runtime:
            await clock.advance(2 * HOUR)
            first, second = await fires_of(runtime, "hourly")
            assert (first.status, second.status) == ("started", "skipped")
            assert first.runs[0].id in second.reason
            gate.set()
            await clock.advance(HOUR)
            assert await ticks_of(runtime, "hourly") == [hour(1), hour(3)]

    async def test_queue(self, clock, slow, gate):
        """The tick fires when the run is over, at once and without a tick in between."""
        slow.schedule("hourly", cron="@hourly", asset="report", refresh="all", overlap="queue")
        async with Runtime(slow, clock=clock, automate=True) as runtime:
            await clock.advance(3 * HOUR)
            assert await ticks_of(runtime, "hourly") == [hour(1)]
            gate.set()
            await clock.advance(1)
            assert await ticks_of(runtime, "hourly") == [hour(1), hour(2), hour(3)]

    async def test_queued_ticks_survive_a_restart(self, clock, slow, gate):
        """Whatever `catch_up` says: they were accepted when they came."""
        slow.schedule(
            "hourly", cron="@hourly", asset="report", refresh="all", overlap="queue", catch_up="skip"
        )
        store = MemoryStore()
        async with Runtime(slow, store=store, clock=clock, automate=True) as runtime:
            await clock.advance(3 * HOUR)
            leaving = asyncio.create_task(runtime.drain(0.0))
            await clock.advance(10)
            await leaving
        gate.set()
        async with Runtime(slow, store=store, clock=clock, automate=True) as runtime:
            await clock.advance(10)
            assert await ticks_of(runtime, "hourly") == [hour(1), hour(2), hour(3)]

    async def test_allow(self, clock, slow, gate):
        """It fires at once."""
        slow.schedule("hourly", cron="@hourly", asset="report", refresh="all", overlap="allow")
        async with Runtime(slow, clock=clock, automate=True) as runtime:
            await clock.advance(3 * HOUR)
            assert await ticks_of(runtime, "hourly") == [hour(1), hour(2), hour(3)]
            gate.set()


class TestCatchUp:
    """What becomes of ticks that nobody was there for."""

    @pytest.mark.parametrize(
        ("catch_up", "expected"), [("last", [1, 5, 6]), ("skip", [1, 6]), ("all", [1, 2, 3, 4, 5, 6])]
    )
    async def test_missed_ticks(self, clock, catch_up, expected):
        """Four were missed, and the next one comes on time."""
        pipeline = reports()
        pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all", catch_up=catch_up)
        store = MemoryStore()
        async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
            await clock.advance(HOUR)
        await clock.advance(4.5 * HOUR)
        async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
            await clock.advance(HOUR / 2)
            assert await ticks_of(runtime, "hourly") == [hour(number) for number in expected]

    async def test_a_clock_that_is_set_back_fires_nothing_twice(self, clock):
        """Nor does one that is set forward lose a tick beyond what `catch_up` says."""
        pipeline = reports()
        pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all", catch_up="all")
        async with Runtime(pipeline, clock=clock, automate=True) as runtime:
            await clock.advance(2.5 * HOUR)
            clock.step(-2 * HOUR)
            await clock.advance(2 * HOUR)
            assert await ticks_of(runtime, "hourly") == [hour(1), hour(2)]
            clock.step(3 * HOUR)
            await clock.advance(60)
            assert await ticks_of(runtime, "hourly") == [hour(number) for number in range(1, 6)]


class TestFailures:
    """A function that raises is tried again, and paused when it fails ten times in a row."""

    async def test_the_same_tick_is_tried_again(self, clock):
        """Until it succeeds: the failure is on record, and then over."""
        pipeline = reports()
        failing = [True, True, False]

        @pipeline.schedule("hourly", cron="@hourly")
        async def hourly(_tick):
            if failing.pop(0):
                raise OSError("no route")
            return RunRequest("report")

        async with Runtime(pipeline, clock=clock, automate=True) as runtime:
            await clock.advance(HOUR + 30)
            fires = await fires_of(runtime, "hourly")
            assert [fire.status for fire in fires] == ["failed", "failed", "started"]
            assert {fire.scheduled_at for fire in fires} == {hour(1)}
            assert fires[0].reason == "OSError: no route"
            (status,) = await runtime.automations()
            assert (status.failures, status.failure) == (0, None)

    async def test_ten_failures_in_a_row_pause_it(self, clock):
        """With events; resuming it forgets them."""
        pipeline = reports()

        @pipeline.schedule("hourly", cron="@hourly")
        async def hourly(_tick):
            raise OSError("no route")

        async with Runtime(pipeline, clock=clock, automate=True) as runtime:
            async with runtime.subscribe("automation") as events:
                await clock.advance(2 * HOUR)
                told = [event.kind for event in events.taken()]
            assert told == ["automation.failed"] * 10 + ["automation.paused"]
            (status,) = await runtime.automations()
            assert (status.paused, status.failures, status.next_fire) == (True, 10, None)
            assert (status.paused_by, status.paused_because) == (None, "It failed 10 times in a row.")
            assert status.paused_at == status.last_fires[0].at
            assert "no route" in status.failure.traceback
            automation = next(child for child in runtime.tree().children if child.name == "automation")
            assert {child.name: child.restarts for child in automation.children}["schedule:hourly"] == 10
            resumed = await runtime.resume("hourly")
            assert (resumed.paused, resumed.failures) == (False, 0)
            assert (resumed.paused_at, resumed.paused_because) == (None, "")

    async def test_a_tick_is_tried_again_until_ten_failures_pause_it(self, clock):
        """Also with `catch_up="skip"`: it came on time. It fires when the schedule is resumed and works again."""
        pipeline = reports()

        @pipeline.schedule("hourly", cron="@hourly", catch_up="skip")
        async def hourly(_tick):
            if broken:
                raise OSError("no route")
            return RunRequest("report")

        broken = True
        async with Runtime(pipeline, clock=clock, automate=True) as runtime:
            await clock.advance(1.5 * HOUR)
            (status,) = await runtime.automations(fires=20)
            assert (status.paused, status.failures) == (True, 10)
            assert {fire.scheduled_at for fire in status.last_fires} == {hour(1)}
            broken = False
            await runtime.resume("hourly")
            await clock.advance(60)
            assert await ticks_of(runtime, "hourly") == [hour(1)]

    async def test_what_is_no_request_is_said(self, clock):
        """In one sentence with the remedy."""
        pipeline = reports()

        @pipeline.schedule("hourly", cron="@hourly")
        async def hourly(_tick):
            return "report"

        async with Runtime(pipeline, clock=clock, automate=True) as runtime:
            await clock.advance(HOUR)
            (fire,) = await fires_of(runtime, "hourly")
            assert fire.status == "failed"
            assert "RunRequest(asset, …)" in fire.reason


async def test_a_paused_schedule_stays_paused(clock):
    """Over restarts, until it is resumed; then what it missed is treated as after a restart."""
    pipeline = reports()
    pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all")
    store = MemoryStore()
    async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
        await runtime.pause("hourly", by="ada")
        await clock.advance(2 * HOUR)
        assert await fires_of(runtime, "hourly") == []
    async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
        await clock.advance(1.5 * HOUR)
        assert await fires_of(runtime, "hourly") == []
        await runtime.resume("hourly")
        await clock.advance(1)
        assert await ticks_of(runtime, "hourly") == [hour(3)]


async def test_a_schedule_is_fired_by_hand(clock):
    """Also while it is paused; its ticks stay as they are."""
    pipeline = reports()
    pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all", paused=True)
    async with Runtime(pipeline, clock=clock) as runtime:
        (run,) = await runtime.fire("hourly", by="ada")
        await run.wait()
        (fire,) = await fires_of(runtime, "hourly")
        assert (fire.by, fire.scheduled_at, fire.runs[0].id) == ("ada", None, run.id)


class TestChanges:
    """What becomes of a schedule that is defined otherwise, or not at all any more."""

    async def test_removed_while_its_run_is_under_way(self, clock):
        """The run goes on; the schedule is shown as gone for a day, and then forgotten."""
        gate = asyncio.Event()

        def sales(*, scheduled):
            pipeline = Pipeline("sales")

            @pipeline.asset
            async def report() -> int:
                await gate.wait()
                return 1

            if scheduled:
                pipeline.schedule("hourly", cron="@hourly", asset="report")
            return pipeline

        async with Runtime(sales(scheduled=True), clock=clock, automate=True) as runtime:
            await clock.advance(HOUR)
            await runtime.reload(sales(scheduled=False))
            await clock.advance(2 * HOUR)
            (status,) = await runtime.automations()
            assert (status.gone_at, status.next_fire) == (hour(1), None)
            assert [fire.scheduled_at for fire in status.last_fires] == [hour(1)]
            with pytest.raises(AutomationNotFound):
                await runtime.fire("hourly")
            gate.set()
            await clock.advance(1)
            (run,) = await runtime.runs(tag="automation=hourly")
            assert run.status is Status.SUCCEEDED
            await clock.advance(24 * HOUR)
            await runtime.reload(sales(scheduled=False))
            await clock.advance(1)
            assert await runtime.automations() == []

    async def test_another_cron_begins_anew(self, clock):
        """From when it is changed: what the new one would have fired before is not missed."""
        pipeline = reports()
        pipeline.schedule("often", cron="0 3 * * *", asset="report", refresh="all")
        store = MemoryStore()
        async with Runtime(pipeline, store=store, clock=clock, automate=True):
            await clock.advance(HOUR)
        await clock.advance(4.5 * HOUR)
        changed = reports()
        changed.schedule("often", cron="@hourly", asset="report", refresh="all", catch_up="all")
        async with Runtime(changed, store=store, clock=clock, automate=True) as runtime:
            await clock.advance(HOUR)
            assert await ticks_of(runtime, "often") == [hour(6)]

    async def test_other_options_leave_it_where_it_was(self, clock):
        """What was missed is dealt with as the new definition says."""
        store = MemoryStore()
        pipeline = reports()
        pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all")
        async with Runtime(pipeline, store=store, clock=clock, automate=True):
            await clock.advance(HOUR)
        await clock.advance(3.5 * HOUR)
        changed = reports()
        changed.schedule("hourly", cron="@hourly", asset="report", refresh="all", catch_up="all")
        async with Runtime(changed, store=store, clock=clock, automate=True) as runtime:
            await clock.advance(60)
            assert await ticks_of(runtime, "hourly") == [hour(number) for number in range(1, 5)]


async def test_a_schedule_that_computes_its_value_once_is_warned_of(clock, caplog):
    """As its value is reused from then on; not one of the latest partition, or that computes everything."""
    pipeline = reports()

    @pipeline.asset(partitions=DailyPartitions("2024-12-30"))
    def daily() -> int:
        return 1

    pipeline.schedule("once", cron="@hourly", asset="report")
    pipeline.schedule("one-day", cron="@hourly", asset="daily", partition="2024-12-30")
    pipeline.schedule("always", cron="@hourly", asset="report", refresh="all")
    pipeline.schedule("each-day", cron="@hourly", asset="daily", partition="latest")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(1)
        await runtime.reload(pipeline)
        await clock.advance(1)
    told = [record.getMessage() for record in caplog.records if record.name == "flowstone.schedules"]
    assert [line.split()[2] for line in told] == ["'once'", "'one-day'"]
    assert 'refresh="all"' in told[0]


async def test_a_run_that_lasts_longer_than_what_is_remembered_is_still_under_way(clock):
    """However many ticks are skipped meanwhile."""
    pipeline, gate = Pipeline("sales"), asyncio.Event()

    @pipeline.asset
    async def report() -> int:
        await gate.wait()
        return 1

    pipeline.schedule("minutely", cron="* * * * *", asset="report", refresh="all")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(130 * 60)
        assert len(await runtime.runs()) == 1
        gate.set()
        await clock.advance(60)
        assert len(await runtime.runs()) == 2


async def test_a_clock_that_was_far_ahead_for_a_moment_silences_nothing(clock):
    """The tick that fired then fires no second time when it comes."""
    pipeline = reports()
    pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all")
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(HOUR)
        clock.step(20 * HOUR)
        await clock.advance(60)
        assert await ticks_of(runtime, "hourly") == [hour(1), hour(21)]
        clock.step(-20 * HOUR)
        await clock.advance(21 * HOUR)
        ticks = await ticks_of(runtime, "hourly")
        assert sorted(ticks) == [hour(number) for number in range(1, 23)]


async def test_far_more_ticks_than_are_remembered_fire_once_each(clock):
    """Where the clock was ahead by more of them than that, those that may have fired do not fire again."""
    pipeline = reports()
    pipeline.schedule(
        "minutely", cron="* * * * *", asset="report", refresh="all", catch_up="all", overlap="allow"
    )
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        clock.step(5 * HOUR)
        await clock.advance(60)
        clock.step(-5 * HOUR)
        await clock.advance(6 * HOUR)
        runs = await runtime.runs(limit=1000)
        assert len(runs) == 361


async def test_a_tick_whose_function_fails_for_long_is_no_missed_one(clock):
    """It was there in time: `catch_up` has no say in it."""
    pipeline, failing = reports(), [True] * 6

    @pipeline.schedule("hourly", cron="@hourly", catch_up="skip")
    async def hourly(_tick):
        if failing:
            failing.pop()
            raise OSError("no route")
        return RunRequest("report", refresh="all")

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(HOUR + 600)
        assert await ticks_of(runtime, "hourly", "failed") == [hour(1)] * 6
        assert await ticks_of(runtime, "hourly") == [hour(1)]


async def test_a_function_that_changes_its_own_automation_is_not_called_without_end(clock):
    """Each time its look is in vain, and it waits longer."""
    pipeline, calls = reports(), []

    @pipeline.sensor("files", every=1)
    async def files(context):
        calls.append(context.now)
        await runtime.pause("files")
        await runtime.resume("files")
        context.cursor = len(calls)

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(HOUR)
    assert len(calls) < 50


async def test_ticks_that_wait_when_a_clock_is_set_back_fire_once(clock):
    """They were accepted while it was ahead, and come again."""
    pipeline, gate = Pipeline("sales"), asyncio.Event()

    @pipeline.asset
    async def report() -> int:
        await gate.wait()
        return 1

    pipeline.schedule(
        "hourly", cron="@hourly", asset="report", refresh="all", catch_up="all", overlap="queue"
    )
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        clock.step(5 * HOUR + 60)
        await clock.advance(60)
        clock.step(-5 * HOUR)
        await clock.advance(60)
        gate.set()
        await clock.advance(8 * HOUR)
        ticks = await ticks_of(runtime, "hourly")
        assert sorted(ticks) == [hour(number) for number in range(1, 9)]


class SlowToAnswer(MemoryStore):
    """A change of an automation is made, and its answer takes a while."""

    def __init__(self) -> None:
        super().__init__()
        self.made, self.answer = asyncio.Event(), asyncio.Event()

    async def _change(self, operation, apply):
        result = apply()
        if operation[0] == "move":
            self.made.set()
            await self.answer.wait()
        return result


async def test_what_was_written_is_started_though_who_asked_for_it_is_cancelled(clock):
    """Nobody else would start it before the next process."""
    pipeline, store = reports(), SlowToAnswer()
    pipeline.schedule("hourly", cron="@hourly", asset="report", refresh="all")
    async with Runtime(pipeline, store=store, clock=clock) as runtime:
        firing = asyncio.create_task(runtime.fire("hourly"))
        await store.made.wait()
        firing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await firing
        (run,) = await runtime.runs()
        assert (await (await runtime.run(run.id)).wait()).status is Status.SUCCEEDED
