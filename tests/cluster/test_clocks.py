"""A database whose clock is stepped while worker processes share it: nobody dies of it, and the dead are found."""

from __future__ import annotations

import signal

import pytest

from tests.cluster.conftest import LEASE
from tests.stepped import make_steppable, step_clock

AN_HOUR = 3600.0


@pytest.fixture
async def database(database):
    """With a clock of its own."""
    await make_steppable(database)
    return database


@pytest.mark.parametrize("step", [AN_HOUR, -AN_HOUR])
async def test_a_step_costs_no_run_and_no_adoption(works, step):
    """A run that is queued then is taken; its owner keeps it; and when that is killed, the other one takes over."""
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
        await step_clock(works.dsn, step)
        owner.send(signal.SIGKILL)

        async def adopted():
            return await works.owner(run.id) not in {owner, None}

        assert await works.until(adopted) < 10 * LEASE  # And not an hour.
        result = await run.wait(timeout=40)
        assert len(result.failed) == 0
        assert await works.each_once(run.id)


async def begun(works, run_id, steps=1):
    return await works.done(run_id) >= steps
