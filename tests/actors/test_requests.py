"""Asking a supervisor for things: start_child, stop_child, restart_child, delete_child, counts, auto-shutdown."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref

import pytest

from flowstone.actors import (
    ActorDown,
    CallCycle,
    Child,
    ChildCount,
    ChildError,
    Ref,
    Shutdown,
    StartFailed,
    Supervisor,
    SupervisorGaveUp,
    SystemClock,
    TaskSupervisor,
)
from flowstone.testing.clock import VirtualClock
from tests.actors.probes import Boom, Crash, Do, Failing, Get, Probe, Quit, probe


async def test_start_child_returns_the_reference_of_a_running_child(tree):
    """The child is ready when start_child returns."""
    async with tree() as root:
        ref = await root.start_child(probe("new"))
        assert isinstance(ref, Ref)
        assert ref is root.child("new")
        assert await ref.call(Get()) == 0


async def test_start_child_that_fails_raises_and_forgets_the_child(tree, clock):
    """No restart is tried for a first start."""
    error = Boom("no")
    async with tree() as root:
        with pytest.raises(StartFailed, match="could not start new: Boom: no") as caught:
            await root.start_child(Child("new", lambda: Failing("new", [], [error])))
        assert caught.value.__cause__ is error
        assert root.count_children() == ChildCount(specs=0, active=0, supervisors=0, workers=0)
        await root.start_child(probe("new"))


@pytest.mark.parametrize(("stopped", "reason"), [(False, "already_started"), (True, "already_present")])
async def test_start_child_refuses_a_known_name(stopped, reason, tree):
    """The reason is OTP's word (child_adm)."""
    async with tree([probe("a")]) as root:
        if stopped:
            await root.stop_child("a")
        with pytest.raises(ChildError, match="has a child a already") as caught:
            await root.start_child(probe("a"))
        assert caught.value.reason == reason


async def test_dynamic_children_are_restarted_like_others(tree, clock):
    """A permanent child started dynamically is restarted (simple_one_for_one)."""
    async with tree() as root:
        ref = await root.start_child(probe("new"))
        ref.cast(Crash())
        await clock.settle()
        assert ref.alive


async def test_dynamic_children_escalate_like_others(tree):
    """simple_one_for_one_escalation: their crashes count."""
    with pytest.raises(SupervisorGaveUp, match="new failed too often"):
        async with tree(max_restarts=0) as root:
            ref = await root.start_child(probe("new"))
            ref.cast(Crash())
            await asyncio.get_running_loop().create_future()


async def test_temporary_dynamic_children_leave_nothing(tree, clock):
    """When it ends it is forgotten, so its name is free."""
    async with tree() as root:
        for _ in range(3):
            ref = await root.start_child(probe("run", restart="temporary"))
            ref.cast(Quit())
            await clock.settle()
        assert root.tree().children == ()


async def test_dynamic_children_stop_together(tree, clock):
    """Ten that need a second each need one in all, then the static ones stop (simple_one_for_one_shutdown)."""
    log = []

    class Slow(Probe):
        async def on_stop(self, how):
            await self.me.clock.sleep(1.0)
            self.log.append(self.name)

    root = tree([Child("static", lambda: Slow("static", log))])

    async def body():
        async with root:
            for number in range(10):
                await root.start_child(Child(f"d{number}", lambda number=number: Slow(f"d{number}", log)))
            del log[:]

    host = asyncio.create_task(body())
    await clock.settle()
    await clock.advance(1.0)
    assert sorted(log) == [f"d{number}" for number in range(10)]
    await clock.advance(1.0)
    assert log[-1] == "static"
    await host


async def test_stop_child_keeps_the_specification(tree):
    """terminate_child, then restart_child."""
    async with tree([probe("a")]) as root:
        ref = root.child("a")
        await root.stop_child("a")
        assert not ref.alive
        assert root.count_children().specs == 1
        assert await root.restart_child("a") is ref
        assert ref.alive


