"""Who has stopped listening to a runtime, or waiting for it, leaves nothing behind in it."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing, suppress

import pytest

from flowstone import Pipeline, Runtime
from flowstone.runtime.services.events import Subscription
from tests.runtime.doubles import Gate


@pytest.fixture
async def held_run():
    """A runtime with a run that goes on for as long as the test, and how many subscriptions there are."""
    pipeline = Pipeline()
    gate = Gate()

    @pipeline.asset
    async def slow() -> None:
        await gate.wait()

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("slow")
        await gate.entered.wait()
        yield runtime, run
        gate.open()


def kept(runtime):
    """Subscriptions that exist at all, heard of or not."""
    gc.collect()
    stream = runtime._ctx.stream
    return sum(type(each) is Subscription and each._stream is stream for each in gc.get_objects())


async def breaks(events):
    """Look at the first event."""
    async for _ in events:
        break


async def closes(events):
    """Look at the first event and close."""
    async with aclosing(events):
        await anext(events)


async def is_cancelled(events):
    """Wait for an event that does not come, and be cancelled."""
    reading = asyncio.create_task(all_of(events))
    for _ in range(10):
        await asyncio.sleep(0)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading


async def all_of(events):
    """Read for as long as there are events."""
    async for _ in events:
        pass


async def raises(events):
    """Fail at the first event."""
    with suppress(LookupError):
        async for _ in events:
            raise LookupError


async def never_begins(events):
    """Take nothing."""
    del events


@pytest.mark.parametrize("visit", [breaks, closes, is_cancelled, raises, never_begins])
async def test_a_live_run_keeps_nothing_of_who_has_stopped_reading_its_events(held_run, visit):
    """However the reading ends, neither the run nor the runtime knows of it a few turns later."""
    runtime, run = held_run
    for _ in range(20):
        await visit(run.events())
    for _ in range(10):
        await asyncio.sleep(0)
    assert runtime._ctx.stream.statistics().subscribers == 0
    assert kept(runtime) == 0


async def test_a_subscription_that_is_dropped_is_forgotten_at_once(held_run):
    """Also if its `async with` was never left, as where the frame of a generator goes."""
    runtime, _ = held_run
    for _ in range(20):
        await runtime.subscribe().__aenter__()
    assert runtime._ctx.stream.statistics().subscribers == 0
    assert not runtime._ctx.stream.heard
    assert kept(runtime) == 0


async def test_who_stops_waiting_for_a_run_is_forgotten(held_run):
    """A thousand impatient callers leave nothing behind."""
    runtime, run = held_run
    for _ in range(20):
        with pytest.raises(TimeoutError):
            await run.wait(timeout=0)
    assert len(runtime._runs.live[run.id]._waiters) == 0
