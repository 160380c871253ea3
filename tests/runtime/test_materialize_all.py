"""`runtime.materialize_all`: an asset and everything upstream of it, and the result of a run."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from datetime import date
from functools import partial

import pytest
from rich.console import Console

import flowstone
from flowstone import (
    AssetNotFound,
    Context,
    DailyPartitions,
    FlowstoneError,
    PartitionError,
    Pipeline,
    RunCancelled,
    RunFailed,
    Runtime,
    Status,
    StoreUnavailable,
    ValueNotFound,
)
from tests.runtime.doubles import Gate, Meter, UnreliableStore

WEEK = DailyPartitions("2025-01-01", "2025-01-07")


def diamond(calls):
    """`a` feeds `b` and `c`, which feed `d`."""
    pipeline = Pipeline("diamond")

    @pipeline.asset
    async def a() -> int:
        calls.append("a")
        return 1

    @pipeline.asset
    async def b(a: int) -> int:
        calls.append("b")
        return a + 1

    @pipeline.asset
    async def c(a: int) -> int:
        calls.append("c")
        return a + 2

    @pipeline.asset
    async def d(b: int, c: int) -> int:
        calls.append("d")
        return b * c

    return pipeline


@pytest.mark.both_loops
async def test_a_diamond_runs_each_asset_once_in_order():
    """The asset at the top runs once although two depend on it; everything comes after its inputs."""
    calls = []
    async with Runtime(diamond(calls)) as runtime:
        result = await runtime.materialize_all("d")
        assert sorted(calls) == ["a", "b", "c", "d"]
        assert (calls[0], calls[-1]) == ("a", "d")
        assert result.status is Status.SUCCEEDED
        assert [m.asset for m in result.succeeded] == calls
        assert len(result) == 4
        assert await result.value() == 6
        assert await runtime.load("d") == 6


async def test_only_the_target_and_its_upstream_run():
    """What is beside or downstream of the target is left alone."""
    calls = []
    async with Runtime(diamond(calls)) as runtime:
        await runtime.materialize_all("b")
        assert calls == ["a", "b"]


async def test_independent_branches_run_at_the_same_time():
    """Both middle assets are under way before either ends."""
    pipeline = Pipeline()
    inside: list[str] = []
    both = asyncio.Event()

    async def meet(name):
        inside.append(name)
        if len(inside) == 2:
            both.set()
        await both.wait()

    @pipeline.asset
    async def left() -> None:
        await meet("left")

    @pipeline.asset
    async def right() -> None:
        await meet("right")

    @pipeline.asset
    async def end(left: None, right: None) -> None: ...

    async with Runtime(pipeline) as runtime, asyncio.timeout(200):
        await runtime.materialize_all("end")
        assert sorted(inside) == ["left", "right"]


@pytest.mark.parametrize("limit", [1, 3])
async def test_max_parallel_is_never_exceeded(limit):
    """As many steps as allowed run at a time, and no more."""
    pipeline = Pipeline()
    meter = Meter()

    async def work() -> None:
        async with meter:
            for _ in range(10):
                await asyncio.sleep(0)

    for number in range(12):
        pipeline.asset(name=f"part_{number}")(work)
    pipeline.asset(name="whole", deps=[f"part_{number}" for number in range(12)])(work)
    async with Runtime(pipeline) as runtime:
        await runtime.materialize_all("whole", max_parallel=limit)
        assert meter.most == limit
        assert meter.total == 13


async def test_max_concurrency_holds_across_runs():
    """Steps of all runs of a runtime share one limit."""
    pipeline = Pipeline()
    meter = Meter()

    async def work() -> None:
        async with meter:
            for _ in range(5):
                await asyncio.sleep(0)

    for number in range(6):
        pipeline.asset(name=f"part_{number}")(work)
    pipeline.asset(name="whole", deps=[f"part_{number}" for number in range(6)])(work)
    async with Runtime(pipeline, max_concurrency=4) as runtime:
        await asyncio.gather(*(runtime.materialize_all("whole", max_parallel=3) for _ in range(5)))
        assert meter.most == 4
        assert meter.total == 35


async def test_max_parallel_above_the_runtimes_limit_does_not_raise_it():
    """The smaller one counts."""
    pipeline = Pipeline()
    meter = Meter()

    async def work() -> None:
        async with meter:
            for _ in range(5):
                await asyncio.sleep(0)

    for number in range(9):
        pipeline.asset(name=f"part_{number}")(work)
    pipeline.asset(name="whole", deps=[f"part_{number}" for number in range(9)])(work)
    async with Runtime(pipeline, max_concurrency=2) as runtime:
        await runtime.materialize_all("whole", max_parallel=100)
        assert meter.most == 2


@pytest.mark.both_loops
async def test_a_failure_skips_downstream_and_lets_other_branches_finish():
    """`RunFailed` has each failure; what was skipped names the cause; the rest has values."""
    pipeline = Pipeline()

    @pipeline.asset
    async def good() -> int:
        return 1

    @pipeline.asset
    async def bad() -> int:
        raise ValueError("no")

    @pipeline.asset
    async def middle(bad: int) -> int:
        return bad

    @pipeline.asset
    async def beside(good: int) -> int:
        return good + 1

    @pipeline.asset
    async def end(middle: int, beside: int) -> int:
        return middle + beside

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("end")
        error = caught.value
        assert isinstance(error, FlowstoneError)
        assert [record.failure.message for record in error.failures] == ["ValueError: no"]
        result = error.result
        assert result.status == "failed"
        assert [m.asset for m in result.failed] == ["bad"]
        assert {m.asset for m in result.succeeded} == {"good", "beside"}
        assert {m.asset for m in result.skipped} == {"middle", "end"}
        assert {m.failure.cause for m in result.skipped} == {"bad"}
        assert all("bad" in m.failure.message for m in result.skipped)
        assert len(result) == 5
        assert await runtime.load("beside") == 2
        assert await runtime.status("end") == "skipped"


async def test_a_skip_caused_by_a_failure_passes_optional_dependencies():
    """A default stands in for a value that was never asked for, not for one whose computation failed."""
    pipeline = Pipeline()

    @pipeline.asset
    async def rate() -> float:
        raise OSError("down")

    @pipeline.asset
    async def price(rate: float = 1.0) -> float:
        return rate

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("price")
        assert [m.asset for m in caught.value.result.skipped] == ["price"]


async def test_a_failure_does_not_let_an_old_value_pass_for_a_new_one():
    """The downstream of a failed step is skipped although the step's asset has a value of yesterday."""
    pipeline = Pipeline()
    fail = []

    @pipeline.asset
    async def raw() -> int:
        if fail:
            raise OSError("down")
        return 1

    @pipeline.asset
    async def report(raw: int) -> int:
        return raw

    async with Runtime(pipeline) as runtime:
        await runtime.materialize_all("report")
        fail.append(1)
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("report")
        assert [m.asset for m in caught.value.result.skipped] == ["report"]
        assert await runtime.load("report") == 1


