"""How many processes run the tests, and what none may leave behind: a running task, an error nobody has seen."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is. `--hypothesis-profile many` is for when there is time:
# `.ci/run` takes it, which is why few examples will do otherwise.
settings.register_profile("flowstone", deadline=None, max_examples=30)
settings.register_profile("many", deadline=None, max_examples=300)
settings.load_profile("flowstone")

# Here, because a test of another directory may import them before that directory's own conftest is read.
pytest.register_assert_rewrite(
    "tests.actors.otp",
    "tests.actors.probes",
    "tests.io.contract",
    "tests.io.exactness",
    "tests.store.cluster_contract",
    "tests.store.contract",
    "tests.store.lifecycle_contract",
    "tests.store.model",
)

pytest_plugins = ["tests.postgres"]  # `database` and the server behind it, one for the session.

TURNS = 50
"""Turns of the loop that a test's last tasks get to finish."""

MANY = 30
"""Test files from which on more processes are worth their start."""


def pytest_xdist_auto_num_workers(config):
    """One more than there are cores for a large part of the suite, for tests wait; none beside this for a few."""
    places = [Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args]
    files = sum(1 if place.is_file() else len([*place.rglob("test_*.py")]) for place in places)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1 if files >= MANY and cores > 1 else 0


def pytest_configure(config):
    """A node that a test starts takes any port; others may be started beside it."""
    os.environ.setdefault("FLOWSTONE_LISTEN_PORT", "0")
    _share_what_is_compiled(config)


def _share_what_is_compiled(config):
    """Where Python may not write beside the source what it compiles, all processes of the tests share a folder."""
    cache = getattr(config, "cache", None)  # Not there with `-p no:cacheprovider`.
    if cache and os.environ.pop("PYTHONDONTWRITEBYTECODE", None) and sys.dont_write_bytecode:
        folder = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(cache.mkdir("compiled")))
        sys.dont_write_bytecode, sys.pycache_prefix = False, folder


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard():
    """Processes started in the background, or by nohup, ignore these, and so would whatever a test signals."""
    heard = {signal.SIGINT: signal.default_int_handler}
    if hasattr(signal, "SIGHUP"):
        heard[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.getsignal(number) for number in heard}
    for number, handler in heard.items():
        if before[number] is signal.SIG_IGN:
            signal.signal(number, handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module", autouse=True)
def little_for_the_garbage_collector():
    """What is there before the first test of a file stays, pytest's own as well: the tests need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind(request):
    """Watch the loop of each asynchronous test."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("watched_loop")


@pytest.fixture
async def watched_loop():
    """Fail the test if a task is left when it ends, or the loop's exception handler was called."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    unhandled: list[dict] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    yield loop
    for _ in range(TURNS):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            break
        await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert not left, f"the test left tasks behind: {sorted(task.get_name() for task in left)}"
    assert not unhandled, f"errors that nobody handled: {unhandled}"
