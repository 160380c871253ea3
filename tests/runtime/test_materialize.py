"""`runtime.materialize`: this asset only, and one exception for each way it can end."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, date, datetime

import anyio
import pytest

from flowstone import (
    AssetNotFound,
    Context,
    DailyPartitions,
    DependencyNotReady,
    MaterializationFailed,
    Output,
    PartitionError,
    Pipeline,
    RunCancelled,
    Runtime,
    RuntimeStopping,
    Status,
)
from flowstone.testing.clock import VirtualClock
from tests.runtime.doubles import Gate, Meter, UnreliableStore

JANUARY = DailyPartitions("2025-01-01", "2025-01-31")


@pytest.mark.both_loops
async def test_it_computes_this_asset_only_and_returns_its_record():
    """The upstream value is used as it is; the record says what, when, in which run and with which inputs."""
    pipeline = Pipeline("p")
    calls = []

    @pipeline.asset
    async def raw() -> list[int]:
        calls.append("raw")
        return [1, 2, 3]

    @pipeline.asset(version="7")
    async def total(raw: list[int]) -> int:
        calls.append("total")
        return sum(raw)

    async with Runtime(pipeline) as runtime:
        first = await runtime.materialize("raw")
        record = await runtime.materialize("total")
        assert calls == ["raw", "total"]
        assert (record.asset, record.partition, record.partition_key) == ("total", None, None)
        assert record.status is Status.SUCCEEDED
        assert record.status == "succeeded"
        assert record.attempt == 1
        assert record.failure is None
        assert record.code_version == "7"
        assert record.location is not None
        assert record.started_at.tzinfo is not None
        assert record.duration >= 0
        assert [(i.asset, i.run_id) for i in record.inputs] == [("raw", first.run_id)]
        assert await runtime.load("total") == 6


@pytest.mark.both_loops
async def test_sync_functions_run_in_a_thread_and_async_ones_on_the_loop():
    """A blocking asset does not block the loop, so an asset on the loop can set it free."""
    pipeline = Pipeline()
    import threading

    free = threading.Event()

    @pipeline.asset
    def blocked() -> str:
        assert free.wait(60)
        return threading.current_thread().name

    @pipeline.asset
    async def rescuer() -> str:
        free.set()
        return threading.current_thread().name

    async with Runtime(pipeline) as runtime:
        await asyncio.gather(runtime.materialize("blocked"), runtime.materialize("rescuer"))
        assert await runtime.load("rescuer") == threading.current_thread().name
        assert await runtime.load("blocked") != threading.current_thread().name


async def test_an_asset_can_be_named_in_three_ways():
    """A name, the `Asset` that the decorator returned, and the function itself mean the same asset."""
    pipeline = Pipeline()

    def function() -> int:
        return 1

    asset = pipeline.asset(name="one")(function)
    async with Runtime(pipeline) as runtime:
        for given in ("one", asset, function):
            assert (await runtime.materialize(given)).asset == "one"


async def test_an_unknown_asset_is_refused_with_a_suggestion():
    """Every call that takes an asset says which one you may have meant."""
    pipeline = Pipeline()

    @pipeline.asset
    async def customers() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        for call in (
            runtime.materialize,
            runtime.materialize_all,
            runtime.backfill,
            runtime.submit,
            runtime.submit_backfill,
            runtime.load,
            runtime.exists,
            runtime.status,
            runtime.history,
            runtime.invalidate,
            runtime.plan,
            runtime.lineage.upstream,
            runtime.lineage.downstream,
            runtime.lineage.impact,
        ):
            with pytest.raises(AssetNotFound, match="customers"):
                await call("custmers")
        with pytest.raises(AssetNotFound):
            await runtime.materialize(42)
        assert await runtime.history("customers") == []


async def test_missing_upstream_values_are_all_listed_and_nothing_is_written():
    """`DependencyNotReady.missing` names each, and no run is left behind."""
    pipeline = Pipeline()

    @pipeline.asset
    async def a() -> int:
        return 1

    @pipeline.asset
    async def b() -> int:
        return 2

    @pipeline.asset
    async def c() -> int:
        return 3

    @pipeline.asset(deps=["c"])
    async def report(a: int, b: int) -> int:
        return a + b

    store = UnreliableStore()
    async with Runtime(pipeline, store=store) as runtime:
        await runtime.materialize("b")
        written = store.writes
        with pytest.raises(DependencyNotReady) as caught:
            await runtime.materialize("report")
        assert set(caught.value.missing) == {"a", "c"}
        assert store.writes == written
        assert await runtime.history("report") == []


async def test_missing_partitions_are_named_with_their_key():
    """The entry of a partitioned upstream is `name[key]`."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=JANUARY)
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=JANUARY)
    async def clean(raw: int) -> int:
        return raw

    async with Runtime(pipeline) as runtime:
        with pytest.raises(DependencyNotReady) as caught:
            await runtime.materialize("clean", partition="2025-01-15")
        assert caught.value.missing == ("raw[2025-01-15]",)


