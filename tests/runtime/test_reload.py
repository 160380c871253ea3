"""`runtime.reload`: new runs take the new definitions, running ones finish on theirs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from flowstone import (
    AssetNotFound,
    Context,
    DefinitionError,
    DynamicPartitions,
    MemoryIO,
    PartitionError,
    Pipeline,
    Resource,
    RunFailed,
    Runtime,
    RuntimeStopping,
    StaticPartitions,
)
from tests.runtime.process_assets import pipeline as processes


@dataclass
class Gate:
    """Where an asset waits."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self):
        self.entered.set()
        await self.open.wait()


def release(number: int, gate: Gate | None = None, **more) -> Pipeline:
    """A release of the pipeline: its assets give its number; `source` waits at the gate."""
    made = Pipeline("shop")

    @made.asset
    async def source() -> int:
        if gate is not None:
            await gate.wait()
        return number

    @made.asset
    async def report(source: int) -> tuple[int, int]:
        return source, number

    for name, options in more.items():

        @made.asset(name=name, **options)
        async def another() -> int:
            return number

    return made


async def test_new_runs_take_the_new_definitions_and_running_ones_finish_on_theirs():
    """Also the steps of the old run that had not begun, and runs that the handle of the old one waits for."""
    gate = Gate()
    async with Runtime(release(1, gate)) as runtime:
        old = await runtime.submit("report")
        await gate.entered.wait()
        await runtime.reload(release(2, new={}))
        assert await (await runtime.materialize_all("report")).value() == (2, 2)
        assert (await runtime.materialize("new")).status == "succeeded"
        gate.open.set()
        assert await (await old.wait()).value() == (1, 1)
        assert repr(runtime) == "<Runtime 3 assets, running>"


async def test_what_is_gone_is_gone_and_its_runs_finish():
    """An asset that the new definitions lack is unknown from then on; a run of it goes on, and is remembered."""
    gate = Gate()
    other = Pipeline("other")

    @other.asset
    async def alone() -> int:
        return 3

    async with Runtime(release(1, gate)) as runtime:
        old = await runtime.submit("report", key="nightly")
        await gate.entered.wait()
        await runtime.reload([other])
        with pytest.raises(AssetNotFound):
            await runtime.submit("report")
        gate.open.set()
        assert (await old.wait()).status == "succeeded"
        assert (await old.record()).pipeline == "shop"
        assert (await runtime.materialize(alone)).status == "succeeded"


async def test_a_failed_validation_changes_nothing():
    """A graph that is none, what is no pipeline, and assets for which the runtime is not equipped."""
    broken = Pipeline("shop")

    @broken.asset
    async def report(sauce: int) -> int:
        return sauce

    needy = Pipeline("shop")

    @needy.asset
    async def asks(db: Annotated[str, Resource]) -> str:
        return db

    async with Runtime(release(1), resources={"db": "a database"}) as runtime:
        for wrong, words in [
            (broken, "sauce"),
            (release(2, kept={"io": "files"}), r"'kept' \(.*test_reload.py:\d+\).* IO manager 'files'.*io="),
            (release(2, asks={"requires": {"mail"}}), r"'asks' .* needs the resource 'mail'.*resources="),
        ]:
            with pytest.raises(DefinitionError, match=words):
                await runtime.reload(wrong)
        with pytest.raises(TypeError):
            await runtime.reload("shop")
        assert await (await runtime.materialize_all("report")).value() == (1, 1)
        await runtime.reload(needy)
        assert await (await runtime.materialize_all("asks")).value() == "a database"


async def test_what_was_missing_before_is_no_obstacle():
    """An asset for which the runtime never was equipped fails where it did, and new ones may come."""
    async with Runtime(release(1, kept={"io": "files"}), io={"default": MemoryIO()}) as runtime:
        await runtime.reload(release(2, kept={"io": "files"}, new={}))
        assert (await runtime.materialize("new")).status == "succeeded"
        with pytest.raises(RunFailed, match="IO manager 'files'"):
            await runtime.materialize_all("kept")


async def test_partitions_are_those_of_the_new_definitions():
    """Sets, and the dynamic ones that nobody used before."""
    async with Runtime(release(1, day={"partitions": StaticPartitions(["a"])})) as runtime:
        await runtime.add_partitions("customers", ["ada"])
        await runtime.reload(
            release(
                2,
                day={"partitions": StaticPartitions(["b"])},
                mail={"partitions": DynamicPartitions("customers")},
            )
        )
        with pytest.raises(PartitionError):
            await runtime.materialize("day", partition="a")
        assert (await runtime.materialize("day", partition="b")).status == "succeeded"
        assert len((await runtime.backfill("mail")).succeeded) == 1


@pytest.mark.parametrize("left", [{}, {"another": {}}], ids=["no asset", "another asset"])
async def test_a_run_that_waits_for_an_asset_that_was_removed_fails(left):
    """Its pipeline is still there, though it may have nothing in it."""
    asking, rest = Pipeline("shop"), Pipeline("shop")

    @asking.asset
    async def asked(context: Context) -> str:
        return context.approval("go").by

    for name in left:

        @rest.asset(name=name)
        async def another() -> int:
            return 1

    async with asyncio.timeout(200), Runtime(asking) as runtime:
        run = await runtime.submit("asked")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        await runtime.reload(rest)
        await runtime.approve((await runtime.approvals())[0].id, by="ann")
        with pytest.raises(RunFailed):
            await run.wait()


async def test_an_asset_may_reload_the_runtime_that_computes_it():
    """Its own run goes on as it began; a run that it starts then is a new one."""
    reloading = Pipeline("shop")

    @reloading.asset
    async def first(context: Context) -> int:
        await runtime.reload(release(2))
        result = await runtime.materialize_all("report")
        return sum(await result.value())

    async with Runtime(reloading) as runtime:
        result = await runtime.materialize_all(first)
        assert await result.value(first) == 4


async def test_worker_processes_are_replaced():
    """What they import, they import again; one that works finishes its call."""
    async with Runtime(processes) as runtime:
        before = await (await runtime.materialize_all("pid")).value()
        assert await (await runtime.materialize_all("pid")).value() == before
        await runtime.reload(processes)
        assert await (await runtime.materialize_all("pid")).value() != before


async def test_only_a_running_runtime_is_reloaded():
    """Before and after, it says so."""
    runtime = Runtime(release(1))
    with pytest.raises(RuntimeStopping):
        await runtime.reload(release(2))
    async with runtime:
        pass
    with pytest.raises(RuntimeStopping):
        await runtime.reload(release(2))
