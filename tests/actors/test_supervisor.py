"""The behaviours of OTP's supervisor suite beside the table; each test names its model there."""

from __future__ import annotations

import asyncio
import math

import pytest

from flowstone.actors import (
    Child,
    Crashed,
    Killed,
    Normal,
    Shutdown,
    StartFailed,
    Supervisor,
    SupervisorGaveUp,
)
from tests.actors.probes import Boom, Crash, Do, Failing, Get, Probe, Quit, probe


def failing(name, log, failures, **options):
    """A child whose start raises while `failures` has entries."""
    return Child(name, lambda: Failing(name, log, failures), **options)


def crash(root, *names):
    """Crash children."""
    for name in names:
        root.child(name).cast(Crash())


# sup_start_* -----------------------------------------------------------------------------------------------


async def test_children_start_left_to_right_and_stop_in_reverse(tree):
    """Start order is list order, stop order its reverse (sup_start_normal)."""
    log = []
    async with tree([Child(name, lambda name=name: Probe(name, log)) for name in "abc"]):
        assert log == ["start a", "start b", "start c"]
    assert log[3:] == ["stop c: shutdown", "stop b: shutdown", "stop a: shutdown"]


async def test_each_child_is_ready_before_the_next_begins(tree):
    """An asynchronous on_start is waited for."""
    log = []

    class Slow(Probe):
        async def on_start(self, me):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            super().on_start(me)

    async with tree([Child("slow", lambda: Slow("slow", log)), probe("quick", log)]):
        assert log == ["start slow", "start quick"]


async def test_a_start_that_fails_stops_the_elders_in_reverse_and_raises(tree, reports):
    """Init failure consumes no restarts (sup_start_fail)."""
    log = []
    error = Boom("no luck")
    children = [probe("a", log), probe("b", log), failing("c", log, [error]), probe("d", log)]
    with pytest.raises(StartFailed, match=r"root could not start c: Boom: no luck\.") as caught:
        async with tree(children):
            pytest.fail("the body must not run")
    assert caught.value.__cause__ is error
    assert caught.value.error is error
    assert caught.value.name == "c"
    assert log == ["start a", "start b", "start c", "end b: shutdown", "end a: shutdown"]
    assert [report.kind for report in reports] == ["start_failed"]


async def test_a_failed_start_deep_in_the_tree_names_the_path(tree):
    """The error of a nested start carries the innermost error and the way to it."""
    error = Boom("deep")
    inner = Child("inner", lambda: Supervisor([failing("leaf", [], [error])]))
    outer = Child("outer", lambda: Supervisor([inner]))
    with pytest.raises(StartFailed, match=r"could not start outer\.inner\.leaf") as caught:
        async with tree([outer]):
            pytest.fail("the body must not run")
    assert caught.value.__cause__ is error


async def test_a_make_that_raises_fails_the_start(tree):
    """What `make` raises is the cause, whatever it is (sup_start_error_return)."""

    def make():
        raise SystemExit(3)

    with pytest.raises(StartFailed) as caught:
        async with tree([Child("a", make)]):
            pytest.fail("the body must not run")
    assert isinstance(caught.value.__cause__, SystemExit)


async def test_a_make_that_returns_something_else_is_refused(tree):
    """The error says what may be returned."""
    with pytest.raises(StartFailed, match=r"a: make\(\) returned int; it must return an Actor"):
        async with tree([Child("a", lambda: 5)]):
            pytest.fail("the body must not run")


async def test_an_ignored_child_keeps_its_place(tree):
    """A make that returns None is no failure; restart_child may start it later (sup_start_ignore_child)."""
    wanted = []
    child = Child("maybe", lambda: Probe() if wanted else None)
    async with tree([child, probe("other")]) as root:
        assert [info.state for info in root.tree().children] == ["ignored", "running"]
        assert not root.child("maybe").alive
        wanted.append(True)
        ref = await root.restart_child("maybe")
        assert await ref.call(Get()) == 0


