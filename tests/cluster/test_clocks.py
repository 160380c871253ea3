"""A database whose clock is stepped while worker processes share it: nobody dies of it, and the dead are found."""

from __future__ import annotations

import signal

import pytest

from flowstone import RunFailed
from tests.cluster.pipeline import PARTS
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
        result = await run.wait(timeout=200)
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
        result = await run.wait(timeout=200)
        assert len(result.failed) == 0
        assert await works.each_once(run.id)


async def test_deadlines_are_those_of_the_clock_as_it_is(works):
    """Set forward, what has passed by it is over within the lease; set back, it is not, and can be decided."""
    await works.worker()
    async with works.node(worker=False) as command:
        first = await command.submit("reviewed_in_time", partition=PARTS[0])
        await works.until(lambda: asked(command, 1))
        await step_clock(works.dsn, AN_HOUR)
        with pytest.raises(RunFailed, match="nobody decided"):
            await first.wait(timeout=200)
        second = await command.submit("reviewed_in_time", partition=PARTS[1])
        await works.until(lambda: asked(command, 1))
        await step_clock(works.dsn, -2 * AN_HOUR)
        (approval,) = await command.approvals()
        await command.approve(approval.id, by="ada")
        assert len((await second.wait(timeout=200)).succeeded) == 1
        assert [each.status for each in await command.approvals(None)] == ["approved", "expired"]


async def asked(command, count):
    """Whether so many approvals are pending."""
    return len(await command.approvals()) == count


async def begun(works, run_id, steps=1):
    return await works.done(run_id) >= steps