async def test_refresh_all_computes_everything_again():
    """It is the default, whatever values there are."""
    calls = []
    async with Runtime(diamond(calls)) as runtime:
        await runtime.materialize_all("d")
        result = await runtime.materialize_all("d")
        assert len(calls) == 8
        assert len(result.succeeded) == 4


async def test_refresh_missing_reuses_values_that_exist():
    """Reused steps end REUSED with the value's own record, and change nothing about what is current."""
    calls = []
    async with Runtime(diamond(calls)) as runtime:
        first = await runtime.materialize_all("b")
        calls.clear()
        result = await runtime.materialize_all("d", refresh="missing")
        assert sorted(calls) == ["c", "d"]
        assert {m.asset for m in result.reused} == {"a", "b"}
        assert {m.asset for m in result.succeeded} == {"c", "d"}
        assert await result.value("a") == 1
        reused = next(m for m in result.reused if m.asset == "a")
        assert reused.run_id == result.run_id
        assert reused.location == next(m for m in first.succeeded if m.asset == "a").location
        assert await runtime.status("a") == "succeeded"
        again = await runtime.materialize_all("d", refresh="missing")
        assert len(again.reused) == 4
        assert again.status == "succeeded"


async def test_refresh_stale_recomputes_what_an_upstream_change_reaches():
    """A value computed from inputs that are no longer current is stale, and so is everything after it."""
    calls = []
    async with Runtime(diamond(calls)) as runtime:
        await runtime.materialize_all("d")
        calls.clear()
        assert len((await runtime.materialize_all("d", refresh="stale")).reused) == 4
        assert calls == []
        await runtime.materialize("b")
        calls.clear()
        result = await runtime.materialize_all("d", refresh="stale")
        assert calls == ["d"]
        assert {m.asset for m in result.reused} == {"a", "b", "c"}


