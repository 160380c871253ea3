"""Calls whose caller may leave: their results are undone, and they learn of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from functools import partial

import pytest

from flowstone.threads import Threads


@pytest.fixture
def threads():
    pool = Threads(3, "test", idle=30)
    yield pool
    pool.close()


async def idle(threads):
    """Wait until every thread is back from its work, which is just after its result has arrived."""
    while threads._spare < threads.statistics().threads:
        await asyncio.sleep(0)


async def test_runs_work_on_another_thread_and_returns_its_result(threads):
    """The result of the work comes back to the loop it was asked from."""
    assert await threads.run(lambda _: threading.current_thread().name) == "test-1"


async def test_its_threads_are_daemons(threads):
    """No thread holds the interpreter's exit."""
    assert await threads.run(lambda _: threading.current_thread().daemon)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_raises_what_the_work_raised(threads, error):
    """Any exception of the work is raised to its caller, and the thread lives on."""

    def work(_):
        raise error

    with pytest.raises(type(error)) as raised:
        await threads.run(work)
    assert raised.value is error
    assert await threads.run(lambda _: "alive") == "alive"


async def test_a_stop_iteration_is_an_error_not_a_hang(threads):
    """StopIteration, which an asyncio future cannot carry, ends the wait as well."""
    with pytest.raises(RuntimeError, match=r"StopIteration"):
        await threads.run(lambda _: next(iter(())))


async def test_a_failure_leaves_no_reference_cycle(threads):
    """What failing work held is freed with the exception, without the garbage collector."""

    class Failed(Exception):
        pass

    def work(_):
        raise Failed

    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with contextlib.suppress(Failed):
                await threads.run(work)
        await idle(threads)
        assert not [found for found in gc.get_objects() if isinstance(found, Failed)]
    finally:
        gc.enable()


async def test_an_idle_thread_holds_no_value(threads):
    """A result is freed when its caller lets it go, however long the thread then waits for work."""

    class Value:
        pass

    reference = weakref.ref(await threads.run(lambda _: Value()))
    await idle(threads)
    assert reference() is None


async def test_never_more_threads_than_its_limit(threads):
    """A hundred pieces of work share three threads and are all done."""
    barrier = threading.Barrier(3)
    names = await asyncio.gather(
        *(threads.run(lambda _: (barrier.wait(60), threading.current_thread().name)[1]) for _ in range(99))
    )
    assert sorted(set(names)) == ["test-1", "test-2", "test-3"]
    assert threads.statistics().threads == 3


async def test_work_that_waits_does_not_hold_other_work(threads):
    """A second piece of work gets a thread of its own while the first one waits for it."""
    event = threading.Event()
    first = asyncio.create_task(threads.run(lambda _: event.wait(60)))
    await asyncio.sleep(0)
    await threads.run(lambda _: event.set())
    assert await first


async def test_threads_end_when_idle():
    """A thread without work for the idle time ends, and later work starts another."""
    pool = Threads(8, "brief", idle=0.001)
    thread = await pool.run(lambda _: threading.current_thread())
    await asyncio.to_thread(thread.join, 30)
    assert pool.statistics().threads == 0
    assert await pool.run(lambda _: 1) == 1
    pool.close()


async def test_closed_threads_end_and_later_work_starts_new_ones(threads):
    """`close` lets every thread go without making the pool useless."""
    thread = await threads.run(lambda _: threading.current_thread())
    threads.close()
    await asyncio.to_thread(thread.join, 30)
    assert threads.statistics().threads == 0
    assert await threads.run(lambda _: threading.current_thread()) is not thread


async def test_work_learns_that_its_caller_left(threads):
    """`abandoned` tells work whose caller was cancelled that it may stop early."""
    begun, seen = threading.Event(), threading.Event()
    left = threading.Event()

    def work(abandoned):
        assert not abandoned()
        begun.set()
        left.wait(60)
        if abandoned():
            seen.set()

    task = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left.set()
    assert await asyncio.to_thread(seen.wait, 30)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_cancel_is_passed_on_once(threads, when):
    """To all who asked to be told, or to the first who asks later; nobody hears of a second one."""
    entered, leave, told = asyncio.Event(), threading.Event(), []
    job = threads.start("job", lambda: leave.wait(60), entered.set)
    waiter = asyncio.create_task(job.wait())
    await entered.wait()
    job.when_cancelled(gone := partial(told.append, "gone"))
    job.forget(gone)
    if when == "before":
        job.when_cancelled(partial(told.append, "first"))
        job.when_cancelled(partial(told.append, "second"))
    waiter.cancel()
    await asyncio.sleep(0)
    if when == "after":
        job.when_cancelled(partial(told.append, "first"))
        job.when_cancelled(partial(told.append, "never"))
    waiter.cancel()
    await asyncio.sleep(0)
    leave.set()
    assert await waiter
    assert told == (["first", "second"] if when == "before" else ["first"])


async def test_work_whose_caller_left_before_it_began_is_not_done(threads):
    """Work that still waits for a thread when its caller is cancelled is never called."""
    go_on, called = threading.Event(), []
    busy = [asyncio.create_task(threads.run(lambda _: go_on.wait(60))) for _ in range(3)]
    waiting = asyncio.create_task(threads.run(lambda _: called.append("waiting")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await asyncio.gather(*busy)
    await threads.run(lambda _: called.append("later"))
    assert called == ["later"]


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_a_result_nobody_hears_of_is_undone(threads, end):
    """Work that completes after its caller was cancelled, or closed, has its result given to `undo`."""
    begun, left, undone = threading.Event(), threading.Event(), threading.Event()
    results = []

    def work(_):
        begun.set()
        left.wait(60)
        return "result"

    def undo(result):
        results.append(result)
        undone.set()
        raise SystemExit  # A failing undo harms nobody.

    calling = threads.run(work, undo=undo)
    if end == "cancel":
        task = asyncio.create_task(calling)
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        calling.send(None)
        await asyncio.to_thread(begun.wait, 30)
        calling.close()
    left.set()
    assert await asyncio.to_thread(undone.wait, 30)
    assert results == ["result"]
    assert await threads.run(lambda _: "alive") == "alive"


async def test_a_delivered_result_is_not_undone(threads):
    """`undo` is for results nobody hears of, and only those."""
    undone = []
    assert await threads.run(lambda _: 1, undo=undone.append) == 1
    await threads.run(lambda _: None)
    assert undone == []


def test_a_result_for_a_closed_loop_is_undone(threads):
    """Work that outlives its event loop has its result undone on its own thread."""
    begun, left, undone = threading.Event(), threading.Event(), threading.Event()

    def work(_):
        begun.set()
        left.wait(60)

    async def main():
        task = asyncio.create_task(threads.run(work, undo=lambda _: undone.set()))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()

    asyncio.run(main())
    left.set()
    assert undone.wait(60)


async def test_without_any_thread_the_caller_is_told(threads, monkeypatch):
    """A system that gives no thread at all raises, rather than letting the work wait for ever."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match=r"can't start new thread"):
            await threads.run(lambda _: 1)
    assert await threads.run(lambda _: 1) == 1


async def test_with_too_few_threads_work_waits_its_turn(threads, monkeypatch):
    """Once there is one thread, a refusal of more only means that work waits for it."""
    await threads.run(lambda _: None)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert await asyncio.gather(*(threads.run(lambda _, n=n: n) for n in range(10))) == list(range(10))


def test_a_pool_needs_a_thread():
    """A limit below one is refused at once."""
    with pytest.raises(ValueError, match=r"at least one thread, not 0"):
        Threads(0, "none")
