"""Calls, casts, refusals and late answers."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import pytest

from flowstone.actors import (
    Actor,
    ActorDown,
    Call,
    CallTimeout,
    Cast,
    Child,
    Crashed,
    Later,
    Normal,
    Rejected,
    Shutdown,
    Supervisor,
    TaskSupervisor,
)
from tests.actors.probes import Add, Boom, Crash, CrashCall, Do, Get, Probe, Promise, Quit, Refuse, probe


@pytest.fixture
async def root(tree, clock):
    """A supervisor of two probes; at its end time flies, for handlers that never return."""
    async with tree([probe("a"), probe("b")], max_restarts=100) as root:
        yield root
        flight = asyncio.create_task(clock.advance(60.0))
    await flight


@pytest.fixture
def a(root):
    """The first of them."""
    return root.child("a", Probe)


async def test_a_call_returns_what_handle_returns(a):
    """None included."""
    assert await a.call(Do(lambda: 42)) == 42
    assert await a.call(Do(lambda: None)) is None


async def test_handlers_may_be_plain_functions(tree):
    """`def handle` works like `async def handle`, and so do the other two hooks."""
    log = []

    class Plain(Actor):
        def on_start(self, me):
            log.append("start")

        def handle(self, message):
            return len(log)

        def on_stop(self, how):
            log.append("stop")

    class Coroutines(Actor):
        async def on_start(self, me):
            log.append("async start")

        async def handle(self, message):
            return len(log)

        async def on_stop(self, how):
            log.append("async stop")

    async with tree([Child("plain", Plain), Child("coroutines", Coroutines)]) as root:
        assert await root.child("plain").call(Get()) == 2
        assert await root.child("coroutines").call(Get()) == 2
    assert log == ["start", "async start", "async stop", "stop"]


async def test_an_actor_needs_only_handle(tree):
    """An actor without it says so when it gets its first message."""

    class Mute(Actor):
        pass

    async with tree([Child("mute", Mute)]) as root:
        with pytest.raises(ActorDown, match="Mute has no handle"):
            await root.child("mute").call(Get())


async def test_messages_are_handled_one_at_a_time_in_order(a):
    """A handler that waits holds the next message."""
    gate = asyncio.Event()
    first = asyncio.create_task(a.call(Do(gate.wait)))
    await asyncio.sleep(0)
    for number in range(5):
        a.cast(Add(number))
    seen = asyncio.create_task(a.call(Do(lambda: list(a.instance.seen))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert a.instance.seen == []
    gate.set()
    await first
    assert await seen == [0, 1, 2, 3, 4]


async def test_a_cast_returns_at_once(a):
    """It does not even yield."""
    a.cast(Add())
    assert a.instance.seen == []
    assert await a.call(Get()) == 1


async def test_a_refusal_reaches_the_caller_and_the_actor_lives(a):
    """Rejected and its subclasses."""
    instance = a.instance
    with pytest.raises(Rejected, match="not today"):
        await a.call(Refuse("not today"))
    assert a.instance is instance


async def test_a_refused_cast_is_dropped(tree):
    """Nobody waits for it, and it is no crash."""

    @dataclass(frozen=True, slots=True)
    class No(Cast["Refuser"]):
        pass

    @dataclass(frozen=True, slots=True)
    class Alive(Call["Refuser", str]):
        pass

    class Refuser(Actor):
        async def handle(self, message):
            if isinstance(message, No):
                raise Rejected("no")
            return "alive"

    async with tree([Child("refuser", Refuser)]) as root:
        ref = root.child("refuser", Refuser)
        ref.cast(No())
        assert await ref.call(Alive()) == "alive"


async def test_a_crash_fails_the_call_in_hand_and_those_that_wait_at_once(a, clock):
    """ActorDown, with the exit, without waiting for any deadline."""
    error = Boom()
    calls = [asyncio.create_task(a.call(CrashCall(error))), asyncio.create_task(a.call(Get()))]
    done, _ = await asyncio.wait(calls)
    assert done == set(calls)
    for call in calls:
        down = call.exception()
        assert isinstance(down, ActorDown)
        assert (down.name, down.exit) == ("a", Crashed(error))
        assert "a ended before it answered (crashed: Boom)" in str(down)
    assert clock.timers == 0


async def test_callers_hear_of_a_crash_before_on_stop_is_done(tree, clock):
    """A slow cleanup delays nobody."""

    class Slow(Probe):
        async def on_stop(self, how):
            await self.me.clock.sleep(3.0)

    async with tree([Child("slow", Slow)]) as root:
        ref = root.child("slow", Slow)
        with pytest.raises(ActorDown):
            await ref.call(CrashCall())
        assert not ref.alive
        with pytest.raises(ActorDown, match="slow is stopping"):
            await ref.call(Get())
        await clock.advance(3.0)
        assert ref.alive
        stop = asyncio.create_task(root.stop_child("slow"))
        await clock.advance(3.0)
        await stop


async def test_a_call_to_an_actor_that_does_not_run_fails_at_once(root, a):
    """And says how it ended."""
    await root.stop_child("a")
    with pytest.raises(ActorDown, match=r"a is not running \(shutdown\)"):
        await a.call(Get())


async def test_a_cast_to_an_actor_that_does_not_run_is_dropped(root, a):
    """As in OTP."""
    await root.stop_child("a")
    a.cast(Add())


async def test_calls_during_on_start_wait_for_it(tree, clock):
    """The mailbox is open from the beginning, so an actor may write to itself in on_start."""

    class Eager(Probe):
        async def on_start(self, me):
            super().on_start(me)
            me.ref.cast(Add("from myself"))
            await asyncio.sleep(0)

    async with tree([Child("eager", Eager)]) as root:
        ref = root.child("eager", Eager)
        assert await ref.call(Get()) == 1
        ref.cast(Crash())
        await ref.down()
        while ref.instance is None:
            await asyncio.sleep(0)
        assert not ref.alive
        assert await ref.call(Get()) == 0  # Came before on_start wrote to itself.
        assert await ref.call(Get()) == 1


async def test_a_call_that_takes_too_long_times_out(a, clock):
    """CallTimeout is a TimeoutError; the message says what to do."""
    call = asyncio.create_task(a.call(Do(asyncio.get_running_loop().create_future), timeout=2.0))
    await clock.advance(1.99)
    assert not call.done()
    await clock.advance(0.01)
    with pytest.raises(CallTimeout, match=r"a did not answer Do within 2\.0 s"):
        await call
    assert issubclass(CallTimeout, TimeoutError)


async def test_calls_have_five_seconds_by_default(a, clock):
    """As in OTP."""
    call = asyncio.create_task(a.call(Do(asyncio.get_running_loop().create_future)))
    await clock.advance(4.99)
    assert not call.done()
    await clock.advance(0.01)
    with pytest.raises(CallTimeout):
        await call


@pytest.mark.parametrize("timeout", [None, math.inf])
async def test_a_call_may_wait_for_ever(timeout, a, clock):
    """No timer is set."""
    gate = asyncio.Event()
    call = asyncio.create_task(a.call(Do(gate.wait), timeout=timeout))
    await clock.settle()
    assert clock.timers == 0
    gate.set()
    assert await call


async def test_an_expired_call_is_skipped(a, clock):
    """The actor does not begin what nobody waits for."""
    gate = asyncio.Event()
    ran = []
    blocking = asyncio.create_task(a.call(Do(gate.wait), timeout=None))
    late = asyncio.create_task(a.call(Do(lambda: ran.append(1)), timeout=1.0))
    await clock.advance(1.0)
    with pytest.raises(CallTimeout):
        await late
    gate.set()
    await blocking
    await clock.settle()
    assert ran == []
    assert a.statistics().expired == 1


async def test_a_cancelled_call_is_skipped(a, clock):
    """The same for a caller that was cancelled."""
    gate = asyncio.Event()
    ran = []
    blocking = asyncio.create_task(a.call(Do(gate.wait)))
    gone = asyncio.create_task(a.call(Do(lambda: ran.append(1))))
    await clock.settle()
    gone.cancel()
    gate.set()
    await blocking
    await clock.settle()
    assert ran == []


async def test_a_late_reply_is_dropped(a, clock):
    """The actor answers into the void and goes on."""
    gate = asyncio.Event()
    call = asyncio.create_task(a.call(Do(gate.wait), timeout=1.0))
    await clock.advance(1.0)
    with pytest.raises(CallTimeout):
        await call
    gate.set()
    assert await a.call(Get()) == 0


async def test_timers_of_answered_calls_are_cancelled(a, clock):
    """Nothing is left on the agenda."""
    await a.call(Get())
    assert clock.timers == 0


async def test_a_call_cannot_be_cast_nor_a_cast_called(a):
    """Type checkers say so first."""
    with pytest.raises(TypeError, match="Add is not a Call: send it to a with cast"):
        await a.call(Add())
    with pytest.raises(TypeError, match="Get is not a Cast: send it to a with await call"):
        a.cast(Get())


async def test_what_is_no_actor_takes_no_messages(tree):
    """Use the instance."""
    async with tree([Child("inner", Supervisor), Child("tasks", TaskSupervisor)]) as root:
        for name in ("inner", "tasks"):
            with pytest.raises(ActorDown, match=r"takes no messages: use \.instance"):
                await root.child(name).call(Get())


# Ends ------------------------------------------------------------------------------------------------------


async def test_down_tells_how_the_current_incarnation_ended(a):
    """A monitor."""
    watch = asyncio.create_task(a.down())
    await asyncio.sleep(0)
    error = Boom()
    a.cast(Crash(error))
    assert await watch == Crashed(error)


async def test_down_of_what_does_not_run_is_answered_at_once(root, a):
    """With its last exit."""
    await root.stop_child("a")
    assert await a.down() == Shutdown()


async def test_a_cancelled_monitor_harms_nobody(a, clock):
    """Waiters may come and go."""
    watches = [asyncio.create_task(a.down()) for _ in range(3)]
    await clock.settle()
    watches[1].cancel()
    a.cast(Quit())
    assert await watches[0] == await watches[2] == Normal()


async def test_stop_ends_after_the_message_in_hand(root, a, clock):
    """What waits behind it is not handled; its callers hear ActorDown."""
    log = []
    quitting = asyncio.create_task(a.call(Do(lambda: (a.instance.me.stop(), log.append("in hand"))[1])))
    behind = asyncio.create_task(a.call(Do(lambda: log.append("behind"))))
    assert await quitting is None
    with pytest.raises(ActorDown, match=r"\(normal\)"):
        await behind
    assert log == ["in hand"]


async def test_the_first_reason_to_end_counts(a):
    """A second me.stop() changes nothing."""

    def stop_twice():
        a.instance.me.stop(Shutdown("first"))
        a.instance.me.stop(Normal())

    watch = asyncio.create_task(a.down())
    await a.call(Do(stop_twice))
    assert await watch == Shutdown()


async def test_on_stop_hears_how_it_ends(tree, clock):
    """After a crash, a stop of its own and a shutdown."""
    log = []
    async with tree([Child("p", lambda: Probe("p", log))]) as root:
        root.child("p").cast(Crash(Boom("x")))
        await clock.settle()
        root.child("p").cast(Quit())
        await clock.settle()
    stops = [entry for entry in log if entry.startswith("stop")]
    assert stops == ["stop p: crashed: Boom: x", "stop p: normal", "stop p: shutdown"]


async def test_an_on_stop_that_raises_is_a_crash(tree, clock, reports):
    """After a clean end it decides the exit; after a crash it is reported beside it."""

    class Clumsy(Probe):
        def on_stop(self, how):
            raise Boom("in on_stop")

    async with tree([Child("p", Clumsy)]) as root:
        root.child("p").cast(Quit())
        await clock.settle()
        root.child("p").cast(Crash(ValueError("first")))
        await clock.settle()
    texts = [(report.kind, str(report.exit)) for report in reports]
    assert texts == [
        ("crashed", "crashed: Boom: in on_stop"),
        ("hook_failed", "crashed: Boom: in on_stop"),
        ("crashed", "crashed: ValueError: first"),
        ("shutdown_error", "crashed: Boom: in on_stop"),
    ]


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(1),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        MemoryError(),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_handler_raises_is_a_crash_of_this_actor_alone(error, root, a, clock):
    """The loop and the sibling do not notice."""
    watch = asyncio.create_task(a.down())
    await clock.settle()
    a.cast(Crash(error))
    ending = await watch
    assert isinstance(ending, Crashed)
    assert ending.error is error
    await clock.settle()
    assert a.alive
    assert root.tree().children[1].restarts == 0


class Hostile(Exception):
    """Its text kills."""

    def __str__(self):
        raise SystemExit(9)


async def test_an_error_that_cannot_be_printed_is_described(a, clock, caplog):
    """Not even its __str__ reaches the loop."""
    watch = asyncio.create_task(a.down())
    await clock.settle()
    a.cast(Crash(Hostile()))
    assert str(await watch) == "crashed: Hostile (its __str__ raised SystemExit)"


async def test_an_error_of_a_megabyte_is_described_briefly(a):
    """Reports have a bounded length."""
    watch = asyncio.create_task(a.down())
    await asyncio.sleep(0)
    a.cast(Crash(Boom("x" * 10**6)))
    assert len(str(await watch)) < 1000


# Later -----------------------------------------------------------------------------------------------------


async def test_later_answers_when_the_value_is_known(a):
    """The mailbox goes on meanwhile."""
    promised = asyncio.create_task(a.call(Promise()))
    assert await a.call(Get()) == 0
    assert not promised.done()
    a.instance.laters[0].send("value")
    assert await promised == "value"
    assert a.instance.laters[0].answered


async def test_later_may_fail(a):
    """The caller gets the error, the actor lives."""
    promised = asyncio.create_task(a.call(Promise()))
    await a.call(Get())
    a.instance.laters[0].fail(Boom("later"))
    with pytest.raises(Boom, match="later"):
        await promised
    assert a.alive


async def test_later_may_be_answered_before_it_is_returned(tree):
    """When the value turned out to be there."""

    class Quick(Actor):
        async def handle(self, message):
            later = Later()
            later.send("early")
            return later

    async with tree([Child("quick", Quick)]) as root:
        assert await root.child("quick").call(Get()) == "early"


async def test_only_the_first_answer_counts(a):
    """Later ones are dropped."""
    promised = asyncio.create_task(a.call(Promise()))
    await a.call(Get())
    later = a.instance.laters[0]
    later.send(1)
    later.send(2)
    later.fail(Boom())
    assert await promised == 1


async def test_an_answer_after_the_timeout_is_dropped(a, clock):
    """Nobody listens any more."""
    promised = asyncio.create_task(a.call(Promise(), timeout=1.0))
    await clock.advance(1.0)
    with pytest.raises(CallTimeout):
        await promised
    a.instance.laters[0].send("too late")


@pytest.mark.parametrize("ends", [Quit(), Crash()])
async def test_an_open_answer_fails_when_its_actor_ends(ends, a):
    """With ActorDown, at once."""
    promised = asyncio.create_task(a.call(Promise(), timeout=None))
    await a.call(Get())
    later = a.instance.laters[0]
    a.cast(ends)
    with pytest.raises(ActorDown):
        await promised
    later.send("from the grave")


async def test_later_returned_from_a_cast_does_nothing(tree):
    """There is nobody to answer."""

    class Odd(Actor):
        async def handle(self, message):
            return Later() if isinstance(message, Cast) else "fine"

    async with tree([Child("odd", Odd)]) as root:
        root.child("odd").cast(Add())
        assert await root.child("odd").call(Get()) == "fine"