async def test_a_supervisor_may_be_ignored(tree):
    """A make that decides against its supervisor (sup_start_ignore_init)."""
    async with tree(
        [Child("inner", lambda: Supervisor() if probe is None else None), probe("other")]
    ) as root:
        assert root.tree().children[0].state == "ignored"
        assert root.child("other").alive


async def test_an_ignored_temporary_child_is_dropped(tree):
    """sup_start_ignore_temporary_child."""
    async with tree([Child("maybe", lambda: None, restart="temporary"), probe("other")]) as root:
        assert [info.name for info in root.tree().children] == ["other"]


async def test_an_asynchronous_make_is_awaited(tree):
    """`make` may be `async def`."""

    async def make():
        await asyncio.sleep(0)
        return Probe("made")

    async with tree([Child("a", make)]) as root:
        assert root.child("a", Probe).instance.name == "made"


async def test_a_make_that_returns_the_old_instance_is_refused(tree):
    """State that a crash has corrupted must not survive it."""
    only = Probe()
    with pytest.raises(SupervisorGaveUp, match="build a fresh one"):
        async with tree([Child("a", lambda: only)]) as root:
            crash(root, "a")
            await asyncio.get_running_loop().create_future()


# sup_stop_* ------------------------------------------------------------------------------------------------


async def test_a_child_that_outlasts_its_shutdown_is_killed_and_reported(tree, clock, reports):
    """The stop waits `shutdown` and not much longer (sup_stop_timeout)."""
    forever = asyncio.get_running_loop().create_future()
    root = tree([probe("slow", shutdown=2.0)])
    async with root:
        call = asyncio.create_task(swallow(root.child("slow").call(Do(lambda: forever), timeout=None)))
        await clock.settle()
        stop = asyncio.create_task(root.stop_child("slow"))
        await clock.advance(1.99)
        assert not stop.done()
        await clock.advance(0.02)
        assert stop.done()
    await call
    assert [(report.kind, report.exit) for report in reports] == [("shutdown_error", Killed())]


async def test_a_child_with_infinite_shutdown_is_waited_for(tree, clock):
    """sup_stop_infinity."""
    release = asyncio.get_running_loop().create_future()
    async with tree([probe("slow", shutdown=math.inf)]) as root:
        call = asyncio.create_task(root.child("slow").call(Do(lambda: release), timeout=None))
        await clock.settle()
        stop = asyncio.create_task(root.stop_child("slow"))
        await clock.advance(1e6)
        assert not stop.done()
        release.set_result("done")
        await stop
        assert await call == "done"


async def test_kill_asks_nothing(tree, reports):
    """sup_stop_brutal_kill: no on_stop, and no report, for it was meant."""
    log = []
    async with tree([Child("a", lambda: Probe("a", log), shutdown="kill")]) as root:
        ref = root.child("a")
    assert log == ["start a"]
    assert await ref.down() == Killed()
    assert reports == []


async def swallow(awaitable):
    """The error of an awaitable as a value."""
    try:
        return await awaitable
    except Exception as error:
        return error


# Restarts --------------------------------------------------------------------------------------------------


async def test_a_crash_gives_a_fresh_instance_under_the_same_reference(tree, clock):
    """References survive restarts, state does not."""
    async with tree([probe("a")]) as root:
        ref = root.child("a")
        first = ref.instance
        crash(root, "a")
        await clock.settle()
        assert ref.instance is not first
        assert await ref.call(Get()) == 0


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
async def test_a_temporary_sibling_stopped_with_its_group_is_gone(strategy, tree, clock):
    """temporary_bystander."""
    log = []
    children = [probe("a", log), probe("b", log, restart="temporary"), probe("c", log)]
    async with tree(children, strategy=strategy) as root:
        crash(root, "a")
        await clock.settle()
        assert [info.name for info in root.tree().children] == ["a", "c"]
    assert log.count("start b") == 1


