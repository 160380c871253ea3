"""A run that is cancelled while the store is away ends when it is back."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import FileIO, MemoryIO, Pipeline, Runtime, StoreUnavailable
from flowstone.store import FileStore
from tests.runtime.doubles import Gate, UnreliableStore


class UnreliableFile(FileStore):
    """A store in files whose writes can be made to fail.

    Attributes:
        down: Whether every write fails.
    """

    down = False

    async def _record(self, operation, apply):
        if self.down:
            raise StoreUnavailable("the disk is full")
        return await super()._record(operation, apply)


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    """A store that no other node shares, and that may be away."""
    return UnreliableStore() if request.param == "memory" else UnreliableFile(tmp_path / "store")


@pytest.fixture
def io(store, tmp_path):
    """Where values are."""
    return {"default": MemoryIO() if store.keeps_payloads else FileIO(tmp_path / "values")}


def slow(gate):
    """A pipeline whose only asset waits until it may go on."""
    pipeline = Pipeline("p")

    @pipeline.asset
    async def report() -> int:
        await gate.wait()
        return 1

    return pipeline


async def ended(runtime):
    """The only run there is, once it has ended."""
    async with asyncio.timeout(60):
        while not (run := (await runtime.runs())[0]).status.terminal:
            await asyncio.sleep(0.005)
    return run


@pytest.mark.parametrize("joins", [False, True])
async def test_a_run_whose_coordinator_gives_up_is_cancelled_all_the_same(store, io, background, joins):
    """It cannot record that it is to be cancelled; its caller is told so, and it is when the store is back."""
    gate = Gate()
    async with Runtime(slow(gate), store=store, io=io, cancel_timeout=0.05) as runtime:
        waiting = background(runtime.materialize("report", join=joins))
        await gate.entered.wait()
        store.down = True
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        store.down = False
        assert (await ended(runtime)).status == "cancelled"


async def test_who_cancels_by_the_handle_is_told_of_the_outage(store, io):
    """And may do so again."""
    gate = Gate()
    async with Runtime(slow(gate), store=store, io=io, cancel_timeout=0.05) as runtime:
        run = await runtime.submit("report")
        await gate.entered.wait()
        store.down = True
        with pytest.raises(StoreUnavailable):
            await run.cancel()
        store.down = False
        await run.cancel()
        assert await run.status() == "cancelled"
