"""`runtime.submit`, `runtime.submit_backfill` and the `Run` handle."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    PartitionError,
    Pipeline,
    RunCancelled,
    RunFailed,
    RunNotFound,
    Runtime,
    Status,
)
from flowstone.runs.events import RunFinished
from flowstone.store import MemoryStore
from tests.runtime.doubles import Gate

NO_KEYS = ["", "k" * 201, "a\0b", "\ud800", b"bytes", 1]
NO_PRIORITIES = [1.0, True, "high", None, 2**31]
WEEK = DailyPartitions("2025-01-01", "2025-01-07")


def gated(gate):
    """`first` is quick, `slow` waits at the gate, `last` comes after it."""
    pipeline = Pipeline("gated")

    @pipeline.asset
    async def first() -> int:
        return 1

    @pipeline.asset
    async def slow(first: int) -> int:
        await gate.wait()
        return first + 1

    @pipeline.asset
    async def last(slow: int) -> int:
        return slow + 1

    return pipeline


@pytest.mark.both_loops
async def test_submit_returns_a_handle_while_the_run_goes_on():
    """The handle tells the status, and waits for the result."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        assert isinstance(run.id, str)
        await gate.entered.wait()
        assert await run.status() is Status.RUNNING
        gate.open()
        result = await run.wait()
        assert result.run_id == run.id
        assert await result.value() == 3
        assert await run.status() is Status.SUCCEEDED


async def test_a_submitted_step_is_known_at_once():
    """From the moment `submit` returns, the status of what it will compute is not `never`."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        await runtime.submit("last")
        assert await runtime.status("last") == "queued"
        await gate.entered.wait()
        assert [await runtime.status(name) for name in ("first", "slow", "last")] == [
            "succeeded",
            "running",
            "queued",
        ]
        gate.open()


async def test_submit_takes_what_materialize_all_takes():
    """Partition, refresh, parallelism, timeout and tags; errors of the request raise at once."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        return context.partition.day

    async with Runtime(pipeline) as runtime:
        with pytest.raises(PartitionError):
            await runtime.submit("raw")
        run = await runtime.submit(
            raw, partition="2025-01-02", refresh="missing", max_parallel=2, timeout=60, tags={"a": "b"}
        )
        assert await (await run.wait()).value() == 2
        assert (await run.result()).record.request.tags == {"a": "b"}


async def test_submit_backfill_takes_what_backfill_takes():
    """Its `wait` raises for failed partitions, as that of every run does."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        if context.partition.day == 3:
            raise ValueError
        return context.partition.day

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit_backfill("raw", start="2025-01-04", max_parallel=2)
        assert len((await run.wait()).succeeded) == 4
        run = await runtime.submit_backfill("raw", partitions=["2025-01-02", "2025-01-03"])
        with pytest.raises(RunFailed) as caught:
            await run.wait()
        assert len(caught.value.result.succeeded) == 1


async def test_wait_gives_up_after_its_timeout_and_the_run_goes_on():
    """`TimeoutError` ends the waiting only."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        with pytest.raises(TimeoutError) as caught:
            await run.wait(timeout=0.01)
        assert str(caught.value) == f"Run {run.id} has not ended within 0.01 s; it goes on."
        assert await run.status() == "running"
        gate.open()
        assert (await run.wait(timeout=200)).status == "succeeded"


async def test_a_cancelled_waiter_does_not_cancel_a_submitted_run(background):
    """Only `materialize`, `materialize_all` and `backfill` tie a run to its caller."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        waiter = background(run.wait())
        await gate.entered.wait()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        gate.open()
        assert (await run.wait()).status == "succeeded"


@pytest.mark.both_loops
async def test_cancel_returns_when_the_run_has_stopped():
    """Running steps have cleaned up; those that never started are recorded as cancelled; waiters are told."""
    gate, cleaned = Gate(), []
    pipeline = Pipeline()

    @pipeline.asset
    async def slow() -> None:
        try:
            await gate.wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    @pipeline.asset
    async def last(slow: None) -> None: ...

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("last")
        await gate.entered.wait()
        await run.cancel()
        assert cleaned == [1]
        assert await run.status() == "cancelled"
        with pytest.raises(RunCancelled) as caught:
            await run.wait()
        assert caught.value.run_id == run.id
        assert {m.asset for m in caught.value.result.cancelled} == {"slow", "last"}
        await run.cancel()
        assert await run.status() == "cancelled"


async def test_cancel_before_the_first_step():
    """A run that is cancelled at once computes nothing."""
    gate = Gate()
    calls = []
    pipeline = Pipeline()

    @pipeline.asset
    async def one() -> None:
        calls.append(1)
        await gate.wait()

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("one")
        await run.cancel()
        assert await run.status() == "cancelled"
        assert (await run.result()).cancelled[0].asset == "one"


async def test_cancel_of_a_run_that_has_ended_changes_nothing():
    """A terminal state is never left."""
    gate = Gate()
    gate.open()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        await run.wait()
        await run.cancel()
        assert await run.status() == "succeeded"
        assert (await run.wait()).status == "succeeded"


async def test_steps_that_wait_for_a_slot_can_be_cancelled():
    """A run whose steps never got one of the runtime's slots ends cancelled all the same."""
    gate = Gate()
    async with Runtime(gated(gate), max_concurrency=1) as runtime:
        holder = await runtime.submit("slow")
        await gate.entered.wait()
        waiting = await runtime.submit("first")
        assert await runtime.status("first") in ("queued", "running")
        await waiting.cancel()
        assert await waiting.status() == "cancelled"
        gate.open()
        assert (await holder.wait()).status == "succeeded"
        assert (await runtime.health()).steps == 0


