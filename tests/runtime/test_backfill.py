"""`runtime.backfill`: many partitions of an asset in one run."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    DynamicPartitions,
    MultiPartitions,
    PartitionError,
    Pipeline,
    RunCancelled,
    RunFailed,
    Runtime,
    StaticPartitions,
    Status,
)
from flowstone.testing.clock import VirtualClock
from tests.runtime.doubles import Gate, Meter

WEEK = DailyPartitions("2025-01-01", "2025-01-07")


def weekly(calls, fail=()):
    """`raw` and `clean` by day; `raw` fails on the days in `fail`."""
    pipeline = Pipeline("weekly")

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        calls.append(("raw", context.partition.day))
        if context.partition.day in fail:
            raise ValueError(f"day {context.partition.day}")
        return context.partition.day

    @pipeline.asset(partitions=WEEK)
    async def clean(context: Context, raw: int) -> int:
        calls.append(("clean", context.partition.day))
        return raw * 10

    return pipeline


@pytest.mark.both_loops
async def test_the_default_is_the_whole_partition_set():
    """Every key of the set is a step of one run, in the order of the set."""
    calls = []
    async with Runtime(weekly(calls)) as runtime:
        result = await runtime.backfill("raw", max_parallel=1)
        assert calls == [("raw", day) for day in range(1, 8)]
        assert len(result.succeeded) == 7
        assert result.status is Status.SUCCEEDED
        assert {m.run_id for m in result.succeeded} == {result.run_id}
        assert [m.partition for m in result.succeeded] == list(WEEK)


async def test_an_open_set_goes_through_the_last_complete_period():
    """`end=None` is closed at the instant of the request."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DailyPartitions("2025-01-01"))
    async def raw() -> int:
        return 1

    clock = VirtualClock(datetime(2025, 1, 4, 12, tzinfo=UTC))
    async with Runtime(pipeline, clock=clock) as runtime:
        result = await runtime.backfill("raw")
        assert [m.partition.day for m in result.succeeded] == [1, 2, 3]


async def test_keys_can_be_listed():
    """As values or texts, in the order given, each once."""
    calls = []
    async with Runtime(weekly(calls)) as runtime:
        result = await runtime.backfill(
            "raw", partitions=["2025-01-03", date(2025, 1, 1), "2025-01-03"], max_parallel=1
        )
        assert [day for _, day in calls] == [3, 1]
        assert len(result) == 2
        calls.clear()
        await runtime.backfill("raw", partitions=WEEK.latest(2), max_parallel=1)
        assert [day for _, day in calls] == [6, 7]
        await runtime.backfill("raw", partitions=(d for d in [date(2025, 1, 4)]))
        assert calls[-1] == ("raw", 4)


async def test_a_range_can_be_given():
    """`start` and `end` are inclusive; one alone goes to the end of the set."""
    calls = []
    async with Runtime(weekly(calls)) as runtime:
        await runtime.backfill("raw", start="2025-01-02", end=date(2025, 1, 4), max_parallel=1)
        assert [day for _, day in calls] == [2, 3, 4]
        calls.clear()
        await runtime.backfill("raw", start="2025-01-06", refresh="all", max_parallel=1)
        assert [day for _, day in calls] == [6, 7]
        calls.clear()
        await runtime.backfill("raw", end="2025-01-01", max_parallel=1)
        assert [day for _, day in calls] == [1]


async def test_an_asset_without_a_set_needs_keys():
    """No set and nothing given is refused; listed keys are computed."""
    pipeline = Pipeline()

    @pipeline.asset
    async def customer(context: Context) -> str:
        return context.partition.upper()

    async with Runtime(pipeline) as runtime:
        with pytest.raises(PartitionError, match="partitions="):
            await runtime.backfill("customer")
        with pytest.raises(PartitionError):
            await runtime.backfill("customer", start="a", end="b")
        result = await runtime.backfill("customer", partitions=["a", "b"])
        assert await result.value("customer", partition="b") == "B"


