"""Task supervisors: many short tasks, each with an exit, none that cannot be stopped."""

from __future__ import annotations

import asyncio
import gc
import math
from contextvars import ContextVar, copy_context

import pytest

from flowstone.actors import (
    ActorDown,
    Child,
    ChildError,
    Crashed,
    Killed,
    Normal,
    Shutdown,
    StartFailed,
    TaskHandle,
    TaskStatistics,
    TaskSupervisor,
)
from tests.actors.probes import Boom, Tenacious


@pytest.fixture
async def tasks(clock):
    """A task supervisor on its own, on the virtual clock."""
    async with TaskSupervisor(clock=clock, shutdown=5.0) as tasks:
        yield tasks
        flight = asyncio.create_task(clock.advance(60.0))
    await flight


async def value(result=None):
    """Return a value after one turn of the loop."""
    await asyncio.sleep(0)
    return result


async def forever():
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


async def fail(error):
    """Raise."""
    await asyncio.sleep(0)
    raise error


async def test_a_task_runs_and_its_result_is_there(tasks):
    """`down()` waits for the end, `result` has what the coroutine returned."""
    handle = tasks.start("one", value(42))
    assert isinstance(handle, TaskHandle)
    assert handle.exit is None
    assert await handle.down() == Normal()
    assert handle.exit == Normal()
    assert handle.result == 42
    assert not handle.cancelled_by_us


async def test_start_does_not_run_the_coroutine(tasks):
    """It begins at the loop's next turn, so its caller may note the handle first."""
    ran = []

    async def work():
        ran.append(1)

    handle = tasks.start("one", work())
    assert ran == []
    await handle.down()
    assert ran == [1]


async def test_what_a_task_raises_is_a_value(tasks, reports):
    """Crashed carries the error; nothing is logged, for a failing task is a result."""
    error = Boom()
    handle = tasks.start("one", fail(error))
    assert await handle.down() == Crashed(error)
    assert handle.result is None


async def test_on_exit_is_called_synchronously_with_handle_and_exit(tasks):
    """In the turn of the loop in which the task ends, when its exit is set and it no longer counts as running."""
    seen = []

    def on_exit(handle, how):
        seen.append((handle, how, handle.exit, tasks.statistics().running, handle.result))

    handle = tasks.start("one", value(1), on_exit)
    await handle.down()
    assert seen == [(handle, Normal(), Normal(), 0, 1)]


async def test_on_exit_may_start_the_next_task(tasks):
    """A chain needs no hop between its links."""
    done = asyncio.get_running_loop().create_future()

    def step(number):
        def on_exit(handle, how):
            if number == 100:
                done.set_result(number)
            else:
                step(number + 1)

        tasks.start(f"step {number}", value(), on_exit)

    step(1)
    assert await done == 100
    assert tasks.statistics().done == 100


async def test_an_on_exit_that_raises_is_reported(tree, reports):
    """It stops neither the task's end nor anything else."""

    def broken(handle, how):
        raise SystemExit("broken")

    async with tree([Child("tasks", TaskSupervisor)]) as root:
        handle = root.child("tasks").instance.start("one", value(), broken)
        assert await handle.down() == Normal()
    assert [(report.kind, report.child) for report in reports] == [("hook_failed", "one")]
    assert str(reports[0]).startswith("root.tasks.one has a callback that raised")


async def test_an_on_exit_may_bring_about_another(tree, clock):
    """A callback inside a callback runs as well."""
    ends = []
    idle = Child("idle", TaskSupervisor, restart="temporary", on_exit=ends.append)
    async with tree(
        [Child("tasks", TaskSupervisor, restart="temporary", on_exit=lambda _: stop()), idle]
    ) as root:
        process = root.child("idle")._process

        def stop():
            process.begin_stop(1.0)
            ends.append("stopped")

        await root.stop_child("tasks")
        await clock.settle()
        assert ends == [Shutdown(), "stopped"]


async def test_cancel_sends_one_cancel_and_does_not_wait(tasks, clock):
    """A task that obeys ends with Shutdown."""
    cleaned = []

    async def work():
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    handle = tasks.start("one", work())
    await clock.settle()
    handle.cancel()
    handle.cancel()
    assert handle.exit is None
    assert handle.cancelled_by_us
    assert await handle.down() == Shutdown()
    assert cleaned == [1]
    assert clock.timers == 0


