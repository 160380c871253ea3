from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from contextvars import Context
from pathlib import Path
from random import Random

import pytest

from flowstone.errors import Deadlock, Livelock, SimulationError
from flowstone.testing.simulation.loop import SimulationLoop
from flowstone.testing.simulation.process import ProcessState
from flowstone.threads import Threads

HERE = Path(__file__).parent


@pytest.fixture
def make():
    """Makes loops, and disposes of them."""
    loops = []

    def make(**options):
        loops.append(SimulationLoop(**options))
        return loops[-1]

    yield make
    for loop in loops:
        loop.dispose()


def marks(loop, *, tasks=6, rounds=3):
    """The order in which some tasks that are all ready go on."""
    seen = []

    async def each(number):
        for _ in range(rounds):
            seen.append(number)
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(each(number) for number in range(tasks)))

    loop.run_until_complete(main())
    return seen


def test_a_day_takes_no_time(make):
    """Sleeping moves the loop's time and nothing else."""
    loop, begun = make(), time.monotonic()
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.time() == 86_400
    assert time.monotonic() - begun < 5


def test_timers_fire_in_the_order_of_their_instants(make):
    """Whatever the order in which they were set; a cancelled one does not."""
    loop, seen = make(), []

    async def main():
        running = asyncio.get_running_loop()
        for delay in (3.0, 1.0, 2.0):
            running.call_later(delay, lambda delay=delay: seen.append((delay, running.time())))
        running.call_later(1.5, seen.append, "cancelled").cancel()
        await asyncio.sleep(5)

    loop.run_until_complete(main())
    assert seen == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_many_cancelled_timers_are_forgotten(make):
    """They do not pile up on the agenda until their time would have come."""
    loop = make()

    async def main():
        for _ in range(5_000):
            asyncio.get_running_loop().call_later(1e6, print).cancel()
            await asyncio.sleep(0.001)
        assert len(loop._scheduled) < 500

    loop.run_until_complete(main())


def test_asyncios_own_means_work(make):
    """Timeouts, task groups, queues, locks, threads: all of them are tasks, futures and timers."""
    loop = make(order="shuffle", cost=0.001)

    async def late():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.sleep(20)
        return asyncio.get_running_loop().time()

    async def main():
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(late())
            group.create_task(queue.put(1))
            assert await queue.get() == 1
        assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()
        return task.result()

    assert 10 <= loop.run_until_complete(main()) < 11


def test_nothing_to_wait_for_is_a_deadlock(make):
    """It is reported at once, with the task and the line where it waits."""

    async def stuck():
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"stuck.*\n?.*wait"):
        make().run_until_complete(stuck())


def test_a_timer_that_never_comes_is_a_deadlock(make):
    """Infinity is not an instant."""
    with pytest.raises(Deadlock):
        make().run_until_complete(asyncio.sleep(float("inf")))


def test_going_round_in_circles_is_a_livelock(make):
    """The budget of steps ends it, and the message has the last of them."""

    async def around():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=r"1,000 steps were taken without an end(?s:.*)around"):
        make(budget=1_000).run_until_complete(around())


def test_a_budget_for_each_instant(make):
    """Is full again when time has passed."""
    loop = make(budget=100)
    loop.still = True

    async def main():
        for _ in range(1_000):
            await asyncio.sleep(1)
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match="at one instant"):
        loop.run_until_complete(main())
    assert loop.time() == 1_000


def test_idle_at_returns_when_all_that_was_due_is_done(make):
    """Also what is due at that very instant, and what that sets in motion; nothing later."""
    loop, seen = make(), []

    async def ticking():
        while True:
            await asyncio.sleep(10)
            await asyncio.sleep(0)
            seen.append(loop.time())

    async def main():
        task = asyncio.create_task(ticking())
        await loop.idle_at(30)
        assert (seen, loop.time()) == ([10, 20, 30], 30)
        await loop.idle_at(35)
        assert (seen, loop.time()) == ([10, 20, 30], 35)
        task.cancel()

    loop.run_until_complete(main())


def test_fifo_is_the_order_of_asyncio(make):
    """The default."""
    assert marks(make()) == list(range(6)) * 3


@pytest.mark.parametrize("order", ["shuffle", "priorities"])
def test_a_seed_makes_an_order(make, order):
    """The same seed the same one, other seeds others."""
    orders = [marks(make(seed=seed, order=order)) for seed in range(10)]
    assert orders == [marks(make(seed=seed, order=order)) for seed in range(10)]
    assert len({tuple(each) for each in orders}) > 5


def test_no_order_overtakes_a_callback(make):
    """Callbacks are called in the order in which they were set, as asyncio promises."""
    for seed in range(20):
        loop, seen = make(seed=seed, order="shuffle"), []

        async def main(seen=seen, loop=loop):
            async def step(name):
                seen.append(name)

            tasks = [asyncio.create_task(step("before")) for _ in range(3)]
            for number in range(3):
                loop.call_soon(seen.append, number)
            tasks += [asyncio.create_task(step("after")) for _ in range(3)]
            await asyncio.gather(*tasks)

        loop.run_until_complete(main())
        assert seen == ["before"] * 3 + [0, 1, 2] + ["after"] * 3


