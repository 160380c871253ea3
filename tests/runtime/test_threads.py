"""Daemon threads: limits, queueing, abandonment, places that are lent, and that nothing of it holds the exit."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import weakref
from functools import partial
from textwrap import dedent

import pytest

from flowstone.runtime.execution.guard import call, outcome_of
from flowstone.threads import Threads, ThreadStatistics

pytestmark = pytest.mark.both_loops
LONG = 60.0
"""Seconds that nothing here takes, unless it hangs."""


def done(value):
    """A call that returns at once."""
    return lambda: (True, value)


def held(gate, entered=None, value=None):
    """A call that stays in its thread until `gate` is set."""

    def inside():
        if entered is not None:
            entered.set()
        gate.wait(LONG)
        return True, value

    return inside


@pytest.fixture
def gate():
    """Opened at the end of the test, so that no thread outlives it by much."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def make(gate):
    """Make a pool that is closed with the test."""
    pools = []

    def new(limit):
        pools.append(Threads(limit, f"test-{len(pools)}"))
        return pools[-1]

    yield new
    for pool in pools:
        pool.close()


async def until(condition):
    """Return when the condition holds; what it waits for happens in threads."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_outcome_comes_back(make):
    """What the call returns is what its waiter gets."""
    assert await make(2).start("a", done(42)).wait() == (True, 42)


async def test_calls_leave_the_loop_alone(make):
    """A call runs on a daemon thread with a telling name, not on the loop's."""
    seen = []
    await make(1).start("a", lambda: (True, seen.append(threading.current_thread()))).wait()
    assert seen[0] is not threading.current_thread()
    assert seen[0].daemon
    assert seen[0].name == "test-0-1"


async def test_a_thread_is_used_again(make):
    """One call after another needs one thread."""
    pool = make(8)
    for number in range(50):
        assert await pool.start("a", done(number)).wait() == (True, number)
        await until(lambda: pool._spare == 1)
    assert pool.statistics().threads == 1


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_the_limit_holds(make, gate, limit):
    """At most `limit` calls run at a time; the others wait in order and are counted."""
    pool = make(limit)
    begun = []

    def work(number):
        begun.append(number)
        gate.wait(LONG)
        return True, number

    calls = [pool.start(f"call {number}", partial(work, number)) for number in range(12)]
    await until(lambda: len(begun) == limit)
    statistics = pool.statistics()
    assert (statistics.busy, statistics.queued, statistics.threads) == (limit, 12 - limit, limit)
    gate.set()
    assert [await each.wait() for each in calls] == [(True, number) for number in range(12)]
    assert sorted(begun) == list(range(12))
    assert limit > 1 or begun == list(range(12))


async def test_calls_that_wait_for_each_other_all_begin(make):
    """As many calls as the limit allows are inside together, however they are started."""
    pool = make(8)
    for _ in range(50):
        barrier = threading.Barrier(8, timeout=LONG)
        calls = [pool.start("a", lambda barrier=barrier: (True, barrier.wait())) for _ in range(8)]
        assert sorted([(await each.wait())[1] for each in calls]) == list(range(8))


async def test_context_variables_are_seen_and_not_changed(make):
    """A call sees the context it was started in, and what it sets there stays there."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outside")

    def look():
        seen = variable.get()
        variable.set("inside")
        return True, seen

    pool = make(1)
    assert await pool.start("a", look).wait() == (True, "outside")
    assert await pool.start("a", look).wait() == (True, "outside")
    assert variable.get() == "outside"


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit])
async def test_an_exception_ends_no_thread(make, error):
    """Whatever leaves the call, its waiter gets an outcome and the thread takes the next one."""

    def broken():
        raise error("out of the call itself")

    pool = make(1)
    with pytest.raises(
        RuntimeError if error is StopIteration else error, match=r"out of the call|raised StopIteration"
    ):
        await pool.start("a", broken).wait()
    ok, failure = await outcome_of(pool.start("a", partial(call, broken, {}, None)))
    assert not ok
    assert failure.message.startswith(error.__name__)
    assert await pool.start("a", done("alive")).wait() == (True, "alive")
    assert pool.statistics().threads == 1


async def test_on_start_is_called_on_the_loop(make, gate):
    """Whoever wants to know when a call leaves the queue is told, in the loop's thread."""
    pool = make(1)
    told = []
    first = pool.start("first", held(gate), lambda: told.append(("first", threading.current_thread())))
    second = pool.start("second", done(2), lambda: told.append(("second", threading.current_thread())))
    await until(lambda: told)
    assert told == [("first", threading.current_thread())]
    gate.set()
    await first.wait()
    await second.wait()
    assert [name for name, _ in told] == ["first", "second"]


