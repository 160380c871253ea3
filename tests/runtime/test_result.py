"""Results of runs of any size: what is loaded, what is read page by page, and what answers afterwards."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import UTC, datetime

import pytest

from flowstone import (
    AssetNotFound,
    PartitionError,
    Pipeline,
    Runtime,
    StoreUnavailable,
    ValueNotFound,
    WrongLoop,
)
from flowstone.runs.records import Materialization, RunRecord, RunSpec, Status
from flowstone.runtime.client.result import RunResult
from flowstone.runtime.client.step_list import NotLoaded, StepList
from flowstone.runtime.loop_affinity import LoopAffinity
from flowstone.store import MemoryStore

AT = datetime(2025, 1, 1, tzinfo=UTC)


def made(place, status=Status.SUCCEEDED, asset="big"):
    """The record of the step that ended at this place."""
    return Materialization(asset, place, f"i:{place}", "run-1", status, 1, AT, AT, location=f"m:{place}")


class BigStore(MemoryStore):
    """One run whose records are made when they are asked for, as a database would give them.

    Attributes:
        most: The longest page that was asked for.
        asked: How many pages.
        closed: Whether it answers no more.
    """

    cluster = object()

    def __init__(self, **counts):
        super().__init__()
        self.counts = counts
        self.most = self.asked = 0
        self.closed = False

    async def steps(self, run_id, *, status=None, offset=0, limit=None):
        if self.closed:
            raise StoreUnavailable("closed")
        assert limit is not None, "everything at once"
        self.asked += 1
        found = range(self.counts.get(str(status), 0))[offset : offset + limit]
        self.most = max(self.most, len(found))
        return [made(place, status) for place in found]

    async def step(self, run_id, key):
        if self.closed:
            raise StoreUnavailable("closed")
        place = int(key[1].removeprefix("i:")) if key[1] else -1
        if key == ("summary", None):
            return Materialization("summary", None, None, "run-1", Status.REUSED)
        known = key[0] == "big" and 0 <= place < self.counts.get("succeeded", 0)
        return made(place) if known else None


async def result_of(store, **request):
    """The result of the store's run; a value is its partition."""
    head = RunRecord("run-1", "p", RunSpec("backfill", "big"), Status.SUCCEEDED, AT, counts=store.counts)

    def locate(asset, partition):
        return asset or "big", None if partition is None else f"i:{partition}"

    async def load(record):
        return record.asset if record.partition is None else record.partition * 10

    return await RunResult.of(
        head, store, locate=locate, load=load, affinity=LoopAffinity(asyncio.get_running_loop())
    )


async def test_a_million_steps_are_never_a_list():
    """The length is exact, every record can be had, and memory stays flat."""
    store = BigStore(succeeded=1_000_000, failed=3)
    await (await result_of(store)).steps("succeeded")  # Whatever is made once is made now.
    tracemalloc.start()
    result = await result_of(store)
    assert (len(result), len(result.succeeded), len(result.failed)) == (1_000_003, 1_000_000, 3)
    seen = 0
    async for step in result.each("succeeded"):
        assert step.partition == seen
        seen += 1
        if seen == 15_000:
            break
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert store.most == 10_000
    (last,) = await result.steps(Status.SUCCEEDED, offset=999_999)
    assert last.partition == 999_999


async def test_what_is_not_loaded_says_how_to_get_it():
    """To look at it, by index, slice or iteration, raises an error with the remedy; the first ones answer."""
    result = await result_of(BigStore(succeeded=25_000))
    steps = result.succeeded
    assert steps[0] == steps[-25_000] == made(0)
    assert steps[:2] == [made(0), made(1)]
    assert steps[9_999].partition == 9_999
    assert steps[20_000:20_000] == []
    assert not steps.complete
    assert len(steps.loaded) == 10_000
    for look in (
        lambda: steps[10_000],
        lambda: steps[-1],
        lambda: steps[9_990:10_001],
        lambda: steps[::-1],
        lambda: list(steps),
        lambda: made(20_000) in steps,
    ):
        with pytest.raises(NotLoaded, match=r"first 10,000 of these 25,000 .* result\.each"):
            look()
    with pytest.raises(IndexError):
        steps[25_000]
    assert repr(steps) == "[big[0], big[1], big[2], big[3], big[4], … 24,995 more]"