async def test_refresh_stale_sees_a_new_code_version():
    """The asset whose version changed runs again; what is upstream of it is reused."""
    calls = []

    def pipeline(version):
        made = Pipeline()

        @made.asset
        async def raw() -> int:
            calls.append("raw")
            return 1

        @made.asset(version=version)
        async def report(raw: int) -> int:
            calls.append("report")
            return raw

        return made

    store = UnreliableStore()
    managers = {"default": flowstone.MemoryIO()}
    async with Runtime(pipeline("1"), store=store, io=managers) as runtime:
        await runtime.materialize_all("report")
    calls.clear()
    async with Runtime(pipeline("2"), store=store, io=managers) as runtime:
        result = await runtime.materialize_all("report", refresh="stale")
        assert calls == ["report"]
        assert [m.asset for m in result.reused] == ["raw"]
        assert (await runtime.history("report"))[0].code_version == "2"


async def test_refresh_stale_stops_where_the_data_did_not_change():
    """With data versions, an upstream that was computed again with the same version makes nothing stale."""
    pipeline = Pipeline()
    calls = []
    version = ["v1"]

    @pipeline.asset
    async def raw() -> flowstone.Output[int]:
        return flowstone.Output(1, data_version=version[0])

    @pipeline.asset
    async def report(raw: int) -> int:
        calls.append("report")
        return raw

    async with Runtime(pipeline) as runtime:
        await runtime.materialize_all("report")
        await runtime.materialize("raw")
        await runtime.materialize_all("report", refresh="stale")
        assert calls == ["report"]
        version[0] = "v2"
        await runtime.materialize("raw")
        await runtime.materialize_all("report", refresh="stale")
        assert calls == ["report", "report"]


async def test_an_unknown_refresh_is_refused():
    """The sentence lists what there is."""
    async with Runtime(diamond([])) as runtime:
        with pytest.raises(ValueError, match="'all', 'missing' or 'stale'"):
            await runtime.materialize_all("d", refresh="never")
        for wrong in (0, -1, 1.5, True, "2"):
            with pytest.raises(ValueError, match="max_parallel"):
                await runtime.materialize_all("d", max_parallel=wrong)


