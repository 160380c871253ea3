"""A step that waits holds nothing: its run is parked, and goes on when what it waits for is there."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    FileIO,
    MaterializationFailed,
    Pipeline,
    Retry,
    RunCancelled,
    RunFailed,
    Runtime,
    StaticPartitions,
    Status,
    Waiting,
)
from flowstone.runs.events import RunWaiting, StepWaiting, StepWoken
from flowstone.runtime.run.live_run import LiveRun
from flowstone.runtime.run.parking import Parking
from flowstone.store.file import FileStore
from flowstone.store.memory import MemoryStore
from tests.runtime.process_assets import pipeline as processes


class Naps:
    """A pipeline with a source, an asset that sleeps, and what depends on it; and what was called."""

    def __init__(self, seconds=60.0, *, retry=None, timeout=None):
        self.calls = []
        self.pipeline = pipeline = Pipeline("naps")

        @pipeline.asset
        async def raw() -> int:
            self.calls.append("raw")
            return 1

        @pipeline.asset(retry=retry, timeout=timeout)
        async def rested(raw: int, context: Context) -> int:
            self.calls.append(f"rested {context.attempt}")
            context.sleep("nap", seconds)
            self.calls.append("awake")
            return raw + 1

        @pipeline.asset
        def report(rested: int) -> int:
            return rested * 10


async def parked(store, count=1):
    """The runs that are parked, once there are so many."""
    while len(found := await store.runs(statuses=[Status.WAITING])) < count:
        await asyncio.sleep(0)
    return found


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    """A store of one process."""
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path)


async def asleep(clock, seconds):
    """Let the time pass, and give the disk its time."""
    await clock.advance(seconds)
    await asyncio.sleep(0.05)


@pytest.mark.both_loops
async def test_a_sleeping_step_is_parked_and_goes_on(clock, background, store):
    """The caller waits on; nobody owns the run, and nothing of it lives."""
    naps = Naps()
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("report"))
        (record,) = await parked(store)
        assert (record.owner, record.counts) == (None, {"succeeded": 1})
        run = await runtime.run(record.id)
        assert await run.status() == "waiting"
        assert await runtime.status("rested") == "waiting"
        assert await runtime.status("report") == "queued"
        await asleep(clock, 59.0)
        assert naps.calls == ["raw", "rested 1"]
        assert not waiting.done()
        assert (await runtime.health()).runs == 0
        await asleep(clock, 2.0)
        result = await waiting
        assert await result.value("report") == 20
        assert naps.calls == ["raw", "rested 1", "rested 2", "awake"]


async def test_nothing_of_a_parked_run_stays_in_memory(clock):
    """Unless somebody waits for it."""
    naps = Naps()
    async with asyncio.timeout(200), Runtime(naps.pipeline, clock=clock) as runtime:
        run = await runtime.submit("rested")
        store = runtime._ctx.store
        await parked(store)
        while runtime._runs.live:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        left = [each for each in gc.get_objects() if type(each) is LiveRun]
        assert [
            each for each in left if each.record.id == run.id
        ] == []  # Others are of other tests' tracebacks.
        names = [child.name for child in runtime.tree().children if child.name == "runs" and child.children]
        assert names == []
        await clock.advance(61.0)
        assert (await run.wait()).status == "succeeded"


async def test_events_and_progress_go_on_after_the_wait(clock, background):
    """Whoever follows the run hears that it waits, and what comes then."""
    pipeline = Pipeline("parts")

    @pipeline.asset(partitions=StaticPartitions(["a", "b"]))
    async def part(context: Context) -> int:
        if context.partition == "b":
            context.sleep("nap", 60)
        return 1

    seen, done = [], []
    async with asyncio.timeout(200), Runtime(pipeline, clock=clock) as runtime:
        waiting = background(runtime.backfill("part", on_progress=done.append))
        (record,) = await parked(runtime._ctx.store)
        run = await runtime.run(record.id)

        async def follow():
            seen.extend([event async for event in run.events()])

        following = background(follow())
        await clock.advance(61.0)
        await waiting
        await following
    kinds = [event.kind for event in seen]
    assert kinds[0] == "run.queued"
    assert kinds[-1] == "run.finished"
    assert len(set(map(str, seen))) == len(seen)
    (asked,) = [event for event in seen if isinstance(event, StepWaiting)]
    (woken,) = [event for event in seen if isinstance(event, StepWoken)]
    (run_waits,) = [event for event in seen if isinstance(event, RunWaiting)]
    assert (asked.name, asked.waits_for, asked.deadline - asked.at) == ("nap", "sleep", timedelta(seconds=60))
    assert (woken.name, woken.attempt, run_waits.steps) == ("nap", 1, 1)
    assert [each.step.partition for each in done if each.step] == ["a", "b"]


async def test_sync_assets_and_sleep_until_wait_alike(clock, background):
    """Several waits one after the other; each attempt runs from the top."""
    pipeline = Pipeline("plain")
    calls = []

    @pipeline.asset
    def rested(context: Context) -> int:
        calls.append(context.attempt)
        context.sleep("first", 10)
        context.sleep_until("second", start + timedelta(hours=1))
        return len(calls)

    start = clock.now()
    async with asyncio.timeout(200), Runtime(pipeline, clock=clock) as runtime:
        waiting = background(runtime.materialize("rested"))
        await parked(runtime._ctx.store)
        await clock.advance(11.0)
        while calls != [1, 2] or not await parked(runtime._ctx.store):
            await asyncio.sleep(0)
        await clock.advance(3600.0)
        record = await waiting
        assert (record.attempt, calls) == (3, [1, 2, 3])


async def test_an_asset_in_a_process_waits_alike(clock, background):
    """Its context is another object there, and says the same."""
    async with asyncio.timeout(200), Runtime(processes, clock=clock) as runtime:
        waiting = background(runtime.materialize("rested"))
        await parked(runtime._ctx.store)
        await clock.advance(61.0)
        await waiting
        assert await runtime.load("rested") == 2


async def test_a_wait_is_no_attempt_of_retry_and_counts_against_no_timeout(clock, background):
    """An asset with two attempts and a timeout of a second sleeps for an hour, fails once, and succeeds."""
    pipeline = Pipeline("patient")
    calls = []

    @pipeline.asset(retry=Retry(attempts=2, delay=1.0), timeout=1.0)
    async def rested(context: Context) -> int:
        calls.append(context.attempt)
        context.sleep("nap", 3600)
        if len(calls) < 3:
            raise ValueError("tired")
        return 1

    async with asyncio.timeout(200), Runtime(pipeline, clock=clock) as runtime:
        waiting = background(runtime.materialize("rested"))
        await parked(runtime._ctx.store)
        await clock.advance(3601.0)
        await clock.advance(10.0)
        assert (await waiting).attempt == 3
        assert calls == [1, 2, 3]


async def test_other_partitions_go_on_while_some_wait(clock, background):
    """Waiting steps take nobody's place."""
    pipeline = Pipeline("days")
    done = []

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", end="2025-01-10"))
    async def day(context: Context) -> int:
        if context.partition.day <= 5:
            context.sleep("nap", 60)
        done.append(context.partition.day)
        return 1

    async with asyncio.timeout(200), Runtime(pipeline, clock=clock) as runtime:
        waiting = background(runtime.backfill("day", max_parallel=1))
        await parked(runtime._ctx.store)
        assert done == [6, 7, 8, 9, 10]
        await clock.advance(61.0)
        assert len((await waiting).succeeded) == 10
        assert sorted(done) == list(range(1, 11))