async def test_a_cancelled_waiter_waits_for_the_thread(make, gate):
    """A cancel cannot interrupt a thread: the waiter goes on waiting, and gets the outcome."""
    entered = threading.Event()
    job = make(1).start("a", held(gate, entered, "late"))
    waiter = asyncio.create_task(job.wait())
    await asyncio.sleep(0)
    await until(entered.is_set)
    for _ in range(3):
        waiter.cancel()
        await asyncio.sleep(0)
        assert not waiter.done()
    gate.set()
    assert await waiter == (True, "late")


async def test_a_cancelled_waiter_leaves_the_queue(make, gate):
    """A call that no thread has begun with is never made once its waiter was cancelled."""
    pool = make(1)
    entered = threading.Event()
    first = pool.start("first", held(gate, entered))
    await until(entered.is_set)
    made = []
    second = pool.start("second", lambda: (True, made.append(1)))
    waiter = asyncio.create_task(second.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert pool.statistics().queued == 0
    gate.set()
    await first.wait()
    assert await pool.start("third", done(3)).wait() == (True, 3)
    assert made == []


async def test_an_abandoned_call_is_named_and_replaced(make, gate):
    """An abandoned call frees its place, is named until it returns, and its outcome goes nowhere."""
    pool = make(1)
    entered = threading.Event()
    stuck = pool.start("report[2025]", held(gate, entered, "zombie"))
    waiter = asyncio.create_task(stuck.wait())
    await until(entered.is_set)
    waiting = pool.start("next", done("next"))
    assert pool.abandon(stuck)
    assert await waiting.wait() == (True, "next")
    statistics = pool.statistics()
    assert statistics.abandoned == ("report[2025]",)
    assert (statistics.busy, statistics.threads) == (0, 1)
    gate.set()
    await until(lambda: not pool.statistics().abandoned)
    assert not waiter.done()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert await pool.start("after", done("after")).wait() == (True, "after")
    assert pool.statistics().threads == 1


async def test_many_abandoned_calls_leave_the_pool_whole(make, gate):
    """However many threads are lost, the limit is as it was."""
    pool = make(2)
    for number in range(6):
        entered = threading.Event()
        job = pool.start(f"stuck {number}", held(gate, entered))
        await until(entered.is_set)
        assert pool.abandon(job)
        assert not pool.abandon(job)
    assert len(pool.statistics().abandoned) == 6
    barrier = threading.Barrier(2, timeout=LONG)
    calls = [pool.start("pair", lambda: (True, barrier.wait())) for _ in range(2)]
    assert sorted([(await each.wait())[1] for each in calls]) == [0, 1]


async def test_a_finished_call_cannot_be_abandoned(make):
    """Giving up what is over changes nothing."""
    pool = make(1)
    job = pool.start("a", done(1))
    assert await job.wait() == (True, 1)
    assert not pool.abandon(job)
    assert pool.statistics().abandoned == ()


async def test_a_queued_call_that_is_given_up_is_never_made(make, gate):
    """Abandoning a call that waits takes it out of the queue; no thread is lost over it."""
    pool = make(1)
    entered = threading.Event()
    first = pool.start("first", held(gate, entered))
    await until(entered.is_set)
    made = []
    second = pool.start("second", lambda: (True, made.append(1)))
    assert not pool.abandon(second)
    gate.set()
    await first.wait()
    await pool.start("third", done(3)).wait()
    assert made == []
    assert pool.statistics().threads == 1


async def test_abandoning_races_with_the_end(make):
    """Whoever comes first, the outcome's waiter and the counts agree."""
    pool = make(4)
    for _ in range(300):
        job = pool.start("a", done(1))
        waiter = asyncio.create_task(job.wait())
        await asyncio.sleep(0)
        if pool.abandon(job):
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
        else:
            waiter.cancel()
            await asyncio.gather(waiter, return_exceptions=True)
    await until(lambda: not pool.statistics().abandoned)
    statistics = pool.statistics()
    assert (statistics.busy, statistics.queued) == (0, 0)
    assert 0 <= statistics.threads <= 4


async def test_an_idle_thread_holds_nothing(make):
    """A value is freed when its waiter has dropped it, not when the thread gets its next call."""

    class Value:
        pass

    pool = make(1)
    value = Value()
    gone = weakref.ref(value)
    outcome = await pool.start("a", done(value)).wait()
    del value, outcome
    await until(lambda: pool._spare == 1)
    await asyncio.sleep(0)  # The turn of the loop that woke us holds the outcome as well.
    gc.collect()
    assert gone() is None


async def test_without_threads_a_call_fails(make, monkeypatch):
    """If the system starts no thread, calls fail with its words, and the pool recovers."""
    pool = make(2)

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match=r"can't start new thread"):
            await pool.start("a", done(1)).wait()
        ok, failure = await outcome_of(pool.start("a", done(1)))
        assert not ok
        assert failure.message == "RuntimeError: can't start new thread"
        assert pool.statistics().threads == 0
    assert await pool.start("b", done(2)).wait() == (True, 2)


