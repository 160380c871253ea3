"""Runs that go on after a redeploy: by today's definitions, or not at all."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    MemoryIO,
    Pipeline,
    RunFailed,
    Runtime,
    StaticPartitions,
    Status,
    StoreUnavailable,
)
from tests.runtime.doubles import Gate, UnreliableStore

DAYS = DailyPartitions("2025-01-01", "2025-01-03")


class Deploys:
    """One store and its values, and pipelines of one name that follow each other."""

    def __init__(self) -> None:
        self.store = UnreliableStore()
        self.io = MemoryIO()
        self.gate = Gate()

    def pipeline(
        self, *, name: str = "report", partitions: object = None, upstream: object = None
    ) -> Pipeline:
        pipeline = Pipeline("shop")

        @pipeline.asset(partitions=upstream)
        async def raw() -> int:
            return 1

        @pipeline.asset(name=name, partitions=partitions)
        async def report(raw: object) -> int:
            await self.gate.wait()
            return 1

        return pipeline

    def runtime(self, pipeline: Pipeline) -> Runtime:
        return Runtime(pipeline, store=self.store, io={"default": self.io})

    async def interrupted(self, pipeline: Pipeline, **request: object) -> str:
        """The id of a run that its process left when `report` had begun."""
        async with self.runtime(pipeline) as runtime:
            if "partitions" in request:
                run = await runtime.submit_backfill("report", upstream=True, **request)
            else:
                run = await runtime.submit("report", **request)
            await self.gate.entered.wait()
            self.store.down = True
            self.gate.open()
            with pytest.raises(StoreUnavailable):
                await run.wait()
            self.store.down = False
        return run.id

    async def failure(self, run_id: str, pipeline: Pipeline) -> str:
        """Why the run fails once these definitions are deployed."""
        async with self.runtime(pipeline) as runtime:
            run = await runtime.run(run_id)
            with pytest.raises(RunFailed) as caught:
                await run.wait()
            failed, *_ = [each for each in caught.value.failures if each.asset == "report"]
            assert failed.failure.kind == "error"
            assert await run.status() is Status.FAILED
        return failed.failure.message


async def test_an_asset_that_has_gained_partitions_is_not_run_without_one():
    """What was asked for has no partition, so nothing of it becomes current."""
    deploys = Deploys()
    run_id = await deploys.interrupted(deploys.pipeline())
    message = await deploys.failure(run_id, deploys.pipeline(partitions=DAYS, upstream=DAYS))
    assert "'report' is partitioned by DailyPartitions('2025-01-01', '2025-01-03') since" in message
    assert "ask for it again, at one of them" in message
    assert await deploys.store.current([("report", None)]) == {}


async def test_an_asset_that_has_lost_its_partitions_is_not_run_for_a_range():
    """A range of a set that is gone means nothing."""
    deploys = Deploys()
    run_id = await deploys.interrupted(
        deploys.pipeline(partitions=DAYS, upstream=DAYS), partitions=DAYS.keys()
    )
    message = await deploys.failure(run_id, deploys.pipeline())
    assert "'report' has no partitions any more, and 2025-01-01 to 2025-01-03" in message


async def test_an_asset_that_has_lost_its_partitions_is_not_run_for_one():
    """One key of it means nothing either, though an asset that never had a set takes any key."""
    deploys = Deploys()
    run_id = await deploys.interrupted(
        deploys.pipeline(partitions=DAYS, upstream=DAYS), partition="2025-01-02"
    )
    message = await deploys.failure(run_id, deploys.pipeline())
    assert (
        "'report' has no partitions any more, and 2025-01-02 of it was asked for: ask for it again" in message
    )


async def test_a_key_that_has_left_the_set_is_not_run():
    """Nor the others that were asked for with it."""
    deploys = Deploys()
    before, after = StaticPartitions(["eu", "us"]), StaticPartitions(["eu"])
    run_id = await deploys.interrupted(deploys.pipeline(partitions=before, upstream=before), partition="us")
    message = await deploys.failure(run_id, deploys.pipeline(partitions=after, upstream=after))
    assert "StaticPartitions(['eu']), which has no us any more" in message


async def test_a_removed_asset_fails_its_runs():
    """In a pipeline of the same name; a pipeline of another name leaves the run to whoever has it."""
    deploys = Deploys()
    run_id = await deploys.interrupted(deploys.pipeline())
    async with deploys.runtime(Pipeline("another")) as runtime:
        assert await (await runtime.run(run_id)).status() is Status.RUNNING
    message = await deploys.failure(run_id, deploys.pipeline(name="renamed"))
    assert "The pipeline 'shop' has no asset 'report' any more" in message


async def test_a_resumed_run_counts_what_it_has_done_before():
    """However its plan has changed, no more steps have ended than there are in all."""
    deploys = Deploys()
    run_id = await deploys.interrupted(
        deploys.pipeline(partitions=DAYS, upstream=DAYS), partitions=DAYS.keys()
    )
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DAYS)
    async def report() -> int:
        return 1

    async with deploys.runtime(pipeline) as runtime:
        await (await runtime.run(run_id)).wait()
        record = await deploys.store.run(run_id)
        assert record.counts["succeeded"] == 6
        assert record.total == 6


@pytest.fixture(params=["file", "postgres"])
def lasting(request, tmp_path) -> str:
    """The URL of a store that outlives its process."""
    return f"file://{tmp_path}/store" if request.param == "file" else request.getfixturevalue("database")


@pytest.mark.parametrize("approved", [False, True])
async def test_a_run_that_waits_is_cancelled_though_its_asset_is_gone(lasting, approved):
    """Nobody's code is needed for that; also after an approval that no node can go on with."""
    asks, later = Pipeline("shop"), Pipeline("shop")

    @asks.asset
    async def ask(context: Context) -> None:
        context.approval("publish")

    @later.asset
    async def other() -> None: ...

    async with Runtime(asks, store=lasting) as runtime:
        run = await runtime.submit("ask")
        async with asyncio.timeout(60):
            while await run.status() is not Status.WAITING:
                await asyncio.sleep(0)
    async with asyncio.timeout(60), Runtime(later, store=lasting) as runtime:
        run = await runtime.run(run.id)
        if approved:
            (waits,) = await runtime.approvals()
            await runtime.approve(waits.id, by="ada")
        await run.cancel()
        ended = await run.status()
        # Where no other process could have the asset, the approved one may have failed before it was cancelled.
        assert ended is Status.CANCELLED or (approved and lasting.startswith("file:") and ended.terminal)