async def test_a_failure_carries_its_record():
    """`MaterializationFailed` has the record and its failure; the error is in the history, no value is current."""
    pipeline = Pipeline()

    @pipeline.asset
    async def broken() -> int:
        raise ValueError("no data today")

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="no data today") as caught:
            await runtime.materialize("broken")
        failure = caught.value.failure
        assert failure is caught.value.materialization.failure
        assert failure.kind == "error"
        assert failure.message == "ValueError: no data today"
        assert "no data today" in failure.traceback
        assert "in broken" in failure.traceback
        assert caught.value.materialization.status is Status.FAILED
        assert not await runtime.exists("broken")
        assert [m.status for m in await runtime.history("broken")] == ["failed"]


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), StopIteration(1), MemoryError("m")]
)
@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_whatever_an_asset_raises_is_a_failure(error, run_in):
    """Exceptions that would tear down a loop, or hang an awaiter, end one step and nothing else."""
    pipeline = Pipeline()

    @pipeline.asset(run_in=run_in)
    def broken() -> int:
        raise error

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("broken")
        assert caught.value.failure.kind == "error"
        assert type(error).__name__ in caught.value.failure.message


async def test_a_cancellation_nobody_asked_for_is_the_assets_failure():
    """`raise CancelledError` in an asset does not pass for a cancelled run."""
    pipeline = Pipeline()

    @pipeline.asset
    async def odd() -> int:
        raise asyncio.CancelledError

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("odd")
        assert caught.value.failure.kind == "cancelled_by_asset"


async def test_an_exception_that_cannot_be_shown_is_a_failure():
    """An exception whose own text raises is recorded all the same."""

    class UnspeakableError(Exception):
        def __str__(self):
            raise SystemExit

    pipeline = Pipeline()

    @pipeline.asset
    async def broken() -> int:
        raise UnspeakableError

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="UnspeakableError"):
            await runtime.materialize("broken")


@pytest.mark.both_loops
async def test_an_expired_timeout_cancels_the_run(clock, background):
    """The caller gets a `TimeoutError`, and the run is cancelled by then."""
    pipeline = Pipeline()
    stopped = []

    @pipeline.asset
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("slow")

    async with Runtime(pipeline, clock=clock) as runtime:
        call = background(runtime.materialize("slow", timeout=5))
        await clock.advance(4.9)
        assert not call.done()
        await clock.advance(0.2)
        with pytest.raises(TimeoutError):
            await call
        assert stopped == ["slow"]
        assert [m.status for m in await runtime.history("slow")] == ["cancelled"]
        assert await runtime.status("slow") == "cancelled"


@pytest.mark.both_loops
async def test_a_cancelled_caller_is_told_when_the_run_has_stopped(background):
    """Its `CancelledError` comes after the asset's clean-up and the record of the cancellation."""
    pipeline = Pipeline()
    gate, cleaned = Gate(), []

    @pipeline.asset
    async def slow() -> None:
        try:
            await gate.wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("slow")

    async with Runtime(pipeline) as runtime:
        call = background(runtime.materialize("slow"))
        await gate.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert cleaned == ["slow"]
        assert [m.status for m in await runtime.history("slow")] == ["cancelled"]