async def test_drain_of_a_run_lets_running_steps_finish():
    """What runs ends with its value; what was not begun is cancelled."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        await gate.entered.wait()
        draining = asyncio.create_task(run.drain())
        await asyncio.sleep(0)
        gate.open()
        await draining
        assert await run.status() == "cancelled"
        result = await run.result()
        assert [m.asset for m in result.succeeded] == ["first", "slow"]
        assert [m.asset for m in result.cancelled] == ["last"]


@pytest.mark.both_loops
async def test_the_events_of_a_run_come_in_order_and_end():
    """From the first to `run.finished`, whether the run is under way or over."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        live = []

        async def listen():
            live.extend([event async for event in run.events()])

        listener = asyncio.create_task(listen())
        await gate.entered.wait()
        gate.open()
        await run.wait()
        async with asyncio.timeout(200):
            await listener
        later = [event async for event in run.events()]
        kinds = [event.kind for event in later]
        assert kinds[0] == "run.queued"
        assert kinds[-1] == "run.finished"
        assert isinstance(later[-1], RunFinished)
        assert kinds.count("step.started") == kinds.count("step.succeeded") == 3
        assert [event.kind for event in live] == kinds
        assert {event.run_id for event in later} == {run.id}


async def test_a_handle_can_be_had_again_by_id():
    """`runtime.run(id)` gives an equal handle; an id nobody knows is refused."""
    gate = Gate()
    gate.open()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        again = await runtime.run(run.id)
        assert again == run
        assert hash(again) == hash(run)
        assert (await again.wait()).run_id == run.id
        with pytest.raises(RunNotFound, match="nonsense"):
            await runtime.run("nonsense")


async def test_many_may_wait_for_one_run():
    """All of them get the result."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        run = await runtime.submit("last")
        waiters = [asyncio.create_task(run.wait()) for _ in range(50)]
        await gate.entered.wait()
        gate.open()
        results = await asyncio.gather(*waiters)
        assert {result.run_id for result in results} == {run.id}


async def test_ids_are_sorted_by_time():
    """The newest run comes last."""
    gate = Gate()
    gate.open()
    async with Runtime(gated(gate)) as runtime:
        ids = []
        for _ in range(5):
            ids.append((await runtime.submit("first")).id)
            await asyncio.sleep(0.002)
        assert ids == sorted(ids)


async def test_a_key_makes_a_run_single_flight():
    """While a run with the key is unfinished, submitting with it gives that run's handle, whatever is asked."""
    gate = Gate()
    async with Runtime(gated(gate)) as runtime:
        first = await runtime.submit("last", key="nightly")
        assert await runtime.submit("first", key="nightly", refresh="missing") == first
        other = await runtime.submit("first", key="hourly")
        assert other != first
        await other.wait()
        gate.open()
        await first.wait()
        again = await runtime.submit("last", key="nightly")
        assert again != first
        await again.wait()


async def test_calls_with_one_key_at_once_start_one_run(tmp_path):
    """Also while the run is still being written to disk, so that a look-up alone would find none."""
    gate = Gate()
    async with Runtime(gated(gate), store=f"file://{tmp_path}") as runtime:
        runs = await asyncio.gather(*(runtime.submit("last", key="nightly") for _ in range(5)))
        assert len(set(runs)) == 1
        gate.open()
        await runs[0].wait()


async def test_a_backfill_has_a_key_and_a_priority():
    """Both are part of the run's head."""
    pipeline = Pipeline("week")

    @pipeline.asset(partitions=WEEK)
    async def daily() -> int:
        return 1

    store = MemoryStore()
    async with Runtime(pipeline, store=store) as runtime:
        run = await runtime.submit_backfill("daily", key="week", priority=-3)
        await run.wait()
    head = await store.run(run.id)
    assert (head.key, head.priority) == ("week", -3)


@pytest.mark.parametrize(
    "options", [*({"key": key} for key in NO_KEYS), *({"priority": p} for p in NO_PRIORITIES)]
)
async def test_keys_and_priorities_are_checked_at_the_edge(options):
    """What is no key or no priority is refused before anything is written."""
    store = MemoryStore()
    async with Runtime(gated(Gate()), store=store) as runtime:
        for submit in (runtime.submit, runtime.submit_backfill):
            kwargs = {"partitions": [1], **options} if submit == runtime.submit_backfill else options
            with pytest.raises(ValueError, match=next(iter(options))):
                await submit("first", **kwargs)
    assert await store.runs() == []