async def test_a_restart_that_fails_is_tried_again_and_counted(tree, clock, reports):
    """A start that fails during a restart does not end the supervisor before its limit (supervisor.erl)."""
    failures = []
    async with tree([failing("a", [], failures)], max_restarts=3) as root:
        failures += [Boom(1), Boom(2)]
        crash(root, "a")
        await clock.settle()
        assert root.child("a").alive
        assert root.tree().children[0].restarts == 1
    assert [report.kind for report in reports] == ["crashed", "start_failed", "start_failed"]


async def test_a_tree_says_why_and_when_a_child_was_restarted(tree, clock):
    """And which ones only went along with it; how much of the limit is used, until that is long ago."""
    children = [Child("before", Probe), Child("a", Probe), Child("after", Probe)]
    async with tree(children, strategy="rest_for_one", max_restarts=2, within=5.0) as root:
        assert [child.restarted_at for child in root.tree().children] == [None] * 3
        at = clock.now()
        root.child("a").cast(Crash(ValueError("no such bucket")))
        await clock.settle()
        info = root.tree()
        assert [(child.restarted_at, child.crash) for child in info.children] == [
            (None, ""),
            (at, "ValueError: no such bucket"),
            (at, ""),
        ]
        assert (info.max_restarts, info.within, info.recent_restarts) == (2, 5.0, 1)
        await clock.advance(5.1)
        assert root.tree().recent_restarts == 0
        root.child("after").cast(Crash(ValueError("later")))
        await clock.settle()
        assert [child.crash for child in root.tree().children] == [
            "",
            "ValueError: no such bucket",
            "ValueError: later",
        ]
        later = clock.now()
        times = [child.restart_times for child in root.tree().children]
        assert times == [(), (at,), (at, later)]


async def test_a_tree_remembers_the_last_restarts_of_a_child(tree, clock):
    """Twenty of them, however many there were."""
    async with tree([Child("a", Probe)], max_restarts=100, within=1.0) as root:
        for _ in range(25):
            crash(root, "a")
            await clock.settle()
            await clock.advance(1.1)
        (info,) = root.tree().children
        assert (info.restarts, len(info.restart_times)) == (25, 20)
        assert info.restart_times[-1] == info.restarted_at
        assert list(info.restart_times) == sorted(info.restart_times)


async def test_failed_restarts_exhaust_the_limit(tree):
    """Every try counts: three restarts that fail are too many for max_restarts=2."""
    failures = []
    with pytest.raises(SupervisorGaveUp) as caught:
        async with tree([failing("a", [], failures)], max_restarts=2) as root:
            failures += [Boom(number) for number in range(10)]
            crash(root, "a")
            await forever()
    assert len(failures) == 8
    assert isinstance(caught.value.error, Boom)


async def forever():
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
async def test_when_another_child_fails_its_restart_that_one_is_tried_again(strategy, tree, clock):
    """one_for_all_other_child_fails_restart, rest_for_one_other_child_fails_restart."""
    log, failures = [], []
    children = [probe("a", log), probe("b", log), failing("c", log, failures), probe("d", log)]
    async with tree(children, strategy=strategy, max_restarts=5) as root:
        failures.append(Boom())
        del log[:]
        crash(root, "b")
        await clock.settle()
        assert all(root.child(name).alive for name in "abcd")
        again = ["start a", "start b"] if strategy == "one_for_all" else []
        elders = ["end b: shutdown", "end a: shutdown"] if strategy == "one_for_all" else []
        stopped = ["end d: shutdown", "stop c: shutdown"]
        assert log == [
            "end b: crashed: Boom",
            *stopped,
            *(["end a: shutdown"] if strategy == "one_for_all" else []),
            *(["start a"] if strategy == "one_for_all" else []),
            "start b",
            "start c",
            *elders,
            *again,
            "start c",
            "start d",
        ]


async def test_a_child_may_fail_while_another_fails_its_restart(tree, clock):
    """one_for_one_other_child_fails_restart: each is tried on its own until it runs."""
    failures = []
    async with tree([failing("a", [], failures), probe("b")], max_restarts=10) as root:
        failures += [Boom(), Boom()]
        crash(root, "a", "b")
        await clock.settle()
        assert root.child("a").alive
        assert [info.restarts for info in root.tree().children] == [1, 1]


