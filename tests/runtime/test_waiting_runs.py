"""Runs with a step on record that waits for somebody else."""

from __future__ import annotations

import asyncio

from flowstone.runs import endings
from flowstone.runs.endings import PlannedStep
from tests.runtime.doubles import Gate
from tests.runtime.test_recovery import Scene

KEY = "d:2025-01-01"


async def waiting_run(scene):
    """A backfill whose first step waits, after the process that drove it has died; returns its id and that wait."""
    gate = scene.gates["raw", 1] = Gate()
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("clean", upstream=True, max_parallel=1)
        await scene.die(run, gate)
    scene.gates.clear()
    scene.starts.clear()
    record = await scene.store.run(run.id)
    step = PlannedStep(run.id, "raw", None, KEY, 1)
    wait = endings.waiting(step, record.created_at, "publish", "approval", None)
    await scene.store.write(wait, record.epoch)
    return run.id, wait


async def test_all_other_partitions_are_done_while_a_step_waits():
    """Then its run waits as well, and can still be cancelled; the step ends as one that never started."""
    scene = Scene()
    run_id, _ = await waiting_run(scene)
    async with asyncio.timeout(200), scene.runtime() as runtime:
        run = await runtime.run(run_id)
        while await run.status() != "waiting":
            await asyncio.sleep(0)
        assert len(scene.starts) == 12
        assert await runtime.status("raw", partition="2025-01-01") == "waiting"
        assert await runtime.status("clean", partition="2025-01-01") == "queued"
        await run.cancel()
        assert await run.status() == "cancelled"
        assert (await scene.store.step(run_id, ("raw", KEY))).attempt == 0


async def test_a_step_that_was_woken_is_attempted_again_by_whoever_goes_on():
    """Its next attempt has the next number; it is no suspect."""
    scene = Scene()
    run_id, wait = await waiting_run(scene)
    record = await scene.store.run(run_id)
    await scene.store.write(endings.woken(wait, record.created_at), record.epoch)
    async with asyncio.timeout(200), scene.runtime() as runtime:
        result = await (await runtime.run(run_id)).wait()
        assert len(result.succeeded) == 14
    assert scene.starts[0] == ("raw", 1, 2)


async def test_a_run_that_is_left_keeps_the_step_that_waits():
    """A runtime that does not go on with it changes nothing of it."""
    scene = Scene()
    run_id, _ = await waiting_run(scene)
    before = await scene.store.events(run_id)
    async with asyncio.timeout(200), scene.runtime(worker=False) as runtime:
        await runtime.materialize("raw", partition="2025-01-07")
    assert await scene.store.events(run_id) == before
    assert await scene.store.step(run_id, ("raw", KEY)) is None
