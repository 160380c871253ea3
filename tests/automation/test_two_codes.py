"""Nodes with other code on one database: what follows events survives one that knows nothing of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from flowstone import Automation, FileIO, Freshness, Output, Pipeline, Runtime
from tests.automation.test_two_nodes import until

FAST = {"lease": 0.5, "automate": True}
NAMES = pytest.mark.parametrize("name", ["sales", "my sales/b"])


def old(name):
    """The pipeline before there were any automations."""
    pipeline = Pipeline(name)

    @pipeline.asset
    async def raw() -> int:
        return 1

    return pipeline


class Summing:
    """The pipeline with a condition."""

    def __init__(self, name):
        self.number = 1
        self.computed = []
        self.pipeline = pipeline = Pipeline(name)

        @pipeline.asset
        async def raw() -> Output:
            return Output(self.number, data_version=str(self.number))

        @pipeline.asset(automation=Automation.on_upstream_change())
        async def total(raw: int) -> int:
            self.computed.append(raw)
            return raw

    def runtime(self, database, values):
        """A node that has it."""
        io = {"default": FileIO(values)}
        return Runtime(self.pipeline, store=database, io=io, condition_delay=0.01, **FAST)


@asynccontextmanager
async def visited(runtime, name, database):
    """While a node is there that has none of what there is; it is taken away, and there again."""
    records = runtime._started().store.automations.records
    before = {record.key: record.version for record in await records([name])}
    async with Runtime(old(name), store=database, **FAST), asyncio.timeout(30):
        while any(each.gone_at or each.version < before[each.key] + 2 for each in await records([name])):
            await asyncio.sleep(0.01)
        yield


@NAMES
async def test_conditions_go_on_after_a_node_that_has_none(database, tmp_path, name):
    """They are defined again, and followed for: what happens afterwards is looked at."""
    new = Summing(name)
    async with new.runtime(database, tmp_path) as runtime:
        await runtime.materialize("raw")
        await until(lambda: new.computed == [1])
        async with visited(runtime, name, database):
            pass
        new.number = 2
        await runtime.materialize("raw")
        await until(lambda: new.computed == [1, 2])


@NAMES
async def test_a_listener_is_told_after_a_node_that_has_none(database, name):
    """It is defined again at the node that has it."""
    heard = []
    pipeline = old(name)

    @pipeline.on("run.succeeded", name="alert")
    async def alert(event):
        heard.append(event)

    async with Runtime(pipeline, store=database, **FAST) as runtime:
        await runtime.materialize("raw")
        await until(lambda: len(heard) == 1)
        async with visited(runtime, name, database):
            pass
        await runtime.materialize("raw")
        await until(lambda: len(heard) == 2)


@NAMES
async def test_freshness_is_told_after_a_node_that_has_none(database, name):
    """A new value makes an asset fresh again."""
    pipeline = Pipeline(name)

    @pipeline.asset(freshness=Freshness(within=timedelta(seconds=0.2)))
    async def raw() -> int:
        return 1

    async with (
        Runtime(pipeline, store=database, **FAST) as runtime,
        runtime.subscribe("asset.late", "asset.fresh") as events,
    ):
        async with asyncio.timeout(30):
            assert (await anext(events)).kind == "asset.late"
            async with visited(runtime, name, database):
                pass
            await runtime.materialize("raw")
            assert (await anext(events)).kind == "asset.fresh"
