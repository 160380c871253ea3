"""Every asynchronous test of the actor core runs on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import Supervisor
from flowstone.testing.clock import VirtualClock

try:
    import uvloop
except ImportError:
    uvloop = None

pytest.register_assert_rewrite("tests.actors.probes", "tests.actors.otp")


def pytest_asyncio_loop_factories(config, item):
    """The loops to run on."""
    loops = {"asyncio": asyncio.new_event_loop}
    return loops if uvloop is None else {**loops, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock():
    """A clock that moves only on `await clock.advance(seconds)`."""
    return VirtualClock()


@pytest.fixture
def reports():
    """What the supervisors of the test reported."""
    return []


@pytest.fixture
def tree(clock, reports):
    """A factory of supervisors on the virtual clock, to be entered with `async with`."""

    def make(children=(), **options):
        options.setdefault("on_report", reports.append)
        return Supervisor(children, clock=clock, **options)

    return make