async def test_closing_lets_threads_end(make, gate):
    """After `close` idle threads end at once and busy ones when their call returns."""
    pool = make(3)
    entered = threading.Event()
    job = pool.start("busy", held(gate, entered, "kept"))
    assert await pool.start("quick", done(1)).wait() == (True, 1)
    await until(entered.is_set)
    pool.close()
    await until(lambda: pool.statistics().threads == 1)
    gate.set()
    assert await job.wait() == (True, "kept")
    await until(lambda: pool.statistics().threads == 0)


async def test_calls_after_closing_are_made(make, gate):
    """Also those that were started while the last thread had not ended yet."""
    pool = make(1)
    first = pool.start("first", held(gate))
    pool.close()
    later = [pool.start("later", done(number)) for number in range(3)]
    gate.set()
    await first.wait()
    assert [await each.wait() for each in later] == [(True, number) for number in range(3)]


# Futures ----------------------------------------------------------------------------------------------------


async def test_one_thread_makes_what_is_submitted_in_order_and_ends_after_it(make, gate):
    """A future that is cancelled stops nothing, and closing waits for what is queued."""
    pool = make(1)
    made = []
    futures = [pool.submit(lambda: gate.wait(LONG))]
    futures += [pool.submit(partial(made.append, number)) for number in range(3)]
    pool.close()
    futures[2].cancel()
    gate.set()
    await asyncio.wait(futures)
    assert made == [0, 1, 2]
    await until(lambda: pool.statistics().threads == 0)


@pytest.mark.parametrize("error", [StopIteration, SystemExit, asyncio.CancelledError, ValueError])
async def test_a_future_has_the_error_of_its_call(make, error):
    """StopIteration as a RuntimeError, because no future takes it."""

    def broken():
        raise error("out of the call itself")

    pool = make(1)
    expected = RuntimeError if error is StopIteration else error
    with pytest.raises(expected):
        await pool.submit(broken)
    assert await pool.submit(lambda: "alive") == "alive"


def test_a_closed_loop_ends_no_thread():
    """A call that returns when its loop is closed is forgotten quietly."""
    gate = threading.Event()
    pool = Threads(1, "test")
    entered = threading.Event()

    async def leave():
        pool.start("late", held(gate, entered))
        await until(entered.is_set)

    asyncio.run(leave())
    gate.set()

    async def again():
        return await pool.start("next", done("well")).wait()

    assert asyncio.run(again()) == (True, "well")
    pool.close()


def test_a_hung_thread_does_not_hold_the_exit():
    """The interpreter exits, with status 0, while a call hangs in its thread."""
    script = dedent("""
        import asyncio, threading
        from flowstone.threads import Threads

        async def main():
            entered = threading.Event()
            def hang():
                entered.set()
                threading.Event().wait()
            pool = Threads(1, "test")
            pool.start("hung", hang)
            while not entered.is_set():
                await asyncio.sleep(0.01)
            pool.close()

        asyncio.run(main())
        print("left")
    """)
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONG)
    assert (result.returncode, result.stdout, result.stderr) == (0, "left\n", "")


