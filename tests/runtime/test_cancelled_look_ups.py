"""A run that is cancelled while what it may reuse is on record and the answer is still on its way."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, DailyPartitions, FileIO, Pipeline, RunCancelled, Runtime, TimeOffset
from flowstone.runs.events import RunCancelRequested
from flowstone.runtime.run.reuse import Reuses

DAYS = DailyPartitions("2025-01-01", "2025-01-08")


@pytest.fixture(params=["file", "postgres"])
def opened(request, tmp_path):
    """A runtime that is not entered yet; in memory no look-up is ever under way."""
    pipeline = Pipeline("bank")

    @pipeline.asset(partitions=DAYS, mappings={"balance": TimeOffset(days=-1)})
    async def balance(context: Context, balance: int = 0) -> int:
        return balance + context.partition.day

    if request.param == "postgres":
        return Runtime(pipeline, store=request.getfixturevalue("database"))
    return Runtime(pipeline, store=f"file://{tmp_path / 'runs'}", io={"default": FileIO(tmp_path / "values")})


class Gate:
    """Holds the answer of the first look-up of which so many steps at least are reused, once that is recorded."""

    def __init__(self, patch, least):
        self.recorded, self.opened = asyncio.Event(), asyncio.Event()
        self.held = ()
        find = Reuses.find

        async def gated(*arguments):
            answer = await find(*arguments)
            if len(answer.reused) >= least and not self.recorded.is_set():
                self.held = [event for _, event in answer.reused]
                self.recorded.set()
                await self.opened.wait()
            return answer

        patch.setattr(Reuses, "find", gated)


@pytest.mark.parametrize("least", [1, 2, 3], ids=lambda least: f"{least} at a time")
async def test_what_is_on_record_as_reused_is_not_cancelled(opened, monkeypatch, background, least):
    """Whether it was asked for or looked up ahead; the other days are, and the run ends."""
    async with asyncio.timeout(200), opened as runtime:
        await runtime.backfill("balance")
        gate = Gate(monkeypatch, least)
        run = await runtime.submit_backfill("balance", refresh="missing")
        await gate.recorded.wait()
        cancel = background(run.cancel())
        async for event in run.events():
            if isinstance(event, RunCancelRequested):  # So the run has heard of it.
                break
        gate.opened.set()
        await cancel
        with pytest.raises(RunCancelled) as cancelled:
            await run.wait()
        result = cancelled.value.result
        reused = {step.partition for step in result.reused}
        assert reused >= {event.materialization.partition for event in gate.held}
        assert len(reused) + len(result.cancelled) == len(DAYS)
        assert [each.status for each in await runtime.runs(limit=1)] == ["cancelled"]
