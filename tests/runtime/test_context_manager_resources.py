"""Context managers as resources: which are entered, where, and what the asset is given."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

import pytest

from flowstone import MaterializationFailed, Pipeline, Resource, Runtime
from flowstone.runtime.services.providers import as_provider
from flowstone.testing.clock import VirtualClock


class Journal:
    """What happened, where."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.threads: list[threading.Thread] = []

    def note(self, line: str) -> None:
        self.lines.append(line)
        self.threads.append(threading.current_thread())


class OnlyAsync:
    """A manager without a use of its own."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def __aenter__(self) -> str:
        self.journal.note("open")
        return "value"

    async def __aexit__(self, *_: object) -> None:
        self.journal.note("closed")


class OnlySync:
    """The same, synchronous."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def __enter__(self) -> str:
        self.journal.note("open")
        return "value"

    def __exit__(self, *_: object) -> None:
        self.journal.note("closed")


class Client(OnlyAsync):
    """One that is useful by itself."""

    def get(self) -> str:
        return "got"


class Session(contextlib.AbstractContextManager["Session"]):
    """One with methods that says that it is a context manager before all else."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def query(self) -> str:
        return "row"

    def __enter__(self) -> Self:
        self.journal.note("open")
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.note("closed")


def using() -> tuple[Pipeline, list[Any]]:
    """An asset that takes the resource `db`, and what it was given."""
    pipeline, given = Pipeline("managers"), []

    @pipeline.asset
    async def one(db: Annotated[Any, Resource]) -> None:
        given.append(db)

    return pipeline, given


@contextlib.asynccontextmanager
async def opened(journal: Journal):
    journal.note("open")
    yield "value"
    journal.note("closed")


@contextlib.contextmanager
def opened_in_thread(journal: Journal):
    journal.note("open")
    yield "value"
    journal.note("closed")


async def bare(journal: Journal):
    journal.note("open")
    yield "value"
    journal.note("closed")


def bare_in_thread(journal: Journal):
    journal.note("open")
    yield "value"
    journal.note("closed")


class Factory:
    """Makes it by a method."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @contextlib.contextmanager
    def made(self):
        self.journal.note("open")
        yield "value"
        self.journal.note("closed")


ON_LOOP = {
    "its result": opened,
    "a partial": lambda journal: partial(opened, journal),
    "without the decorator": lambda journal: partial(bare, journal),
    "an object": OnlyAsync,
}
IN_THREAD = {
    "its result": opened_in_thread,
    "a partial": lambda journal: partial(opened_in_thread, journal),
    "without the decorator": lambda journal: partial(bare_in_thread, journal),
    "an object": OnlySync,
    "a method": lambda journal: Factory(journal).made,
}


@pytest.mark.parametrize("make", ON_LOOP.values(), ids=ON_LOOP)
async def test_asynchronous_managers_are_entered_and_left_on_the_loop(make):
    """The asset is given what entering it gave; it is left when the runtime is."""
    journal = Journal()
    pipeline, given = using()
    async with Runtime(pipeline, resources={"db": make(journal)}) as runtime:
        await runtime.materialize("one")
        assert journal.lines == ["open"]
    assert given == ["value"]
    assert journal.lines == ["open", "closed"]
    assert set(journal.threads) == {threading.current_thread()}


@pytest.mark.parametrize("make", IN_THREAD.values(), ids=IN_THREAD)
async def test_synchronous_managers_are_entered_and_left_in_one_other_thread(make):
    """They may block, and what they open may belong to the thread; so it is the same, and not the loop's."""
    journal = Journal()
    pipeline, given = using()
    async with Runtime(pipeline, resources={"db": make(journal)}) as runtime:
        await runtime.materialize("one")
    assert given == ["value"]
    assert journal.lines == ["open", "closed"]
    assert len(set(journal.threads)) == 1
    assert threading.current_thread() not in journal.threads


async def test_managers_are_left_in_reverse_order():
    """The last one that was given is left first, whatever their kinds."""
    order: list[str] = []

    @contextlib.contextmanager
    def sync(name: str):
        yield name
        order.append(name)

    @contextlib.asynccontextmanager
    async def asynchronous(name: str):
        yield name
        order.append(name)

    pipeline, _ = using()
    resources = {"a": sync("a"), "b": asynchronous("b"), "db": sync("db"), "d": asynchronous("d")}
    async with Runtime(pipeline, resources=resources) as runtime:
        await runtime.materialize("one")
    assert order == ["d", "db", "b", "a"]


