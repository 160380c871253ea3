"""Sensors on every store: what is on record outlives the process, and of several nodes one looks."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import FileIO, MemoryIO, RunRequest, StaticPartitions
from flowstone.store.memory import MemoryStore
from tests.automation.looking import fires_of, letters, runs_of, status_of, until
from tests.automation.nodes import Place, counting, serve
from tests.forks import Fork


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    """One store after the other."""
    if request.param == "memory":
        return Place(MemoryStore(), MemoryIO())
    if request.param == "file":
        return Place(f"file://{tmp_path / 'store'}", FileIO(tmp_path / "values"))
    return Place(request.getfixturevalue("database"), None)


@pytest.fixture
def shared(request):
    """A store that several nodes use at a time."""
    return Place(request.getfixturevalue("database"), None)


async def numbers(runtime):
    """What a sensor asked for, in order."""
    return [int(run.request.tags["n"]) for run in await runs_of(runtime, "post")]


async def has(runtime, count):
    """Whether a sensor has asked for so many."""
    return len(await numbers(runtime)) >= count


async def test_it_goes_on_where_it_was(place):
    """After a restart, with what it has asked for and not started yet."""
    async with place.runtime(counting(20, step=10, limit=3)) as runtime:
        await until(lambda: has(runtime, 10))
    async with place.runtime(counting(20, step=10, limit=3)) as runtime:
        await until(lambda: has(runtime, 20))
        await runtime.fire("post")
        assert await numbers(runtime) == list(range(20))
        assert max(len(fire.runs) for fire in await fires_of(runtime, "post")) == 3


async def test_two_and_a_half_thousand_at_once(place):
    """A thousand a look, nothing lost, nothing twice."""
    async with place.runtime(counting(2500, step=2500, paused=True, every=1000)) as runtime:
        fired = [await runtime.fire("post") for _ in range(4)]
        assert [len(runs) for runs in fired] == [1000, 1000, 500, 0]
        assert len({run.id for runs in fired for run in runs}) == 2500


@pytest.mark.parametrize("by_hand", [False, True])
async def test_what_no_run_can_be_made_of_is_on_record_beside_what_starts(place, by_hand):
    """With the event that says so, once, also over a restart and to whoever listens on another node."""
    told = asyncio.Queue()

    def pipeline():
        it = letters(StaticPartitions(["a"]))

        @it.sensor("post", every=0.02, paused=by_hand)
        async def post(context):
            if context.cursor is None:
                for key in ("a", "b"):
                    request = RunRequest("letter", partition=key)
                    yield context.tolerate(request, lambda why, key=key: context.refuse(key, why))
                context.refuse("c", "it is illegible")
            context.cursor = "read"

        @it.on("automation.failed")
        async def listener(event):
            told.put_nowait(event)

        return it

    for _ in range(2):
        async with place.runtime(pipeline()) as runtime:
            if by_hand:
                await runtime.fire("post", by="ada")
            await until(lambda runtime=runtime: has_runs(runtime, 1))
            if told.empty():
                await until(lambda: asyncio.sleep(0, not told.empty()))
            fires = await fires_of(runtime, "post")
            assert (len(fires[0].runs), fires[0].status, fires[0].by) == (
                1,
                "started",
                "ada" if by_hand else "",
            )
            assert fires[0].reason.startswith("No run can be made of c: it is illegible; b: PartitionError: ")
    assert told.get_nowait().failure.message == fires[0].reason
    assert told.empty()


async def has_runs(runtime, count):
    """Whether so many runs were asked for."""
    return len(await runs_of(runtime, "post")) >= count


async def test_a_key_starts_a_run_once(place):
    """In one look, in others, and after a restart."""

    def keyed():
        pipeline = letters()

        @pipeline.sensor("post", every=1000, paused=True)
        async def post(_context):
            for key in ("a", "b", "a"):
                yield RunRequest("letter", key=key, refresh="all", join=False)

        return pipeline

    fired = []
    for _ in range(2):
        async with place.runtime(keyed()) as runtime:
            fired += [len(await runtime.fire("post")), len(await runtime.fire("post"))]
    assert fired == [2, 0, 0, 0]


async def test_a_look_that_fails_moves_nothing(place):
    """Neither cursor nor runs; the failure is on record."""
    pipeline = letters()

    @pipeline.sensor("post", every=0.01)
    async def post(context):
        context.cursor = 1
        yield RunRequest("letter")
        raise OSError("no post")

    async with place.runtime(pipeline) as runtime:
        await until(lambda: fires_of(runtime, "post"))
        status = await status_of(runtime, "post")
        assert status.failures >= 1
        assert status.failure.message == "OSError: no post"
        assert await runs_of(runtime, "post") == []


async def test_what_is_paused_stays_paused(place):
    """Over restarts, until somebody resumes it, wherever that is said."""
    looks = []
    async with place.runtime(counting(5, looks=looks)) as runtime:
        await until(lambda: has(runtime, 1))
        paused = await runtime.pause("post", by="ada", reason="holiday")
        seen = await numbers(runtime)
    del looks[:]
    async with place.runtime(counting(5, looks=looks)) as runtime:
        await asyncio.sleep(0.1)
        assert looks == []
        kept = await status_of(runtime, "post")
        assert (kept.paused, kept.paused_by, kept.paused_because) == (True, "ada", "holiday")
        assert kept.paused_at == paused.paused_at is not None
        assert await numbers(runtime) == seen
        await runtime.resume("post")
        await until(lambda: has(runtime, 5))
        assert await numbers(runtime) == list(range(5))


async def test_another_pace_does_not_make_it_begin_anew(place):
    """What it has seen, it has seen; and what is not started yet is not forgotten."""
    async with place.runtime(counting(4, step=4, limit=3, every=1000)) as runtime:
        await until(lambda: has(runtime, 3))
    async with place.runtime(counting(4, step=4, limit=3, every=0.02)) as runtime:
        await until(lambda: has(runtime, 4))
        await runtime.fire("post")
        assert await numbers(runtime) == list(range(4))


async def test_by_hand_beside_its_own_looks(place):
    """Each number once, however many ask at a time, and nobody is turned away."""
    looks = LooksUpTo(40)
    async with place.runtime(counting(40, looks=looks)) as runtime:
        for _ in range(5):
            await asyncio.gather(*(runtime.fire("post") for _ in range(3)))
        await looks.there.wait()
        assert await numbers(runtime) == list(range(40))


async def test_thirty_fire_it_at_once():
    """Each is decided upon anew whenever another one was first, for as long as that takes."""
    place = Place(MemoryStore(), MemoryIO())
    async with place.runtime(counting(30, paused=True)) as runtime:
        fired = await asyncio.gather(*(runtime.fire("post") for _ in range(30)))
        assert [len(runs) for runs in fired] == [1] * 30
        assert sorted(await numbers(runtime)) == list(range(30))


class LooksUpTo(list):
    """Notes from where each look goes on, and when one does from the last number: all before it is on record."""

    def __init__(self, last):
        super().__init__()
        self.last = last
        self.there = asyncio.Event()

    def append(self, cursor):
        super().append(cursor)
        if cursor == self.last:
            self.there.set()


async def test_one_node_looks_and_another_takes_over(shared):
    """When the first one is closed; nothing is lost or doubled."""
    first, second = [], []
    async with shared.runtime(counting(10_000, looks=second), lease=2.0) as waiting:
        async with shared.runtime(counting(10_000, looks=first), lease=2.0):
            await until(lambda: has(waiting, 10))
            assert not (first and second)
            leader = first or second
        if leader is first:
            assert second == []
        more = len(second) + 10
        await until(lambda: _reached(second, more), within=20)
        found = await numbers(waiting)
        assert found == list(range(len(found)))


async def _reached(looks, count):
    return len(looks) >= count


async def test_a_node_that_is_killed_is_followed_within_a_lease(shared, database):
    """It stops in the middle of whatever it does; the other one goes on where it was."""
    with Fork(serve, database) as killed:
        assert await asyncio.to_thread(killed.stdout.readline) == b"ready\n"
        looks = []
        async with shared.runtime(counting(10_000, looks=looks), lease=2.0) as runtime:
            await until(lambda: has(runtime, 10))
            assert looks == []
            killed.kill()
            await until(lambda: _reached(looks, 5), within=60)
            found = await numbers(runtime)
            assert found == list(range(len(found)))


async def test_two_nodes_that_both_believe_to_lead_double_nothing(shared, monkeypatch):
    """The version of the sensor's record decides, not who believes what."""

    async def always(_leadership):
        return True

    monkeypatch.setattr("flowstone.runtime.automation.leadership.Leadership.take", always)
    first, second = [], []
    async with (
        shared.runtime(counting(60, looks=first)) as runtime,
        shared.runtime(counting(60, looks=second)),
    ):
        await until(lambda: has(runtime, 60), within=30)
        assert first
        assert second
        assert await numbers(runtime) == list(range(60))
