"""Every store, for tests that say the same of all of them."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import FileIO, MemoryIO, Runtime
from flowstone.store.memory import MemoryStore


class Place:
    """A store that outlives its runtimes.

    Attributes:
        name: Which.
    """

    def __init__(self, name, store, io):
        self.name = name
        self._store = store
        self._io = io

    def runtime(self, pipeline, **options):
        """A runtime on it, not yet entered."""
        io = {} if self._io is None else {"io": {"default": self._io}}
        options = {"shutdown_timeout": 0.5, "cancel_timeout": 0.5, **io, **options}
        return Runtime(pipeline, store=self._store, **options)


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    """One store after the other."""
    if request.param == "memory":
        return Place("memory", MemoryStore(), MemoryIO())
    if request.param == "file":
        return Place("file", f"file://{tmp_path / 'store'}", FileIO(tmp_path / "values"))
    return Place("postgres", request.getfixturevalue("database"), None)


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
