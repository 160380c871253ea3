"""The buffer of lines: what it holds, what it leaves out and says so, and what it never does."""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from flowstone.alarms import Alarms
from flowstone.errors import StoreUnavailable
from flowstone.runtime.services import attempt_logs
from flowstone.runtime.services.attempt_logs import AttemptLogs
from flowstone.runtime.services.log_writer import LogWriter
from flowstone.store.protocol import StoreRefused
from flowstone.testing.clock import VirtualClock

STEP = ("run-1", "raw", None, 1)


class Attempt:
    """Somebody who speaks."""

    log = None

    def __init__(self, logs, step=STEP):
        self.logs = logs
        self.step = step

    def open_log(self):
        return self.logs.open(self, self.step)


class Store:
    """Keeps lines, or is told not to."""

    def __init__(self):
        self.kept = []
        self.errors = []
        self.calls = 0
        self.called = asyncio.Event()

    async def append(self, writer, chunks):
        assert writer == 7
        self.calls += 1
        self.called.set()
        if self.errors:
            raise self.errors.pop(0)
        self.kept += chunks

    @property
    def messages(self):
        return [line[2] for chunk in self.kept for line in chunk.lines]


@pytest.fixture
async def logs():
    """An empty buffer."""
    return AttemptLogs(asyncio.get_running_loop(), VirtualClock(), 20, 7)


def gathered(logs):
    """What would be written now."""
    chunks = [*logs.gather()]
    logs.written(len(chunks))
    return [line for chunk in chunks for line in chunk.lines]


async def test_of_a_long_log_the_middle_is_left_out(logs):
    """The beginning is written as it comes, the end when the attempt has ended, with how much is missing."""
    log = Attempt(logs).open_log()
    number = 0
    for _ in range(20):
        for _ in range(1_000):
            log.print_line("stdout", f"{number:0900}")
            number += 1
        first = gathered(logs)
        if number == 1_000:
            begun = first
        else:
            assert first == []
    assert len(begun) == 768
    log.end()
    rest = gathered(logs)
    words, *last = [line[2] for line in rest]
    assert words.startswith(f"{number - 768 - len(last):,} lines (")
    assert rest[0][3] == {"left_out": number - 768 - len(last)}
    assert [int(text) for text in last] == list(range(number - len(last), number))
    assert 900_000 < sum(len(line[2]) for line in begun + rest) < 1_000_000
    log.print_line("stdout", "too late")
    assert gathered(logs) == []


async def test_what_finds_no_room_is_counted(logs, monkeypatch):
    """The buffer is bounded, and each attempt is told how many of its lines are missing."""
    monkeypatch.setattr(attempt_logs, "_BUFFER", 10_000)
    one, other = Attempt(logs).open_log(), Attempt(logs, ("run-1", "clean", None, 2)).open_log()
    for _ in range(100):
        one.print_line("stdout", "x" * 100)
    other.print_line("stdout", "y")
    lines = gathered(logs)
    assert [line[2] for line in lines[:50]] == ["x" * 100] * 50
    assert [(line[2].partition(" left")[0], line[3]) for line in lines[50:]] == [
        ("50 lines", {"left_out": 50}),
        ("1 line", {"left_out": 1}),
    ]
    one.print_line("stdout", "again")
    assert [line[2] for line in gathered(logs)] == ["again"]


async def test_a_message_and_fields_are_bounded(logs):
    """Both ends of a message stay; fields that are too many do not."""
    log = Attempt(logs).open_log()
    log.say(20, "a" * 100_000 + "z", {"big": "b" * 100_000, "many": list(range(20_000))})
    ((_, _, message, fields),) = gathered(logs)
    assert len(message) < 33_000
    assert message.startswith("aaa")
    assert message.endswith("aaaz")
    assert "characters left out" in message
    assert "left out" in str(fields)
    assert len(str(fields)) < 200


