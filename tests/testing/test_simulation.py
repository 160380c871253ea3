from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest
import uvloop

from flowstone import FileIO, MaterializationFailed, Pipeline, Resource, Retry, RuntimeStopping
from flowstone.errors import Deadlock, Livelock, SimulationError
from flowstone.runs.records import Status
from flowstone.testing import Simulation, VirtualClock
from flowstone.testing.simulation import outside, simulation
from flowstone.testing.simulation.loop import SimulationLoop

START = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on(request):
    """Runs a coroutine on a fresh loop of either kind."""

    def on(coroutine):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return on


def slow():
    """A pipeline with an async and a sync asset, of which the first one takes an hour."""
    pipeline = Pipeline("slow")

    @pipeline.asset
    async def ore() -> int:
        await asyncio.sleep(3600)
        return 1

    @pipeline.asset
    def iron(ore: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        return ore + 1

    return pipeline


# Time ---------------------------------------------------------------------------------------------------------


def test_an_hour_takes_no_time(on):
    """In assets, in the test itself, and between the runs; afterwards the test is where it was."""

    async def test():
        outer, task, begun = asyncio.get_running_loop(), asyncio.current_task(), time.monotonic()
        async with Simulation(slow(), start=START) as sim:
            result = await sim.runtime.materialize_all("iron")
            assert await result.value() == 2
            assert sim.now == START + timedelta(hours=1)
            await asyncio.sleep(60)
            assert sim.now == START + timedelta(hours=1, minutes=1)
            await sim.run(days=30, hours=1, minutes=1, seconds=1.5)
            assert sim.now == START + timedelta(days=30, hours=2, minutes=2, seconds=1.5)
            assert asyncio.get_running_loop() is sim.runtime.loop
        assert asyncio.get_running_loop() is outer
        assert asyncio.current_task() is task
        assert sim.now == START + timedelta(days=30, hours=2, minutes=2, seconds=1.5)
        await asyncio.sleep(0.001)
        return time.monotonic() - begun

    assert on(test()) < 20


async def test_records_and_events_have_virtual_times():
    """Runs are in the order of their beginning, events in that of what happened; both can be read afterwards."""
    async with Simulation(slow(), start=START) as sim:
        for _ in range(3):
            await sim.runtime.submit("ore")
            await sim.run(days=1)
        assert [run.created_at.day for run in sim.runs] == [1, 2, 3]
        assert {run.status for run in sim.runs} == {Status.SUCCEEDED}
        assert sim.runs[0].finished_at == START + timedelta(hours=1)
        seen = [(event.kind, event.at) for event in sim.events if event.kind == "run.finished"]
        assert seen == [("run.finished", START + timedelta(days=day, hours=1)) for day in range(3)]
    assert len(sim.runs) == 3
    assert len(sim.events) >= 9


async def test_run_ends_with_what_is_due_at_its_last_instant():
    """And what that sets in motion at once; what takes time is under way."""
    async with Simulation(slow()) as sim:
        await sim.runtime.submit("ore")
        await sim.run(minutes=59)
        assert [run.status for run in sim.runs] == [Status.RUNNING]
        await sim.run(minutes=1)
        assert [run.status for run in sim.runs] == [Status.SUCCEEDED]
        await sim.run()


async def test_retries_wait_in_virtual_time():
    """By the clock of the runtime."""
    pipeline, tries = Pipeline("tries"), []

    @pipeline.asset(retry=Retry(attempts=5, delay=3600.0, max_delay=86_400.0, jitter=0.0))
    async def fails():
        tries.append(sim.now)
        raise OSError("no")

    async with Simulation(pipeline, start=START) as sim:
        with pytest.raises(MaterializationFailed):
            await sim.runtime.materialize("fails")
    assert len(tries) == 5
    assert tries[-1] > START + timedelta(hours=10)


@pytest.mark.parametrize("span", [{"days": -1}, {"hours": float("nan")}, {"seconds": float("inf")}])
async def test_time_passes_forward_for_a_time(span):
    """Anything else is refused."""
    async with Simulation(slow()) as sim:
        with pytest.raises(ValueError, match="Time passes forward"):
            await sim.run(**span)


@pytest.mark.parametrize("start", [datetime(2025, 1, 1), "2025-01-01", None])  # noqa: DTZ001 - naive on purpose
def test_the_start_is_an_aware_datetime(start):
    """Anything else is refused."""
    with pytest.raises(TypeError, match="aware datetime"):
        Simulation(slow(), start=start)


# What hangs ---------------------------------------------------------------------------------------------------


async def test_a_hang_is_a_deadlock_that_names_the_line():
    """However much else goes on: after a year of virtual time, it is told where the test and the asset wait."""
    pipeline = Pipeline("hangs")

    @pipeline.asset
    async def stuck():
        await asyncio.Event().wait()

    async with Simulation(pipeline) as sim:
        with pytest.raises(Deadlock, match="never comes") as caught:
            await sim.runtime.materialize("stuck")
        assert "stuck" in str(caught.value)
        await sim.run(hours=1)


async def test_a_hang_in_the_test_is_one_too():
    """What it waits for may have nothing to do with the runtime."""
    async with Simulation(slow()) as sim:
        with pytest.raises(Deadlock, match="test_a_hang_in_the_test_is_one_too"):
            await asyncio.Event().wait()
        async with asyncio.timeout(5):
            await sim.run(seconds=1)


async def test_going_round_in_circles_is_a_livelock(monkeypatch):
    """At one instant, so many steps are taken and no more."""
    monkeypatch.setattr(simulation, "_AT_ONE_INSTANT", 5_000)
    pipeline = Pipeline("around")

    @pipeline.asset
    async def around():
        while True:
            await asyncio.sleep(0)

    async with Simulation(pipeline, shutdown_timeout=0.0) as sim:
        with pytest.raises(Livelock, match="5,000 steps"):
            await sim.runtime.materialize("around")


async def test_a_thread_that_hangs_ends_by_its_timeout(monkeypatch):
    """Time stands still for a thread, though not for ever."""
    monkeypatch.setattr(outside, "_PATIENT", 1)
    pipeline, event = Pipeline("hangs"), threading.Event()

    @pipeline.asset(timeout=3600.0)
    def hangs() -> None:
        event.wait()

    async with Simulation(pipeline) as sim:
        with pytest.raises(MaterializationFailed, match=r"3,?600"):
            await sim.runtime.materialize("hangs")
    event.set()


# The order of things ------------------------------------------------------------------------------------------


def story(seed):
    """What happens in a simulation of some runs at a time, as text."""
    pipeline = Pipeline("order")

    @pipeline.asset
    async def first():
        await asyncio.sleep(1)
        return 1

    @pipeline.asset
    def second(first):
        return first

    @pipeline.asset(retry=Retry(attempts=3, delay=60.0))
    def third(context):
        if context.attempt < 3:
            raise OSError("no")
        return 1

    @pipeline.asset
    async def fourth(second, third):
        return await asyncio.to_thread(lambda: second + third)

    async def simulate():
        async with Simulation(pipeline, seed=seed) as sim:
            for _ in range(5):
                await asyncio.gather(*(sim.runtime.submit("fourth", upstream=True) for _ in range(3)))
                await sim.run(minutes=5)
        return [f"{event.at} {event.kind} {event.run_id} {event.asset}" for event in sim.events]

    return asyncio.run(simulate())


def test_the_same_seed_gives_the_same_order():
    """In each process, whatever its hash seed; and other seeds give other ones."""
    told = [story(seed) for seed in (0, 1, 2)]
    assert told == [story(seed) for seed in (0, 1, 2)]
    kinds = [[" ".join(line.split()[2::2]) for line in each] for each in told]
    assert kinds[0] != kinds[1] != kinds[2]
    for hashes in ("1", "2"):
        program = subprocess.run(
            [sys.executable, __file__],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hashes},
        )
        assert program.stdout.splitlines() == told[1]