async def test_stop_child_forgets_a_temporary_child(tree):
    """Its specification goes with it."""
    async with tree([probe("a", restart="temporary")]) as root:
        await root.stop_child("a")
        with pytest.raises(ChildError, match="has no child a; it has: none") as caught:
            root.child("a")
        assert caught.value.reason == "not_found"


@pytest.mark.parametrize("request_name", ["restart_child", "delete_child"])
async def test_a_running_child_can_be_neither_restarted_nor_deleted(request_name, tree):
    """`running`."""
    async with tree([probe("a")]) as root:
        with pytest.raises(ChildError, match="is running") as caught:
            await getattr(root, request_name)("a")
        assert caught.value.reason == "running"


@pytest.mark.parametrize("request_name", ["restart_child", "delete_child"])
async def test_a_child_being_restarted_can_be_neither_restarted_nor_deleted(request_name, tree):
    """`restarting`."""
    failures = []
    child = Child("a", lambda: Failing("a", [], failures))
    async with tree([child], max_restarts=10**6) as root:
        failures += [Boom() for _ in range(1000)]
        root.child("a").cast(Crash())
        with pytest.raises(ChildError, match="is being restarted") as caught:
            await in_time(root, request_name)
        assert caught.value.reason == "restarting"
        await root.stop_child("a")
        await root.delete_child("a")


async def in_time(root, request_name):
    """Make the request as soon as the child is between two tries."""
    while root.tree().children[0].state != "restarting":
        await asyncio.sleep(0)
    await getattr(root, request_name)("a")


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_start_child_of_a_child_being_restarted_says_already_present(strategy, tree):
    """It does not run, so it has not started; OTP's supervisor says the same (child_adm)."""
    failures = []
    child = Child("a", lambda: Failing("a", [], failures))
    async with tree([child], max_restarts=10**6, strategy=strategy) as root:
        failures += [Boom() for _ in range(1000)]
        root.child("a").cast(Crash())
        while root.tree().children[0].state != "restarting":
            await asyncio.sleep(0)
        with pytest.raises(ChildError, match="has a child a already, which is being restarted") as caught:
            await root.start_child(probe("a"))
        assert caught.value.reason == "already_present"
        await root.stop_child("a")


@pytest.mark.parametrize("request_name", ["stop_child", "restart_child", "delete_child"])
async def test_an_unknown_child_is_not_found(request_name, tree):
    """`not_found`, with the names there are."""
    async with tree([probe("a"), probe("b")]) as root:
        with pytest.raises(ChildError, match="has no child x; it has: a, b") as caught:
            await getattr(root, request_name)("x")
        assert caught.value.reason == "not_found"


async def test_delete_child_forgets_a_stopped_child(tree):
    """The name is free afterwards."""
    async with tree([probe("a")]) as root:
        await root.stop_child("a")
        await root.delete_child("a")
        await root.start_child(probe("a"))


async def test_a_restart_child_that_fails_leaves_the_child_stopped(tree):
    """It can be tried again."""
    failures = []
    async with tree([Child("a", lambda: Failing("a", [], failures))]) as root:
        await root.stop_child("a")
        failures.append(Boom())
        with pytest.raises(StartFailed):
            await root.restart_child("a")
        assert root.tree().children[0].state == "stopped"
        await root.restart_child("a")


async def test_count_children_tells_supervisors_from_workers(tree):
    """count_children."""
    children = [probe("a"), Child("s", Supervisor), Child("t", TaskSupervisor), Child("n", lambda: None)]
    async with tree(children) as root:
        await root.stop_child("a")
        assert root.count_children() == ChildCount(specs=4, active=2, supervisors=2, workers=2)


async def test_requests_to_a_supervisor_that_has_ended_raise_actor_down(tree):
    """And one that was never started says how to start it."""
    root = tree([probe("a")])
    with pytest.raises(ActorDown, match="has not been started"):
        await root.start_child(probe("b"))
    async with root:
        pass
    with pytest.raises(ActorDown, match="has stopped"):
        await root.start_child(probe("b"))