def test_an_unknown_order_is_refused():
    """The message has those that there are."""
    with pytest.raises(ValueError, match="fifo, shuffle or priorities"):
        SimulationLoop(order="random")


def races(make, **options):
    """In how many of 100 seeds a check is overtaken before it is acted on, a moment later."""
    lost = 0
    for seed in range(100):
        loop, taken = make(seed=seed, **options), []

        async def take(after, taken=taken):
            await asyncio.sleep(after)
            if not taken:
                await asyncio.sleep(0)
                taken.append(after)

        async def main(take=take):
            await asyncio.gather(take(1.0), take(1.001))

        loop.run_until_complete(main())
        lost += len(taken) > 1
    return lost


def test_a_cost_lets_different_instants_race(make):
    """Without one, code takes no time and what comes later never catches up."""
    assert races(make, order="shuffle") == 0
    assert races(make, order="shuffle", cost=0.001) > 10


# Processes ----------------------------------------------------------------------------------------------------


def test_a_killed_process_takes_no_further_step(make):
    """Not even that of its `finally`, nor of the tasks, timers and callbacks that it has started."""
    loop, seen = make(), []
    node = loop.process("node")

    async def child():
        while True:
            await asyncio.sleep(1)
            seen.append("child")

    async def work():
        try:
            task = asyncio.create_task(child())
            asyncio.get_running_loop().call_later(2.5, seen.append, "timer")
            await task
        finally:
            seen.append("finally")

    async def main():
        node.spawn(work())
        await asyncio.sleep(2.1)
        node.kill()
        await asyncio.sleep(10)

    loop.run_until_complete(main())
    loop.dispose()
    assert seen[:2] == ["child", "child"]
    assert "timer" not in seen
    assert node.state is ProcessState.KILLED


def test_a_paused_process_goes_on_where_it_was(make):
    """With all that has come due meanwhile, at the time that it is now."""
    loop, seen = make(), []
    node = loop.process("node")

    async def work():
        while True:
            await asyncio.sleep(1)
            seen.append(loop.time())

    async def main():
        node.spawn(work())
        await asyncio.sleep(1.5)
        node.pause()
        await asyncio.sleep(10)
        node.resume()
        await asyncio.sleep(1)
        node.kill()

    loop.run_until_complete(main())
    assert seen == [1.0, 11.5]


def test_code_belongs_to_whoever_started_it_and_not_to_whoever_wakes_it(make):
    """Also code that was started in an empty context, as actors are."""
    loop = make()
    one, other = loop.process("one"), loop.process("other")
    seen, tasks = {}, []
    gate = loop.create_future()

    async def waits(name):
        await gate
        seen[name] = loop.current

    async def begins(name):
        tasks.append(asyncio.create_task(waits(f"{name} here")))
        context = loop.new_context() if name == "one" else Context()
        tasks.append(asyncio.create_task(waits(f"{name} apart"), context=context))
        await asyncio.sleep(1)

    async def opens():
        await asyncio.sleep(2)
        gate.set_result(None)

    async def main():
        one.spawn(begins("one"))
        other.spawn(begins("other"))
        other.spawn(opens())
        await asyncio.sleep(3)

    loop.run_until_complete(main())
    assert seen == {"one here": one, "one apart": one, "other here": other, "other apart": other}


def test_a_function_called_as_code_of_a_process(make):
    """What it starts is the process's too."""
    loop = make()
    node, seen = loop.process("node"), []

    async def main():
        assert node.call(lambda: loop.current) is node
        node.call(lambda: loop.call_later(1, seen.append, 1))
        node.kill()
        await asyncio.sleep(2)

    loop.run_until_complete(main())
    assert seen == []


def test_killing_twice_and_resuming_the_dead_changes_nothing(make):
    """Death is final."""
    loop = make()
    node = loop.process("node")
    node.kill()
    node.pause()
    node.resume()
    node.kill()
    assert repr(node) == "<Process node, killed>"


def test_the_story_has_the_last_steps(make):
    """One a line, with time, process and name."""
    loop = make()

    async def hello():
        await asyncio.sleep(7)

    async def main():
        await loop.process("node").spawn(hello(), name="greeting")

    loop.run_until_complete(main())
    assert any(line.split() == ["7.000000", "node", "greeting"] for line in loop.story().splitlines())
    assert len(loop.story(2).splitlines()) == 2


# Threads and the world outside --------------------------------------------------------------------------------


def test_time_stands_still_for_a_thread(make):
    """However long it takes."""
    loop = make()

    async def main():
        asyncio.get_running_loop().call_later(0.001, print)
        return await asyncio.to_thread(time.sleep, 0.05)

    loop.run_until_complete(main())
    assert loop.time() == 0.0


def test_threads_end_in_the_order_of_their_start(make):
    """Whichever is the fastest."""
    for _ in range(5):
        loop, seen, threads = make(), [], Threads(4, "test")

        async def call(number, seen=seen, threads=threads):
            await threads.start(str(number), lambda: time.sleep(0.004 * (4 - number)), undo=None).wait()
            seen.append(number)

        async def main(call=call):
            await asyncio.gather(*(call(number) for number in range(4)))

        loop.run_until_complete(main())
        threads.close()
        assert seen == [0, 1, 2, 3]


