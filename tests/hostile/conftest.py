"""Hostile assets run on asyncio's loop and on uvloop: what contains them may not depend on the loop."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.testing.clock import VirtualClock

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_asyncio_loop_factories(config, item):
    """The loops to run on."""
    loops = {"asyncio": asyncio.new_event_loop}
    return loops if uvloop is None else {**loops, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock():
    """A clock that moves only on `await clock.advance(seconds)`."""
    return VirtualClock()
