"""A run of several assets on a database, whose node is killed: another one goes on with all of it."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.cluster.pipeline import PARTS


@pytest.mark.timeout(400)
async def test_a_run_of_several_assets_survives_its_node(works):
    """Steps that follow one another and some that sleep: each succeeds once, and all of them are remembered."""
    await asyncio.gather(works.worker(), works.worker())
    async with works.node(worker=False) as command:
        run = await command.submit_backfill("raw,clean,rested", max_parallel=6)

        async def under_way():
            return await works.done(run.id) >= 8

        await works.until(under_way)
        owner = await works.owner(run.id)
        owner.send(signal.SIGKILL)
        await works.worker()
        result = await run.wait(timeout=300)
        assert len(result.succeeded) == 3 * len(PARTS)
        assert await works.each_once(run.id)
        assert result.record.assets == ("raw", "clean", "rested")
        raw = await result.value("raw", partition=PARTS[-1])
        clean = await result.value("clean", partition=PARTS[-1])
        assert clean == raw.upper()
        assert await works.owner(run.id) is not owner
        assert [each.id for each in await command.runs(asset="clean")] == [run.id]
        assert list(await works.store.cluster.outstanding(run.id)) == []
