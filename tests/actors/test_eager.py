"""Eager starts: a coroutine runs up to its first suspension before `start` returns, and sees no difference."""

from __future__ import annotations

import asyncio
import inspect
import sys
import weakref
from contextlib import suppress
from contextvars import ContextVar, copy_context

import pytest

from flowstone.actors import Actor, Call, Child, Crashed, Killed, Normal, Shutdown, Supervisor, TaskSupervisor
from flowstone.actors.spawn import OWNER
from tests.actors.probes import Boom, Tenacious
from tests.garbage import garbage_of

PLACE: ContextVar[str] = ContextVar("place", default="none")


@pytest.fixture
async def tasks(clock):
    """A task supervisor on its own, on the virtual clock, that always has time for an eager start."""
    async with TaskSupervisor(clock=clock, shutdown=5.0) as tasks:
        tasks._own.eager.budget = 3600.0
        yield tasks
        flight = asyncio.create_task(clock.advance(60.0))
    await flight


@pytest.fixture
def start(tasks):
    """Start a coroutine eagerly."""

    def start(coroutine, on_exit=None, name="task", **options):
        return tasks.start(name, coroutine, on_exit, eager=True, **options)

    return start


async def forever():
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


async def turns(count):
    """Return after so many turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_has_ended_when_start_returns(start, tasks):
    """And whoever waits for its end has been told."""
    told = []

    async def returns():
        return 42

    handle = start(returns(), lambda handle, how: told.append((handle, how, handle.result)))
    assert (handle.exit, handle.result) == (Normal(), 42)
    assert told == [(handle, Normal(), 42)]
    assert await handle.down() == Normal()
    assert list(tasks.running) == []
    assert tasks.statistics().done == 1


@pytest.mark.parametrize("error", [Boom(), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_what_it_raises_at_once_is_a_value(start, error):
    """`SystemExit` and a stray cancel included; the traceback begins in the coroutine."""

    async def raises():
        raise error

    handle = start(raises())
    assert handle.exit == Crashed(error)
    assert error.__traceback__.tb_frame.f_code.co_name == "raises"
    await turns(2)


async def test_it_suspends_and_is_resumed_like_any_other_task(start):
    """By a future, a timer, bare yields; until then it runs."""
    loop = asyncio.get_running_loop()
    future, steps = loop.create_future(), []

    async def work():
        steps.append("begun")
        steps.append(await future)
        await asyncio.sleep(0)
        steps.append("after a turn")
        return "done"

    handle = start(work())
    assert (steps, handle.exit) == (["begun"], None)
    future.set_result("resumed")
    assert await handle.down() == Normal()
    assert (steps, handle.result) == (["begun", "resumed", "after a turn"], "done")


async def test_what_it_has_started_has_its_turn_before_it_goes_on(start):
    """A bare `sleep(0)` lets the loop turn once, as in any other task."""
    order = []

    async def child():
        order.append("child")

    async def work():
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        order.append("work")
        await task

    await start(work()).down()
    assert order == ["child", "work"]


async def test_a_future_that_is_done_before_the_loop_turns_resumes_it(start):
    """Nothing is lost between the first step and the hand-over to the loop."""
    future = asyncio.get_running_loop().create_future()

    async def work():
        return await future

    handle = start(work())
    future.set_exception(Boom())
    ending = await handle.down()
    assert isinstance(ending.error, Boom)


async def test_one_task_stands_for_it_from_the_start(start):
    """`current_task()` is the one that resumes it, and that the handle cancels."""
    seen = []

    async def work():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    handle = start(work(), name="it")
    assert seen == [handle.task]
    assert seen[0].get_name() == "it"
    await handle.down()
    assert seen[0] is seen[1]


async def test_the_starter_is_the_current_task_again(start):
    """Whether the coroutine ended, suspended or raised; and where no task runs, none is left."""
    mine = asyncio.current_task()
    for coroutine in (asyncio.sleep(0), turns(0), forever()):
        start(coroutine).cancel()
        assert asyncio.current_task() is mine
    seen = asyncio.get_running_loop().create_future()

    def from_a_callback():
        start(turns(0))
        seen.set_result(asyncio.current_task())

    asyncio.get_running_loop().call_soon(from_a_callback)
    assert await seen is None


async def test_each_has_a_context_of_its_own(start):
    """It sees nothing of its starter's, nor of the one that was begun before it."""
    PLACE.set("starter")
    seen = []

    async def work(name):
        seen.append(PLACE.get())
        PLACE.set(name)

    start(work("first"))
    start(work("second"))
    assert seen == ["none", "none"]
    assert PLACE.get() == "starter"


async def test_a_context_that_is_given_is_used(tasks):
    """Such a task begins in the loop's next turn."""
    PLACE.set("given")

    async def work():
        return PLACE.get()

    handle = tasks.start("task", work(), eager=True, context=copy_context())
    assert handle.exit is None
    await handle.down()
    assert handle.result == "given"