async def test_the_partition_reaches_upstream():
    """The upstream partitions follow from the mappings: here the same day."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> str:
        return str(context.partition)

    @pipeline.asset(partitions=WEEK)
    async def clean(raw: str) -> str:
        return raw.replace("-", "/")

    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all("clean", partition="2025-01-03")
        assert [m.name for m in result.succeeded] == ["raw[2025-01-03]", "clean[2025-01-03]"]
        assert await result.value() == "2025/01/03"


@pytest.mark.both_loops
async def test_an_expired_timeout_cancels_everything_under_way(clock, background):
    """Running steps are stopped, the others recorded as cancelled, the caller gets a `TimeoutError`."""
    pipeline = Pipeline()
    gate = Gate()

    @pipeline.asset
    async def first() -> None: ...

    @pipeline.asset
    async def slow(first: None) -> None:
        await gate.wait()

    @pipeline.asset
    async def last(slow: None) -> None: ...

    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize_all("last", timeout=10))
        await gate.entered.wait()
        await clock.advance(10.1)
        with pytest.raises(TimeoutError):
            await call
        assert [await runtime.status(name) for name in ("first", "slow", "last")] == [
            "succeeded",
            "cancelled",
            "cancelled",
        ]


async def test_a_cancelled_caller_stops_the_whole_run(background):
    """Nothing of the run goes on after the caller has its `CancelledError`."""
    pipeline = Pipeline()
    gate, later = Gate(), []

    @pipeline.asset
    async def slow() -> None:
        await gate.wait()

    @pipeline.asset
    async def last(slow: None) -> None:
        later.append(1)

    async with Runtime(pipeline) as runtime:
        call = background(runtime.materialize_all("last"))
        await gate.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        gate.open()
        await runtime.drain()
        assert later == []
        assert await runtime.status("last") == "cancelled"


def interrupted(gate):
    """`raw` counts up; `end` takes it after `slow`, which waits at the gate."""
    pipeline = Pipeline()
    count = []

    @pipeline.asset
    async def raw() -> int:
        count.append(1)
        return len(count)

    @pipeline.asset
    async def slow(raw: int) -> None:
        await gate.wait()

    @pipeline.asset
    async def end(raw: int, slow: None) -> int:
        return raw

    return pipeline


async def test_a_run_uses_the_values_of_its_own(background):
    """If another run computes an upstream again meanwhile, the steps of this one still fit together."""
    gate = Gate()
    async with Runtime(interrupted(gate)) as runtime:
        call = background(runtime.materialize_all("end"))
        await gate.entered.wait()
        await runtime.materialize("raw")
        assert await runtime.load("raw") == 2
        gate.open()
        result = await call
        assert await result.value() == 1
        record = next(m for m in result.succeeded if m.asset == "end")
        assert {i.run_id for i in record.inputs} == {result.run_id}


async def test_a_run_uses_what_it_reused_even_if_it_is_invalidated_meanwhile(background):
    """What a run has taken as given stays so for its later steps."""
    gate = Gate()
    async with Runtime(interrupted(gate)) as runtime:
        await runtime.materialize("raw")
        call = background(runtime.materialize_all("end", refresh="missing"))
        await gate.entered.wait()
        assert await runtime.invalidate("raw") == 1
        gate.open()
        result = await call
        assert [m.asset for m in result.reused] == ["raw"]
        assert await result.value() == 1


# Constants --------------------------------------------------------------------------------------------------


async def test_a_constant_is_an_upstream_that_is_always_there():
    """`pipeline.value` needs no computing: its value is passed, at every partition, and it is no step."""
    pipeline = Pipeline()
    pipeline.value("config", {"factor": 3})

    @pipeline.asset(partitions=WEEK)
    async def scaled(config: dict) -> int:
        return 2 * config["factor"]

    async with Runtime(pipeline) as runtime:
        record = await runtime.materialize("scaled", partition="2025-01-01")
        assert record.status == "succeeded"
        result = await runtime.materialize_all("scaled", partition="2025-01-02")
        assert [m.asset for m in result.succeeded] == ["scaled"]
        assert await result.value() == 6


async def test_a_constant_answers_all_questions():
    """It loads, exists, has a status, and may be materialized like any other asset."""
    pipeline = Pipeline()
    pipeline.value("nothing", None)

    async with Runtime(pipeline) as runtime:
        assert await runtime.exists("nothing")
        assert await runtime.load("nothing") is None
        assert await runtime.status("nothing") == "succeeded"
        assert (await runtime.materialize("nothing")).status == "succeeded"
        assert await (await runtime.materialize_all("nothing")).value() is None


# RunResult --------------------------------------------------------------------------------------------------


async def test_the_value_of_a_result_in_all_its_forms():
    """By default the target's; of any asset of the run, by name or `Asset`; at a partition as key or text."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        return context.partition.day

    @pipeline.asset
    async def total(raw: dict[date, int]) -> int:
        return sum(raw.values())

    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all("total")
        assert await result.value() == 28
        assert await result.value("total") == 28
        assert await result.value(total) == 28
        assert await result.value("raw", partition="2025-01-03") == 3
        assert await result.value(raw, partition=date(2025, 1, 4)) == 4
        with pytest.raises(PartitionError, match="7 partitions"):
            await result.value("raw")
        with pytest.raises(PartitionError):
            await result.value("raw", partition="2025-02-01")
        result = await runtime.backfill("raw", end="2025-01-02")
        with pytest.raises(ValueNotFound):
            await result.value("raw", partition="2025-01-03")
        with pytest.raises(AssetNotFound):
            await result.value("other")