@pytest.mark.both_loops
async def test_a_caller_that_anyio_times_out_waits_for_the_run_to_stop(background):
    """Under `anyio.fail_after` the asset has cleaned up before `TimeoutError` is raised."""
    pipeline = Pipeline()
    gate, cleaned = Gate(), []

    @pipeline.asset
    async def slow() -> None:
        try:
            await gate.wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("slow")

    async def run_out(scope: anyio.CancelScope) -> None:
        await gate.entered.wait()
        scope.deadline = anyio.current_time()

    async with Runtime(pipeline) as runtime:
        with pytest.raises(TimeoutError):
            with anyio.fail_after(None) as scope:
                background(run_out(scope))
                await runtime.materialize("slow")
        assert cleaned == ["slow"]
        assert [m.status for m in await runtime.history("slow")] == ["cancelled"]


@pytest.mark.both_loops
async def test_a_caller_that_asyncio_times_out_waits_for_the_run_to_stop(background):
    """The same under `asyncio.timeout`."""
    pipeline = Pipeline()
    gate, cleaned = Gate(), []

    @pipeline.asset
    async def slow() -> None:
        try:
            await gate.wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("slow")

    async def run_out(scope: asyncio.Timeout) -> None:
        await gate.entered.wait()
        scope.reschedule(asyncio.get_running_loop().time())

    async with Runtime(pipeline) as runtime:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as scope:
                background(run_out(scope))
                await runtime.materialize("slow")
        assert cleaned == ["slow"]
        assert [m.status for m in await runtime.history("slow")] == ["cancelled"]


@pytest.mark.both_loops
async def test_a_failing_sibling_in_a_task_group_cancels_the_run():
    """In an anyio task group, the run of a cancelled call has stopped when the group raises."""
    pipeline = Pipeline()
    gate, cleaned = Gate(), []

    @pipeline.asset
    async def slow() -> None:
        try:
            await gate.wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("slow")

    async def fail():
        await gate.entered.wait()
        raise OSError("sibling")

    async with Runtime(pipeline) as runtime:
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(runtime.materialize, "slow")
                group.start_soon(fail)
        assert caught.group_contains(OSError)
        assert cleaned == ["slow"]


async def test_an_asset_that_swallows_its_cancellation_is_killed_and_named(clock, background):
    """After `cancel_timeout` the attempt is driven no more, and its record says so."""
    pipeline = Pipeline()
    entered = asyncio.Event()

    @pipeline.asset
    async def stubborn() -> None:
        entered.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async with Runtime(pipeline, clock=clock, cancel_timeout=2.0) as runtime:
        call = background(runtime.materialize("stubborn"))
        await entered.wait()
        call.cancel()
        await clock.advance(1.9)
        assert not call.done()
        await clock.advance(0.3)
        with pytest.raises(asyncio.CancelledError):
            await call
        (record,) = await runtime.history("stubborn")
        assert record.status == "cancelled"
        assert record.failure.kind == "abandoned"


async def test_a_thread_that_does_not_return_is_abandoned_by_name(clock, background):
    """The cancelled caller is not held up for longer than `cancel_timeout`; the tree names the thread."""
    import threading

    pipeline = Pipeline()
    free, entered = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @pipeline.asset
    def stuck() -> None:
        loop.call_soon_threadsafe(entered.set)
        free.wait(60)

    async with Runtime(pipeline, clock=clock, cancel_timeout=2.0, max_threads=1) as runtime:
        try:
            call = background(runtime.materialize("stuck"))
            await entered.wait()
            call.cancel()
            await clock.advance(2.5)
            with pytest.raises(asyncio.CancelledError):
                await call
            assert "stuck" in repr(runtime.tree())
            assert "stuck" in (await runtime.health()).abandoned
            (record,) = await runtime.history("stuck")
            assert (record.status, record.failure.kind) == ("cancelled", "abandoned")
        finally:
            free.set()


