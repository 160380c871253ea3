"""What tests of sensors have in common: a pipeline, what a sensor did, and to wait for other threads."""

from __future__ import annotations

import asyncio

from flowstone import Pipeline, StaticPartitions
from flowstone.runs.records import Status

MANY = StaticPartitions([f"k{number:05}" for number in range(20)])


def letters(partitions=None):
    """A pipeline with one asset, whose partitions anything can be."""
    pipeline = Pipeline("post")

    @pipeline.asset(partitions=partitions)
    async def letter() -> int:
        return 1

    return pipeline


async def status_of(runtime, name):
    """What is known of a sensor."""
    (found,) = [each for each in await runtime.automations(fires=100) if each.name == name]
    return found


async def fires_of(runtime, name):
    """What a sensor did, oldest first."""
    return list(reversed((await status_of(runtime, name)).last_fires))


async def runs_of(runtime, name, **options):
    """The runs that a sensor asked for, oldest first."""
    return list(reversed(await runtime.runs(tag=f"automation={name}", limit=1_000_000, **options)))


async def until(condition, *, within=10):
    """Let other threads, and a database, get on; returns what the condition gave."""
    async with asyncio.timeout(within):
        while not (given := await condition()):
            await asyncio.sleep(0.002)
        return given


async def settled(clock, condition, *, step=0.01, within=10):
    """As `until`, on a clock that moves a little meanwhile."""

    async def given():
        await clock.advance(step)
        return await condition()

    return await until(given, within=within)


async def over(runtime, name, number):
    """Whether so many runs of a sensor have succeeded."""
    runs = await runs_of(runtime, name)
    return len(runs) >= number and all(run.status is Status.SUCCEEDED for run in runs)


def child(runtime, name):
    """A process of an automation in the tree."""
    automation = next(each for each in runtime.tree().children if each.name == "automation")
    return next((each for each in automation.children if each.name == name), None)