def test_more_calls_than_threads(make):
    """A call that waits for a thread is not waited for before its turn has come."""
    loop, seen, threads = make(), [], Threads(1, "test")

    async def call(number):
        def ask():
            loop.call_soon_threadsafe(seen.append, f"asked {number}")

        await threads.start(str(number), ask, lambda: None).wait()
        seen.append(number)

    async def main():
        await asyncio.gather(*(call(number) for number in range(3)))

    loop.run_until_complete(main())
    threads.close()
    assert seen == ["asked 0", 0, "asked 1", 1, "asked 2", 2]


def test_a_thread_may_wait_for_another_one(make):
    """One that has asked the loop for something is not waited for before what it may wait for."""
    loop, threads, begun = make(), Threads(4, "test"), time.monotonic()

    async def inner():
        return await threads.start("inner", lambda: time.sleep(0.01) or "inner").wait()

    def outer():
        return asyncio.run_coroutine_threadsafe(inner(), loop).result()

    async def main():
        return await threads.start("outer", outer, lambda: None).wait()

    assert loop.run_until_complete(main()) == "inner"
    threads.close()
    assert time.monotonic() - begun < 0.2


def test_threads_that_wait_for_each_other_unseen_are_told_apart_by_patience(make):
    """The first one waits for an event that the second one sets: nothing shows it."""
    loop, threads, event = make(), Threads(4, "test"), threading.Event()

    async def main():
        first = threads.start("first", event.wait)
        second = threads.start("second", event.set)
        await asyncio.gather(first.wait(), second.wait())

    loop.run_until_complete(main())
    threads.close()


def test_a_call_that_nobody_waits_for_any_more_holds_up_nothing(make):
    """An abandoned thread goes on in real time."""
    loop, threads, event = make(), Threads(4, "test"), threading.Event()

    async def main():
        call = threads.start("hangs", event.wait)
        while not threads.statistics().busy:
            await asyncio.to_thread(time.sleep, 0.001)
        assert threads.abandon(call)
        await asyncio.sleep(100)

    loop.run_until_complete(main())
    event.set()
    threads.close()
    assert loop.time() == 100


def test_an_executor_of_ones_own(make):
    """Time stands still for it as well."""
    from concurrent.futures import ThreadPoolExecutor

    loop = make()

    async def main():
        with ThreadPoolExecutor(1) as executor:
            running = asyncio.get_running_loop()
            running.call_later(5, print)
            await running.run_in_executor(executor, time.sleep, 0.02)
            assert running.time() == 0

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    "reach",
    [
        lambda: asyncio.open_connection("localhost", 1),
        lambda: asyncio.start_server(print, "localhost", 0),
        lambda: asyncio.create_subprocess_exec("true"),
        lambda: asyncio.create_subprocess_shell("true"),
        lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1),
    ],
)
def test_there_is_no_network(make, reach):
    """The error says what to do instead."""

    async def main():
        await reach()

    with pytest.raises(SimulationError, match=r"There is no (network|subprocess) in a simulation.*stand-in"):
        make().run_until_complete(main())


# Determinism --------------------------------------------------------------------------------------------------


def digest(seed):
    """Of a small world with everything in it: what `test_loop` prints when it is run as a program."""
    loop = SimulationLoop(seed=seed, order=["fifo", "shuffle", "priorities"][seed % 3], cost=0.01, trace=True)
    random, threads = Random(seed), Threads(3, "test")
    nodes = [loop.process(f"node-{number}") for number in range(3)]
    queue: asyncio.Queue[int] = asyncio.Queue(2)

    async def produce():
        while True:
            await asyncio.sleep(random.random())
            await queue.put(await threads.start("call", lambda: 1, lambda: None).wait())

    async def consume():
        while True:
            async with asyncio.timeout(5):
                await queue.get()
            await asyncio.gather(*(asyncio.sleep(random.random()) for _ in range(3)))

    async def world():
        for node in nodes:
            node.spawn(produce())
            node.spawn(consume())
        for _ in range(10):
            await asyncio.sleep(random.random() * 3)
            victim = random.choice(nodes)
            random.choice([victim.kill, victim.pause, victim.resume])()

    loop.run_until_complete(world())
    threads.close()
    loop.dispose()
    return f"{seed} {loop.steps} {loop.digest:08x}"


def test_a_seed_takes_the_same_steps_in_each_process():
    """Whatever the hash seed of the interpreter, and however often in one process."""
    here = [digest(seed) for seed in range(12)]
    assert here == [digest(seed) for seed in range(12)]
    assert len({each.split()[2] for each in here}) == 12
    for hashes in ("1", "2"):
        program = subprocess.run(
            [sys.executable, __file__],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hashes},
        )
        assert program.stdout.split("\n")[:-1] == here


if __name__ == "__main__":
    for number in range(12):
        print(digest(number))