async def test_requests_that_wait_when_the_supervisor_stops_raise_actor_down(tree, clock):
    """Nobody waits for an answer that will not come."""

    class Hangs(Probe):
        async def on_start(self, me):
            await asyncio.get_running_loop().create_future()

    root = tree()
    async with root:
        starting = asyncio.create_task(root.start_child(Child("hangs", Hangs)))
        waiting = asyncio.create_task(root.start_child(probe("next")))
        await clock.settle()
    with pytest.raises(StartFailed):
        await starting
    with pytest.raises(ActorDown):
        await waiting


async def test_a_request_whose_caller_has_gone_is_skipped(tree, clock):
    """Like any expired call."""
    gate = asyncio.Event()

    class Waits(Probe):
        async def on_start(self, me):
            await gate.wait()

    async with tree() as root:
        first = asyncio.create_task(root.start_child(Child("first", Waits)))
        second = asyncio.create_task(root.start_child(probe("second")))
        await clock.settle()
        second.cancel()
        gate.set()
        await first
        await clock.settle()
        assert [info.name for info in root.tree().children] == ["first"]


async def test_a_child_that_asks_its_supervisor_during_its_start_is_told(tree):
    """It would wait for itself; OTP would hang."""

    class Asks(Probe):
        async def on_start(self, me):
            await holder[0].start_child(probe("sibling"))

    holder = []
    async with tree() as root:
        holder.append(root)
        with pytest.raises(StartFailed, match="root waits for asks, which asks it") as caught:
            await root.start_child(Child("asks", Asks))
        assert isinstance(caught.value.__cause__, CallCycle)


async def test_a_child_that_stops_itself_through_its_supervisor_is_told(tree):
    """It should use me.stop()."""
    async with tree([probe("a")]) as root:

        async def stop_me():
            with pytest.raises(CallCycle, match=r"use me\.stop\(\)"):
                await root.stop_child("a")
            return "told"

        assert await root.child("a").call(Do(stop_me)) == "told"


async def test_a_child_may_start_siblings_once_it_runs(tree):
    """Requests from handlers are fine."""
    async with tree([probe("a")]) as root:
        await root.child("a").call(Do(lambda: root.start_child(probe("b"))))
        assert root.child("b").alive


async def test_children_do_not_see_the_context_of_whoever_starts_them(tree):
    """Context variables of the caller stay with the caller."""
    from contextvars import ContextVar

    variable = ContextVar("variable", default="clean")
    async with tree() as root:
        variable.set("dirty")
        ref = await root.start_child(probe("a"))
        assert await ref.call(Do(variable.get)) == "clean"


# Auto-shutdown ---------------------------------------------------------------------------------------------


def significant(name, restart="transient", **options):
    """A significant child."""
    return probe(name, restart=restart, significant=True, **options)


@pytest.mark.parametrize(
    ("restart", "ends", "stops"),
    [
        ("transient", Quit(), True),
        ("transient", Quit(Shutdown()), True),
        ("transient", Crash(), False),
        ("temporary", Quit(), True),
        ("temporary", Crash(), True),
    ],
)
async def test_any_significant_child_that_is_not_restarted_ends_its_supervisor(
    restart, ends, stops, tree, clock
):
    """any_significant: the supervisor exits shutdown, its other children with it."""
    log = []
    children = [probe("other", log), significant("main", restart)]
    run = Child("run", lambda: Supervisor(children, auto_shutdown="any_significant"), restart="temporary")
    async with tree() as root:
        ref = await root.start_child(run)
        ref.instance.child("main").cast(ends)
        await clock.settle()
        assert ref.alive is not stops
        assert ("end other: shutdown" in log) is stops


async def test_all_significant_children_must_end(tree, clock):
    """all_significant: the last one counts; one being restarted is still active."""
    children = [significant("x"), significant("y"), probe("other")]
    run = Child("run", lambda: Supervisor(children, auto_shutdown="all_significant"), restart="temporary")
    async with tree() as root:
        ref = await root.start_child(run)
        inner = ref.instance
        inner.child("x").cast(Quit())
        await clock.settle()
        assert ref.alive
        inner.child("y").cast(Crash())
        await clock.settle()
        assert ref.alive
        inner.child("y").cast(Quit())
        await clock.settle()
        assert not ref.alive


