"""A lasting trouble is in the log once, again when it is another one, and when it is over."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flowstone import DailyPartitions, MemoryIO, Pipeline, ResourceProvider, Runtime
from flowstone.alarms import Alarms
from flowstone.runtime.services.failure_log import STEPS


def said(caplog, logger="flowstone.alarms"):
    return [record.getMessage() for record in caplog.records if record.name == logger]


def test_a_trouble_is_said_once(caplog):
    """Each text once until the subject works again; then it is news again."""
    alarms = Alarms()
    alarms.clear("store")
    for _ in range(19):
        for text in ("no answer", "refused"):
            alarms.set("store", text)
    alarms.set("queue", "no answer")
    alarms.clear("store")
    alarms.clear("store")
    alarms.set("store", "no answer")
    assert said(caplog) == [
        "store: no answer",
        "store: refused",
        "queue: no answer",
        "store: it works again",
        "store: no answer",
    ]


def test_troubles_with_a_number_in_them_are_bounded(caplog):
    """A text that is new each time is not said for ever, and many subjects are not kept for ever."""
    alarms = Alarms()
    for number in range(100):
        alarms.set("store", f"no answer for {number} s")
    assert len(said(caplog)) == 20
    for number in range(5_000):
        alarms.set(f"run {number}", "nobody knows it")
    assert len(alarms._said) == 1_000


class Broken(ResourceProvider[int]):
    """A resource that fails as it is told to."""

    def __init__(self):
        self.errors = ["refused"] * 10 + ["no such host"] * 9
        self.tried = asyncio.Event()

    async def setup(self):
        self.tried.set()
        if self.errors:
            raise OSError(self.errors.pop(0))
        return 1


async def test_a_broken_resource_is_said_once_and_again_when_it_changes(clock, caplog):
    """Not at each of the nineteen tries to set it up."""
    provider = Broken()
    async with Runtime(Pipeline(), resources={"db": provider}, clock=clock) as runtime:
        process = runtime._started().resources["db"]
        while process.problem is not None:
            await clock.advance(60)
    assert said(caplog) == [
        "resource 'db': set-up failed: OSError: refused",
        "resource 'db': set-up failed: OSError: no such host",
        "resource 'db': it works again",
    ]


@pytest.mark.parametrize("awaited", [False, True])
async def test_steps_that_fail_for_one_resource_are_one_error(caplog, awaited):
    """All partitions of a run that need it say the same."""
    caplog.set_level(logging.WARNING)
    pipeline = Pipeline()

    @pipeline.asset(requires={"db"}, partitions=DailyPartitions("2025-01-01", "2025-01-19"))
    async def raw() -> int:
        return 1

    made = Runtime(pipeline, resources={"db": Broken()})
    async with made as runtime, runtime.subscribe("run.finished") as events:
        await (runtime.backfill("raw") if awaited else runtime.submit_backfill("raw"))
        await anext(events)
    assert len(said(caplog)) <= 2
    assert len(said(caplog, STEPS)) == (0 if awaited else 1)


async def test_a_broken_io_manager_is_said_once_and_when_it_works(clock, caplog):
    """The same for where values are kept."""

    class Shelf(MemoryIO):
        errors = ["no such bucket"] * 5

        async def setup(self):
            if self.errors:
                raise OSError(self.errors.pop())

    async with Runtime(Pipeline(), io={"default": Shelf()}, clock=clock) as runtime:
        process = runtime._started().io["default"]
        await process._tried.wait()
        while process.problem is not None:
            await clock.advance(60)
    assert said(caplog) == [
        "IO manager 'default': setup failed: OSError: no such bucket",
        "IO manager 'default': it works again",
    ]
