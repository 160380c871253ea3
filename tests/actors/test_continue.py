"""What an actor does after its start and before its first message, and the timers it sets for itself."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import Actor, ActorDown, Child, Normal, SupervisorGaveUp
from tests.actors.probes import Add, Boom, Crash, Do, Get, Probe, Quit


class Staged(Probe):
    """Takes its time over the rest of its start: until `go` is set."""

    def __init__(self, log, go, error=None):
        super().__init__("a", log)
        self.go, self.error = go, error

    async def handle_continue(self, me):
        assert me is self.me
        self.log.append("continue")
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.log.append("continued")

    async def handle(self, message):
        self.log.append(type(message).__name__)
        return await super().handle(message)


def staged(log, go, error=None, **options):
    """A child of that class."""
    return Child("a", lambda: Staged(log, go, error), **options)


async def test_the_rest_of_a_start_runs_before_any_message_and_nobody_waits_for_it(tree, clock):
    """The child has started and counts as running; what is sent meanwhile waits, be the mailbox full."""
    log, go = [], asyncio.Event()
    async with tree() as root:
        ref = await root.start_child(staged(log, go, mailbox=1))
        assert ref.alive
        ref.cast(Add())
        call = asyncio.create_task(ref.call(Get()))
        await clock.settle()
        assert log == ["start a", "continue"]
        assert ref.statistics().depth == 1
        go.set()
        assert await call == 1
        assert log == ["start a", "continue", "continued", "Add", "Get"]


async def test_messages_that_came_during_the_start_do_not_overtake_it(tree):
    """A stranger may have the reference before the start is done."""
    log = []

    class Early(Probe):
        async def on_start(self, me):
            me.ref.cast(Add("a stranger's"))
            await asyncio.sleep(0)

        def handle_continue(self, me):
            log.append("continue")

        async def handle(self, message):
            log.append(type(message).__name__)
            return await super().handle(message)

    async with tree([Child("a", Early)]) as root:
        await root.child("a").call(Get())
    assert log == ["continue", "Add", "Get"]


async def test_a_start_may_consist_of_nothing_else(tree):
    """Without an on_start there is nothing that the supervisor waits for."""

    class Plain(Actor):
        def handle_continue(self, me):
            self.name = me.name

        def handle(self, message):
            return self.name

    async with tree([Child("a", Plain)]) as root:
        assert await root.child("a").call(Get()) == "a"


async def test_a_crash_in_it_is_a_crash_and_no_failed_start(tree, clock, reports):
    """start_child has returned by then; the restart counts, and whoever waits hears of it."""
    log, go = [], asyncio.Event()
    with pytest.raises(SupervisorGaveUp):
        async with tree(max_restarts=1) as root:
            ref = await root.start_child(staged(log, go, Boom("later")))
            call = asyncio.create_task(ref.call(Get()))
            await clock.settle()
            go.set()
            with pytest.raises(ActorDown, match="Boom: later"):
                await call
            await asyncio.get_running_loop().create_future()
    stopped = ["stop a: crashed: Boom: later"]
    assert log == ["start a", "continue", *stopped, "start a", "continue", *stopped]
    assert [report.kind for report in reports] == ["crashed", "crashed", "gave_up"]


async def test_a_crash_in_the_same_turn_as_the_start_is_one_too(tree, clock):
    """Also where nobody has had a turn in between: the start was good, and is repeated."""
    log = []

    class Eager(Probe):
        def handle_continue(self, me):
            if log.count("start eager") == 1:
                raise Boom("at once")

    async with tree() as root:
        ref = await root.start_child(Child("a", lambda: Eager("eager", log)))
        await clock.settle()
        assert await ref.call(Get()) == 0
        assert root.tree().children[0].restarts == 1


async def test_a_shutdown_lets_it_finish_and_no_message_begins(tree, clock):
    """It is like a message in hand."""
    log, go = [], asyncio.Event()
    async with tree([staged(log, go)]) as root:
        root.child("a").cast(Add())
        stop = asyncio.create_task(root.stop_child("a"))
        await clock.settle()
        assert not stop.done()
        go.set()
        await stop
    assert log == ["start a", "continue", "continued", "stop a: shutdown"]


async def test_an_actor_may_end_itself_in_it(tree, clock):
    """me.stop() holds: no message is handled."""
    ends = []

    class Brief(Probe):
        def handle_continue(self, me):
            me.stop()

    async with tree([Child("a", Brief, restart="transient", on_exit=ends.append)]) as root:
        ref = root.child("a")
        await clock.settle()
        assert not ref.alive
    assert ends == [Normal()]


# Timers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["crash", "quit", "kill", "stop"])
async def test_a_timer_dies_with_the_incarnation_that_set_it(end, tree, clock):
    """However that ended: neither its callback nor its message reaches the next one."""
    fired = []
    async with tree([Child("a", Probe)]) as root:
        ref = root.child("a", Probe)
        me = ref.instance.me
        me.clock.call_later(1.0, lambda: fired.append("callback"))
        me.send_after(1.0, Add())
        match end:
            case "crash":
                ref.cast(Crash())
            case "quit":
                ref.cast(Quit())
            case "kill":
                ref._process.begin_stop("kill")
            case "stop":
                await root.stop_child("a")
                await root.restart_child("a")
        await clock.settle()
        assert ref.instance.me is not me
        me.clock.call_later(1.0, lambda: fired.append("set by a ghost")).cancel()
        me.clock.call_later(1.0, lambda: fired.append("set by a ghost"))
        me.send_after(1.0, Add())
        await clock.advance(2.0)
        assert fired == []
        assert await ref.call(Get()) == 0


async def test_a_timer_fires_while_its_incarnation_lives(tree, clock):
    """At its time; a cancelled one does not."""
    fired = []
    async with tree([Child("a", Probe)]) as root:
        ref = root.child("a", Probe)
        me = ref.instance.me
        me.send_after(1.0, Add("one"))
        me.send_after(1.0, Add("cancelled")).cancel()
        me.clock.call_later(2.0, lambda: fired.append(me.clock.monotonic()))
        await clock.advance(1.0)
        assert ref.instance.seen == ["one"]
        assert fired == []
        await clock.advance(1.0)
        assert fired == [2.0]
        assert clock.timers == 0
        assert me.clock.now() == clock.now()


async def test_a_timer_finds_room_in_a_full_mailbox(tree, clock):
    """Nobody could be told that it was refused, and an actor has as many as it has set itself."""
    go = asyncio.Event()
    async with tree([Child("a", Probe, mailbox=1)]) as root:
        ref = root.child("a", Probe)
        ref.instance.me.send_after(1.0, Add("the timer's"))
        busy = asyncio.create_task(ref.call(Do(go.wait), timeout=None))
        await clock.settle()
        ref.cast(Add("somebody's"))
        await clock.advance(1.0)
        go.set()
        await busy
        await clock.settle()
        assert ref.instance.seen == ["somebody's", "the timer's"]


async def test_timers_that_are_over_are_forgotten(tree, clock):
    """An actor that lives long holds the timers that are to come, and no others."""
    async with tree([Child("a", Probe)]) as root:
        me = root.child("a", Probe).instance.me
        for number in range(10):
            me.clock.call_later(1.0, list)
            me.send_after(number, Add()).cancel()
        assert len(me.clock._timers) == 10
        await clock.advance(1.0)
        assert len(me.clock._timers) == 0


async def test_only_a_cast_is_sent_after_a_while(tree):
    """Nobody would hear the answer to a call."""
    async with tree([Child("a", Probe)]) as root:
        with pytest.raises(TypeError, match="Get is not a Cast: nobody would receive the answer"):
            root.child("a", Probe).instance.me.send_after(1.0, Get())