async def test_a_call_that_is_cancelled_while_the_run_is_written_leaves_no_run(background):
    """Whether or not the store had written it, the run does not run then or later."""
    for place in ("gates", "after"):
        pipeline = Pipeline()
        ran = []

        @pipeline.asset
        async def one() -> None:
            ran.append(1)  # noqa: B023 - each round looks at its own

        store, gate = UnreliableStore(), Gate()
        getattr(store, place)["create_run"] = gate
        async with Runtime(pipeline, store=store) as runtime:
            call = background(runtime.materialize("one"))
            await gate.entered.wait()
            call.cancel()
            await asyncio.sleep(0)
            gate.open()
            with pytest.raises(asyncio.CancelledError):
                await call
        async with Runtime(pipeline, store=store) as runtime:
            assert all(run.status is Status.CANCELLED for run in await store.runs())
            await runtime.drain()
        assert ran == []


async def test_somebody_elses_cancel_raises_run_cancelled(background):
    """If the run is cancelled by its handle, the one who waits for it is told so."""
    pipeline = Pipeline()
    gate = Gate()

    @pipeline.asset
    async def slow(context: Context) -> None:
        runs.append(context.run_id)
        await gate.wait()

    runs: list[str] = []
    async with Runtime(pipeline) as runtime:
        call = background(runtime.materialize("slow"))
        await gate.entered.wait()
        run = await runtime.run(runs[0])
        await run.cancel()
        with pytest.raises(RunCancelled) as caught:
            await call
        assert caught.value.run_id == runs[0]


async def test_none_is_a_value():
    """An asset that returns None has a value: it exists, loads, and is handed downstream."""
    pipeline = Pipeline()
    seen = []

    @pipeline.asset
    async def nothing() -> None:
        return None

    @pipeline.asset
    async def after(nothing: None = "default") -> None:  # type: ignore[assignment] # a default of another type shows
        seen.append(nothing)

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("nothing")
        assert await runtime.exists("nothing")
        assert await runtime.load("nothing") is None
        await runtime.materialize("after")
        assert seen == [None]


async def test_a_default_stands_in_for_a_value_that_was_never_computed():
    """An optional dependency is used when it has a value, else the default."""
    pipeline = Pipeline()

    @pipeline.asset
    async def rate() -> float:
        return 2.0

    @pipeline.asset
    async def price(rate: float = 1.0) -> float:
        return 10 * rate

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("price")
        assert await runtime.load("price") == 10.0
        await runtime.materialize("rate")
        await runtime.materialize("price")
        assert await runtime.load("price") == 20.0


async def test_a_dependency_without_loading_orders_and_is_recorded():
    """`deps=` needs the upstream to have a value, passes nothing, and is part of the lineage."""
    pipeline = Pipeline()

    @pipeline.asset
    async def tables() -> object:
        return object()

    @pipeline.asset(deps=[tables])
    async def report() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        with pytest.raises(DependencyNotReady):
            await runtime.materialize("report")
        await runtime.materialize("tables")
        record = await runtime.materialize("report")
        assert [i.asset for i in record.inputs] == ["tables"]


async def test_output_attaches_metadata_and_a_version():
    """Downstream gets the bare value; the record has the metadata, merged over the context's, and the version."""
    pipeline = Pipeline()

    @pipeline.asset
    async def rows(context: Context) -> Output[list[int]]:
        context.metadata["source"] = "api"
        context.metadata["rows"] = 0
        return Output([1, 2], metadata={"rows": 2}, data_version="etag-1")

    @pipeline.asset
    async def count(rows: list[int]) -> int:
        return len(rows)

    async with Runtime(pipeline) as runtime:
        record = await runtime.materialize("rows")
        assert dict(record.metadata) == {"source": "api", "rows": 2}
        assert record.data_version == "etag-1"
        assert await runtime.load("rows") == [1, 2]
        record = await runtime.materialize("count")
        assert record.inputs[0].data_version == "etag-1"