async def test_pieces_of_a_line_are_put_together(logs):
    """Of a progress bar the last state is left; what is not ended comes with the end of the attempt."""
    log = Attempt(logs).open_log()
    for piece in ("\r 10%", "\r 20%", "\r100%\n", "two\nthree", "\r\n", "rest"):
        log.printed("stderr", piece)
        log.printed("stdout", "")
    assert [line[2] for line in gathered(logs)] == ["100%", "two", "three"]
    log.end()
    assert [line[2] for line in gathered(logs)] == ["rest"]


async def test_a_process_that_is_forked_off_says_nothing(logs):
    """Whatever thread held the lock when it began."""
    log = Attempt(logs).open_log()
    logs._lock.acquire()
    child = os.fork()
    if child == 0:
        log.print_line("stdout", "of a child")
        logs.open(Attempt(logs), STEP)
        os._exit(0 if not logs._lines else 1)
    assert status_of(child) == 0
    logs._lock.release()
    log.print_line("stdout", "of the parent")
    assert [line[2] for line in gathered(logs)] == ["of the parent"]


def status_of(child):
    """How it ended."""
    return os.waitpid(child, 0)[1]


# The writer -------------------------------------------------------------------------------------------------


@pytest.fixture
async def store():
    """A store of logs."""
    return Store()


@pytest.fixture
async def writer(logs, store, clock, background):
    """A writer that runs."""
    writer = LogWriter(logs, store, clock, Alarms(), Random(1))
    started = asyncio.Event()
    writer.task = background(writer.run(started.set))
    await started.wait()
    return writer


async def test_lines_are_written_within_a_tenth_of_a_second(logs, store, writer, clock):
    """What is said in between goes with them."""
    log = Attempt(logs).open_log()
    log.print_line("stdout", "one")
    await clock.advance(0.05)
    log.print_line("stdout", "two")
    assert store.kept == []
    await clock.advance(0.06)
    assert store.messages == ["one", "two"]
    assert store.calls == 1
    assert writer.statistics().written == 1


async def test_an_outage_is_waited_out(logs, store, writer, clock):
    """The same lines are tried again, and nothing is lost of what there is room for."""
    store.errors = [StoreUnavailable("away")] * 3
    log = Attempt(logs).open_log()
    log.print_line("stdout", "one")
    await clock.advance(0.2)
    assert store.calls == 1
    log.print_line("stdout", "two")
    for _ in range(100):
        await clock.advance(0.2)
    assert store.calls == 5
    assert store.messages == ["one", "two"]


@pytest.mark.parametrize("error", [StoreRefused("no"), ValueError("a bug")], ids=["refused", "bug"])
async def test_what_is_refused_for_good_is_left_out(logs, store, writer, clock, error):
    """And the next lines are written."""
    store.errors = [error]
    log = Attempt(logs).open_log()
    log.print_line("stdout", "one")
    await clock.advance(0.2)
    log.print_line("stdout", "two")
    await clock.advance(0.2)
    assert store.messages == ["two"]
    assert writer.statistics().refused == 1


async def test_what_is_left_is_written_when_the_runtime_ends(logs, store, writer, clock):
    """At once, and nothing is taken after that."""
    log = Attempt(logs).open_log()
    log.print_line("stdout", "last")
    writer.stop()
    await writer.task
    assert store.messages == ["last"]
    log.print_line("stdout", "too late")
    assert not logs.waiting


async def test_a_new_writer_goes_on_where_one_crashed(logs, store, writer, clock, background):
    """Also with what the other had gathered."""
    log = Attempt(logs).open_log()
    log.print_line("stdout", "one")
    logs.gather()
    writer.task.cancel()
    log.print_line("stdout", "two")
    started = asyncio.Event()
    background(LogWriter(logs, store, clock, Alarms(), Random(1)).run(started.set))
    await started.wait()
    await clock.advance(0.2)
    assert store.messages == ["one", "two"]
