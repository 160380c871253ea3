"""A database whose clock is stepped while worker processes share it: nobody dies of it, and the dead are found."""

from __future__ import annotations

import signal

import pytest

from tests.stepped import make_steppable, step_clock

AN_HOUR = 3600.0


@pytest.fixture
async def database(database):
    """With a clock of its own."""
    await make_steppable(database)
    return database


@pytest.mark.parametrize("step", [-AN_HOUR, pytest.param(AN_HOUR, marks=pytest.mark.long)])
async def test_a_step_costs_no_owner_its_run(works, step):
    """A run that is queued while the clock is wrong is taken at once, and stays its owner's when that is mended."""
    for _ in range(2):
        await works.worker()
    async with works.node(worker=False) as command:
        await step_clock(works.dsn, step)
        run = await command.submit_backfill("clean", upstream=True, max_parallel=6)
        await works.until(lambda: begun(works, run.id))
        owner = await works.owner(run.id)
        await step_clock(works.dsn, -step)
        await works.until(lambda: begun(works, run.id, 8))
        assert await works.owner(run.id) is owner
        result = await run.wait(timeout=40)
        assert len(result.failed) == 0
        assert await works.each_once(run.id)


@pytest.mark.parametrize("step", [-AN_HOUR, pytest.param(AN_HOUR, marks=pytest.mark.long)])
async def test_a_run_queued_by_a_wrong_clock_is_due(works, step):
    """What was queued before the clock was mended is taken by whoever comes next, and not an hour later."""
    async with works.node(worker=False) as command:
        await step_clock(works.dsn, step)
        run = await command.submit_backfill("clean", upstream=True, max_parallel=6)
        await step_clock(works.dsn, -step)
        await works.worker()
        await works.until(lambda: begun(works, run.id))


@pytest.mark.parametrize("step", [-AN_HOUR, pytest.param(AN_HOUR, marks=pytest.mark.long)])
async def test_a_node_that_dies_when_the_clock_is_stepped_is_found(works, step):
    """Its run is taken over within the lease and some looks, and each step succeeds once."""
    for _ in range(2):
        await works.worker()
    async with works.node(worker=False) as command:
        run = await command.submit_backfill("clean", upstream=True, max_parallel=6)
        await works.until(lambda: begun(works, run.id, 4))
        owner = await works.owner(run.id)
        await step_clock(works.dsn, step)
        owner.send(signal.SIGKILL)

        async def adopted():
            return await works.owner(run.id) not in {owner, None}

        await works.until(adopted)  # It waits for ten leases.
        result = await run.wait(timeout=40)
        assert len(result.failed) == 0
        assert await works.each_once(run.id)


async def begun(works, run_id, steps=1):
    return await works.done(run_id) >= steps