async def test_a_hanging_restart_loop_lets_other_requests_in(tree, clock):
    """hanging_restart_loop: a child that never starts does not shut out the shutdown, nor anybody else."""
    failures = [Boom() for _ in range(1000)]
    wanted = []
    children = [failing("a", [], wanted), probe("b")]
    async with tree(children, max_restarts=10**6) as root:
        wanted += failures
        crash(root, "a")
        ref = await root.start_child(probe("c"))
        assert ref.alive
        assert root.tree().children[0].state in {"restarting", "starting"}
        await root.stop_child("a")
        assert root.tree().children[0].state == "stopped"
    assert wanted


async def test_a_shutdown_gets_in_while_a_restart_hangs(tree, clock):
    """A child that hangs in its restart is cancelled with its supervisor."""
    starts = []

    class Hangs(Probe):
        async def on_start(self, me):
            starts.append(me)
            if len(starts) > 1:
                await forever()
            super().on_start(me)

    async with tree([Child("a", Hangs)]) as root:
        crash(root, "a")
        await clock.settle()
        assert root.tree().children[0].state == "starting"
    assert len(starts) == 2


async def test_a_shutdown_during_a_group_restart_starts_nobody(tree, clock):
    """It came while the siblings were being stopped; a start now might hang for ever."""
    log = []

    class Slow(Probe):
        async def on_stop(self, how):
            await clock.sleep(1.0)

    class Hangs(Probe):
        async def on_start(self, me):
            super().on_start(me)
            if log.count("start hangs") > 1:
                await forever()

    children = [
        Child("hangs", lambda: Hangs("hangs", log), shutdown=math.inf),
        Child("slow", lambda: Slow("slow", log)),
    ]
    async with tree(children, strategy="one_for_all") as root:
        crash(root, "hangs")
        await clock.settle()
        assert root.tree().find("slow").state == "stopping"
        flight = asyncio.create_task(clock.advance(1.0))
    await flight
    assert log.count("start hangs") == 1


async def test_a_hanging_make_is_cancelled_with_its_supervisor(tree, clock):
    """The same for an asynchronous make."""
    makes = []

    async def make():
        makes.append(1)
        if len(makes) > 1:
            await forever()
        return Probe()

    async with tree([Child("a", make)]) as root:
        crash(root, "a")
        await clock.settle()
        assert root.tree().children[0].state == "starting"


async def test_a_permanent_child_that_ends_normally_takes_its_group_along(tree, clock):
    """A permanent child's normal exit is a failure like any other (permanent_normal)."""
    log = []
    async with tree([probe("a", log), probe("b", log)], strategy="one_for_all") as root:
        root.child("b").cast(Quit())
        await clock.settle()
        assert log[2:] == ["end b: normal", "end a: shutdown", "start a", "start b"]


async def test_a_group_restart_starts_children_that_had_been_stopped(tree, clock):
    """one_for_all starts every child of its list, one stopped by stop_child as well."""
    async with tree([probe("a"), probe("b")], strategy="one_for_all") as root:
        await root.stop_child("a")
        crash(root, "b")
        await clock.settle()
        assert root.child("a").alive


# Intensity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_one_restart_too_many_gives_up(strategy, tree, clock, reports):
    """More than max_restarts within the window are too many.

    In OTP's suite: one_for_one_escalation, rest_for_one_escalation, one_for_all_escalation.
    """
    log = []
    children = [probe("a", log), probe("b", log), probe("c", log)]
    with pytest.raises(SupervisorGaveUp, match="b failed too often") as caught:
        async with tree(children, strategy=strategy, max_restarts=1) as root:
            crash(root, "b")
            await clock.settle()
            crash(root, "b")
            await forever()
    assert isinstance(caught.value.__cause__, Boom)
    assert caught.value.name == "root"
    assert log[-3:] == ["end b: crashed: Boom", "end c: shutdown", "end a: shutdown"]
    assert [report.kind for report in reports] == ["crashed", "crashed", "gave_up"]
    assert root.tree().find("b") is None


