"""Worker processes that are killed, stopped and resumed: what is recorded stays, and nothing is recorded twice."""

from __future__ import annotations

import asyncio
import signal

import pytest

from flowstone import RunFailed
from tests.cluster.conftest import LEASE
from tests.cluster.pipeline import PARTS


@pytest.fixture
async def busy(works):
    """Two workers, and a backfill of 48 steps that one of them owns, well under way."""
    await asyncio.gather(works.worker(), works.worker())
    async with works.node(worker=False) as command:
        run = await command.submit_backfill("clean", upstream=True, max_parallel=6)
        await works.until(lambda: under_way(works, run.id))
        yield run


async def under_way(works, run_id):
    return await works.done(run_id) >= 8


async def other_than(works, owner):
    return next(worker for worker in works.workers if worker is not owner)


async def check(works, run, *, at_most_again):
    """It ends well: every step once, and little done again."""
    result = await run.wait(timeout=200)
    assert len(result.succeeded) == 2 * len(PARTS)
    assert await works.each_once(run.id)
    again = sum(count - 1 for count in (await works.starts(run.id)).values())
    assert again <= at_most_again
    assert await result.value("clean", partition=PARTS[-1])
    assert list(await works.store.cluster.outstanding(run.id)) == []


async def test_the_owner_is_killed(works, busy):
    """Another worker adopts the run when the lease is over, and runs only what was unfinished."""
    owner = await works.owner(busy.id)
    owner.send(signal.SIGKILL)

    async def adopted():
        return await works.owner(busy.id) not in {owner, None}

    await works.until(adopted)
    await check(works, busy, at_most_again=6)


@pytest.mark.long
async def test_a_node_that_executes_steps_is_killed(works, busy):
    """The owner runs them again."""
    owner = await works.owner(busy.id)
    (await other_than(works, owner)).send(signal.SIGKILL)
    await check(works, busy, at_most_again=6)
    assert await works.owner(busy.id) is owner


@pytest.mark.long
@pytest.mark.parametrize("victim", ["owner", "other"])
async def test_a_node_is_stopped_past_its_lease_and_resumed(works, busy, victim):
    """It records nothing of what others have taken over, and is a node like any other afterwards."""
    owner = await works.owner(busy.id)
    stopped = owner if victim == "owner" else await other_than(works, owner)
    stopped.send(signal.SIGSTOP)
    await asyncio.sleep(LEASE * 2)
    stopped.send(signal.SIGCONT)
    await check(works, busy, at_most_again=12)
    for worker in works.workers:
        assert worker.process.poll() is None


async def test_a_worker_stops_politely(works, busy):
    """SIGTERM: it hands back what it cannot finish, and its exit is in time."""
    owner = await works.owner(busy.id)
    owner.send(signal.SIGTERM)
    assert await owner.ended() == 0
    await check(works, busy, at_most_again=6)


@pytest.mark.long
async def test_an_asset_that_blocks_its_node_is_not_a_death(works):
    """The node beats from a thread: nobody takes its run, and the asset runs once."""
    await asyncio.gather(works.worker(), works.worker())
    async with works.node(worker=False) as command:
        run = await command.submit("blocking")
        result = await run.wait(timeout=200)
        assert [record.attempt for record in result.succeeded] == [1]
        assert set((await works.starts(run.id)).values()) == {1}


async def deaths(works, run, *deadly):
    """How many workers such a run ends, each followed by another one, until it has ended itself."""
    await works.worker(*deadly)
    died = 0
    while not (await run.status()).terminal:
        if works.workers[-1].process.poll() is not None:
            died += 1
            assert died < 6, "it goes on for ever"
            await works.worker(*deadly)
        await asyncio.sleep(0.1)
    return died


@pytest.mark.long
async def test_an_io_manager_that_ends_its_process_is_given_up(works):
    """As an asset that does so, because its step has begun: after three processes."""
    async with works.node(worker=False) as command:
        run = await command.submit("quick")
        assert await deaths(works, run, "io") == 3
        with pytest.raises(RunFailed) as caught:
            await run.wait(timeout=200)
        assert [record.failure.kind for record in caught.value.result.failed] == ["lost"]


@pytest.mark.long
async def test_a_run_that_ends_its_process_before_a_step_begins_is_closed(works):
    """Three adoptions without a record after the death of its first owner, and its reason is said."""
    async with works.node(worker=False) as command:
        run = await command.submit_backfill("raw")
        assert await deaths(works, run, "looks") == 4
        with pytest.raises(RunFailed) as caught:
            await run.wait(timeout=200)
        assert "taken over 3 times" in caught.value.result.failed[0].failure.message


@pytest.mark.long
async def test_an_asset_that_ends_its_process_is_given_up(works):
    """After three processes; its neighbours are done, wherever they ran."""
    async with works.node(worker=False) as command:
        run = await command.submit_backfill("deadly", max_parallel=4)
        died = await deaths(works, run)
        with pytest.raises(RunFailed) as caught:
            await run.wait(timeout=200)
        result = caught.value.result
        assert [(record.partition, record.failure.kind) for record in result.failed] == [("p02", "lost")]
        assert len(result.succeeded) == 5
        assert died == 3
