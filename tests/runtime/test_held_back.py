"""What `Run.drain()` holds back: everything that has not begun, whatever it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from flowstone import Each, Pipeline, Runtime, StaticPartitions
from tests.runtime.doubles import Gate

PARTS = ["a", "b", "c"]
LIMITS = {
    "a slot": ({}, {"max_concurrency": 1}),
    "a pool": ({"pool": "desk"}, {}),
    "a rate": ({"rate": "calls"}, {}),
    "both": ({"pool": "desk", "rate": "calls"}, {}),
}


def one_by_one(gate, begun, options):
    """Three partitions, of which a limit lets one begin."""
    pipeline = Pipeline("limits")
    pipeline.pool("desk", slots=1)
    pipeline.rate("calls", limit=1, per=3600.0)

    @pipeline.asset(partitions=StaticPartitions(PARTS), **options)
    async def slow() -> int:
        begun.append("slow")
        await gate.wait()
        return 1

    return pipeline


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request, tmp_path):
    """The URL of a store of each kind."""
    match request.param:
        case "memory":
            return "memory://"
        case "file":
            return f"file://{tmp_path}/runs"
        case _:
            return request.getfixturevalue("database")


async def until_held(run):
    """Until the run has taken in that it is to begin nothing more."""
    draining = asyncio.create_task(run.drain())
    while not run._client._runs.live[run.id].requests:
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    return draining


@pytest.mark.parametrize("limit", LIMITS)
async def test_what_waits_for_a_limit_does_not_begin(store, limit):
    """The step that runs ends with its value; those that wait for their turn end as cancelled."""
    options, settings = LIMITS[limit]
    gate, begun = Gate(), []
    async with Runtime(one_by_one(gate, begun, options), store=store, **settings) as runtime:
        run = await runtime.submit_backfill("slow")
        await gate.entered.wait()
        draining = await until_held(run)
        gate.open()
        async with asyncio.timeout(200):
            await draining
        assert await run.status() == "cancelled"
        result = await run.result()
        assert len(result.succeeded) == 1
        assert len(result.cancelled) == 2
        assert begun == ["slow"]
        assert all(pool.taken == pool.waiting == 0 for pool in await runtime.pools())
        if (
            "rate" not in options
        ):  # What was held back has left no place behind that keeps others from theirs.
            again = await runtime.backfill("slow")
            assert len(again.succeeded) == 2


@pytest.mark.parametrize("pool", [None, "desk"])
async def test_items_that_have_not_begun_do_not(store, pool):
    """Two run, and are recorded; the step ends as cancelled, and what is next to it with it."""
    gate, begun, pipeline = Gate(), [], Pipeline()
    pipeline.pool("desk", slots=2)

    @pipeline.asset
    def numbers() -> list[int]:
        return list(range(50))

    @pipeline.asset(each=Each("numbers", max_parallel=2 if pool is None else 8), pool=pool)
    async def doubled(numbers: int) -> int:
        begun.append(numbers)
        await gate.wait()
        return 2 * numbers

    @pipeline.asset
    def total(doubled: list[int]) -> int:
        return sum(doubled)

    async with Runtime(pipeline, store=store) as runtime:
        run = await runtime.submit("total")
        while len(begun) < 2:
            await asyncio.sleep(0)
        draining = await until_held(run)
        gate.open()
        async with asyncio.timeout(200):
            await draining
        assert begun == [0, 1]
        result = await run.result()
        assert result.status == "cancelled"
        assert [m.asset for m in result.succeeded] == ["numbers"]
        assert sorted(m.asset for m in result.cancelled) == ["doubled", "total"]
        assert len(await runtime.items(run.id, "doubled", status="succeeded")) == 2


async def test_a_step_whose_last_items_run_ends_with_its_value():
    """There is nothing of it to hold back."""
    gate, pipeline = Gate(), Pipeline()

    @pipeline.asset
    def numbers() -> list[int]:
        return [1, 2]

    @pipeline.asset(each=Each("numbers"))
    async def doubled(numbers: int) -> int:
        await gate.wait()
        return 2 * numbers

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("doubled")
        await gate.entered.wait()
        draining = await until_held(run)
        gate.open()
        await draining
        assert [m.asset for m in (await run.result()).succeeded] == ["numbers", "doubled"]


@pytest.mark.parametrize("endless", [True, False])
async def test_a_reader_reads_no_more(store, endless):
    """What it has handed on and what has begun ends; a generator without an end does not keep the run from its."""
    gate, begun, read, pipeline = Gate(), [], [], Pipeline()

    @pipeline.asset
    async def pages() -> AsyncIterator[int]:
        number = 0
        while endless or number < 5:
            read.append(number)
            yield number
            number += 1

    @pipeline.asset(each=Each("pages", max_parallel=2))
    async def taken(pages: int) -> int:
        begun.append(pages)
        await gate.wait()
        return pages

    async with Runtime(pipeline, store=store) as runtime:
        run = await runtime.submit("taken")
        await gate.entered.wait()
        draining = await until_held(run)
        gate.open()
        async with asyncio.timeout(200):
            await draining
        result = await run.result()
        assert result.status == "cancelled"
        assert begun == [0, 1]
        assert "taken" in {m.asset for m in result.cancelled}