async def test_zero_restarts_gives_up_at_the_first_crash(tree):
    """max_restarts=0."""
    with pytest.raises(SupervisorGaveUp):
        async with tree([probe("a")], max_restarts=0) as root:
            crash(root, "a")
            await forever()


async def test_restarts_outside_the_window_are_forgotten(tree, clock):
    """The budget is per window of time."""
    async with tree([probe("a")], max_restarts=1, within=5.0) as root:
        for _ in range(5):
            crash(root, "a")
            await clock.advance(5.01)
        assert root.tree().children[0].restarts == 5


async def test_a_restart_exactly_at_the_edge_of_the_window_still_counts(tree, clock):
    """The window is closed on both sides, with float seconds."""
    with pytest.raises(SupervisorGaveUp):
        async with tree([probe("a")], max_restarts=1, within=5.0) as root:
            crash(root, "a")
            await clock.advance(5.0)
            crash(root, "a")
            await forever()


async def test_a_group_restart_counts_once(tree, clock):
    """multiple_restarts: one budget per supervisor, one count per restart."""
    async with tree([probe(name) for name in "abcde"], strategy="one_for_all", max_restarts=1) as root:
        crash(root, "a")
        await clock.settle()
        assert [info.restarts for info in root.tree().children] == [1] * 5


async def test_the_budget_is_shared_by_all_children(tree, clock):
    """Three children that crash once each are three restarts."""
    with pytest.raises(SupervisorGaveUp):
        async with tree([probe(name) for name in "abc"], max_restarts=2) as root:
            crash(root, "a", "b", "c")
            await forever()


# Trees -----------------------------------------------------------------------------------------------------


async def test_giving_up_is_a_shutdown_for_the_supervisor_above(tree, clock):
    """A permanent supervisor that gave up is restarted by the one above (tree)."""
    starts = []

    def inner():
        starts.append(1)
        return Supervisor([probe("leaf")], max_restarts=0)

    async with tree([Child("inner", inner)]) as root:
        ref = root.child("inner", Supervisor)
        crash(ref.instance, "leaf")
        await clock.settle()
        assert len(starts) == 2
        assert ref.instance.child("leaf").alive


async def test_a_transient_supervisor_that_gave_up_is_not_restarted(tree, clock):
    """Giving up exits `shutdown`, which is a clean exit."""
    log = []
    child = Child(
        "inner", lambda: Supervisor([probe("leaf")], max_restarts=0), restart="transient", on_exit=log.append
    )
    async with tree([child]) as root:
        ref = root.child("inner", Supervisor)
        crash(ref.instance, "leaf")
        await clock.settle()
        assert not ref.alive
    assert log == [Shutdown()]
    assert isinstance(log[0].reason, SupervisorGaveUp)


async def test_giving_up_goes_all_the_way_up(tree, clock):
    """Each level gives up in turn; the error at the root tells the whole story."""

    def inner():
        return Supervisor([probe("leaf")], max_restarts=0)

    with pytest.raises(SupervisorGaveUp, match="inner failed too often") as caught:
        async with tree([Child("inner", inner)], max_restarts=0) as root:
            crash(root.child("inner").instance, "leaf")
            await forever()
    assert isinstance(caught.value.error, SupervisorGaveUp)
    assert isinstance(caught.value.error.error, Boom)


async def test_a_tree_stops_from_the_leaves_of_its_last_branch(tree):
    """Reverse order holds through the whole tree."""
    log = []

    def branch(name):
        leaves = [probe(f"{name}{number}", log) for number in (1, 2)]
        return Child(name, lambda: Supervisor(leaves), on_exit=lambda how: log.append(f"end {name}: {how}"))

    async with tree([branch("x"), branch("y")]):
        del log[:]
    names = ["y2", "y1", "y", "x2", "x1", "x"]
    assert log == [f"end {name}: shutdown" for name in names]


