"""The two clocks: the system's and the one that tests turn."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.actors import Clock, SystemClock
from flowstone.testing.clock import VirtualClock


def test_both_are_clocks():
    """They satisfy the protocol."""
    assert isinstance(SystemClock(), Clock)
    assert isinstance(VirtualClock(), Clock)


def test_the_system_clock_knows_the_time():
    """Aware, in UTC; and seconds that do not run backwards."""
    clock = SystemClock()
    assert datetime.now(UTC) <= clock.now() <= datetime.now(UTC)
    assert clock.now().tzinfo is UTC
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()


async def test_a_system_timer_is_never_early():
    """The loop's own timers may be: uvloop's by half a millisecond."""
    clock = SystemClock()
    for milliseconds in (0, 0.3, 0.6, 1.4, 2.5):
        fired = asyncio.get_running_loop().create_future()
        begin = clock.monotonic()
        clock.call_later(milliseconds / 1000, lambda fired=fired: fired.set_result(clock.monotonic()))
        assert await fired - begin >= milliseconds / 1000


async def test_a_system_sleep_is_never_early():
    """Nor is a sleep; none at all yields once."""
    clock = SystemClock()
    for seconds in (-1, 0, 0.0006, 0.0014):
        begin = clock.monotonic()
        await clock.sleep(seconds)
        assert clock.monotonic() - begin >= seconds


async def test_a_cancelled_system_timer_does_not_fire():
    """Before and after its time."""
    fired = []
    timer = SystemClock().call_later(0.001, lambda: fired.append(1))
    timer.cancel()
    await SystemClock().sleep(0.003)
    timer.cancel()
    assert fired == []


async def test_virtual_time_stands_still(clock):
    """Whatever happens."""
    before = clock.monotonic(), clock.now()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (clock.monotonic(), clock.now()) == before


async def test_advance_moves_both_clocks(clock):
    """By the same amount."""
    wall = clock.now()
    await clock.advance(90.5)
    assert clock.monotonic() == 90.5
    assert clock.now() - wall == timedelta(seconds=90.5)


def test_a_virtual_clock_starts_when_it_is_told():
    """In UTC, whatever the zone of the start."""
    start = datetime(2025, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert VirtualClock(start).now() == datetime(2025, 6, 1, 10, tzinfo=UTC)
    assert VirtualClock().now().tzinfo is UTC


async def test_timers_fire_at_their_own_instant_and_in_order(clock):
    """Those of the same instant in the order in which they were set."""
    fired = []
    for name, seconds in (("c", 3.0), ("a", 1.0), ("b1", 2.0), ("b2", 2.0), ("d", 4.0)):
        clock.call_later(seconds, lambda name=name: fired.append((name, clock.monotonic())))
    await clock.advance(3.5)
    assert fired == [("a", 1.0), ("b1", 2.0), ("b2", 2.0), ("c", 3.0)]
    assert clock.timers == 1


async def test_what_a_timer_sets_in_motion_happens_at_its_instant(clock):
    """The loop settles between two timers."""
    log = []

    async def sleeper():
        for _ in range(3):
            await clock.sleep(1.0)
            log.append(clock.monotonic())

    task = asyncio.create_task(sleeper())
    await clock.advance(10.0)
    assert log == [1.0, 2.0, 3.0]
    await task


async def test_a_virtual_sleep_of_nothing_yields_once(clock):
    """It needs no advance."""
    await clock.sleep(0)
    await clock.sleep(-1)


async def test_a_cancelled_sleep_leaves_no_timer(clock):
    """The agenda is clean."""
    task = asyncio.create_task(clock.sleep(5.0))
    await clock.settle()
    assert clock.timers == 1
    task.cancel()
    await clock.settle()
    assert clock.timers == 0


async def test_settle_waits_for_long_chains_of_turns(clock):
    """A hundred hops are done when it returns."""
    hops = []

    async def hop():
        for number in range(100):
            await asyncio.sleep(0)
            hops.append(number)

    task = asyncio.create_task(hop())
    await clock.settle()
    assert len(hops) == 100
    await task


async def test_settle_returns_although_somebody_spins(clock):
    """After its number of turns."""
    spinning = True

    async def spin():
        while spinning:
            await asyncio.sleep(0)

    task = asyncio.create_task(spin())
    await clock.settle()
    spinning = False
    await task


@settings(deadline=None, max_examples=50)
@given(delays=st.lists(st.integers(0, 20), max_size=20), steps=st.lists(st.integers(1, 7), max_size=8))
def test_any_steps_fire_what_is_due_and_nothing_else(delays, steps):
    """However time is cut into steps."""

    async def run():
        clock = VirtualClock()
        fired = []
        for delay in delays:
            clock.call_later(delay, lambda delay=delay: fired.append((clock.monotonic(), delay)))
        for step in steps:
            await clock.advance(step)
        return fired

    fired = asyncio.run(run())
    assert fired == [(delay, delay) for delay in sorted(delays) if delay <= sum(steps) and steps]


async def test_an_error_in_a_timer_reaches_whoever_turns_the_clock(clock):
    """It is a bug of the test."""

    def broken():
        raise ZeroDivisionError

    clock.call_later(1.0, broken)
    with pytest.raises(ZeroDivisionError):
        await clock.advance(2.0)