async def test_what_is_useful_by_itself_is_handed_over_as_it_is(tmp_path: Path):
    """Connections, files, locks and clients belong to whoever opened them; they stay as they were."""
    journal = Journal()
    connection = sqlite3.connect(":memory:")
    with (tmp_path / "file").open("w") as file, contextlib.closing(connection):
        lock = threading.Lock()
        for thing in (connection, file, lock, asyncio.Lock(), Client(journal)):
            pipeline, given = using()
            async with Runtime(pipeline, resources={"db": thing}) as runtime:
                await runtime.materialize("one")
            assert given == [thing]
        connection.execute("select 1")
        assert not file.closed
        assert not lock.locked()
    assert journal.lines == []


async def test_what_says_that_it_is_a_manager_is_entered():
    """A subclass of the abstract context managers, and contextlib's own: `closing` gives what it closes."""
    journal = Journal()
    pipeline, given = using()
    async with Runtime(pipeline, resources={"db": Session(journal)}) as runtime:
        await runtime.materialize("one")
    assert given[0].query() == "row"
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    async with Runtime(pipeline, resources={"db": contextlib.closing(connection)}) as runtime:
        await runtime.materialize("one")
    assert given[1] is connection
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("select 1")
    assert journal.lines == ["open", "closed"]


@pytest.mark.parametrize("kind", ["function", "object"])
@pytest.mark.parametrize("synchronous", [True, False])
async def test_a_set_up_that_fails_says_why(clock: VirtualClock, kind, synchronous):
    """A function is tried again; an object that can be entered once keeps telling what went wrong."""
    tries: list[None] = []

    def fail() -> None:
        tries.append(None)
        if len(tries) == 1:
            raise ConnectionError("no route to host")

    @contextlib.contextmanager
    def sync():
        fail()
        yield "value"

    @contextlib.asynccontextmanager
    async def asynchronous():
        fail()
        yield "value"

    function = sync if synchronous else asynchronous
    pipeline, given = using()
    resource = function if kind == "function" else function()
    async with Runtime(pipeline, resources={"db": resource}, clock=clock) as runtime:
        with pytest.raises(MaterializationFailed, match="no route to host"):
            await runtime.materialize("one")
        await clock.advance(1.0)
        if kind == "function":
            while (await runtime.health()).resources["db"] is not None:
                await asyncio.sleep(0)
            await runtime.materialize("one")
        else:
            with pytest.raises(MaterializationFailed, match="no route to host"):
                await runtime.materialize("one")
    assert given == (["value"] if kind == "function" else [])


async def test_an_object_that_is_set_up_again_names_the_remedy():
    """A generator runs once, so what it made is not entered a second time."""
    provider = as_provider(opened(Journal()))
    await provider.teardown(await provider.setup())
    with pytest.raises(RuntimeError, match="pass the function that makes it, without calling it"):
        await provider.setup()


async def test_a_manager_that_is_entered_while_the_runtime_stops_is_left(background):
    """Nobody can stop a thread; what it has opened in the end is closed."""
    entering, go_on = threading.Event(), threading.Event()
    journal = Journal()

    @contextlib.contextmanager
    def slow():
        entering.set()
        go_on.wait()
        journal.note("open")
        yield
        journal.note("closed")

    provider = as_provider(slow)
    setting_up = background(provider.setup())
    await asyncio.to_thread(entering.wait)
    setting_up.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await setting_up
    assert journal.lines == ["open", "closed"]


async def test_what_a_manager_raises_when_it_is_left_is_told(caplog: pytest.LogCaptureFixture):
    """The runtime is left all the same."""

    @contextlib.contextmanager
    def broken():
        yield
        raise OSError("disk full")

    pipeline, _ = using()
    async with Runtime(pipeline, resources={"db": broken}) as runtime:
        await runtime.materialize("one")
    assert "teardown failed: " in caplog.text
    assert "disk full" in caplog.text