async def test_stop_child_does_not_fire_auto_shutdown(tree, clock):
    """Only an end of its own counts."""
    async with tree([significant("main"), probe("other")], auto_shutdown="any_significant") as root:
        await root.stop_child("main")
        await clock.settle()
        assert root.child("other").alive


async def test_an_ordinary_child_does_not_fire_auto_shutdown(tree, clock):
    """Only significant children do."""
    children = [significant("main"), probe("other", restart="temporary")]
    async with tree(children, auto_shutdown="any_significant") as root:
        root.child("other").cast(Quit())
        await clock.settle()
        assert root.child("main").alive


# Specifications --------------------------------------------------------------------------------------------


NAN = math.nan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restart": "sometimes"}, "restart is permanent, transient or temporary, not 'sometimes'"),
        ({"significant": True}, "cannot be significant"),
        ({"shutdown": -1}, "shutdown is seconds >= 0"),
        ({"shutdown": "never"}, "shutdown is seconds >= 0"),
        ({"shutdown": NAN}, "shutdown is seconds >= 0, 'kill' or math.inf, not nan"),
        ({"mailbox": 0}, "mailbox is a whole number of at least 1, not 0"),
        ({"mailbox": NAN}, "mailbox is a whole number of at least 1, not nan"),
        ({"mailbox": 2.5}, "mailbox is a whole number of at least 1, not 2.5"),
        ({"mailbox": True}, "mailbox is a whole number of at least 1, not True"),
        ({"shutdown": True}, "shutdown is seconds >= 0, 'kill' or math.inf, not True"),
    ],
)
def test_a_child_without_meaning_is_refused(options, message):
    """At once, where it is written (child_specs)."""
    with pytest.raises(ValueError, match=f"^a: .*{message}"):
        probe("a", **options)


@pytest.mark.parametrize(
    ("children", "options", "message"),
    [
        ([probe("a"), probe("a")], {}, "Two children are called a"),
        ([significant("a")], {}, "needs auto_shutdown="),
        ([], {"strategy": "simple"}, "strategy is one_for_one"),
        ([], {"auto_shutdown": "sometimes"}, "auto_shutdown is never"),
        ([], {"max_restarts": -1}, "max_restarts is a whole number of at least 0, not -1"),
        ([], {"max_restarts": NAN}, "max_restarts is a whole number of at least 0, not nan"),
        ([], {"max_restarts": True}, "max_restarts is a whole number of at least 0, not True"),
        ([], {"max_restarts": 2.5}, "max_restarts is a whole number of at least 0, not 2.5"),
        ([], {"within": 0}, "within is more than 0"),
        ([], {"within": NAN}, "within is more than 0 seconds, not nan"),
        ([], {"within": True}, "within is more than 0 seconds, not True"),
        (
            [],
            {"max_children": -1},
            "max_children is a whole number of at least 0, or None for no limit, not -1",
        ),
        (
            [],
            {"max_children": NAN},
            "max_children is a whole number of at least 0, or None for no limit, not nan",
        ),
        (
            [],
            {"max_children": 2.5},
            "max_children is a whole number of at least 0, or None for no limit, not 2.5",
        ),
        ([], {"max_children": True}, "max_children is a whole number of at least 0, or None .* not True"),
    ],
)
def test_a_supervisor_without_meaning_is_refused(children, options, message):
    """At once, where it is written."""
    with pytest.raises(ValueError, match=message):
        Supervisor(children, **options)


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda: Child(1, Probe), "Child: the name is a text, not 1"),
        (lambda: Child("a", Probe()), "a: make is called, so it is a function or a class, not a Probe"),
        (lambda: Child("a", None), "a: make is called, so it is a function or a class, not a NoneType"),
        (
            lambda: Child("a", Probe, on_exit=1),
            "a: on_exit is called, so it is a function or a class, not a int",
        ),
        (lambda: Supervisor([Probe]), "children are .* objects, and one is the class Probe"),
        (lambda: Supervisor([probe("a"), Probe()]), "children are .* objects, and one is a Probe"),
        (lambda: Supervisor(probe("a")), "children are a list of Child"),
    ],
)
def test_what_is_no_child_is_refused(define, message):
    """In one sentence that says what belongs there."""
    with pytest.raises(TypeError, match=message):
        define()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shutdown": NAN}, "shutdown is seconds >= 0, 'kill' or math.inf, not nan"),
        ({"shutdown": -1}, "shutdown is seconds >= 0"),
        ({"shutdown": True}, "shutdown is seconds >= 0"),
        ({"max_children": NAN}, "max_children is a whole number of at least 0"),
        ({"max_children": 2.5}, "max_children is a whole number of at least 0"),
        ({"max_children": True}, "max_children is a whole number of at least 0"),
    ],
)
def test_a_task_supervisor_without_meaning_is_refused(options, message):
    """At once, where it is written."""
    with pytest.raises(ValueError, match=message):
        TaskSupervisor(**options)