async def test_metadata_of_a_failed_attempt_is_recorded():
    """What an asset noted before it failed helps to find out why."""
    pipeline = Pipeline()

    @pipeline.asset
    async def broken(context: Context) -> int:
        context.metadata["page"] = 3
        raise ValueError

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("broken")
        assert dict(caught.value.materialization.metadata) == {"page": 3}


async def test_a_record_does_not_change_when_the_asset_goes_on_noting():
    """Metadata is what it was when the step ended, whatever the asset's own tasks do later."""
    pipeline = Pipeline()
    kept = []

    @pipeline.asset
    async def rows(context: Context) -> int:
        context.metadata["rows"] = 1
        kept.append(context.metadata)
        return 1

    async with Runtime(pipeline) as runtime:
        record = await runtime.materialize("rows")
        kept[0]["rows"] = 2
        assert dict(record.metadata) == {"rows": 1}
        assert dict((await runtime.history("rows"))[0].metadata) == {"rows": 1}


async def test_the_context_says_what_is_being_computed():
    """Asset, partition as value and as text, run, attempt; the logger is bound to them."""
    pipeline = Pipeline()
    seen = []

    @pipeline.asset(partitions=JANUARY)
    async def raw(context: Context) -> None:
        seen.append(
            (context.asset, context.partition, context.partition_key, context.run_id, context.attempt)
        )
        context.log.bind(more=1)

    @pipeline.asset
    def plain(context) -> None:
        seen.append((context.partition, context.partition_key))

    async with Runtime(pipeline) as runtime:
        record = await runtime.materialize("raw", partition=date(2025, 1, 15))
        await runtime.materialize("plain")
        assert seen == [("raw", date(2025, 1, 15), "d:2025-01-15", record.run_id, 1), (None, None)]


async def test_a_partition_may_be_written_as_text():
    """`partition="2025-01-15"` on a daily asset is that day; its record has the typed value and the key."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=JANUARY)
    async def raw(context: Context) -> date:
        return context.partition

    async with Runtime(pipeline) as runtime:
        record = await runtime.materialize("raw", partition="2025-01-15")
        assert (record.partition, record.partition_key) == (date(2025, 1, 15), "d:2025-01-15")
        assert await runtime.load("raw", partition=date(2025, 1, 15)) == date(2025, 1, 15)


async def test_partitions_that_cannot_be_are_refused_before_anything_is_written():
    """Missing on a partitioned asset, outside its set, of another type, or of no supported type."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=JANUARY)
    async def raw() -> int:
        return 1

    @pipeline.asset
    async def free() -> int:
        return 1

    store = UnreliableStore()
    async with Runtime(pipeline, store=store) as runtime:
        for wrong in (None, "2025-02-01", "yesterday", 3, datetime(2025, 1, 15, tzinfo=UTC), 1.5, True):
            with pytest.raises(PartitionError):
                await runtime.materialize("raw", partition=wrong)
        for wrong in (1.5, True, [1], "\ud800"):
            with pytest.raises(PartitionError):
                await runtime.materialize("free", partition=wrong)
        assert store.writes == 0


async def test_an_asset_without_a_set_takes_any_key_or_none():
    """Each key is a materialization of its own, and types are kept apart."""
    pipeline = Pipeline()

    @pipeline.asset
    async def echo(context: Context) -> object:
        return context.partition

    keys = [None, "a", 1, "1", date(2025, 1, 1), "2025-01-01", ("a", 1), "", "a:b"]
    async with Runtime(pipeline) as runtime:
        for key in keys:
            await runtime.materialize("echo", partition=key)
        loaded = [await runtime.load("echo", partition=key) for key in keys]
        assert loaded == keys
        assert list(map(type, loaded)) == list(map(type, keys))


async def test_two_hundred_calls_at_once_share_one_runtime():
    """Concurrent calls for different partitions all succeed, within the runtime-wide limit."""
    pipeline = Pipeline()
    meter, full = Meter(), asyncio.Event()

    @pipeline.asset
    async def user(context: Context) -> int:
        async with meter:
            if meter.inside == 10:
                full.set()
            await full.wait()
            return context.partition * 2

    async with Runtime(pipeline, max_concurrency=10) as runtime:
        records = await asyncio.gather(*(runtime.materialize("user", partition=i) for i in range(200)))
        assert len({record.run_id for record in records}) == 200
        assert [await runtime.load("user", partition=i) for i in range(200)] == [i * 2 for i in range(200)]
        assert meter.most == 10
        assert meter.total == 200