@pytest.mark.parametrize("trace", ["kept", "weak", "callback", "cancel", "cancel taken back", "variable"])
async def test_a_task_that_somebody_has_seen_is_of_one_coroutine_only(start, trace):
    """The next one has another: what was kept of the first, and asked of it, stays with it."""
    kept, called, ran = [], [], []
    variable = ContextVar("variable")

    async def seen():
        task = asyncio.current_task()
        match trace:
            case "kept":
                kept.append(task)
            case "weak":
                kept.append(weakref.ref(task))
            case "callback":
                task.add_done_callback(called.append)
            case "cancel":
                task.cancel()
            case "cancel taken back":
                task.cancel()
                task.uncancel()
            case "variable":
                variable.set("first")

    async def other():
        assert variable.get(None) is None
        kept.append(asyncio.current_task())
        ran.append("begun")
        await asyncio.sleep(0)
        ran.append("resumed")

    start(seen(), name="first")
    handle = start(other(), name="second")
    if trace == "kept":
        assert kept[0] is not kept[1]
        assert [task.get_name() for task in kept] == ["first", "second"]
    assert await handle.down() == Normal()
    assert ran == ["begun", "resumed"]
    await turns(2)
    assert all(task.get_name() == "first" and task.done() for task in called)
    assert len(called) == (trace == "callback")


async def test_a_coroutine_finds_its_own_handle_before_start_has_returned_it(start):
    seen = []

    async def work():
        seen.append(OWNER.get())
        assert seen[0].task is asyncio.current_task()

    assert seen == [start(work())]


async def test_it_may_be_named_when_it_goes_on(start):
    handle = start(asyncio.sleep(0))
    handle.rename("slow")
    assert handle.name == handle.task.get_name() == "slow"
    await handle.down()


@pytest.mark.parametrize("awaits", [False, True])
async def test_it_may_be_said_later_what_is_called_when_it_is_over(start, awaits):
    """At once if it is over."""
    ends = []

    async def work():
        if awaits:
            await asyncio.sleep(0)

    handle = start(work())
    handle.call_on_exit(lambda handle, how: ends.append((handle, how)))
    assert bool(ends) is not awaits
    await handle.down()
    assert ends == [(handle, Normal())]


# Stopping ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "waits", ["future", "turn", "timer", "gather", "task group", "shield", "done future"]
)
@pytest.mark.parametrize("when", ["at once", "a turn later"])
async def test_a_cancel_reaches_it_wherever_it_waits(start, waits, when):
    """Also between its first step and the loop's next turn; it may clean up, and what it waits for is cancelled."""
    loop = asyncio.get_running_loop()
    inner, done, cleaned = loop.create_future(), loop.create_future(), []

    async def work():
        try:
            match waits:
                case "future":
                    await inner
                case "turn":
                    while True:
                        await asyncio.sleep(0)
                case "timer":
                    await asyncio.sleep(3600)
                case "gather":
                    await asyncio.gather(forever(), forever())
                case "task group":
                    async with asyncio.TaskGroup() as group:
                        group.create_task(forever())
                case "shield":
                    await asyncio.shield(inner)
                case "done future":
                    await done
                    await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(waits)

    handle = start(work())
    done.set_result(None)
    if when == "a turn later":
        await turns(1)
    handle.cancel()
    assert await handle.down() == Shutdown()
    assert cleaned == [waits]
    assert handle.cancelled_by_us
    assert inner.cancelled() == (waits == "future")


@pytest.mark.parametrize("when", ["at once", "a turn later"])
async def test_a_kill_ends_it_and_what_it_has_started(start, when, clock):
    """None of it is resumed, even if it would swallow a cancel."""
    tenacious, resumed = Tenacious(), []

    async def work():
        child = asyncio.create_task(forever())
        try:
            await tenacious.swallow()
        finally:
            resumed.append(child)

    handle = start(work())
    if when == "a turn later":
        await turns(1)
    handle.kill()
    flight = asyncio.create_task(clock.advance(1.0))
    assert await handle.down() == Killed()
    await flight
    assert all(task.get_name() != "task" for task in asyncio.all_tasks())
    assert all(child.done() for child in resumed)


@pytest.mark.parametrize("stop", ["cancel", "kill"])
@pytest.mark.parametrize("awaits", [False, True])
async def test_it_may_stop_itself_in_its_first_step(start, stop, awaits):
    """It ends at its next await, or with its last step, once."""
    ends, steps = [], []

    async def work():
        getattr(OWNER.get(), stop)()
        if awaits:
            await forever()
        steps.append("went on")

    handle = start(work(), lambda handle, how: ends.append(how))
    ending = await handle.down()
    assert ends == [ending]
    if stop == "kill":
        assert ending == Killed()
    else:
        assert ending == (Shutdown() if awaits else Normal())
    assert steps == ([] if awaits else ["went on"])