async def test_all_steps_of_one_ending_can_be_walked_through():
    """Each comes once, in order, those that are loaded and those that are not; also where there are none."""
    store = BigStore(succeeded=12_500, skipped=1_000)
    result = await result_of(store)
    assert [step.partition async for step in result.each("succeeded")] == list(range(12_500))
    assert [step.partition async for step in result.each(Status.SKIPPED)] == list(range(1_000))
    assert [step async for step in result.each("failed")] == []
    assert [step.partition for step in await result.steps("succeeded", offset=9_999, limit=3)] == [
        9_999,
        10_000,
        10_001,
    ]
    assert await result.steps("succeeded", offset=12_499) == [made(12_499)]
    assert await result.steps("succeeded", offset=12_500) == []
    with pytest.raises(ValueError, match="No step ends 'running'"):
        await result.steps("running")


async def test_a_status_that_no_step_has_is_not_asked_for():
    """A small result costs as many questions as it has kinds of endings."""
    store = BigStore(succeeded=5, reused=2)
    result = await result_of(store)
    assert store.asked == 2
    assert result.succeeded == [made(place) for place in range(5)]
    assert result.succeeded.complete


async def test_a_value_is_found_by_its_key_and_not_by_searching():
    """Also that of a step that is not loaded."""
    store = BigStore(succeeded=1_000_000)
    result = await result_of(store)
    asked = store.asked
    assert await result.value(partition=999_999) == 9_999_990
    assert await result.value("summary") == "summary"
    assert store.asked == asked
    with pytest.raises(PartitionError, match="several partitions of 'big'"):
        await result.value()
    with pytest.raises(ValueNotFound, match=r"big\[1000000\] is not part of run run-1"):
        await result.value(partition=1_000_000)
    with pytest.raises(AssetNotFound, match="other"):
        await result.value("other", partition=1)


async def test_what_is_loaded_answers_without_the_store():
    """What is not says that the store has gone, instead of that there is nothing."""
    store = BigStore(succeeded=12_000)
    small = await result_of(BigStore(succeeded=3))
    large = await result_of(store)
    small._store.closed = store.closed = True
    assert await small.value(partition=2) == 20
    assert [step async for step in small.each("succeeded")] == small.succeeded
    with pytest.raises(ValueNotFound):
        await small.value(partition=3)
    assert await large.value(partition=9_999) == 99_990
    with pytest.raises(StoreUnavailable):
        await large.value(partition=11_000)
    with pytest.raises(StoreUnavailable):
        await large.steps("succeeded", offset=9_999, limit=2)


async def test_a_result_in_memory_is_whole_whatever_its_size():
    """Where the store's records are in this process anyway, nothing is left out."""
    pipeline = Pipeline("large")

    @pipeline.asset
    async def one() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("one", partitions=range(10_500), max_parallel=64)
    assert result.succeeded.complete
    assert len(list(result.succeeded)) == 10_500
    assert await result.value(partition=10_499) == 1


def test_a_total_below_what_is_there_does_not_hide_it():
    """A head that was read before its steps may say less than they do."""
    assert len(StepList([made(0), made(1)], 1)) == 2


async def test_what_is_not_loaded_is_looked_up_on_the_runtimes_loop_only():
    """While the runtime runs, another loop gets what is loaded and `WrongLoop` for the rest."""
    result = await result_of(BigStore(succeeded=25_000))
    result._affinity.running = True

    def elsewhere(offset):
        return asyncio.run(result.steps("succeeded", offset=offset, limit=1))

    assert await asyncio.to_thread(elsewhere, 0) == [made(0)]
    with pytest.raises(WrongLoop):
        await asyncio.to_thread(elsewhere, 20_000)