async def test_a_cancel_before_the_first_step_still_ends_with_on_exit(tasks):
    """The coroutine never ran, and never will; its supervisor knows."""
    seen = []
    handle = tasks.start("one", value(), lambda handle, how: seen.append(how))
    handle.cancel()
    assert await handle.down() == Shutdown()
    assert seen == [Shutdown()]


async def test_a_cancel_of_what_is_over_does_nothing(tasks):
    """It is not cancelled by us."""
    handle = tasks.start("one", value())
    await handle.down()
    handle.cancel()
    assert not handle.cancelled_by_us


async def test_a_task_that_returns_although_cancelled_keeps_its_value(tasks, clock):
    """Exit and `cancelled_by_us` tell both halves."""

    async def stubborn():
        try:
            await forever()
        except asyncio.CancelledError:
            return "anyway"

    handle = tasks.start("one", stubborn())
    await clock.settle()
    handle.cancel()
    assert await handle.down() == Normal()
    assert (handle.result, handle.cancelled_by_us) == ("anyway", True)


async def test_a_task_that_raises_while_cancelled_has_crashed(tasks, clock):
    """A cleanup that fails is an error."""
    error = Boom()

    async def work():
        try:
            await forever()
        finally:
            raise error

    handle = tasks.start("one", work())
    await clock.settle()
    handle.cancel()
    assert await handle.down() == Crashed(error)


async def test_a_cancellation_that_nobody_asked_for_is_a_crash(tasks):
    """Cancelled is our own flag, never an exception's type."""
    handle = tasks.start("one", fail(asyncio.CancelledError()))
    ending = await handle.down()
    assert isinstance(ending, Crashed)
    assert isinstance(ending.error, asyncio.CancelledError)
    assert not handle.cancelled_by_us


async def test_a_stranger_who_cancels_the_asyncio_task_crashes_it(tasks, clock):
    """As when asyncio.run() cleans up."""
    handle = tasks.start("one", forever())
    await clock.settle()
    handle.task.cancel()
    assert isinstance(await handle.down(), Crashed)


