"""What is promised of waiting, choosing and going through items holds on every store, and for whatever is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from flowstone import (
    Batch,
    Context,
    DailyPartitions,
    DefinitionError,
    Each,
    Outcome,
    Pipeline,
    Retry,
    RunFailed,
    Skip,
)
from tests.flow.process_assets import pipeline as processes


async def ended(runtime, asset):
    """The result of a run of all of it, whatever became of that."""
    try:
        return await runtime.materialize_all(asset)
    except RunFailed as failed:
        return failed.result


# Waiting ----------------------------------------------------------------------------------------------------


def rude_assets():
    """A pipeline of assets that do not let `Waiting` pass, each in its way."""
    pipeline = Pipeline("rude")

    @pipeline.asset
    async def returns(context: Context) -> int:
        with suppress(BaseException):
            context.sleep("nap", 60.0)
        return 1

    @pipeline.asset
    def in_a_thread(context: Context) -> int:
        with suppress(BaseException):
            context.approval("nap")
        return 1

    @pipeline.asset(retry=Retry(attempts=3))
    async def raises(context: Context) -> int:
        try:
            context.signal("nap")
        finally:
            raise ValueError("instead")

    @pipeline.asset
    async def skips(context: Context) -> int:
        try:
            context.sleep("nap", 60.0)
        except BaseException:
            raise Skip("instead") from None

    @pipeline.asset
    async def gathers(context: Context) -> int:
        async def nap(name):
            context.sleep(name, 60.0)

        await asyncio.gather(nap("nap"), nap("other"), return_exceptions=True)
        return 1

    return pipeline


@pytest.mark.parametrize(
    ("asset", "instead"),
    [
        ("returns", "returned a value"),
        ("in_a_thread", "returned a value"),
        ("raises", "raised ValueError: instead"),
        ("skips", "raised Skip: instead"),
        ("gathers", "returned a value"),
        ("swallows", "returned a value"),
    ],
)
async def test_who_swallows_waiting_fails_and_nothing_is_asked_of_anybody(place, asset, instead):
    """In whatever way, wherever it runs; it is not tried again, and no wait is left behind."""
    pipeline = processes if asset == "swallows" else rude_assets()
    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        result = await ended(runtime, asset)
        (failed,) = result.failed
        assert (failed.failure.kind, failed.attempt) == ("error", 1)
        words = f"'nap' and was ended by Waiting, which it did not let pass: it {instead}"
        assert words in failed.failure.message
        assert await runtime.approvals(None) == []
        assert not await runtime.runs(status="waiting")


async def test_of_two_waits_at_once_the_first_one_counts(place):
    """The other one is asked for when that is over; a task group and a thread pass `Waiting` on."""
    pipeline = Pipeline("two")
    attempts = []

    @pipeline.asset
    async def grouped(context: Context) -> int:
        attempts.append(context.attempt)

        async def nap(name):
            context.sleep(name, 0.0)

        async with asyncio.TaskGroup() as group:
            group.create_task(nap("first"))
            group.create_task(nap("second"))
        await asyncio.to_thread(context.sleep, "third", 0.0)
        return len(attempts)

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        result = await runtime.materialize_all("grouped")
        assert await result.value() == 4
        events = [event async for event in (await runtime.run(result.run_id)).events()]
    waits = [event.name for event in events if event.kind == "step.waiting"]
    assert waits == ["first", "second", "third"]
    assert attempts == [1, 2, 3, 4]


@pytest.mark.parametrize("asset", ["rested", "rested_in_a_thread"])
async def test_a_wait_uses_up_no_attempt_and_no_timeout(place, asset):
    """Of two attempts and half a second it sleeps longer, fails once, and succeeds."""
    pipeline = Pipeline("patient")
    calls = []

    def body(context):
        calls.append(context.attempt)
        context.sleep("nap", 0.8)
        if len(calls) < 3:
            raise OSError("tired")
        return context.attempt

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0), timeout=0.5)
    async def rested(context: Context) -> int:
        return body(context)

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0), timeout=0.5)
    def rested_in_a_thread(context: Context) -> int:
        return body(context)

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        record = await runtime.materialize(asset)
        assert (record.attempt, calls) == (3, [1, 2, 3])


@pytest.mark.parametrize("parked", [True, False])
async def test_a_run_that_is_detached_outlives_the_call_that_waits_for_it(place, background, parked):
    """Parked or not; without that it is cancelled with the call."""
    pipeline, gate = Pipeline("desk"), asyncio.Event()
    begun = asyncio.Event()

    @pipeline.asset
    async def published(context: Context) -> str:
        begun.set()
        if parked:
            return context.approval("publish").by
        await gate.wait()
        return "done"

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        call = background(runtime.materialize("published"))
        await begun.wait()
        while parked and not await runtime.runs(status="waiting"):
            await asyncio.sleep(0.005)
        (record,) = await runtime.runs()
        run = await runtime.run(record.id)
        run.detach()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not (await run.status()).terminal
        gate.set()
        for asked in await runtime.approvals():
            await runtime.approve(asked.id, by="ada")
        assert (await run.wait()).status == "succeeded"


# Outcomes ---------------------------------------------------------------------------------------------------


async def test_an_outcome_is_of_one_step_whatever_is_asked_for(place):
    """An asset without partitions takes that of the one that is asked for; all of them it is refused."""
    pipeline = Pipeline("days")

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-02"))
    def raw(context: Context) -> int:
        if context.partition.day == 2:
            raise ValueError("no data")
        return 1

    @pipeline.asset
    def report(raw: Outcome[int]) -> str:
        return str(raw.status)

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        for call in (runtime.materialize_all, runtime.materialize, runtime.submit, runtime.plan):
            with pytest.raises(
                DefinitionError, match=r"'report' .* takes the Outcome of 'raw', of which it needs many"
            ):
                await call("report")
        assert await runtime.runs() == []
        result = await runtime.materialize_all("report", partition="2025-01-02")
        assert await result.value(partition="2025-01-02") == "failed"


# Items ------------------------------------------------------------------------------------------------------


def sources():
    """A pipeline of assets that give items, or what is none, and of those that go through them."""
    pipeline = Pipeline("sources")
    whole = {"nothing": None, "number": 5, "text": "abc", "group": {1}}
    for name, value in whole.items():
        pipeline.asset(giving(value), name=name)

    @pipeline.asset
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise OSError("half-way")

    @pipeline.asset
    def broken_in_a_thread() -> Iterator[int]:
        yield 1
        raise OSError("half-way")

    @pipeline.asset
    async def once_only() -> AsyncIterator[object]:
        yield iter([1])

    @pipeline.asset
    async def marked_wrongly(context: Context) -> AsyncIterator[int]:
        yield 1
        context.checkpoint({1})

    for name in list(pipeline.graph.assets):
        pipeline.asset(name=f"{name}_each", each=name)(taking(name))
    return pipeline


def giving(value):
    """A function that returns it."""
    return lambda: value


def taking(name):
    """A function of one parameter of this name."""
    given = {}
    exec(f"def take({name}): return 1", given)
    return given["take"]


@pytest.mark.parametrize(
    ("source", "failed", "words"),
    [
        (
            "nothing",
            "nothing_each",
            "is of type NoneType, and each='nothing' goes through the items of a list",
        ),
        ("number", "number_each", "is of type int"),
        ("text", "text_each", "let 'text' return list(…)"),
        ("group", "group_each", "let 'group' return list(…) or sorted(…)"),
        ("broken", "broken", "OSError: half-way"),
        ("broken_in_a_thread", "broken_in_a_thread", "OSError: half-way"),
        ("once_only", "once_only", "which can be read only once"),
        ("marked_wrongly", "marked_wrongly", "context.checkpoint(...) cannot be kept as JSON"),
    ],
)
async def test_a_source_of_garbage_fails_who_is_at_fault(place, source, failed, words):
    """With a remedy; what goes through its items is skipped if the source is at fault."""
    async with asyncio.timeout(200), place.runtime(sources()) as runtime:
        result = await ended(runtime, f"{source}_each")
        (record,) = result.failed
        assert record.asset == failed
        assert words in record.failure.message
        assert [each.asset for each in result.skipped] == ([f"{source}_each"] if failed == source else [])


@pytest.mark.parametrize(
    ("tolerate", "failing", "succeeds"),
    [(0, 1, False), (1, 1, True), (1, 2, False), (0.2, 2, True), (0.2, 3, False), (1.0, 10, True)],
)
async def test_so_many_items_may_fail_and_no_more(place, tolerate, failing, succeeds):
    """As a number or as a share; what has failed is left out and listed."""
    pipeline = Pipeline("pages")
    pipeline.asset(lambda: list(range(10)), name="files")

    @pipeline.asset(each=Each("files", tolerate=tolerate, max_parallel=1))
    def page(files: int) -> int:
        if files < failing:
            raise ValueError(f"no {files}")
        return files

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        result = await ended(runtime, "page")
        found = await runtime.items(result.run_id, "page", status="failed")
        if succeeds:
            assert await result.value("page") == list(range(failing, 10))
            assert [item.position for item in found] == list(range(failing))
        else:
            (record,) = result.failed
            assert f"{failing} of 10 items failed" in record.failure.message
            assert "item 0: ValueError: no 0" in record.failure.message


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"batch": 2}, [3, 7, 5]),
        ({"batch": Batch(by=lambda item: item > 2)}, [3, 12]),
        ({"batch": Batch(size=4, by=lambda item: item > 2)}, [3, 12]),
        ({"key": lambda item: "same"}, "gave 'same' for item 1 and for one before it"),
        ({"key": lambda item: item / 0}, "Each(key=…) raised ZeroDivisionError for item 0"),
        ({"batch": Batch(by=lambda item: item / 0)}, "Batch(by=…) raised ZeroDivisionError"),
    ],
)
async def test_items_are_put_together_and_named(place, options, value):
    """Functions that name or group them and fail are named."""
    pipeline = Pipeline("pages")
    pipeline.asset(lambda: [1, 2, 3, 4, 5], name="files")

    @pipeline.asset(each=Each("files", **options))
    def total(files: list[int]) -> int:
        return sum(files) if isinstance(files, list) else files

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        result = await ended(runtime, "total")
        if isinstance(value, str):
            assert value in result.failed[0].failure.message
        else:
            assert await result.value("total") == value


@pytest.mark.parametrize(("asset", "words"), [("page", "an item cannot wait"), ("kept", "cannot remember")])
async def test_an_item_neither_waits_nor_remembers(place, asset, words):
    """In a worker process as well, and in the same words."""
    async with asyncio.timeout(200), place.runtime(processes) as runtime:
        with pytest.raises(RunFailed, match=words) as failed:
            await runtime.materialize_all(asset)
    assert "FlowstoneError: FlowstoneError" not in str(failed.value)