async def test_a_supervisor_stops_those_that_have_only_begun(clock):
    """Its end waits for them; none is left on the loop."""
    before = asyncio.all_tasks()
    async with TaskSupervisor(clock=clock) as tasks:
        tasks._own.eager.budget = 3600.0
        handles = [tasks.start("task", forever(), eager=True) for _ in range(3)]
        handles += [tasks.start("task", turns(0), eager=True) for _ in range(3)]
    assert [handle.exit for handle in handles] == [Shutdown()] * 3 + [Normal()] * 3
    await turns(1)
    assert asyncio.all_tasks() == before


# Bounds -----------------------------------------------------------------------------------------------------


async def test_beyond_its_time_the_others_of_a_turn_begin_in_the_next(start, tasks):
    """So that a row of long first steps does not hold up the loop."""
    tasks._own.eager.budget = 0.0
    begun = []

    async def work(name):
        begun.append(name)

    start(work("first"))
    start(work("second"))
    start(work("third"))
    assert begun == ["first"]
    await turns(1)
    assert begun == ["first", "second", "third"]
    start(work("fourth"))
    assert begun[-1] == "fourth"


async def test_what_it_starts_itself_begins_in_the_next_turn(start):
    """By the coroutine, and by its `on_exit`: a thousand that start one another do not grow the stack."""
    order = []

    async def inner():
        order.append("inner")

    async def outer():
        start(inner())
        order.append("outer")

    start(outer())
    assert order == ["outer"]
    await turns(1)
    assert order == ["outer", "inner"]

    over = asyncio.get_running_loop().create_future()
    count = 3000

    def again(handle, how):
        nonlocal count
        count -= 1
        if count:
            start(turns(0), again)
        else:
            over.set_result(None)

    start(turns(0), again)
    await over


# What it is for ---------------------------------------------------------------------------------------------


class Asks(Call["Echo", str]):
    """Answer."""


class Echo(Actor):
    """Answers, by a task that it starts."""

    def handle(self, message):
        return "answer"


async def test_what_asyncio_offers_works_in_its_first_step(start, clock):
    """Timeouts, groups, locks, calls of actors."""
    async with Supervisor([Child("echo", Echo)], clock=clock) as root:
        ref = root.child("echo", Echo)
        lock = asyncio.Lock()

        async def work():
            async with lock, asyncio.timeout(200), asyncio.TaskGroup() as group:
                child = group.create_task(asyncio.sleep(0, "child"))
                answer = await ref.call(Asks())
            return answer, child.result()

        handles = [start(work()) for _ in range(3)]
        assert [await handle.down() for handle in handles] == [Normal()] * 3
        assert [handle.result for handle in handles] == [("answer", "child")] * 3


async def test_a_timeout_strikes_it(start):
    """Set in its first step, for the task that is resumed."""

    async def work():
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await forever()
        return "late"

    handle = start(work())
    await handle.down()
    assert handle.result == "late"


async def test_the_state_of_its_coroutine_can_be_asked(start):
    """As libraries do that look whether a task has begun: in its first step, while it waits, and at its end."""
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        first = inspect.getcoroutinestate(tasks[0].get_coro())
        await asyncio.sleep(0)
        return first

    handle = start(work())
    assert inspect.getcoroutinestate(tasks[0].get_coro()) == inspect.CORO_SUSPENDED
    await handle.down()
    assert handle.result == inspect.CORO_RUNNING
    assert inspect.getcoroutinestate(tasks[0].get_coro()) == inspect.CORO_CLOSED


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="the task is Python's own; get_coro() crashes in 3.12.1"
)
async def test_the_state_of_a_coroutine_that_has_ended_can_be_asked(start):
    """Also if it never suspended."""
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())

    await start(work()).down()
    assert inspect.getcoroutinestate(tasks[0].get_coro()) == inspect.CORO_CLOSED


async def test_a_cancel_in_its_first_step_keeps_its_message(start):
    """By it libraries tell their own cancels from others'."""

    async def work():
        asyncio.current_task().cancel("by me")
        try:
            await forever()
        except asyncio.CancelledError as error:
            return error.args

    handle = start(work())
    await handle.down()
    assert handle.result == ("by me",)


@pytest.mark.parametrize("error", [None, ValueError("boom"), SystemExit(3)])
@pytest.mark.parametrize("suspends", [False, True])
async def test_what_begins_at_its_end_has_not_its_exception_for_a_context(start, suspends, error):
    """The end of one task is handled outside of every handler: what another one raises there is its own."""
    raised = []

    async def ends():
        if suspends:
            await turns(1)
        if error is not None:
            raise error

    def begin_another(*_):
        try:
            raise Boom
        except Boom as boom:
            raised.append(boom)

    await start(ends(), begin_another).down()
    assert raised[0].__context__ is None


async def test_it_leaves_no_garbage(start):
    """Ended at once, later, or badly."""

    async def raises():
        raise Boom

    async def once():
        for coroutine in (turns(0), turns(1), raises(), forever()):
            handle = start(coroutine)
            handle.cancel()
            await handle.down()
        await turns(2)

    assert await garbage_of(once) == {}