async def test_wrong_selections_are_refused():
    """Foreign keys, a range back to front, both ways of selecting, one text for a list."""
    async with Runtime(weekly([])) as runtime:
        for wrong in (
            {"partitions": ["2025-02-01"]},
            {"partitions": [None]},
            {"partitions": [3]},
            {"partitions": "2025-01-01"},
            {"start": "2025-01-05", "end": "2025-01-01"},
            {"start": "2024-12-01"},
            {"partitions": ["2025-01-01"], "start": "2025-01-01"},
        ):
            with pytest.raises(PartitionError):
                await runtime.backfill("raw", **wrong)


async def test_nothing_to_do_is_a_success(caplog):
    """An empty list, and a set without keys yet, give an empty result, and a warning that says why."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DailyPartitions("2025-01-01"))
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=DynamicPartitions("customers"))
    async def bills() -> int:
        return 1

    async with Runtime(pipeline, clock=VirtualClock()) as runtime:
        for asset, options, reason in (
            ("raw", {"partitions": []}, "it was given no partitions."),
            ("raw", {}, "DailyPartitions('2025-01-01') has no keys yet."),
            ("raw", {"start": "2025-01-01"}, "DailyPartitions('2025-01-01') has no keys yet."),
            ("bills", {}, "DynamicPartitions('customers') has no keys yet: add some first."),
        ):
            result = await runtime.backfill(asset, **options)
            assert (len(result), result.status) == (0, "succeeded")
            assert caplog.messages[-1].startswith(f"The backfill of {asset!r} has nothing to do: ")
            assert caplog.messages[-1].endswith(reason)
        assert len(caplog.messages) == 4


async def test_it_runs_four_steps_at_a_time_unless_told_otherwise():
    """`max_parallel` is 4 by default and never exceeded."""
    pipeline = Pipeline()
    meter = Meter()

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-02-28"))
    async def raw() -> None:
        async with meter:
            for _ in range(5):
                await asyncio.sleep(0)

    async with Runtime(pipeline) as runtime:
        await runtime.backfill("raw")
        assert (meter.most, meter.total) == (4, 59)
        meter.most = 0
        await runtime.backfill("raw", max_parallel=7, refresh="all")
        assert meter.most == 7
        meter.most = 0
        await runtime.backfill("raw", max_parallel=None, refresh="all")
        assert meter.most == 59


async def test_max_parallel_counts_steps_of_all_assets():
    """With upstream assets the limit holds for the whole run."""
    pipeline = Pipeline()
    meter = Meter()

    @pipeline.asset(partitions=WEEK)
    async def raw() -> None:
        async with meter:
            await asyncio.sleep(0)

    @pipeline.asset(partitions=WEEK)
    async def clean(raw: None) -> None:
        async with meter:
            await asyncio.sleep(0)

    async with Runtime(pipeline) as runtime:
        await runtime.backfill("clean", upstream=True, max_parallel=3)
        assert (meter.most, meter.total) == (3, 14)


async def test_existing_values_are_reused_by_default():
    """`refresh="missing"`: partitions that have a current value end REUSED and do not run."""
    calls = []
    async with Runtime(weekly(calls)) as runtime:
        await runtime.backfill("raw", end="2025-01-03")
        calls.clear()
        result = await runtime.backfill("raw", max_parallel=1)
        assert [day for _, day in calls] == [4, 5, 6, 7]
        assert [m.partition.day for m in result.reused] == [1, 2, 3]
        assert [m.partition.day for m in result.succeeded] == [4, 5, 6, 7]
        assert len(result) == 7
        assert await result.value("raw", partition="2025-01-02") == 2
        await runtime.invalidate("raw", partition="2025-01-02")
        calls.clear()
        result = await runtime.backfill("raw")
        assert calls == [("raw", 2)]
        assert len(result.reused) == 6


async def test_refresh_all_recomputes():
    """Everything that is part of the run is computed again."""
    calls = []
    async with Runtime(weekly(calls)) as runtime:
        await runtime.backfill("raw")
        result = await runtime.backfill("raw", refresh="all")
        assert len(calls) == 14
        assert len(result.reused) == 0


async def test_refresh_stale_recomputes_the_stale():
    """Only the partitions whose inputs have changed since are computed again."""
    calls = []
    async with Runtime(weekly(calls)) as runtime:
        await runtime.backfill("clean", upstream=True)
        await runtime.materialize("raw", partition="2025-01-05")
        calls.clear()
        result = await runtime.backfill("clean", refresh="stale")
        assert calls == [("clean", 5)]
        assert len(result.reused) == 6
        await runtime.materialize("raw", partition="2025-01-06")
        calls.clear()
        result = await runtime.backfill("clean", refresh="stale", upstream=True)
        assert calls == [("clean", 6)]
        assert len(result) == 14


async def test_upstream_assets_are_part_of_the_run_if_asked_for():
    """Without `upstream=True` a partition whose input is missing fails, and says what is missing."""
    calls = []
    async with Runtime(weekly(calls)) as runtime:
        result = await runtime.backfill("clean")
        assert calls == []
        assert len(result.failed) == 7
        assert {m.failure.kind for m in result.failed} == {"dependency"}
        assert "raw[2025-01-01]" in result.failed[0].failure.message
        result = await runtime.backfill("clean", upstream=True)
        assert len(result.succeeded) == 14
        assert await runtime.load("clean", partition="2025-01-07") == 70


async def test_one_failing_partition_does_not_stop_the_others():
    """The failed one is in `.failed`, what depends on it in `.skipped`, all others have values."""
    calls = []
    async with Runtime(weekly(calls, fail=[3])) as runtime:
        result = await runtime.backfill("clean", upstream=True)
        assert result.status == "failed"
        assert [m.name for m in result.failed] == ["raw[2025-01-03]"]
        assert [m.name for m in result.skipped] == ["clean[2025-01-03]"]
        assert result.skipped[0].failure.cause == "raw[2025-01-03]"
        assert len(result.succeeded) == 12
        with pytest.raises(RunFailed) as caught:
            await runtime.backfill("clean", upstream=True, raise_on_failure=True)
        assert len(caught.value.result.reused) == 12


async def test_the_error_for_very_many_failures_carries_the_first_hundred():
    """`RunFailed` holds a hundred; `result.failed` has all."""
    pipeline = Pipeline()

    @pipeline.asset
    async def bad() -> None:
        raise ValueError

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed, match="250 of 250") as caught:
            await runtime.backfill("bad", partitions=range(250), raise_on_failure=True)
        assert len(caught.value.failures) == 100
        assert len(caught.value.result.failed) == 250


@pytest.mark.both_loops
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_progress_is_reported_for_each_step(asynchronous):
    """`on_progress` may be plain or async; the counts add up and the last one is complete."""
    calls, seen = [], []

    def plain(progress):
        seen.append(progress)

    async def waiting(progress):
        await asyncio.sleep(0)
        seen.append(progress)

    async with Runtime(weekly(calls, fail=[3])) as runtime:
        await runtime.backfill("raw", end="2025-01-02")
        result = await runtime.backfill(
            "clean", upstream=True, on_progress=waiting if asynchronous else plain
        )
    assert [p.done for p in seen] == list(range(1, 15))
    assert {p.total for p in seen} == {14}
    assert {p.run_id for p in seen} == {result.run_id}
    last = seen[-1]
    assert (last.succeeded, last.failed, last.skipped, last.reused) == (10, 1, 1, 2)
    assert last.fraction == 1.0
    assert {p.step.name for p in seen} == {f"{asset}[{day}]" for asset in ("raw", "clean") for day in WEEK}


async def test_an_error_in_on_progress_cancels_the_run():
    """It reaches the caller, after the run has stopped."""
    calls = []

    def refuse(progress):
        raise LookupError("enough")

    async with Runtime(weekly(calls)) as runtime:
        with pytest.raises(LookupError, match="enough"):
            await runtime.backfill("raw", max_parallel=1, on_progress=refuse)
        assert len(calls) < 7
        assert (await runtime.health()).steps == 0
        assert await runtime.status("raw", partition="2025-01-07") == "cancelled"


async def test_a_slow_on_progress_does_not_slow_the_run(background):
    """Steps go on while the callback waits."""
    pipeline, gate, done = Pipeline(), Gate(), asyncio.Event()
    count = []

    @pipeline.asset(partitions=WEEK)
    async def raw() -> None:
        count.append(1)
        if len(count) == 7:
            done.set()

    async def wait(progress):
        await gate.wait()

    async with Runtime(pipeline) as runtime:
        call = background(runtime.backfill("raw", on_progress=wait))
        async with asyncio.timeout(200):
            await done.wait()
        gate.open()
        assert len(await call) == 7


@pytest.mark.both_loops
async def test_a_cancelled_backfill_stops_and_can_be_taken_up_again(background):
    """The caller gets its `CancelledError`; what was computed is reused by the next one."""
    pipeline = Pipeline()
    gate = Gate()
    calls = []

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        calls.append(context.partition.day)
        if context.partition.day == 4:
            await gate.wait()
        return 1

    async with Runtime(pipeline) as runtime:
        call = background(runtime.backfill("raw", max_parallel=1))
        await gate.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert calls == [1, 2, 3, 4]
        gate.open()
        result = await runtime.backfill("raw", max_parallel=1)
        assert calls == [1, 2, 3, 4, 4, 5, 6, 7]
        assert len(result.reused) == 3


async def test_a_backfill_cancelled_by_somebody_else_raises(background):
    """`RunCancelled`, with the result so far, whatever `raise_on_failure` says."""
    pipeline = Pipeline()
    gate = Gate()
    ids = []

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        ids.append(context.run_id)
        await gate.wait()

    async with Runtime(pipeline) as runtime:
        call = background(runtime.backfill("raw", max_parallel=2))
        await gate.entered.wait()
        await (await runtime.run(ids[0])).cancel()
        with pytest.raises(RunCancelled) as caught:
            await call
        assert len(caught.value.result.cancelled) == 7


async def test_several_dimensions():
    """A backfill over `MultiPartitions` covers every combination."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=MultiPartitions(region=StaticPartitions(["eu", "us"]), day=WEEK))
    async def sales(context: Context) -> str:
        region, day = context.partition
        return f"{region}{day.day}"

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("sales")
        assert len(result.succeeded) == 14
        assert await runtime.load("sales", partition=("us", "2025-01-07")) == "us7"
        assert await result.value(partition=("eu", date(2025, 1, 1))) == "eu1"


async def test_a_stretch_of_several_dimensions():
    """The last keys of the set's order are those keys, and not the box between the first and the last of them."""
    pipeline = Pipeline()
    keys = MultiPartitions(region=StaticPartitions(["eu", "us"]), day=WEEK)

    @pipeline.asset(partitions=keys)
    async def sales() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("sales", partitions=keys.latest(9), max_parallel=1)
        assert [m.partition for m in result.succeeded] == list(keys.latest(9))
        result = await runtime.backfill(
            "sales", start=("eu", "2025-01-02"), end=("us", "2025-01-03"), refresh="all", max_parallel=1
        )
        assert [m.partition for m in result.succeeded] == [
            (region, date(2025, 1, day)) for region in ("eu", "us") for day in (2, 3)
        ]


async def test_ten_thousand_partitions():
    """One run over 10,000 partitions succeeds; its result answers for each of them."""
    pipeline = Pipeline()

    @pipeline.asset
    async def number(context: Context) -> int:
        return context.partition * 2

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("number", partitions=range(10_000), max_parallel=64)
        assert len(result.succeeded) == 10_000
        assert await result.value(partition=9_999) == 19_998
        assert await runtime.load("number", partition=2_345) == 4_690