@pytest.mark.parametrize("way", ["return", "raise", "finally"])
async def test_an_asset_that_swallows_waiting_fails_and_is_told(way):
    """It is not tried again."""
    pipeline = Pipeline("rude")
    calls = []

    @pipeline.asset(retry=Retry(attempts=3))
    async def rude(context: Context) -> int:
        calls.append(1)
        if way == "finally":
            try:
                context.sleep("nap", 1.0)
            finally:
                raise ValueError("instead")
        with suppress(BaseException):
            context.sleep("nap", 1.0)
        if way == "raise":
            raise ValueError("instead")
        return 1

    async with Runtime(pipeline) as runtime:
        with pytest.raises(
            MaterializationFailed, match="ended by Waiting, which it did not let pass"
        ) as caught:
            await runtime.materialize("rude")
    assert ("returned a value" if way == "return" else "ValueError: instead") in str(caught.value)
    assert calls == [1]


async def test_a_task_group_passes_waiting_on(clock, background):
    """The first wait of several is the step's."""
    pipeline = Pipeline("groups")

    @pipeline.asset
    async def grouped(context: Context) -> int:
        async def nap(name):
            context.sleep(name, 10.0)

        async with asyncio.TaskGroup() as group:
            group.create_task(nap("one"))
            group.create_task(nap("two"))
        return 1

    async with asyncio.timeout(200), Runtime(pipeline, clock=clock) as runtime:
        waiting = background(runtime.materialize("grouped"))
        await parked(runtime._ctx.store)
        await clock.advance(11.0)
        await parked(runtime._ctx.store)
        await clock.advance(11.0)
        assert (await waiting).attempt == 3