async def test_a_time_that_is_nan_is_refused_wherever_one_is_given(tree):
    """It would mean no limit here, at once there, and upset the order of all timers in a third place."""
    async with tree([probe("a"), Child("tasks", TaskSupervisor)]) as root:
        ref = root.child("a", Probe)
        with pytest.raises(ValueError, match="a: timeout is seconds, or None for no limit, not nan"):
            await ref.call(Get(), timeout=NAN)
        with pytest.raises(ValueError, match="shutdown is seconds >= 0"):
            await root.child("tasks", TaskSupervisor).instance.stop(NAN)
        for clock in (SystemClock(), VirtualClock(), ref.instance.me.clock):
            with pytest.raises(ValueError, match="A delay is a number of seconds, not nan"):
                clock.call_later(NAN, list)
            with pytest.raises(ValueError, match="A delay is a number of seconds, not nan"):
                await clock.sleep(NAN)
        assert await ref.call(Get()) == 0


async def test_a_delay_without_end_is_one_on_every_loop():
    """`math.inf` is no number that every loop takes for a timer."""
    SystemClock().call_later(math.inf, pytest.fail).cancel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await SystemClock().sleep(math.inf)


async def test_start_child_refuses_what_is_no_child(tree):
    """As the supervisor's own list does."""
    async with tree() as root:
        with pytest.raises(TypeError, match=r"children are .* objects, and one is the class Probe"):
            await root.start_child(Probe)


async def test_start_child_refuses_it_too(tree):
    """The same rules hold for children started later."""
    async with tree() as root:
        with pytest.raises(ValueError, match="needs auto_shutdown="):
            await root.start_child(significant("a"))


async def test_infinity_may_be_spelled_as_otp_does(tree):
    """shutdown="infinity" is math.inf."""
    async with tree([probe("a", shutdown="infinity")]):
        pass


# What is asked when a supervisor dies ----------------------------------------------------------------------


async def test_requests_to_a_supervisor_that_is_killed_are_answered(tree, clock):
    """The one in hand and those that wait hear ActorDown; nobody hangs."""

    class Hangs(Probe):
        async def on_start(self, me):
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await asyncio.get_running_loop().create_future()

    async with tree([Child("inner", Supervisor, shutdown=1.0)]) as root:
        inner = root.child("inner").instance
        asked = [
            asyncio.create_task(inner.start_child(Child("hangs", Hangs, shutdown=60.0))),
            asyncio.create_task(inner.start_child(probe("next"))),
        ]
        await clock.settle()
        stop = asyncio.create_task(root.stop_child("inner"))
        await clock.advance(1.2)
        await stop
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(outcomes[0], StartFailed | ActorDown)
        assert isinstance(outcomes[1], ActorDown)


async def test_a_request_in_hand_is_answered_when_the_supervisors_task_is_cancelled(tree, clock):
    """As when asyncio.run() cleans up."""

    class Hangs(Probe):
        async def on_start(self, me):
            await asyncio.get_running_loop().create_future()

    ends = []
    async with tree([Child("inner", Supervisor, restart="temporary", on_exit=ends.append)]) as root:
        inner = root.child("inner").instance
        asked = asyncio.create_task(inner.start_child(Child("hangs", Hangs)))
        await clock.settle()
        inner._process.task.cancel()
        with pytest.raises(ActorDown):
            await asked
        await clock.settle()
        assert ends == [Shutdown()]