async def test_a_supervisor_killed_by_its_deadline_takes_its_children_along(tree, clock, reports):
    """A finite shutdown for a supervisor leaks nothing here, unlike in OTP."""
    log = []
    block = asyncio.get_running_loop().create_future()
    inner = Child("inner", lambda: Supervisor([probe("leaf", log, shutdown=math.inf)]), shutdown=1.0)
    async with tree([inner]) as root:
        ref = root.child("inner").instance.child("leaf")
        call = asyncio.create_task(swallow(ref.call(Do(lambda: block), timeout=None)))
        await clock.settle()
        stop = asyncio.create_task(root.stop_child("inner"))
        await clock.advance(1.1)
        assert stop.done()
        assert log == ["start leaf", "end leaf: killed"]
    await call


async def test_killing_a_supervisor_kills_its_children(tree):
    """shutdown="kill" on a supervisor reaches the leaves."""
    log = []
    async with tree([Child("inner", lambda: Supervisor([probe("leaf", log)]), shutdown="kill")]):
        del log[:]
    assert log == ["end leaf: killed"]


async def test_a_naughty_child_cannot_hide_its_death(tree, clock):
    """child_unlink: the supervisor watches the task itself, nothing the child could take back."""

    class Naughty(Probe):
        def on_start(self, me):
            super().on_start(me)
            me.ref._process.on_exit = None
            me.ref._process.releases.clear()

    async with tree([Child("a", Naughty)]) as root:
        await root.stop_child("a")
        assert root.tree().children[0].state == "stopped"


async def test_children_that_crash_in_the_same_turn_are_all_restarted(tree, clock):
    """Events wait in the inbox; none is lost."""
    async with tree([probe(name) for name in "abcdef"], max_restarts=6) as root:
        crash(root, *"abcdef")
        await clock.settle()
        assert [info.restarts for info in root.tree().children] == [1] * 6


async def test_a_child_that_ends_at_once_after_its_start_is_no_failed_start(tree, clock):
    """`me.stop()` in on_start is a normal exit of a child that has started."""

    class Brief(Probe):
        def on_start(self, me):
            super().on_start(me)
            me.stop()

    ends = []
    async with tree([Child("a", Brief, restart="transient", on_exit=ends.append)]):
        await clock.settle()
        assert ends == [Normal()]


async def test_reports_name_supervisor_child_and_exit(tree, clock, reports):
    """A report says who, where and how; its text is a sentence."""
    inner = Child("inner", lambda: Supervisor([probe("leaf")]))
    async with tree([inner]) as root:
        crash(root.child("inner").instance, "leaf")
        await clock.settle()
    (report,) = reports
    assert (report.kind, report.supervisor, report.child) == ("crashed", "root.inner", "leaf")
    assert isinstance(report.exit, Crashed)
    assert str(report) == "root.inner.leaf ended unexpectedly (crashed: Boom)"


async def test_without_on_report_the_log_has_the_crash(clock, caplog):
    """The default is an error with a traceback in the log `flowstone.actors`."""
    async with Supervisor([probe("a")], clock=clock) as root:
        crash(root, "a")
        await clock.settle()
    (record,) = caplog.records
    assert record.name == "flowstone.actors"
    assert record.exc_info[0] is Boom
    assert "root.a ended unexpectedly" in record.getMessage()


async def test_an_on_report_that_raises_is_itself_reported(clock, caplog):
    """Nobody can silence the supervisor by accident."""

    def broken(report):
        raise SystemExit(report.child)

    async with Supervisor([probe("a")], clock=clock, on_report=broken) as root:
        crash(root, "a")
        await clock.settle()
        assert root.child("a").alive
    assert "on_report has a callback that raised (crashed: SystemExit: a)" in caplog.text


async def test_clean_ends_are_not_reported(tree, clock, reports):
    """Normal and shutdown are not errors."""
    async with tree([probe("a", restart="transient"), probe("b")]) as root:
        root.child("a").cast(Quit())
        await clock.settle()
    assert reports == []
