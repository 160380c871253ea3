"""Ctrl-C, counted; and work beside a block."""

from __future__ import annotations

import asyncio
import os
import signal

import anyio
import pytest

from flowstone.cli.interruption import Interruption, listening
from flowstone.cli.loop import beside, has_uvloop, run_async
from flowstone.errors import RunFailed


class Calls(list):
    """What was asked for, in order, and an event for each."""

    def __init__(self):
        super().__init__()
        self.changed = asyncio.Event()

    def note(self, word):
        def called():
            self.append(word)
            self.changed.set()

        return called

    async def until(self, length):
        while len(self) < length:
            self.changed.clear()
            await self.changed.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_first_and_second_signal(number):
    """The first signal asks to finish, the second to stop; both on the loop."""
    calls = Calls()
    interruption = Interruption(calls.note("finish"), calls.note("stop"))
    with listening(interruption):
        os.kill(os.getpid(), number)
        await calls.until(1)
        os.kill(os.getpid(), number)
        await calls.until(2)
    assert calls == ["finish", "stop"]
    assert interruption.times == 2


async def test_third_signal_raises():
    """From the third on a signal is Python's own interruption."""
    calls = Calls()
    interruption = Interruption(calls.note("finish"), calls.note("stop"))
    with listening(interruption):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


async def test_handlers_are_given_back():
    """After the block signals mean what they meant before."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with listening(Interruption(lambda: None, lambda: None)):
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_beside_runs_while_the_block_runs():
    """The work starts with the block and is stopped after it."""
    trace: list[str] = []
    begun = asyncio.Event()

    async def work():
        trace.append("begun")
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            trace.append("stopped")

    async with beside(work):
        await begun.wait()
        trace.append("block")
    assert trace == ["begun", "block", "stopped"]


async def test_beside_hands_out_the_blocks_exception():
    """What the block raises is not wrapped in a group, whatever runs beside it."""
    with pytest.raises(RunFailed) as caught:
        async with beside(anyio.sleep_forever):
            raise RunFailed("no")
    assert str(caught.value) == "no"


async def test_beside_that_fails_stops_the_block():
    """A display that breaks does not go unnoticed."""

    async def broken():
        raise OSError("no terminal")

    with pytest.raises(ExceptionGroup) as caught:
        async with beside(broken):
            await asyncio.Event().wait()
    assert caught.group_contains(OSError, match="no terminal")


async def test_beside_and_a_cancelled_block():
    """One cancel of the block's task comes out as one cancellation, which can be taken back."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        async with beside(anyio.sleep_forever):
            await asyncio.Event().wait()
    assert task.uncancel() == 0
    await asyncio.sleep(0)


def test_the_loop_is_uvloop_where_there_is_one():
    """A command runs on uvloop if it is installed, else on asyncio."""

    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run_async(kind()).startswith("uvloop" if has_uvloop() else "asyncio")


def test_without_uvloop(monkeypatch):
    """Where uvloop is missing asyncio does."""

    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__

    monkeypatch.setattr("flowstone.cli.loop.has_uvloop", lambda: False)
    assert run_async(kind()).startswith("asyncio")
