"""`embedded://DIR`: a durable store without any set-up, shared by processes, that heals itself."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from flowstone.store import open_store
from tests.store.facts import begun, end, run


@pytest.fixture
def url(directory):
    """The URL of a store whose directory does not exist yet."""
    return f"embedded://{directory}?linger=0"


async def test_it_remembers(url):
    """The next process finds what the last one recorded."""
    store = open_store(url)
    await store.open()
    await store.create_run(run())
    await store.close()
    await store.close()
    again = open_store(url)
    await again.open()
    assert await again.run("run-1") == run()
    await again.close()


async def test_two_stores_share_the_server(url):
    """The first to close it leaves it to the other."""
    one, two = open_store(url), open_store(url)
    await asyncio.gather(one.open(), two.open())
    await one.create_run(run())
    await one.close()
    assert await two.run("run-1") == run()
    await two.close()


async def test_a_server_that_is_killed_in_use_is_started_again(url):
    """Writers wait meanwhile; what was acknowledged before is there, and what comes after goes in."""
    store = open_store(url)
    await store.open()
    await store.create_run(run())
    await store.write(begun())
    kill_server(store.directory)
    await asyncio.gather(*(store.write(end("a", str(number))) for number in range(20)))
    assert (await store.run("run-1")).counts == {"succeeded": 20}
    assert store.problem is None
    await store.close()


def kill_server(directory: Path) -> None:
    """End the server without letting it know."""
    os.kill(int((directory / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
