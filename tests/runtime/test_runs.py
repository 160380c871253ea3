"""What can be known of runs in general: lists of them by status, asset and tag, and which live here."""

from __future__ import annotations

import asyncio
import re

import pytest

from flowstone import (
    AssetNotFound,
    Context,
    DependencyNotReady,
    Pipeline,
    RunFailed,
    RunNotFound,
    Runtime,
    RuntimeStopping,
    StaticPartitions,
    Status,
)

pipeline = Pipeline("shop")


@pipeline.asset
async def orders() -> int:
    return 1


@pipeline.asset
async def total(orders: int) -> int:
    return orders


@pipeline.asset
async def broken() -> int:
    raise ValueError("no data")


async def ids(runtime, *arguments, **filters) -> list[str]:
    """The ids of the runs found."""
    return [run.id for run in await runtime.runs(*arguments, **filters)]


async def test_runs_are_listed_newest_first():
    """With what was asked for, how it ended, and how many steps ended how."""
    async with Runtime(pipeline) as runtime:
        first = await runtime.materialize_all(total, tags={"by": "ada"})
        await runtime.materialize(orders)
        newest, oldest = await runtime.runs()
    assert oldest.id == first.run_id
    assert (newest.kind, newest.asset, newest.status, newest.owner) == (
        "materialize",
        "orders",
        "succeeded",
        runtime.node,
    )
    assert (oldest.kind, oldest.asset, oldest.total, oldest.counts) == (
        "materialize_all",
        "total",
        2,
        {"succeeded": 2},
    )
    assert oldest.tags == {"by": "ada"}
    assert oldest.created_at <= oldest.started_at <= oldest.finished_at