async def test_waiting_that_no_context_raised_is_an_error():
    """Nobody could ever answer it."""
    pipeline = Pipeline("forged")

    @pipeline.asset
    async def forged() -> int:
        raise Waiting("nap")

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="by something else than the context"):
            await runtime.materialize("forged")


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "60", True])
def test_sleep_takes_seconds(wrong):
    """And says so."""
    with pytest.raises(ValueError, match="give seconds"):
        Context("asset").sleep("nap", wrong)


def test_a_wait_has_a_name_and_an_instant_a_time_zone(clock):
    """Checked before anything is asked of anybody."""
    for name in ("", "a\nb", "\ud800", 3, "x" * 201):
        with pytest.raises(ValueError, match="printable text"):
            Context("asset").sleep(name, 1)
    with pytest.raises(ValueError, match="time zone"):
        Context("asset").sleep_until("nap", clock.now().replace(tzinfo=None))


class Elsewhere(tzinfo):
    """A caller's time zone that can be asked once."""

    def __init__(self):
        self.asked = 0

    def utcoffset(self, _):
        self.asked += 1
        if self.asked > 1:
            raise OSError("the zone's file is gone")
        return timedelta(hours=1)


class Moment(datetime):
    """A caller's datetime, which does not like to be compared."""

    def __lt__(self, _):
        raise OSError("not comparable")

    __le__ = __gt__ = __ge__ = __lt__


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (datetime(2030, 1, 1, 12, 30, 5, 7, Elsewhere()), datetime(2030, 1, 1, 11, 30, 5, 7, UTC)),
        (Moment(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))), datetime(9999, 12, 31, tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_instant_is_kept_as_every_store_can_compare_it(given, kept):
    """Nothing of the caller's runs when the store looks which wait is due."""
    with pytest.raises(Waiting) as raised:
        Context("asset").sleep_until("nap", given)
    deadline = raised.value.deadline
    assert (deadline, type(deadline), deadline.tzinfo) == (kept, datetime, UTC)


async def test_cancelling_a_parked_run_ends_it_without_starting_anything(clock, background, store):
    """Its waits are closed with it."""
    naps = Naps()
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("report"))
        (record,) = await parked(store)
        run = await runtime.run(record.id)
        await run.cancel()
        assert await run.status() == "cancelled"
        with pytest.raises(RunCancelled):
            await waiting
        assert not await store.waits.waiting()
        await asleep(clock, 100.0)
        assert naps.calls == ["raw", "rested 1"]
        assert {each.asset for each in (await run.result()).cancelled} == {"rested", "report"}


async def test_a_run_that_is_drained_while_it_is_being_parked_ends(clock, background, monkeypatch):
    """Nobody hears the request by then; the caller sees to it."""
    naps, draining = Naps(), []
    sound = Parking.park

    async def park(self, epoch):
        parked = await sound(self, epoch)
        draining.append(background(run.drain()))
        while not self._run.requests:
            await asyncio.sleep(0)
        return parked

    monkeypatch.setattr(Parking, "park", park)
    async with asyncio.timeout(200), Runtime(naps.pipeline, clock=clock) as runtime:
        run = await runtime.submit("report")
        while not draining:
            await asyncio.sleep(0)
        await draining[0]
        assert await run.status() == "cancelled"
        assert naps.calls == ["raw", "rested 1"]


async def test_a_caller_that_is_cancelled_cancels_the_run_that_is_parked(clock, background, store):
    """As any run that somebody waits for."""
    naps = Naps()
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("report"))
        (record,) = await parked(store)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await store.run(record.id)).status == "cancelled"


def shop(name="shop"):
    """A pipeline that has no asset of `Naps`."""
    pipeline = Pipeline(name)

    @pipeline.asset
    def other() -> int:
        return 1

    return pipeline


async def test_who_waits_for_a_parked_run_hears_that_its_asset_is_gone(clock, background, store):
    """It fails when it is woken, and the caller, who waits for its next life, is told; so are followers."""
    naps = Naps()
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("report"))
        (record,) = await parked(store)
        run = await runtime.run(record.id)
        watching = background(run.wait())
        following = background(kinds_of(run))
        await asleep(clock, 1.0)
        await runtime.reload(shop("naps"))
        await asleep(clock, 61.0)
        with pytest.raises(RunFailed, match="no asset 'report' any more"):
            await waiting
        with pytest.raises(RunFailed):
            await watching
        assert (await following)[-1] == "run.finished"


async def kinds_of(run):
    """What happens to a run until it has ended."""
    return [event.kind async for event in run.events()]


