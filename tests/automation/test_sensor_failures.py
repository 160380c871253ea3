"""A sensor that misbehaves fails alone, says so, and is tried again; it harms neither siblings nor runtime."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from flowstone import (
    AutomationError,
    Config,
    DailyPartitions,
    FileSensor,
    Pipeline,
    RunRequest,
    Runtime,
    StaticPartitions,
)
from flowstone.assets.automation.sensor import SensorContext
from flowstone.store import MemoryStore
from flowstone.testing import Simulation
from tests.automation.looking import child, fires_of, letters, over, runs_of, settled, status_of


class Hostile:
    """Raises whatever is done with it."""

    def __iter__(self):
        raise SystemExit(3)

    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = keys = __repr__


class Words(Config):
    """A config."""

    size: int = 1


GARBAGE = [
    lambda: "letter",
    lambda: 7,
    lambda: {"asset": "letter"},
    lambda: ["letter"],
    lambda: [[RunRequest("letter")]],
    lambda: [None],
    lambda: RunRequest("nothing"),
    lambda: RunRequest(None),
    lambda: RunRequest(7),
    lambda: RunRequest(Hostile()),
    lambda: RunRequest(lambda: 1),
    lambda: RunRequest("letter", partition="b"),
    lambda: RunRequest("letter", partition=Hostile()),
    lambda: RunRequest("letter", partition="a", partitions=["a"]),
    lambda: RunRequest("letter"),
    lambda: RunRequest("letter", partitions="a"),
    lambda: RunRequest("letter", partitions=7),
    lambda: RunRequest("letter", partitions=Hostile()),
    lambda: RunRequest("letter", partitions=itertools.repeat("a")),
    lambda: RunRequest("letter", partition="a", refresh="some"),
    lambda: RunRequest("letter", partition="a", refresh=Hostile()),
    lambda: RunRequest("letter", partition="a", config={"size": 1}),
    lambda: RunRequest("letter", partition="a", config=Words()),
    lambda: RunRequest("letter", partition="a", config=7),
    lambda: RunRequest("letter", partition="a", key=""),
    lambda: RunRequest("letter", partition="a", key=7),
    lambda: RunRequest("letter", partition="a", key="\ud800"),
    lambda: RunRequest("letter", partition="a", priority="high"),
    lambda: RunRequest("letter", partition="a", priority=True),
    lambda: RunRequest("letter", partition="a", tags=7),
    lambda: RunRequest("letter", partition="a", tags={"a": 1}),
    lambda: RunRequest("letter", partition="a", tags={"a": "x" * 9_000}),
    lambda: RunRequest("letter", partition="a", tags=Hostile()),
]


@pytest.mark.parametrize("given", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_cannot_be_carried_out_fails_the_look(clock, given):
    """As a whole: what is asked for beside it starts nothing either, and the cursor stays."""
    pipeline = letters(StaticPartitions(["a"]))

    @pipeline.sensor("post", every=1000, paused=True)
    async def post(context):
        context.cursor = "moved"
        yield RunRequest("letter", partition="a")
        yield given()

    store = MemoryStore()
    async with Runtime(pipeline, store=store, clock=clock) as runtime:
        with pytest.raises(AutomationError, match="sensor 'post' failed"):
            await runtime.fire("post")
        assert await runs_of(runtime, "post") == []
        assert (await store.automations.record(("post", "post"))).cursor is None


@pytest.mark.parametrize(
    "cursor",
    [
        object(),
        {1: 2},
        {"a": {1, 2}},
        float("nan"),
        "a\0b",
        "\ud800",
        "x" * 2_000_000,
        b"bytes",
    ],
    ids=["object", "number as key", "set", "nan", "nul", "surrogate", "large", "bytes"],
)
@pytest.mark.parametrize("in_place", [False, True])
async def test_a_cursor_that_is_no_json_fails_the_look(clock, cursor, in_place):
    """Whether it is set or put into one that was fine."""
    pipeline = letters()

    @pipeline.sensor("post", every=1000, paused=True)
    def post(context):
        if in_place:
            context.cursor = []
            context.cursor.append(cursor)
        else:
            context.cursor = cursor
        return RunRequest("letter")

    async with Runtime(pipeline, clock=clock) as runtime:
        with pytest.raises(AutomationError, match="the cursor of sensor 'post'"):
            await runtime.fire("post")
        assert await runs_of(runtime, "post") == []


def test_only_lists_of_keys_are_added():
    """To sets with a name; what is no key is refused, and none is added."""
    context = SensorContext("post", None, None, None, {})
    for name, keys in [("", ["a"]), (7, ["a"]), ("towns", "Oslo"), ("towns", [None]), ("towns", [1.5])]:
        with pytest.raises(ValueError, match=r"."):
            context.add_partitions(name, keys)
    assert not any(context.added().values())
    with pytest.raises(LookupError, match="there is no such asset"):
        context.partitions_of("letter")


RAISED = [
    OSError("no post"),
    SystemExit(1),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    GeneratorExit(),
    StopIteration(1),
]


@pytest.mark.parametrize("error", [*RAISED, StopAsyncIteration()], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_whatever_it_raises_is_a_failure(clock, error, kind):
    """It is restarted alone, waits longer each time, and its sibling does not notice."""
    pipeline = letters()

    def looks(_context):
        raise error

    async def awaited(_context):
        raise error

    pipeline.sensor("broken", awaited if kind == "async" else looks, every=1)

    @pipeline.sensor("sound", every=10)
    async def sound(_context):
        return RunRequest("letter", refresh="all", join=False)

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:

        async def failed_thrice():
            return len(await fires_of(runtime, "broken")) >= 3

        async def moved():
            await clock.advance(0.5)
            return await failed_thrice()

        await settled(clock, moved)
        fires = await fires_of(runtime, "broken")
        assert {fire.status for fire in fires} == {"failed"}
        assert type(error).__name__ in fires[0].reason
        gaps = [(b.at - a.at).total_seconds() for a, b in itertools.pairwise(fires)]
        assert all(gap >= 0.5 for gap in gaps)
        assert child(runtime, "sensor:broken").restarts >= 2
        assert child(runtime, "sensor:sound").restarts == 0
        assert await runs_of(runtime, "sound")
        assert (await status_of(runtime, "sound")).failures == 0


async def test_one_that_cancels_its_own_task_has_failed_or_goes_on(clock):
    """Nobody asked it to stop, so it does not."""
    pipeline = letters()
    looks = itertools.count()

    @pipeline.sensor("post", every=10)
    async def post(_context):
        asyncio.current_task().cancel()
        if next(looks) == 0:
            await asyncio.sleep(0)
        return RunRequest("letter")

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(30)
        statuses = [fire.status for fire in await fires_of(runtime, "post")]
        assert statuses[:2] == ["failed", "started"]


async def test_ten_failures_in_a_row_pause_it(clock):
    """With an event; one success in between begins anew, and so does to resume it."""
    pipeline = letters()
    looks = itertools.count(1)
    good = {1, 6, 17}

    @pipeline.sensor("post", every=1)
    async def post(_context):
        if next(looks) not in good:
            raise OSError("no post")

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        async with runtime.subscribe("automation") as events:
            await clock.advance(4 * 3600)
            told = [event.kind for event in events.taken()]
        assert told == ["automation.failed"] * 14 + ["automation.paused"]
        status = await status_of(runtime, "post")
        assert (status.paused, status.failures) == (True, 10)
        assert next(looks) == 17
        await runtime.resume("post")
        await clock.advance(0.1)
        assert (await status_of(runtime, "post")).failures == 1


async def test_one_that_hangs_is_named(clock, caplog):
    """After a minute, once; others look on, and the runtime ends without it."""
    pipeline = letters()
    gate = asyncio.Event()

    @pipeline.sensor("stuck", every=10)
    async def stuck(_context):
        await gate.wait()

    @pipeline.sensor("sound", every=10)
    async def sound(_context):
        return RunRequest("letter", refresh="all", join=False)

    def told():
        return [each.message for each in caplog.records if "stuck" in each.message]

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(59)
        assert told() == []
        await clock.advance(100)
        assert told() == ["sensor stuck (slow): its function has not returned for 60 s"]
        assert len(await runs_of(runtime, "sound")) == 16
        gate.set()
        await clock.advance(1)
        assert told()[1:] == ["sensor stuck (slow): it has returned"]


async def test_one_that_swallows_its_cancel_cannot_hold_the_runtime():
    """Neither one that goes on for ever, nor one that says it has found something."""
    pipeline = letters()
    entered = asyncio.Barrier(3)
    looked = []

    @pipeline.sensor("deaf", every=10)
    async def deaf(_context):
        await entered.wait()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                looked.append("deaf")

    @pipeline.sensor("late", every=10)
    async def late(_context):
        await entered.wait()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            looked.append("late")
        return RunRequest("letter")

    store = MemoryStore()
    async with Runtime(pipeline, store=store, cancel_timeout=0.1, shutdown_timeout=0.5, automate=True):
        await entered.wait()
    assert {"deaf", "late"} <= set(looked)
    async with Runtime(pipeline, store=store) as runtime:
        assert await runtime.runs() == []


async def test_those_that_block_a_thread_take_none_from_assets(clock):
    """Nor from each other, however few threads there are."""
    pipeline = letters()
    gate = threading.Event()
    entered = threading.Barrier(4)

    @pipeline.asset
    def blocking() -> int:
        return 1

    for number in range(3):

        @pipeline.sensor(f"stuck {number}", every=10)
        def stuck(_context):
            entered.wait(30)
            gate.wait(30)

    async with Runtime(
        pipeline, clock=clock, automate=True, max_threads=1, cancel_timeout=0.1, shutdown_timeout=0.5
    ) as runtime:
        try:
            await asyncio.to_thread(entered.wait, 30)
            assert await runtime.materialize("blocking") is not None
            await settled(clock, lambda: asyncio.sleep(0, True))
        finally:
            gate.set()


class TestReload:
    """What the code says now is what looks."""

    @staticmethod
    def looking(every=10, asks=1, **options):
        """A pipeline with a sensor that says where it has got to."""
        pipeline = letters()

        @pipeline.sensor("post", every=every, **options)
        async def post(context):
            context.cursor = (context.cursor or 0) + 1
            for _ in range(asks):
                yield RunRequest("letter", tags={"n": str(context.cursor)}, refresh="all", join=False)

        return pipeline

    async def test_added_changed_and_removed(self, clock):
        """It goes on where it was, also at another pace; siblings are left alone."""
        async with Runtime(letters(), clock=clock, automate=True) as runtime:
            await clock.advance(1)
            assert child(runtime, "sensor:post") is None
            await runtime.reload(self.looking())
            await clock.advance(11)
            assert len(await runs_of(runtime, "post")) == 2
            await runtime.reload(self.looking(every=2))
            await clock.advance(3)
            tags = [run.request.tags["n"] for run in await runs_of(runtime, "post")]
            assert tags == ["1", "2", "3", "4"]
            await runtime.reload(letters())
            await clock.advance(30)
            assert child(runtime, "sensor:post") is None
            assert len(await runs_of(runtime, "post")) == 4
            (status,) = await runtime.automations()
            assert status.gone_at is not None

    async def test_one_that_left_the_code_while_its_run_is_under_way(self, clock):
        """The run goes on; what waits to be started comes when the sensor comes back."""
        async with Runtime(self.looking(asks=3, limit=2, every=1000), clock=clock, automate=True) as runtime:
            await clock.advance(1)
            await runtime.reload(letters())
            await settled(clock, lambda: over(runtime, "post", 2))
            await clock.advance(5000)
            assert len(await runs_of(runtime, "post")) == 2
            await runtime.reload(self.looking(asks=0, limit=2))
            await clock.advance(1)
            assert [run.request.tags["n"] for run in await runs_of(runtime, "post")] == ["1"] * 3


async def test_a_file_that_no_run_can_be_made_of_is_told_once_and_pauses_nothing(tmp_path):
    """It has to be quiet before that, as every file; the sensor looks on."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DailyPartitions("2024-01-01"))
    async def sales(context) -> str:
        return str(context.partition)

    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "notes.csv").write_text("no day")
    files = FileSensor(
        str(landing / "*.csv"), asset="sales", partition=lambda file: file.name[:-4], existing=True
    )
    pipeline.add(files)
    async with Simulation(pipeline) as sim:
        await sim.run(hours=1)
        (status,) = await sim.runtime.automations()
        assert (status.paused, status.failures) == (False, 0)
        (fire,) = status.last_fires
        assert (fire.status, "notes.csv: PartitionError: " in fire.reason) == ("failed", True)