# Where it is used ---------------------------------------------------------------------------------------------


def test_what_the_test_sets_and_starts_is_the_tests(on):
    """Its variables go in and out with it; tasks that it starts are in virtual time, and end with the block."""
    variable: ContextVar[int] = ContextVar("variable")

    async def test():
        variable.set(1)
        ended = []

        async def for_ever():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        async with Simulation(slow()) as sim:
            assert variable.get() == 1
            token = variable.set(2)
            task = asyncio.create_task(for_ever())
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(100))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(100):
                    await asyncio.sleep(200)
            assert sim.now == VirtualClock().now() + timedelta(seconds=200)
        assert task.cancelled()
        assert ended == [True]
        assert variable.get() == 2
        variable.reset(token)

    on(test())


def test_what_else_runs_on_the_loop_goes_on(on):
    """In real time."""

    async def test():
        seen = []

        async def beside():
            while len(seen) < 3:
                await asyncio.sleep(0.001)
                seen.append(asyncio.get_running_loop())

        outer = asyncio.get_running_loop()
        task = asyncio.create_task(beside())
        async with Simulation(slow()) as sim:
            while len(seen) < 3:
                await asyncio.to_thread(time.sleep, 0.001)
            assert sim.runtime.loop is not outer
        await task
        assert set(seen) == {outer}

    on(test())