async def test_calls_for_the_same_partition_at_once_each_give_a_record():
    """Both succeed; the value that finished last is current."""
    pipeline = Pipeline()
    calls = []

    @pipeline.asset
    async def one() -> int:
        calls.append(1)
        number = len(calls)
        await asyncio.sleep(0)
        return number

    async with Runtime(pipeline) as runtime:
        await asyncio.gather(*(runtime.materialize("one") for _ in range(5)))
        assert len(await runtime.history("one")) == 5
        assert await runtime.load("one") == 5


async def test_an_asset_may_materialize_another_one():
    """A call from inside an asset is a run of its own."""
    pipeline = Pipeline()

    @pipeline.asset
    async def inner() -> int:
        return 20

    @pipeline.asset
    async def outer() -> int:
        await runtime.materialize("inner")
        return 1 + await runtime.load("inner")

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("outer")
        assert await runtime.load("outer") == 21


async def test_nested_calls_do_not_wait_for_the_slot_they_hold():
    """Even with one slot in all, an asset that waits for a run of its own does not block that run."""
    pipeline = Pipeline()
    meter = Meter()

    @pipeline.asset
    async def inner() -> int:
        async with meter:
            return 20

    @pipeline.asset
    async def outer() -> int:
        await runtime.materialize("inner")
        async with meter:
            return 1 + await runtime.load("inner")

    async with Runtime(pipeline, max_concurrency=1) as runtime:
        async with asyncio.timeout(200):
            await runtime.materialize("outer")
        assert await runtime.load("outer") == 21
        assert meter.most == 1


async def test_a_slot_is_taken_again_when_the_nested_run_has_ended():
    """What an asset does after it has waited counts against the limit like what it did before."""
    pipeline = Pipeline()
    meter = Meter()

    async def work():
        async with meter:
            for _ in range(5):
                await asyncio.sleep(0)

    @pipeline.asset
    async def inner() -> None:
        await work()

    @pipeline.asset
    async def outer(context: Context) -> None:
        await work()
        await runtime.materialize("inner", partition=context.partition)
        await work()

    async with Runtime(pipeline, max_concurrency=2) as runtime:
        await asyncio.gather(*(runtime.materialize("outer", partition=number) for number in range(6)))
        assert (meter.most, meter.total) == (2, 18)
        assert (await runtime.health()).steps == 0


async def test_an_asset_may_wait_for_several_runs_at_once():
    """It gives one slot back, and takes one again after the last of them."""
    pipeline = Pipeline()

    @pipeline.asset
    async def inner(context: Context) -> int:
        return context.partition

    @pipeline.asset
    async def outer() -> int:
        await asyncio.gather(*(runtime.materialize("inner", partition=number) for number in range(5)))
        return sum([await runtime.load("inner", partition=number) for number in range(5)])

    async with Runtime(pipeline, max_concurrency=1) as runtime:
        async with asyncio.timeout(200):
            await runtime.materialize("outer")
        assert await runtime.load("outer") == 10
        assert (await runtime.health()).steps == 0
        await runtime.materialize("inner", partition=9)


async def test_tasks_of_an_asset_share_its_slot():
    """One that gives up waiting for a run, while another one waits for the slot, needs no second slot."""
    pipeline = Pipeline()
    inside, busy = Gate(), Gate()

    @pipeline.asset
    async def inner() -> None:
        await inside.wait()

    @pipeline.asset
    async def blocker() -> None:
        await busy.wait()

    @pipeline.asset
    async def outer() -> None:
        first = asyncio.create_task(runtime.materialize("inner"))
        await busy.entered.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await blocking.wait(timeout=0)
        await first

    async with Runtime(pipeline, max_concurrency=1) as runtime, asyncio.timeout(200):
        run = await runtime.submit("outer")
        await inside.entered.wait()
        blocking = await runtime.submit("blocker")
        for _ in range(50):
            await asyncio.sleep(0)
        inside.open()
        for _ in range(200):
            await asyncio.sleep(0)
        busy.open()
        await run.wait()
        assert (await runtime.health()).steps == 0