async def test_a_parked_run_whose_asset_is_gone_ends_as_cancelled_if_it_is_cancelled(
    clock, background, store
):
    """Not as failed: nothing of it was to be made any more."""
    naps = Naps()
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("report"))
        (record,) = await parked(store)
        await runtime.reload(shop("naps"))
        await (await runtime.run(record.id)).cancel()
        with pytest.raises(RunCancelled):
            await waiting
        assert (await store.run(record.id)).status == "cancelled"


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_run_that_was_woken_waits_for_its_pipeline_to_come_back(
    clock, background, store, caplog, comes_back
):
    """As runs of other pipelines wait; an alarm says so, and it can be cancelled."""
    naps = Naps()
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("report"))
        (record,) = await parked(store)
        await runtime.reload(shop())
        await asleep(clock, 61.0)
        assert not waiting.done()
        assert "waits for a pipeline 'naps'" in caplog.text
        if comes_back:
            await runtime.reload([shop(), naps.pipeline])
            assert await (await waiting).value("report") == 20
        else:
            await (await runtime.run(record.id)).cancel()
            with pytest.raises(RunCancelled):
                await waiting
            await runtime.reload(shop())
            await asyncio.sleep(0.05)
        assert ("it goes on" if comes_back else "it is over") in caplog.text


async def test_the_timeout_of_a_run_goes_on_while_it_is_parked(clock, background, store):
    """Then it is cancelled, and whoever waits is raised TimeoutError."""
    naps = Naps(seconds=3600.0)
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("report", timeout=100.0))
        (record,) = await parked(store)
        await asleep(clock, 99.0)
        assert not waiting.done()
        await asleep(clock, 2.0)
        with pytest.raises(TimeoutError, match="100 s"):
            await waiting
        assert (await store.run(record.id)).status == "cancelled"
        assert naps.calls == ["raw", "rested 1"]


async def test_a_parked_run_outlives_its_runtime(clock, tmp_path):
    """Another process goes on with it, if it is one that takes work; its deadline has passed meanwhile."""
    naps = Naps()

    def runtime(**options):
        return Runtime(
            naps.pipeline,
            store=f"file://{tmp_path}",
            io={"default": FileIO(tmp_path / "values")},
            clock=clock,
            **options,
        )

    async with asyncio.timeout(200), runtime() as first:
        run = await first.submit("rested")
        await parked(first._ctx.store)
    await clock.advance(100.0)
    async with asyncio.timeout(200), runtime(worker=False) as second:
        again = await second.run(run.id)
        await asleep(clock, 1.0)
        assert await again.status() == "waiting"
        assert naps.calls == ["raw", "rested 1"]
    async with asyncio.timeout(200), runtime() as third:
        await (await third.run(run.id)).wait()
        assert naps.calls == ["raw", "rested 1", "rested 2", "awake"]


async def test_a_runtime_that_is_no_worker_wakes_its_own_runs(clock, background, store):
    """A single command computes what it was asked for, whatever it sleeps."""
    naps = Naps()
    async with (
        asyncio.timeout(200),
        Runtime(naps.pipeline, store=store, clock=clock, worker=False) as runtime,
    ):
        waiting = background(runtime.materialize_all("report"))
        await parked(store)
        await asleep(clock, 61.0)
        assert (await waiting).status == "succeeded"


async def test_a_runtime_that_stops_tells_those_who_wait(clock, background):
    """The run stays parked."""
    naps = Naps()
    store = MemoryStore()
    async with asyncio.timeout(200), Runtime(naps.pipeline, store=store, clock=clock) as runtime:
        handle = await runtime.submit("rested")
        await parked(store)
        waiting = background(handle.wait())
        await asyncio.sleep(0)
    with pytest.raises(Exception, match="has stopped while"):
        await waiting
    assert (await store.run(handle.id)).status == "waiting"


async def test_runs_inside_of_runs_may_park(clock, background):
    """The outer step holds no slot meanwhile, and goes on with the result."""
    pipeline = Pipeline("nested")

    @pipeline.asset
    async def inner(context: Context) -> int:
        context.sleep("nap", 60)
        return 5

    @pipeline.asset
    async def outer() -> int:
        return (await runtime.materialize("inner")).attempt

    async with (
        asyncio.timeout(200),
        Runtime(pipeline, clock=clock, max_concurrency=1) as runtime,
    ):
        waiting = background(runtime.materialize("outer"))
        await parked(runtime._ctx.store)
        await clock.advance(61.0)
        await waiting
        assert await runtime.load("outer") == 2


async def test_what_fails_after_a_wait_is_raised_as_ever(clock, background):
    """The caller is raised what the function raised."""
    pipeline = Pipeline("late")

    @pipeline.asset
    async def late(context: Context) -> int:
        context.sleep("nap", 60)
        raise KeyError("gone")

    async with asyncio.timeout(200), Runtime(pipeline, clock=clock) as runtime:
        waiting = background(runtime.materialize_all("late"))
        await parked(runtime._ctx.store)
        await clock.advance(61.0)
        with pytest.raises(RunFailed) as caught:
            await waiting
        assert isinstance(caught.value.__cause__, KeyError)
