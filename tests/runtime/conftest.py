"""Tests of the runtime run on asyncio's loop; those marked `both_loops` on uvloop as well."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.testing.clock import VirtualClock

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_configure(config):
    """Declare the mark."""
    config.addinivalue_line("markers", "both_loops: run on asyncio's loop and on uvloop")


def pytest_asyncio_loop_factories(config, item):
    """The loops to run on."""
    loops = {"asyncio": asyncio.new_event_loop}
    if uvloop is None or item.get_closest_marker("both_loops") is None:
        return loops
    return {**loops, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock():
    """A clock that moves only on `await clock.advance(seconds)`."""
    return VirtualClock()


@pytest.fixture
async def background():
    """Starts coroutines as tasks beside the test; none outlives it."""
    started = []

    def start(coroutine):
        started.append(asyncio.create_task(coroutine))
        return started[-1]

    yield start
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)