async def test_cancelling_the_outer_call_stops_the_nested_run(background):
    """Nothing of either run goes on."""
    pipeline = Pipeline()
    gate = Gate()

    @pipeline.asset
    async def inner() -> None:
        await gate.wait()

    @pipeline.asset
    async def outer() -> None:
        await runtime.materialize("inner")

    async with Runtime(pipeline) as runtime:
        call = background(runtime.materialize("outer"))
        await gate.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await runtime.status("inner") == "cancelled"
        assert await runtime.status("outer") == "cancelled"


@pytest.mark.parametrize("run_in", ["loop", "thread"])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_run_in_overrides_where_a_function_runs(run_in, asynchronous):
    """A plain function may run on the loop, and a coroutine function in a thread, with a loop of its own there."""
    import threading

    pipeline = Pipeline()
    if asynchronous:

        @pipeline.asset(run_in=run_in)
        async def where() -> str:
            await asyncio.sleep(0)
            return threading.current_thread().name
    else:

        @pipeline.asset(run_in=run_in)
        def where() -> str:
            return threading.current_thread().name

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("where")
        on_the_loop = await runtime.load("where") == threading.current_thread().name
        assert on_the_loop == (run_in == "loop")


async def test_two_runtimes_in_one_process_never_meet():
    """They share a pipeline, and neither values, nor runs, nor events."""
    pipeline = Pipeline()

    @pipeline.asset
    async def one() -> int:
        return 1

    async with Runtime(pipeline) as first, Runtime(pipeline) as second:
        async with second.subscribe() as events:
            await first.materialize("one")
            assert len(events) == 0
        assert await first.exists("one")
        assert not await second.exists("one")


async def test_a_runtime_takes_several_pipelines():
    """A pipeline that is included in two of them counts once."""
    shared, sales, costs = Pipeline("shared"), Pipeline("sales"), Pipeline("costs")

    @shared.asset
    async def days() -> int:
        return 365

    sales.include(shared)
    costs.include(shared)
    costs.include(shared)

    @sales.asset
    async def revenue(days: int) -> int:
        return 2 * days

    @costs.asset
    async def spending(days: int) -> int:
        return days

    async with Runtime([sales, costs]) as runtime:
        await runtime.materialize_all("revenue")
        await runtime.materialize("spending")
        assert await runtime.load("revenue") == 730


async def test_a_runtime_that_is_not_running_says_so():
    """Before it is entered, after it is left, and when it is entered again."""
    pipeline = Pipeline()

    @pipeline.asset
    async def one() -> int:
        return 1

    runtime = Runtime(pipeline)
    with pytest.raises(RuntimeStopping, match="async with"):
        await runtime.materialize("one")
    async with runtime:
        pass
    with pytest.raises(RuntimeStopping):
        await runtime.materialize("one")
    with pytest.raises(RuntimeStopping):
        async with runtime:
            pass


async def test_options_out_of_range_are_refused_in_one_sentence():
    """Timeouts are positive numbers, tags are text."""
    pipeline = Pipeline()

    @pipeline.asset
    async def one() -> int:
        return 1

    async with Runtime(pipeline, clock=VirtualClock()) as runtime:
        for timeout in (0, -1, float("nan"), float("inf"), "5", True):
            with pytest.raises(ValueError, match="timeout"):
                await runtime.materialize("one", timeout=timeout)
        with pytest.raises(TypeError, match="tags"):
            await runtime.materialize("one", tags={"a": 1})
        record = await runtime.materialize("one", tags={"team": "core"})
        run = await runtime.run(record.run_id)
        assert (await run.result()).record.request.tags == {"team": "core"}
