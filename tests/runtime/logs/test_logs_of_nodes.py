"""Logs on Postgres: of runs that other nodes drive, of steps that they execute, and after an outage."""

from __future__ import annotations

import asyncio

from flowstone import Context, Pipeline, Runtime, StaticPartitions

KEYS = [str(number) for number in range(40)]


def speaking(goes_on=None):
    """A pipeline whose steps say where they run."""
    pipeline = Pipeline("sales")

    @pipeline.asset(partitions=StaticPartitions(KEYS))
    async def raw(context: Context) -> int:
        context.log.info("begun", key=context.partition)
        print("at", context.partition)
        await asyncio.sleep(0)
        return 1

    @pipeline.asset
    async def report() -> int:
        print("begun")
        if goes_on is not None:
            await goes_on.wait()
        print("done")
        return 1

    return pipeline


async def test_who_follows_reads_what_another_node_says(database):
    """While the run goes on there, and to its end."""
    goes_on = asyncio.Event()
    async with (
        Runtime(speaking(), store=database, worker=False) as one,
        Runtime(speaking(goes_on), store=database) as other,
    ):
        run = await one.submit("report")
        found = []
        async for line in one.logs(run.id, follow=True):
            found.append(line.message)
            goes_on.set()
        assert found == ["begun", "done"]
        assert (await run.record()).owner == other.node


async def test_a_backfill_that_spreads_has_all_of_its_lines(database):
    """Each step's in its order, and each number once; whoever read a part goes on behind it."""
    async with (
        Runtime(speaking(), store=database, max_concurrency=2) as one,
        Runtime(speaking(), store=database, max_concurrency=2),
    ):
        run = await one.submit_backfill("raw", max_parallel=4)
        lines = [line async for line in one.logs(run.id, follow=True)]
        for key in KEYS:
            mine = [line.message for line in lines if line.partition_key == f"{key}"]
            mine = mine or [line.message for line in lines if line.partition_key == f"s:{key}"]
            assert mine == ["begun", f"at {key}"]
        numbers = [line.number for line in lines]
        assert numbers == sorted(set(numbers))
        assert [line async for line in one.logs(run.id, after=numbers[40])] == lines[41:]
        assert [line.message async for line in one.logs(run.id, "raw", "7")] == ["begun", "at 7"]