ERRORS = [
    Exception("plain"),
    SystemExit(1),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopAsyncIteration(),
    asyncio.CancelledError(),
    MemoryError(),
    RecursionError(),
    BaseExceptionGroup("group", [SystemExit(2), ValueError()]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", ["first step", "later", "cancelled"])
async def test_no_exception_of_a_task_reaches_the_loop(error, when, tasks, clock):
    """Whatever it is and whenever it is raised, it ends this task only."""

    async def work():
        if when == "first step":
            raise error
        try:
            await (asyncio.sleep(0) if when == "later" else forever())
        finally:
            raise error

    neighbour = tasks.start("neighbour", value("fine"))
    handle = tasks.start("one", work())
    if when == "cancelled":
        await clock.settle()
        handle.cancel()
    ending = await handle.down()
    if when == "cancelled" and isinstance(error, asyncio.CancelledError):
        assert ending == Shutdown()
    else:
        assert isinstance(ending, Crashed)
        assert ending.error is error
    await neighbour.down()
    assert neighbour.result == "fine"


async def test_stop_iteration_is_a_runtime_error(tasks):
    """Python does not let a coroutine raise it."""
    ending = await tasks.start("one", fail(StopIteration(1))).down()
    assert isinstance(ending.error, RuntimeError)


HOSTILE = ["swallow", "loop_in_finally", "wait_for_child", "gather", "shield", "busy"]


@pytest.mark.parametrize("behaviour", HOSTILE)
async def test_a_task_that_will_not_stop_is_killed_at_its_deadline(behaviour, tasks, clock):
    """Within `shutdown` and a tenth of a second, whatever it does; on_exit is called."""
    tenacious = Tenacious()
    seen = []
    handle = tasks.start("one", getattr(tenacious, behaviour)(), lambda handle, how: seen.append(how))
    await clock.settle()
    handle.cancel()
    await clock.advance(4.99)
    assert handle.exit is None
    await clock.advance(0.11)
    # Behind a shield the task itself obeys; what it has shielded is abandoned.
    assert handle.exit == (Shutdown() if behaviour == "shield" else Killed())
    assert seen == [handle.exit]
    assert tasks.statistics().running == 0
    tenacious.release()


async def test_a_killed_coroutine_is_never_resumed(tasks, clock):
    """Not even by what it waited for."""
    gate = asyncio.get_running_loop().create_future()
    steps = []

    async def work():
        try:
            steps.append(await asyncio.shield(gate))
        except BaseException as error:
            steps.append(type(error))
            raise

    handle = tasks.start("one", work())
    await clock.settle()
    handle.kill()
    await handle.down()
    gate.set_result("resumed")
    await clock.settle()
    assert steps == [GeneratorExit]


async def test_a_killed_coroutine_is_not_resumed_by_a_task_that_outlives_it(tasks, clock):
    """A task that it awaited swallows the cancel, and returns a value later."""
    tenacious = Tenacious()
    steps = []

    async def work():
        steps.append(await tenacious.spawn("stubborn"))

    handle = tasks.start("one", work())
    await clock.settle()
    handle.kill()
    await clock.settle()
    assert handle.exit is None
    tenacious.release()
    await clock.settle()
    assert tenacious.tasks[0].result() is None
    assert handle.exit == Killed()
    assert steps == []


async def test_the_cleanup_of_a_killed_coroutine_runs_after_on_exit(tasks, clock):
    """So that whoever hears of the kill can fence it first; what awaits in it is cut short."""
    log = []

    async def work():
        try:
            await forever()
        finally:
            log.append("cleanup")
            await asyncio.sleep(0)
            log.append("never")

    handle = tasks.start("one", work(), lambda handle, how: log.append(str(how)))
    await clock.settle()
    handle.kill()
    assert await handle.down() == Killed()
    await clock.settle()
    assert log == ["killed", "cleanup"]


async def test_a_task_may_kill_itself(tasks):
    """It ends at its next await."""
    steps = []

    async def work():
        handle.kill()
        steps.append("still here")
        await asyncio.sleep(0)
        steps.append("never")

    handle = tasks.start("one", work())
    assert await handle.down() == Killed()
    assert steps == ["still here"]


async def test_a_task_may_kill_itself_in_its_last_step(tasks):
    """It is over once."""
    seen = []

    async def work():
        handle.kill()

    handle = tasks.start("one", work(), lambda handle, how: seen.append(how))
    assert await handle.down() == Killed()
    assert seen == [Killed()]


async def test_a_task_may_cancel_itself(tasks):
    """Like anybody else."""

    async def work():
        handle.cancel()
        await forever()

    handle = tasks.start("one", work())
    assert await handle.down() == Shutdown()


async def test_kill_after_cancel_hurries(tasks, clock):
    """It does not wait for the deadline."""
    tenacious = Tenacious()
    handle = tasks.start("one", tenacious.swallow())
    await clock.settle()
    handle.cancel()
    await clock.settle()
    handle.kill()
    assert await handle.down() == Killed()
    assert clock.timers == 0
    tenacious.release()


# Tasks of tasks --------------------------------------------------------------------------------------------


async def test_tasks_that_a_cancelled_task_created_are_cancelled_too(tasks, clock):
    """They are found by their owner, wherever they were created; its end waits for theirs."""
    log, held = [], []

    async def orphan(name):
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            log.append(name)

    async def work():
        loop = asyncio.get_running_loop()
        held.append(asyncio.create_task(orphan("direct")))
        loop.call_soon(
            lambda: log.append("called") or held.append(loop.create_task(orphan("from a callback")))
        )
        await forever()

    handle = tasks.start("one", work(), lambda handle, how: log.append("end"))
    await clock.settle()
    handle.cancel()
    await handle.down()
    assert log[0] == "called"
    assert sorted(log[1:3]) == ["direct", "from a callback"]
    assert log[3:] == ["end"]


async def test_tasks_created_while_being_cancelled_are_found(tasks, clock):
    """The search is repeated until nothing is left."""
    spawned = []

    async def orphan(generation):
        try:
            await forever()
        finally:
            if generation:
                spawned.append(asyncio.create_task(orphan(generation - 1)))

    async def work():
        spawned.append(asyncio.create_task(orphan(3)))
        await forever()

    handle = tasks.start("one", work())
    await clock.settle()
    handle.cancel()
    assert await handle.down() == Shutdown()
    assert len(spawned) == 4
    assert all(task.done() for task in spawned)


async def test_the_error_of_an_orphan_is_nobodys_business(tasks, clock):
    """It does not reach the loop's exception handler."""

    async def orphan():
        try:
            await forever()
        finally:
            raise Boom

    async def work():
        held = asyncio.create_task(orphan())
        await forever()
        del held

    handle = tasks.start("one", work())
    await clock.settle()
    handle.cancel()
    await handle.down()
    gc.collect()


async def test_neighbours_keep_their_tasks(tasks, clock):
    """Only what belongs to the cancelled one is cancelled."""
    children = []

    async def work():
        children.append(asyncio.create_task(forever()))
        await forever()

    one, two = tasks.start("one", work()), tasks.start("two", work())
    await clock.settle()
    one.cancel()
    await one.down()
    assert [child.done() for child in children] == [True, False]
    two.cancel()
    await two.down()


async def test_an_orphan_that_will_not_stop_is_abandoned_by_name(tree, clock, reports):
    """In the reports, in the tree and in the statistics, until it does end."""
    tenacious = Tenacious()

    async def work():
        tenacious.spawn("the stubborn one")
        await forever()

    async with tree([Child("tasks", lambda: TaskSupervisor(shutdown=2.0))]) as root:
        tasks = root.child("tasks").instance
        handle = tasks.start("one", work())
        await clock.settle()
        handle.cancel()
        await clock.advance(2.1)
        assert handle.exit == Shutdown()
        assert [(report.kind, report.child) for report in reports] == [("abandoned", "the stubborn one")]
        assert tasks.tree().abandoned == ("the stubborn one",)
        assert "abandoned: the stubborn one" in repr(root.tree())
        assert tasks.statistics().abandoned == 1
        tenacious.release()
        await clock.settle()
        assert tasks.statistics().abandoned == 0
        assert root.tree().children[0].abandoned == ()


async def test_an_abandoned_task_does_not_hold_the_tree(tree, clock, reports):
    """The root stops without it, and reports it once."""
    tenacious = Tenacious()

    async def work():
        tenacious.spawn("the stubborn one")
        await forever()

    root = tree([Child("tasks", lambda: TaskSupervisor(shutdown=2.0))])
    async with root:
        root.child("tasks").instance.start("one", work())
        await clock.settle()
        flight = asyncio.create_task(clock.advance(2.1))
    await flight
    assert [report.kind for report in reports] == ["abandoned"]
    tenacious.release()


async def test_tasks_that_a_finished_task_left_end_with_the_tree(tree, clock):
    """A normal end is not searched, for a search costs; the end of the tree is."""
    left = []

    async def work():
        left.append(asyncio.create_task(forever()))

    async with tree([Child("tasks", TaskSupervisor)]) as root:
        await root.child("tasks").instance.start("one", work()).down()
        await clock.settle()
        assert not left[0].done()
    assert left[0].cancelled()


# Context ---------------------------------------------------------------------------------------------------

variable: ContextVar[str] = ContextVar("variable", default="clean")


async def read():
    """The variable, here."""
    return variable.get()


async def test_a_task_begins_in_an_empty_context(tasks):
    """It sees nothing of whoever starts it, and leaves nothing behind."""
    variable.set("caller's")

    async def write():
        variable.set("task's")

    await tasks.start("write", write()).down()
    handle = tasks.start("read", read())
    await handle.down()
    assert handle.result == "clean"
    assert variable.get() == "caller's"


async def test_a_task_may_be_given_a_context(tasks):
    """A copy of it."""
    context = copy_context()
    context.run(variable.set, "given")
    handle = tasks.start("read", read(), context=context)
    await handle.down()
    assert handle.result == "given"


async def test_on_exit_does_not_see_the_context_of_its_task(tasks):
    """What user code sets stays with user code."""
    seen = []

    async def write():
        variable.set("task's")

    await tasks.start("write", write(), lambda handle, how: seen.append(variable.get())).down()
    assert seen == ["clean"]


# The supervisor itself -------------------------------------------------------------------------------------


async def test_stop_stops_all_tasks_together(tasks, clock):
    """Ten tasks that need a second each need one second in all."""

    async def work():
        try:
            await forever()
        finally:
            await clock.sleep(1.0)

    handles = [tasks.start(str(number), work()) for number in range(10)]
    await clock.settle()
    stop = asyncio.create_task(tasks.stop())
    await clock.advance(1.0)
    assert stop.done()
    assert {handle.exit for handle in handles} == {Shutdown()}


async def test_stop_takes_no_more_tasks(tasks):
    """The coroutine is closed, so that it is not reported as never awaited."""
    await tasks.stop()
    with pytest.raises(ActorDown, match="tasks takes no tasks"):
        tasks.start("late", value())


async def test_a_supervisor_that_was_never_started_takes_no_tasks():
    """Make it a child, or enter it."""
    with pytest.raises(ActorDown, match="is not running"):
        TaskSupervisor().start("early", value())


async def test_a_task_may_not_be_started_by_another_that_stops(tasks, clock):
    """A cleanup that starts tasks gets the error like anybody."""
    errors = []

    async def work():
        try:
            await forever()
        finally:
            try:
                tasks.start("late", value())
            except ActorDown as error:
                errors.append(error)

    tasks.start("one", work())
    await clock.settle()
    await tasks.stop()
    assert len(errors) == 1


async def test_stop_kill_waits_for_nobody(tasks, clock):
    """`shutdown="kill"` for the whole."""
    tenacious = Tenacious()
    handle = tasks.start("one", tenacious.swallow())
    await clock.settle()
    await tasks.stop("kill")
    assert handle.exit == Killed()
    tenacious.release()


async def test_a_child_specification_bounds_the_whole(tree, clock):
    """Child(shutdown=1) kills what the tasks' own five seconds would still allow."""
    tenacious = Tenacious()
    async with tree([Child("tasks", TaskSupervisor, shutdown=1.0)]) as root:
        handle = root.child("tasks").instance.start("one", tenacious.swallow())
        await clock.settle()
        stop = asyncio.create_task(root.stop_child("tasks"))
        await clock.advance(1.1)
        assert stop.done()
        assert handle.exit == Killed()
    tenacious.release()


async def test_an_idle_task_supervisor_stops_at_once(tree):
    """Without a turn of the loop to wait for."""
    async with tree([Child("tasks", TaskSupervisor)]) as root:
        ref = root.child("tasks", TaskSupervisor)
        process = ref._process
        process.begin_stop(math.inf)
        assert process.exit == Shutdown()


async def test_it_is_stopped_and_started_afresh_with_its_group(tree, clock):
    """one_for_all: the tasks of the last incarnation are gone, the reference has the new one."""
    from tests.actors.probes import Crash, probe

    async with tree([Child("tasks", TaskSupervisor), probe("a")], strategy="one_for_all") as root:
        ref = root.child("tasks", TaskSupervisor)
        first = ref.instance
        handle = first.start("one", forever())
        root.child("a").cast(Crash())
        await clock.settle()
        assert handle.exit == Shutdown()
        assert ref.instance is not first
        assert await ref.instance.start("two", value()).down() == Normal()


async def test_statistics_count(tasks, clock):
    """running, done, crashed, killed, abandoned."""
    tasks.start("good", value())
    tasks.start("bad", fail(Boom()))
    killed = tasks.start("killed", forever())
    tasks.start("running", forever())
    await clock.settle()
    killed.kill()
    await killed.down()
    assert tasks.statistics() == TaskStatistics(running=1, done=3, crashed=1, killed=1, abandoned=0)


async def test_the_tree_lists_the_oldest_running_tasks(tasks, clock):
    """Up to a limit; the count is of all."""
    handles = [tasks.start(f"task {number}", forever()) for number in range(30)]
    await clock.settle()
    handles[0].cancel()
    info = tasks.tree(limit=3)
    assert [(child.name, child.state) for child in info.children] == [
        ("task 0", "stopping"),
        ("task 1", "running"),
        ("task 2", "running"),
    ]
    assert info.detail == "30 running, 0 done"
    assert len(tasks.tree().children) == 20
    assert [handle.name for handle in tasks.running] == [handle.name for handle in handles]


async def test_the_asyncio_task_has_the_name_and_shows_user_code(tasks, clock):
    """For debuggers and for whoever prints all tasks."""
    handle = tasks.start("load orders", forever())
    await clock.settle()
    assert handle.task.get_name() == "load orders"
    frames = handle.task.get_stack()
    assert frames[0].f_code.co_name == "forever"
    assert repr(handle) == "<TaskHandle load orders running>"


async def test_finished_tasks_leave_no_garbage(tasks):
    """No reference cycles: what a task held is free when it ends, without the garbage collector."""
    import weakref

    class Held:
        pass

    async def work(held):
        await asyncio.sleep(0)
        return weakref.ref(held)

    gc.collect()
    gc.disable()
    try:
        handles = [tasks.start("one", work(Held())) for _ in range(5)]
        for handle in handles:
            await handle.down()
        await asyncio.sleep(0)
        assert [handle.result() for handle in handles] == [None] * 5
    finally:
        gc.enable()


async def test_a_thousand_tasks_cancelled_at_once_share_one_search(tasks, clock):
    """A search looks at each task of the loop; a search for each would be a million looks."""
    handles = [tasks.start(str(number), forever()) for number in range(1000)]
    await clock.settle()
    looks = []
    look = tasks._own._look
    tasks._own._look = lambda: (looks.append(1), look())
    for handle in handles:
        handle.cancel()
    for handle in handles:
        await handle.down()
    assert len(looks) <= 3


async def test_it_cannot_be_awaited(tasks):
    """The handle is not the task; down() is how to wait."""
    handle = tasks.start("one", value())
    with pytest.raises(RuntimeError, match=r"await its down\(\) instead"):
        await handle
    await handle.down()


async def test_a_stop_hurries_the_wait_for_orphans_of_tasks_that_have_ended(tree, clock, reports):
    """A bound for the whole also bounds what is already being cleaned up."""
    tenacious = Tenacious()

    async def work():
        tenacious.spawn("the stubborn one")
        await forever()

    async with tree([Child("tasks", TaskSupervisor, shutdown=1.0)]) as root:
        handle = root.child("tasks").instance.start("one", work())
        await clock.settle()
        stop = asyncio.create_task(root.stop_child("tasks"))
        await clock.advance(0.99)
        assert handle.exit is None
        await clock.advance(0.11)
        assert stop.done()
        assert handle.exit == Shutdown()
        tenacious.release()
        await clock.settle()
    assert [report.kind for report in reports] == ["abandoned"]


async def test_only_what_still_runs_is_named_as_abandoned(tasks, clock):
    """Not the task that waited for it, whose coroutine is dead."""
    tenacious = Tenacious()
    handle = tasks.start("parent", tenacious.wait_for_child())
    await clock.settle()
    handle.cancel()
    await clock.advance(5.1)
    assert handle.exit == Killed()
    assert tasks.tree().abandoned == ("grandchild",)
    tenacious.release()
    await clock.settle()
    assert tasks.tree().abandoned == ()


async def test_stop_may_be_asked_for_twice(tasks, clock):
    """Both wait for the same end."""
    tasks.start("one", forever())
    await clock.settle()
    await asyncio.gather(tasks.stop(), tasks.stop(), tasks.stop(1.0))
    assert clock.timers == 0


async def test_one_that_is_supervised_and_stopped_by_hand_is_restarted(tree, clock):
    """A permanent child's end is its supervisor's business, whoever brought it about."""
    async with tree([Child("tasks", TaskSupervisor)]) as root:
        ref = root.child("tasks", TaskSupervisor)
        first = ref.instance
        await first.stop()
        await clock.settle()
        assert ref.instance is not first
        assert ref.alive


async def test_a_task_supervisor_runs_once(tree):
    """Build a fresh one for each start."""
    used = TaskSupervisor()
    async with used:
        pass
    with pytest.raises(StartFailed, match="runs once"):
        async with tree([Child("used", lambda: used)]):
            pytest.fail("the body must not run")


async def test_failed_tasks_leave_no_garbage(tasks):
    """Nor does the error that ended a task tie it into a cycle."""
    import weakref

    class Held:
        pass

    held = Held()
    alive = weakref.ref(held)

    async def work(held):
        await asyncio.sleep(0)
        raise Boom

    gc.collect()
    gc.disable()
    try:
        handle = tasks.start("one", work(held))
        del held
        await handle.down()
        await asyncio.sleep(0)
        assert handle.exit.error.__traceback__.tb_frame.f_code.co_name == "work"
        del handle
        assert alive() is None
    finally:
        gc.enable()


# The limit -------------------------------------------------------------------------------------------------


async def test_max_children_limits_the_tasks_that_run(clock):
    """Those that are being stopped still count; a refused coroutine is closed, and one that ends makes room."""
    async with TaskSupervisor(clock=clock, max_children=2) as tasks:
        go = asyncio.Event()
        first, second = tasks.start("first", go.wait()), tasks.start("second", go.wait())
        refused = value()
        with pytest.raises(ChildError, match="max_children=2 allows, so third was not started") as caught:
            tasks.start("third", refused)
        assert (caught.value.name, caught.value.reason) == ("third", "max_children")
        assert refused.cr_frame is None
        first.cancel()
        with pytest.raises(ChildError):
            tasks.start("third", value())
        await first.down()
        third = tasks.start("third", value(3))
        await third.down()
        assert third.result == 3
        go.set()
        await second.down()
        tasks.start("fourth", value())
        tasks.start("fifth", value())
