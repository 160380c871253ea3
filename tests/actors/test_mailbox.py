"""Bounded mailboxes: backpressure for calls, refusals for casts, and a system lane."""

from __future__ import annotations

import asyncio
import itertools
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.actors import ActorDown, CallTimeout, Child, MailboxFull, MailboxStatistics
from flowstone.actors.actor import BATCH
from flowstone.actors.mailbox import Mailbox, Request
from tests.actors.probes import Add, Do, Get, Probe, Quit, probe


async def blocked(root, name="a"):
    """Block an actor; the returned event lets it go, the task is the call that blocks it."""
    gate = asyncio.Event()
    task = asyncio.create_task(root.child(name).call(Do(gate.wait), timeout=None))
    while root.child(name).statistics().handled == 0:
        await asyncio.sleep(0)
    return gate, task


async def test_a_full_mailbox_refuses_casts(tree):
    """MailboxFull names the actor and says what to do; what was accepted is handled."""
    async with tree([probe("a", mailbox=3)]) as root:
        ref = root.child("a")
        gate, blocking = await blocked(root)
        for _ in range(3):
            ref.cast(Add())
        with pytest.raises(MailboxFull, match="a has 3 messages waiting and refuses more") as caught:
            ref.cast(Add())
        assert caught.value.name == "a"
        assert ref.statistics().refused == 1
        gate.set()
        await blocking
        assert await ref.call(Get()) == 3


async def test_callers_that_gave_up_are_not_remembered_in_the_line(tree, clock):
    """It has no bound, so an actor that hangs would collect all who ever called it."""
    async with tree([probe("a", mailbox=2)]) as root:
        ref = root.child("a")
        gate, blocking = await blocked(root)
        calls = [asyncio.create_task(ref.call(Get(), timeout=float(n % 3 + 1))) for n in range(10)]
        patient = asyncio.create_task(ref.call(Get(), timeout=None))
        await asyncio.sleep(0)
        calls[9].cancel()
        await clock.advance(3.0)
        statistics = ref.statistics()
        gate.set()
        await blocking
        assert statistics == MailboxStatistics(depth=2, bound=2, waiting=1, handled=1, refused=0, expired=8)
        assert await patient == 0
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {CallTimeout, asyncio.CancelledError}
        assert ref.statistics().expired == 10


async def test_a_full_mailbox_makes_callers_wait_for_room(tree):
    """All are answered, in the order they came."""
    async with tree([probe("a", mailbox=2)]) as root:
        ref = root.child("a")
        gate, blocking = await blocked(root)
        order = []
        calls = [asyncio.create_task(ref.call(Do(lambda n=n: order.append(n)))) for n in range(10)]
        await asyncio.sleep(0)
        assert ref.statistics() == MailboxStatistics(
            depth=2, bound=2, waiting=8, handled=1, refused=0, expired=0
        )
        assert root.tree().children[0].mailbox_depth == 10
        gate.set()
        await asyncio.gather(blocking, *calls)
        assert order == list(range(10))


async def test_waiting_for_room_counts_towards_the_timeout(tree, clock):
    """And the message is never begun."""
    async with tree([probe("a", mailbox=1)]) as root:
        ref = root.child("a")
        gate, blocking = await blocked(root)
        ran = []
        first = asyncio.create_task(ref.call(Do(lambda: ran.append(1))))
        second = asyncio.create_task(ref.call(Do(lambda: ran.append(2)), timeout=1.0))
        await clock.advance(1.0)
        with pytest.raises(CallTimeout):
            await second
        gate.set()
        await asyncio.gather(blocking, first)
        assert ran == [1]


async def test_callers_that_wait_for_room_hear_of_the_end(tree):
    """At once."""
    async with tree([probe("a", mailbox=1)]) as root:
        ref = root.child("a")
        gate, blocking = await blocked(root)
        waiting = [asyncio.create_task(ref.call(Get())) for _ in range(5)]
        await asyncio.sleep(0)
        ref.instance.me.stop()
        gate.set()
        await blocking
        for call in waiting:
            with pytest.raises(ActorDown):
                await call