async def test_runs_are_found_by_status_asset_and_tag():
    """Each alone and together, in pages."""
    async with Runtime(pipeline) as runtime:
        by_ada = (await runtime.materialize_all(orders, tags={"by": "ada"})).run_id
        with pytest.raises(RunFailed) as failed:
            await runtime.materialize_all(broken, tags={"by": "bob", "a=b": "c=d"})
        broke = failed.value.result.run_id
        last = (await runtime.materialize_all(total)).run_id

        assert await ids(runtime, "failed") == await ids(runtime, status=[Status.FAILED]) == [broke]
        assert await ids(runtime, status={"failed", "succeeded"}) == [last, broke, by_ada]
        assert await ids(runtime, asset=orders) == await ids(runtime, asset="orders") == [by_ada]
        assert await ids(runtime, tag="by") == [broke, by_ada]
        assert await ids(runtime, tag="by=ada") == await ids(runtime, tag={"by": "ada"}) == [by_ada]
        assert await ids(runtime, tag={"a=b": "c=d"}) == [broke]
        assert await ids(runtime, tag={"by": None, "a=b": None}) == [broke]
        assert await ids(runtime, tag={"by": "ada", "a=b": None}) == []
        assert await ids(runtime, "failed", tag={"by": "ada"}) == []
        assert await ids(runtime, limit=1, before=last) == [broke]


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        ({"status": "skipped"}, ValueError, "status= takes queued, running"),
        ({"status": []}, ValueError, "names no status"),
        ({"status": 3}, ValueError, "'3' is not a status"),
        ({"limit": 0}, ValueError, "limit=0"),
        ({"limit": None}, ValueError, "limit=None"),
        ({"tag": ["by"]}, TypeError, "must be a name"),
        ({"tag": {"by": 1}}, TypeError, "must be a name"),
        ({"asset": "order"}, AssetNotFound, "Did you mean 'orders'"),
        ({"before": "nothing"}, RunNotFound, "nothing"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(filters, error, words):
    """Before the store is asked, where it need not be."""
    async with Runtime(pipeline) as runtime:
        with pytest.raises(error, match=words):
            await runtime.runs(**filters)


async def test_submit_without_upstream_computes_the_asset_alone():
    """As `materialize` does, and refuses what that refuses; with `refresh` it may reuse what is there."""
    async with Runtime(pipeline) as runtime:
        with pytest.raises(DependencyNotReady):
            await runtime.submit(total, upstream=False)
        await runtime.materialize(orders)
        run = await runtime.submit(total, upstream=False)
        assert len((await run.wait()).succeeded) == 1
        again = await (await runtime.submit(total, upstream=False, refresh="missing")).wait()
        assert (len(again.reused), len(again)) == (1, 1)
        assert (await run.record()).kind == "materialize"


async def test_a_handle_says_whether_its_run_was_submitted():
    """Not where an unfinished run had the key already, and not where it was looked up."""
    gate = asyncio.Event()
    slow = Pipeline("slow")

    @slow.asset
    async def waits() -> int:
        await gate.wait()
        return 1

    async with Runtime(slow) as runtime:
        first = await runtime.submit(waits, key="one")
        second = await runtime.submit(waits, key="one")
        assert (first.submitted, second.submitted, second == first) == (True, False, True)
        assert (await runtime.run(first.id)).submitted is False
        gate.set()
        await first.wait()


async def test_a_runtime_tells_what_runs_in_it():
    """Its live runs and their running steps, with the progress they told, from the loop and from threads."""
    told, gate = asyncio.Event(), asyncio.Event()
    letters = Pipeline("letters")

    @letters.asset(partitions=StaticPartitions(["a", "b"]))
    async def letter(context: Context) -> str:
        if context.partition == "a":
            context.progress(0.25, "a quarter")
            told.set()
        await gate.wait()
        return context.partition

    async with Runtime(letters) as runtime:
        assert runtime.live_runs() == runtime.running_steps() == ()
        run = await runtime.submit_backfill(letter)
        await told.wait()
        while len(runtime.running_steps()) < 2:
            await asyncio.sleep(0)
        first, second = runtime.running_steps()
        assert [live.id for live in runtime.live_runs()] == [run.id]
        assert (first.name, first.partition, first.attempt, first.node) == ("letter[a]", "a", 1, runtime.node)
        assert (first.run_id, first.fraction, first.message) == (run.id, 0.25, "a quarter")
        assert (second.partition_key, second.fraction, second.message) == ("b", None, None)
        assert first.started_at.tzinfo is not None
        gate.set()
        await run.wait()
        assert runtime.running_steps() == ()


def test_a_runtime_is_a_node_once_it_is_entered():
    """Before that it has no name yet."""
    with pytest.raises(RuntimeStopping):
        _ = Runtime(pipeline).node


@pytest.mark.parametrize("limit", [2**31, 2**63, 10**30])
async def test_a_limit_may_be_any_number(limit):
    """What no store can count is all there is."""
    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all(orders)
        assert await ids(runtime, limit=limit) == [result.run_id]
        assert len(await runtime.history(orders, limit=limit)) == 1
        assert await runtime.history(orders, limit=limit, offset=limit) == []
        assert len(await result.steps("succeeded", limit=limit)) == 1
        assert list(await result.steps("succeeded", offset=limit, limit=limit)) == []


@pytest.mark.parametrize("number", [-1, 1.0, float("nan"), None, "2", True])
async def test_a_page_is_of_whole_numbers(number):
    """On each store alike, which would otherwise count from the end, round, or refuse in words of its own."""
    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all(orders)
        for page in ({"limit": number}, {"offset": number}):
            told = re.escape(f"{next(iter(page))}={number!r} must be a whole number of at least 0.")
            with pytest.raises(ValueError, match=told):
                await runtime.history(orders, **page)
            with pytest.raises(ValueError, match=told):
                await runtime.items(result.run_id, orders, **page)
            with pytest.raises(ValueError, match=told):
                await result.steps("succeeded", **page)


@pytest.mark.parametrize("timeout", ["5", float("nan"), 10**400, True, b"1"])
async def test_a_time_to_wait_is_a_number(timeout):
    """What is none is said at once, in our words."""
    async with Runtime(pipeline) as runtime:
        run = await runtime.submit(orders)
        with pytest.raises(ValueError, match="must be a number of seconds, or None for no limit"):
            await run.wait(timeout=timeout)
        assert (await run.wait(timeout=float("inf"))).status == "succeeded"
