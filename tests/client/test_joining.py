"""One who no longer waits stops no run that others may wait for; and how many steps at a time a run has."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Pipeline
from tests.client.shops import store


def gated() -> tuple[Pipeline, asyncio.Event, asyncio.Event]:
    """An asset that says that it has begun, and ends when it may."""
    pipeline = Pipeline("gated")
    begun, may_end = asyncio.Event(), asyncio.Event()

    @pipeline.asset
    async def slow() -> int:
        begun.set()
        await may_end.wait()
        return 1

    return pipeline, begun, may_end


@pytest.mark.parametrize("call", ["materialize", "materialize_all"])
async def test_whoever_joins_gives_up_in_time(serve, call):
    """`timeout` is the patience of the call: the run of somebody else goes on."""
    pipeline, begun, may_end = gated()
    async with serve(pipeline) as served, asyncio.timeout(60):
        run = await served.runtime.submit("slow", upstream=call == "materialize_all", join=True)
        await begun.wait()
        with pytest.raises(TimeoutError, match=f"Run {run.id} has not ended within 0.05 s; it goes on"):
            await getattr(served.client, call)("slow", join=True, timeout=0.05)
        assert not (await run.status()).terminal
        may_end.set()
        assert (await run.wait()).status == "succeeded"


async def test_whoever_joined_and_is_cancelled_stops_nobody_else(serve, monkeypatch):
    """Also a run that this call has started, since another one may have joined it."""
    pipeline, begun, may_end = gated()
    async with serve(pipeline) as served, asyncio.timeout(60):
        loop, waits = asyncio.get_running_loop(), asyncio.Event()
        ended = served.client._runs.ended

        async def seen(run_id: str):
            waits.set()
            return await ended(run_id)

        monkeypatch.setattr(served.client._runs, "ended", seen)
        leaving = loop.create_task(served.client.materialize("slow", join=True, cancel_when_unwanted=True))
        await waits.wait()
        await begun.wait()
        staying = loop.create_task(served.runtime.materialize("slow", join=True))
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        may_end.set()
        assert (await staying).status == "succeeded"
        assert len(await served.runtime.runs()) == 1


async def test_a_backfill_has_as_many_steps_at_a_time_as_it_was_asked_for(serve):
    """None is as many as the runtime runs; who says nothing has four."""
    async with serve(store()) as served:
        for given in ({}, {"max_parallel": None}, {"max_parallel": 2}):
            told = await (await served.client.submit_backfill("visits", **given)).record()
            known = await (await served.runtime.submit_backfill("visits", **given)).record()
            assert told.request.max_parallel == known.request.max_parallel == given.get("max_parallel", 4)