async def test_the_default_bound_is_a_thousand(tree):
    """As documented."""
    async with tree([probe("a")]) as root:
        assert root.child("a").statistics().bound == 1000


async def test_a_shutdown_gets_through_a_full_mailbox(tree):
    """The system lane knows no bound and no queue."""
    async with tree([probe("a", mailbox=5)]) as root:
        ref = root.child("a")
        gate, blocking = await blocked(root)
        for _ in range(5):
            ref.cast(Add())
        instance = ref.instance
        stop = asyncio.create_task(root.stop_child("a"))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(stop, blocking)
        assert instance.seen == []


async def test_a_mailbox_that_is_never_empty_yields_to_the_loop(tree):
    """Other tasks get a turn at least each 64 messages."""
    turns = []

    class Feeds(Probe):
        def handle(self, message):
            self.seen.append(message)
            if len(self.seen) < 10 * BATCH:
                self.me.ref.cast(Add())

    async with tree([Child("a", Feeds)]) as root:
        ref = root.child("a")
        ref.cast(Add())
        while len(ref.instance.seen) < 10 * BATCH:
            turns.append(len(ref.instance.seen))
            await asyncio.sleep(0)
    assert len(turns) >= 9
    assert max(late - early for early, late in itertools.pairwise(turns)) <= BATCH


async def test_each_incarnation_has_a_mailbox_of_its_own(tree, clock):
    """Messages that waited die with a crash."""
    async with tree([probe("a")]) as root:
        ref = root.child("a")
        ref.cast(Quit())
        ref.cast(Add())
        await clock.settle()
        assert await ref.call(Get()) == 0
        assert ref.statistics().handled == 1


class Large:
    """A value one would not want to keep."""

    def __call__(self):
        """Something to do."""


@pytest.mark.parametrize("kind", ["cast", "call"])
async def test_an_idle_actor_holds_no_message(kind, tree, clock):
    """What was handled may be large."""
    async with tree([Child("a", Forgetful)]) as root:
        ref = root.child("a")
        large = Large()
        held = weakref.ref(large)
        if kind == "cast":
            ref.cast(Add(large))
        else:
            await ref.call(Do(large))
        del large
        await clock.settle()
        assert held() is None


class Forgetful(Probe):
    """A probe that keeps nothing."""

    async def handle(self, message):
        return None if isinstance(message, Add) else await super().handle(message)


async def test_statistics_without_a_mailbox_are_zero(tree):
    """A reference always answers."""
    async with tree([probe("a")]) as root:
        await root.stop_child("a")
        assert root.child("a").statistics() == MailboxStatistics(0, 0, 0, 0, 0, 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    bound=st.integers(1, 4),
    steps=st.lists(st.sampled_from(["cast", "call", "take", "leave"]), max_size=40),
)
def test_no_order_of_events_loses_or_reorders_a_message(bound, steps):
    """Against a model: what was accepted is taken in order, the queue never exceeds its bound."""
    loop = asyncio.new_event_loop()
    try:
        mailbox = Mailbox(bound, loop)
        model: list[object] = []
        callers: list[Request] = []
        for number, step in enumerate(steps):
            match step:
                case "cast":
                    try:
                        mailbox.cast(number, "a")
                        model.append(number)
                    except MailboxFull:
                        assert len(mailbox.queue) == bound
                case "call":
                    request = Request(number, loop.create_future(), float("inf"), ())
                    mailbox.call(request)
                    callers.append(request)
                    model.append(request)
                case "take" if mailbox.queue:
                    assert mailbox.take() == model.pop(0)
                case "leave" if callers:
                    callers.pop().answer.cancel()
            assert len(mailbox.queue) <= bound
            assert not mailbox.line or len(mailbox.queue) == bound
    finally:
        loop.close()
