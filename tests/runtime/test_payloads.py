"""Values that an IO manager leaves to the run store, written together with the success."""

from __future__ import annotations

import pytest

from flowstone import MaterializationFailed, MemoryIO, Pipeline, Retry, Retryable, Runtime
from flowstone.io.manager import Stored
from flowstone.runs.events import StepSucceeded
from flowstone.store import MemoryStore


class PayloadIO(MemoryIO):
    """Leaves every value to the store."""

    __slots__ = ()

    async def store(self, target, value):
        return Stored(f"store:{target.run_id}/{target.asset}/{target.attempt}", payload=str(value).encode())


class Recorder(MemoryStore):
    """Remembers with which events payloads came."""

    def __init__(self):
        super().__init__()
        self.came = []

    async def write(self, event, epoch=0, *, payload=None):
        if payload is not None:
            self.came.append((type(event), payload))
        await super().write(event, epoch, payload=payload)


def once_failing():
    """`answer` fails at first."""
    pipeline = Pipeline("values")
    tries = []

    @pipeline.asset(retry=Retry(attempts=2, delay=0))
    async def answer() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise Retryable("not yet")
        return 42

    return pipeline


async def test_a_payload_is_written_with_the_success():
    """The bytes go to the store with the one event that makes them current, under its location."""
    store = Recorder()
    async with Runtime(once_failing(), store=store, io={"default": PayloadIO()}) as runtime:
        record = await runtime.materialize("answer")
    assert store.came == [(StepSucceeded, b"42")]
    assert await store.payload(record.location) == b"42"


async def test_a_store_that_keeps_no_values_fails_the_step(tmp_path):
    """The step fails with kind `io` and the remedy; the run goes on to its end."""
    pipeline = Pipeline("values")

    @pipeline.asset
    async def answer() -> int:
        return 42

    async with Runtime(pipeline, store=f"file://{tmp_path}", io={"default": PayloadIO()}) as runtime:
        with pytest.raises(MaterializationFailed, match=r"keeps no values.*FileIO") as failed:
            await runtime.materialize("answer")
        assert failed.value.failure.kind == "io"
        assert failed.value.materialization.location is None
        assert await runtime.exists("answer") is False
