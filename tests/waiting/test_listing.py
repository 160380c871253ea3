"""What steps wait for, as whoever asks sees it: approvals, signals and instants in one list."""

from __future__ import annotations

import pytest

from flowstone import ApprovalNotFound, AssetNotFound, Context, Pipeline, StaticPartitions


def desk() -> Pipeline:
    pipeline = Pipeline("desk")

    @pipeline.asset(partitions=StaticPartitions(["eu", "us"]))
    async def published(context: Context) -> int:
        context.approval("publish", message="Publish?", data=[1], timeout=600.0, on_timeout="approve")
        return 1

    @pipeline.asset
    async def paid(context: Context) -> int:
        context.signal_token("payment")
        context.signal("payment")
        return 1

    @pipeline.asset
    async def cooled(context: Context) -> int:
        context.sleep("cool down", 60.0)
        return 1

    return pipeline


async def parked(runtime, asset, **options):
    """A run of it that waits."""
    run = await runtime.submit(asset, **options)
    async for event in run.events():
        if event.kind == "run.waiting":
            return run
    raise AssertionError("it does not wait")


async def test_all_that_steps_wait_for_is_listed(place):
    """What is over first comes first, and what waits for as long as it takes comes last."""
    async with place.runtime(desk()) as runtime:
        signalled = await parked(runtime, "paid")
        approved = await parked(runtime, "published", partition="eu")
        await parked(runtime, "cooled")
        found = await runtime.waits()
        assert [(each.kind, each.name, each.asset, each.partition, each.message) for each in found] == [
            ("sleep", "cool down", "cooled", None, ""),
            ("approval", "publish", "published", "eu", "Publish?"),
            ("signal", "payment", "paid", None, ""),
        ]
        assert (found[2].run_id, found[2].until) == (signalled.id, None)
        assert found[0].since < found[0].until < found[1].until
        (pending,) = await runtime.approvals()
        assert (found[1].id, found[1].run_id) == (pending.id, approved.id)
        assert [each.asset for each in await runtime.waits("paid")] == ["paid"]
        assert len(await runtime.waits(limit=2)) == 2
        await runtime.approve(pending.id, by="ada")
        assert [each.kind for each in await runtime.waits()] == ["sleep", "signal"]
        await signalled.cancel()
        assert [each.kind for each in await runtime.waits()] == ["sleep"]


async def test_one_approval_is_found_whatever_became_of_it(place):
    """With what no answer would have meant."""
    async with place.runtime(desk()) as runtime:
        await parked(runtime, "published", partition="us")
        (pending,) = await runtime.approvals()
        assert await runtime.approval(pending.id) == pending
        assert (pending.on_timeout, pending.partition) == ("approve", "us")
        decided = await runtime.reject(pending.id, by="grace", reason="not yet")
        assert await runtime.approval(pending.id) == decided
        for unknown in ("0" * 20, "", "nonsense\x00"):
            with pytest.raises(ApprovalNotFound):
                await runtime.approval(unknown)
        with pytest.raises(AssetNotFound):
            await runtime.waits("nobody")
        with pytest.raises(ValueError, match="limit"):
            await runtime.waits(limit=0)