async def test_the_value_of_a_step_without_one():
    """Failed and skipped steps have no value; the message says which it is."""
    pipeline = Pipeline()

    @pipeline.asset
    async def bad() -> int:
        raise ValueError

    @pipeline.asset
    async def after(bad: int) -> int:
        return bad

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("after")
        result = caught.value.result
        with pytest.raises(ValueNotFound, match="failed"):
            await result.value("bad")
        with pytest.raises(ValueNotFound, match="skipped"):
            await result.value()


async def test_a_result_keeps_its_own_value():
    """A later run changes what is current, not what an earlier result says."""
    pipeline = Pipeline()
    numbers = iter(range(10))

    @pipeline.asset
    async def number() -> int:
        return next(numbers)

    async with Runtime(pipeline) as runtime:
        first = await runtime.materialize_all("number")
        second = await runtime.materialize_all("number")
        assert (await first.value(), await second.value()) == (0, 1)


async def test_the_steps_of_a_result_are_read_only_sequences():
    """They are compared, sliced, searched and shown like lists, and cannot be changed."""
    async with Runtime(diamond([])) as runtime:
        result = await runtime.materialize_all("d")
        steps = result.succeeded
        assert isinstance(steps, Sequence)
        assert steps == list(steps)
        assert steps == tuple(steps)
        assert (result.failed, result.skipped, result.reused) == ([], (), [])
        assert steps != list(steps)[:1]
        assert [m.asset for m in steps[1:]] == [m.asset for m in list(steps)[1:]]
        assert steps[0] in steps
        assert steps.index(steps[2]) == 2
        assert repr(steps).startswith("[a, ")
        assert repr((await runtime.backfill("a", partitions=range(9))).succeeded).endswith("… 4 more]")
        with pytest.raises(TypeError):
            steps[0] = steps[1]
        assert not hasattr(steps, "append")


async def test_a_result_shows_itself():
    """Its repr and its rich form say how many steps ended how."""
    async with Runtime(diamond([])) as runtime:
        result = await runtime.materialize_all("d")
        assert "4 succeeded" in repr(result)
        console = Console(record=True, width=100, file=io.StringIO())
        console.print(result)
        assert "4 succeeded" in console.export_text()


@pytest.mark.both_loops
async def test_the_one_off_helper_gives_a_result_that_outlives_its_runtime():
    """`flowstone.materialize` needs no runtime; its result still answers `value()`."""
    calls = []
    pipeline = diamond(calls)
    result = await flowstone.materialize(pipeline.assets["d"])
    assert await result.value() == 6
    assert await result.value("b") == 2
    result = await flowstone.materialize("b", pipeline=pipeline)
    assert await result.value() == 2
    with pytest.raises(AssetNotFound):
        await flowstone.materialize("b")