async def test_a_missing_name_among_thousands_names_a_few(tree):
    """An error is for people."""
    async with tree([Child(f"child {number}", lambda: None) for number in range(25)]) as root:
        with pytest.raises(ChildError, match=r"it has: child 0, .*, child 19 and 5 more\.$"):
            root.child("x")


# The limit of children -------------------------------------------------------------------------------------


async def test_max_children_limits_what_is_started_later(tree, clock):
    """One that ends makes room; the supervisor's own list does not count."""
    async with tree([probe("own")], max_children=2) as root:
        await root.start_child(probe("a", restart="temporary"))
        await root.start_child(probe("b", restart="transient"))
        with pytest.raises(ChildError, match="max_children=2 allows, so c was not started") as caught:
            await root.start_child(probe("c"))
        assert (caught.value.name, caught.value.reason) == ("c", "max_children")
        for name in "ab":
            root.child(name).cast(Quit())
        await clock.settle()
        await root.start_child(probe("c"))
        await root.start_child(probe("d"))
        with pytest.raises(ChildError, match="so b was not started") as caught:
            await root.restart_child("b")
        assert caught.value.reason == "max_children"
        await root.stop_child("d")
        await root.restart_child("b")
        await root.stop_child("own")
        await root.restart_child("own")


async def test_max_children_counts_those_that_are_being_restarted(tree):
    """They are about to run again (OTP counts them too)."""
    failures = []
    async with tree(max_restarts=10**6, max_children=1) as root:
        await root.start_child(Child("a", lambda: Failing("a", [], failures)))
        failures += [Boom() for _ in range(1000)]
        root.child("a").cast(Crash())
        while root.tree().children[0].state != "restarting":
            await asyncio.sleep(0)
        with pytest.raises(ChildError, match="max_children=1 allows") as caught:
            await root.start_child(probe("b"))
        assert caught.value.reason == "max_children"
        await root.stop_child("a")
        await root.start_child(probe("b"))


async def test_a_child_that_does_not_start_takes_no_room(tree):
    """Neither one whose start fails, nor one that is not needed, nor one of a name that is taken."""

    async def fail():
        raise Boom("no")

    async with tree(max_children=1) as root:
        for make in (fail, lambda: Failing("a", [], [Boom("no")]), lambda: 5):
            with pytest.raises(StartFailed):
                await root.start_child(Child("a", make))
        await root.start_child(Child("idle", lambda: None))
        await root.start_child(Child("gone", lambda: None, restart="temporary"))
        await root.start_child(probe("a"))
        with pytest.raises(ChildError) as caught:
            await root.start_child(probe("a"))
        assert caught.value.reason == "already_started"


async def test_no_children_may_be_the_limit(tree):
    """0 is a number like any other."""
    async with tree([probe("own")], max_children=0) as root:
        with pytest.raises(ChildError, match="max_children=0 allows"):
            await root.start_child(probe("a"))


# What a child holds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["to the supervisor", "later"])
@pytest.mark.parametrize("restart", ["temporary", "permanent"])
async def test_what_starts_a_temporary_child_is_let_go_once_it_runs(restart, given, tree, clock):
    """Nobody will start it again, and what `make` holds may be large; the others must be made again."""

    class Cargo:
        """Something large."""

    def child():
        cargo = Cargo()

        async def make():
            assert cargo
            await asyncio.sleep(0)
            return Probe()

        return Child("a", make, restart=restart), weakref.ref(cargo)

    spec, cargo = child()
    now, later = ([spec], []) if given == "to the supervisor" else ([], [spec])
    del spec
    async with tree(now) as root:
        del now
        while later:
            await root.start_child(later.pop())
        await clock.settle()
        gc.collect()
        assert (cargo() is None) == (restart == "temporary")
        assert root.child("a").alive
        root.child("a").cast(Crash())
        await clock.settle()
        assert root.count_children().specs == (restart != "temporary")
