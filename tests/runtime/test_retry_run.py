"""Computing again what failed in a run, on every store."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    Outcome,
    Pipeline,
    RunNotFound,
    Runtime,
    Skip,
    Status,
)
from flowstone.errors import ArgumentError


class World:
    """What an asset reads, and who has read it."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.calls: list[str] = []
        self.held: asyncio.Event | None = None
        self.begun = asyncio.Event()


def shop(world: World) -> Pipeline:
    pipeline = Pipeline("shop")
    days = DailyPartitions("2025-01-01", "2025-01-05")

    @pipeline.asset(partitions=days)
    async def raw(context: Context) -> int:
        name = f"raw {context.partition_key}"
        world.calls.append(name)
        world.begun.set()
        if world.held is not None:
            await world.held.wait()
        if name in world.broken:
            raise OSError("no such file")
        return 1

    @pipeline.asset(partitions=days)
    async def clean(raw: int, context: Context) -> int:
        world.calls.append(f"clean {context.partition_key}")
        return raw

    @pipeline.asset
    async def tolerant(raw_one: Outcome[int]) -> int:
        world.calls.append("tolerant")
        return 1 if raw_one.ok else 0

    @pipeline.asset
    async def raw_one() -> int:
        world.calls.append("raw_one")
        if "raw_one" in world.broken:
            raise OSError("no such file")
        return 1

    @pipeline.asset
    async def chosen() -> int:
        raise Skip("no data today")

    return pipeline


async def ended(run):
    while not (await run.status()).terminal:
        await run._client.ended(run.id)
    return await run.result()


@pytest.fixture(params=["file", "postgres"])
def store(request, tmp_path):
    """Where two runtimes, one after another, find the same runs."""
    return f"file://{tmp_path / 'store'}" if request.param == "file" else request.getfixturevalue("database")


async def test_what_failed_and_was_skipped_is_computed_again(store):
    """And nothing else, though the old run computed all of it anew, and the failed step has an older value."""
    world = World()
    async with Runtime(shop(world), store=store) as runtime:
        await runtime.backfill("clean", upstream=True)
        world.broken = {"raw d:2025-01-03"}
        old = await ended(
            await runtime.submit_backfill("clean", upstream=True, refresh="all", tags={"why": "test"})
        )
        assert (len(old.failed), len(old.skipped)) == (1, 1)
        world.broken, world.calls = set(), []
        run = await runtime.retry(old.run_id)
        new = await ended(run)
        assert new.status is Status.SUCCEEDED
        assert world.calls == ["raw d:2025-01-03", "clean d:2025-01-03"]
        assert (new.record.request.retry_of, dict(new.record.tags)) == (old.run_id, {"why": "test"})
        assert new.record.total == 2
    async with Runtime(shop(world), store=store) as runtime:
        assert (await (await runtime.run(run.id)).record()).request.retry_of == old.run_id
        with pytest.raises(ArgumentError, match="nothing to retry"):
            await runtime.retry(run.id)


async def test_a_failure_that_somebody_tolerated_is_tried_again_with_all_of_its_run():
    """No step that was asked for failed, so all of the run is asked for, and what succeeded is reused."""
    world = World()
    world.broken = {"raw_one"}
    async with Runtime(shop(world)) as runtime:
        old = await ended(await runtime.submit("tolerant"))
        assert (len(old.failed), len(old.succeeded)) == (1, 1)
        world.broken, world.calls = set(), []
        new = await ended(await runtime.retry(old.run_id))
        assert world.calls == ["raw_one"]
        assert [step.asset for step in new.reused] == ["tolerant"]


async def test_what_succeeded_and_was_invalidated_since_is_computed_again():
    """There is nothing to reuse."""
    world = World()
    world.broken = {"raw d:2025-01-03"}
    async with Runtime(shop(world)) as runtime:
        old = await ended(await runtime.submit_backfill("clean", upstream=True))
        await runtime.invalidate("raw")
        world.broken, world.calls = set(), []
        new = await ended(await runtime.retry(old.run_id))
        assert new.status is Status.SUCCEEDED
        assert world.calls == ["raw d:2025-01-03", "clean d:2025-01-03"]


async def test_there_may_be_nothing_to_retry():
    """A skip by choice is no failure; nor is there a run of any name."""
    async with Runtime(shop(World())) as runtime:
        old = await ended(await runtime.submit("chosen"))
        assert (old.status, len(old.skipped)) == (Status.SUCCEEDED, 1)
        with pytest.raises(ArgumentError, match="nothing to retry"):
            await runtime.retry(old.run_id)
        with pytest.raises(RunNotFound):
            await runtime.retry("nobody")


async def test_a_run_that_was_cancelled_is_gone_on_with():
    """What had not ended is computed."""
    world = World()
    world.held = asyncio.Event()
    async with Runtime(shop(world)) as runtime:
        run = await runtime.submit_backfill("raw", max_parallel=1)
        await world.begun.wait()
        await run.cancel()
        assert len((await run.result()).cancelled) == 5
        world.held, world.calls = None, []
        new = await ended(await runtime.retry(run.id))
        assert new.status is Status.SUCCEEDED
        assert len(world.calls) == 5