# When the store fails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", range(1, 14))
async def test_a_store_that_fails_at_any_write_fails_its_waiters(write):
    """Whichever write fails, the caller gets `StoreUnavailable`, nothing hangs, and the runtime can be left."""
    store = UnreliableStore()
    store.fails_at = write
    async with asyncio.timeout(200), Runtime(diamond([]), store=store) as runtime:
        try:
            await runtime.materialize_all("d")
        except StoreUnavailable:
            assert store.writes >= write
        else:
            assert store.writes < write
        store.fails_at = None
        await runtime.materialize("a")
    assert store.closed


async def test_a_store_that_stays_down_does_not_take_the_runtime_along():
    """Every call fails at once; when the store is back, calls succeed again."""
    store = UnreliableStore()
    async with asyncio.timeout(200), Runtime(diamond([]), store=store) as runtime:
        store.down = True
        for _ in range(10):
            with pytest.raises(StoreUnavailable):
                await runtime.materialize_all("d")
        store.down = False
        await runtime.materialize_all("d")


async def test_a_store_that_fails_while_a_step_runs_stops_the_step(background):
    """What can no longer be recorded need not be computed."""
    pipeline = Pipeline()
    gate, stopped = Gate(), []

    @pipeline.asset
    async def slow() -> None:
        try:
            await gate.wait()
        finally:
            stopped.append(1)

    @pipeline.asset
    async def quick() -> None:
        await gate.entered.wait()
        store.down = True

    @pipeline.asset
    async def end(slow: None, quick: None) -> None: ...

    store = UnreliableStore()
    async with asyncio.timeout(200), Runtime(pipeline, store=store) as runtime:
        with pytest.raises(StoreUnavailable):
            await runtime.materialize_all("end")
        store.down = False
        await runtime.drain()
        assert stopped == [1]


@pytest.mark.parametrize("refresh", [None, "missing", "stale"])
async def test_a_store_that_cannot_be_read_fails_the_run(refresh):
    """Looking for inputs or for values to reuse: the caller gets `StoreUnavailable`, and the next call works."""
    store = UnreliableStore()
    async with asyncio.timeout(200), Runtime(diamond([]), store=store) as runtime:
        again = (
            partial(runtime.materialize, "d")
            if refresh is None
            else partial(runtime.materialize_all, "d", refresh=refresh)
        )
        await runtime.materialize_all("d")
        store.blind = True
        with pytest.raises(StoreUnavailable):
            await again()
        store.blind = False
        assert (await again()).status == "succeeded"


async def test_waiting_for_a_run_that_the_store_lost_does_not_hang():
    """A handle that is asked after the store failed says so, instead of waiting for what cannot come."""
    store = UnreliableStore()
    async with asyncio.timeout(200), Runtime(diamond([]), store=store) as runtime:
        run = await runtime.submit("d")
        store.down = True
        with pytest.raises(StoreUnavailable):
            await run.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await run.wait()
        store.down = False
        with pytest.raises(StoreUnavailable):
            await run.wait()
        assert [event async for event in run.events()]


async def test_a_run_cancelled_by_somebody_else(background):
    """`materialize_all` raises `RunCancelled`, with the result of what was done."""
    pipeline = Pipeline()
    gate = Gate()

    @pipeline.asset
    async def first(context: Context) -> int:
        ids.append(context.run_id)
        return 1

    @pipeline.asset
    async def slow(first: int) -> None:
        await gate.wait()

    ids: list[str] = []
    async with Runtime(pipeline) as runtime:
        call = background(runtime.materialize_all("slow"))
        await gate.entered.wait()
        await (await runtime.run(ids[0])).cancel()
        with pytest.raises(RunCancelled) as caught:
            await call
        assert [m.asset for m in caught.value.result.succeeded] == ["first"]
        assert [m.asset for m in caught.value.result.cancelled] == ["slow"]
        assert caught.value.result.status == "cancelled"
