"""Every asynchronous test of the actor core runs on asyncio's loop, on uvloop, and with eager tasks."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import Supervisor
from flowstone.testing.clock import VirtualClock

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_asyncio_loop_factories(config, item):
    """The loops to run on."""
    loops = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        loops["uvloop"] = uvloop.new_event_loop
    if hasattr(asyncio, "eager_task_factory"):
        loops["eager"] = eager_loop
    return loops


def eager_loop():
    """A loop on which the tasks of others begin at once (Python 3.12 and later); ours must not depend on it."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


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