# Places that are lent ---------------------------------------------------------------------------------------


async def test_a_lent_place_lets_another_call_begin(make, gate):
    """The call that lent it goes on, and is not counted as busy."""
    pool = make(1)
    first = pool.start("first", held(gate, value="first"))
    await until(lambda: pool.statistics().busy == 1)
    pool.lend(first)
    pool.lend(first)
    assert await pool.start("second", done("second")).wait() == (True, "second")
    await pool.take_back(first)
    await pool.take_back(first)
    gate.set()
    assert await first.wait() == (True, "first")
    await until(lambda: pool.statistics() == ThreadStatistics(1, 1, 0, 0, ()))


async def test_a_lent_place_is_taken_back_before_queued_calls(make, gate):
    """No more calls work at a time than there are places, and who was there first comes first."""
    pool, second = make(1), threading.Event()
    first = pool.start("first", held(gate, value="first"))
    await until(lambda: pool.statistics().busy == 1)
    pool.lend(first)
    taker = pool.start("taker", held(second, value="taker"))
    await until(lambda: pool.statistics().busy == 1)
    queued = pool.start("queued", done("queued"))
    back = asyncio.create_task(pool.take_back(first))
    await asyncio.sleep(0)
    assert not back.done()
    second.set()
    await back
    assert await taker.wait() == (True, "taker")
    assert (pool.statistics().busy, pool.statistics().queued) == (1, 1)
    gate.set()
    assert [await call.wait() for call in (first, queued)] == [(True, "first"), (True, "queued")]
    await until(lambda: pool.statistics() == ThreadStatistics(1, 1, 0, 0, ()))


async def test_a_call_that_ends_with_its_place_lent_leaves_the_pool_as_large_as_it_was(make, gate):
    """Its thread ends, because another one works in its place."""
    pool = make(1)
    first = pool.start("first", held(gate, value="first"))
    await until(lambda: pool.statistics().busy == 1)
    pool.lend(first)
    assert await pool.start("second", done("second")).wait() == (True, "second")
    gate.set()
    assert await first.wait() == (True, "first")
    await pool.take_back(first)
    assert pool.statistics() == ThreadStatistics(1, 1, 0, 0, ())


async def test_an_idle_thread_whose_place_is_taken_back_is_counted_no_more(make, gate):
    """Whether it has heard yet that it is to end or not; another one is begun when the place is lent again."""
    pool = make(1)
    first = pool.start("first", held(gate, value="first"))
    await until(lambda: pool.statistics().busy == 1)
    for _ in range(100):
        pool.lend(first)
        assert await pool.start("second", done("second")).wait() == (True, "second")
        await pool.take_back(first)
        assert pool.statistics() == ThreadStatistics(1, 1, 1, 0, ())
    gate.set()
    assert await first.wait() == (True, "first")
    await until(lambda: pool.statistics() == ThreadStatistics(1, 1, 0, 0, ()))


async def test_the_place_of_an_abandoned_call_goes_to_who_waits_for_its_own(make, gate):
    """Abandoning frees a place only once, also if it was lent."""
    pool, other = make(1), threading.Event()
    first = pool.start("first", held(gate, value="first"))
    await until(lambda: pool.statistics().busy == 1)
    pool.lend(first)
    hanging = pool.start("hanging", held(other))
    await until(lambda: pool.statistics().busy == 1)
    back = asyncio.create_task(pool.take_back(first))
    await asyncio.sleep(0)
    assert pool.abandon(hanging)
    await back
    assert pool.statistics() == ThreadStatistics(1, 1, 1, 0, ("hanging",))
    pool.lend(first)
    assert pool.abandon(first)
    assert pool.statistics().threads == 0
    gate.set()
    other.set()
    assert await pool.start("next", done("next")).wait() == (True, "next")
    await until(lambda: pool.statistics() == ThreadStatistics(1, 1, 0, 0, ()))