def test_several_go_on_at_a_time(on):
    """Each in its own time."""

    async def one(days):
        async with Simulation(slow()) as sim:
            await sim.runtime.materialize_all("iron")
            await sim.run(days=days)
        return sim.now.day

    async def test():
        return await asyncio.gather(*(one(days) for days in range(1, 5)))

    assert on(test()) == [2, 3, 4, 5]


def test_an_error_of_the_test_is_the_tests(on):
    """It ends the block as any other."""

    async def test():
        with pytest.raises(ZeroDivisionError):
            async with Simulation(slow()) as sim:
                await sim.runtime.submit("ore")
                raise ZeroDivisionError
        assert isinstance(sim._loop, SimulationLoop)
        assert sim._loop.is_closed()

    on(test())


def test_a_cancel_in_real_time_reaches_the_test(on):
    """Such as that of a timeout around it, while a thread works."""

    async def test():
        ended = []
        outer, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        with pytest.raises(asyncio.CancelledError):
            async with Simulation(slow()):
                outer.call_later(0.001, task.cancel)
                try:
                    await asyncio.to_thread(time.sleep, 0.1)
                except asyncio.CancelledError:
                    ended.append("body")
                    raise
        assert ended == ["body"]
        assert task.uncancel() == 0

    on(test())


def test_a_cancel_before_it_begins(on):
    """Ends it before its first step."""

    async def body():
        async with Simulation(slow()) as sim:
            await sim.run(days=1)

    async def test():
        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    on(test())


def test_an_async_fixture_is_refused(on):
    """Its coroutine ends before the test begins; the error says what to do instead."""

    async def fixture():
        async with Simulation(slow()) as sim:
            yield sim

    async def test():
        generator = fixture()
        task = asyncio.create_task(anext(generator))
        with pytest.raises(SimulationError, match=r"async fixture.*in the test"):
            await task

    on(test())


async def test_it_is_entered_once_and_not_in_another_one():
    """Each has its loop."""
    sim = Simulation(slow())
    with pytest.raises(SimulationError, match="in the test itself"):
        await sim.run(days=1)
    async with sim:
        with pytest.raises(SimulationError, match="cannot be entered in another one"):
            async with Simulation(slow()):
                pass
        assert repr(sim.runtime) == "<Runtime 2 assets, running>"
    with pytest.raises(SimulationError, match="make a new one"):
        async with sim:
            pass


async def test_a_runtime_that_cannot_be_entered():
    """What is wrong with it is raised where the block begins, and the test is where it was."""
    outer = asyncio.get_running_loop()
    with pytest.raises(ValueError, match="max_threads"):
        async with Simulation(slow(), max_threads=0):
            pass
    assert asyncio.get_running_loop() is outer


# What it reaches ----------------------------------------------------------------------------------------------


async def test_files_are_reached(tmp_path):
    """By threads, which take no virtual time; a store of files is there for the next one."""
    for day in (1, 2):
        async with Simulation(
            slow(), store=f"file://{tmp_path}/runs", io={"default": FileIO(tmp_path / "v")}
        ) as sim:
            result = await sim.runtime.materialize_all("iron", refresh="all")
            assert await result.value() == 2
            assert sim.now == VirtualClock().now() + timedelta(hours=1)
            assert len(sim.runs) == day


@pytest.mark.parametrize("store", ["postgresql://nobody@nowhere/nothing", "embedded://somewhere"])
def test_a_database_is_not(store):
    """It is refused at once."""
    with pytest.raises(SimulationError, match="reaches no database"):
        Simulation(slow(), store=store)


async def test_the_network_is_not():
    """An asset that opens a connection fails, and is told what to do."""
    pipeline = Pipeline("network")

    @pipeline.asset
    async def page():
        await asyncio.open_connection("localhost", 1)

    @pipeline.asset
    async def name():
        loop = asyncio.get_running_loop()
        with socket.socket() as opened:
            await loop.sock_connect(opened, ("127.0.0.1", 1))

    async with Simulation(pipeline) as sim:
        for asset in ("page", "name"):
            with pytest.raises(MaterializationFailed, match=r"no network in a simulation.*stand-in"):
                await sim.runtime.materialize(asset)


async def test_a_resource_is_replaced_as_in_any_runtime():
    """And has its health asked in virtual time."""
    pipeline = Pipeline("resource")

    @pipeline.asset
    async def rate(bank: Annotated[int, Resource]) -> int:
        return bank

    async with Simulation(pipeline, resources={"bank": 7}) as sim:
        assert (await sim.runtime.materialize("rate")).asset == "rate"
        await sim.run(days=1)
    with pytest.raises((SimulationError, RuntimeStopping)):
        await sim.runtime.materialize("rate")


if __name__ == "__main__":
    print("\n".join(story(1)))
