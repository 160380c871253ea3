"""Where an asset can raise: in its body, on the way out, in something it waits for.

Each place is an asset whose partition says what to raise. They stand at the top level because worker processes
import them by name.
"""

from __future__ import annotations

import asyncio
import contextlib

import anyio

from flowstone import Context, Pipeline
from tests.hostile.exceptions import make

__all__ = ["ASYNC", "GROUPS", "LOOP", "PROCESS", "THREAD", "pipeline"]

pipeline = Pipeline("places")


@pipeline.asset
async def healthy() -> str:
    """The asset that must go on to work."""
    return "well"


# async def --------------------------------------------------------------------------------------------------


@pipeline.asset
async def body(context: Context) -> None:
    """At once."""
    raise make(context.partition)


@pipeline.asset
async def after_await(context: Context) -> None:
    """After it has been suspended."""
    await asyncio.sleep(0)
    raise make(context.partition)


@pipeline.asset
async def in_finally(context: Context) -> None:
    """While another exception is on its way out."""
    try:
        await asyncio.sleep(0)
        raise LookupError("earlier")
    finally:
        await asyncio.sleep(0)
        raise make(context.partition)


class Leaving:
    """A context manager that raises when it is left."""

    def __init__(self, name):
        self.name = name

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await asyncio.sleep(0)
        raise make(self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise make(self.name)


@pipeline.asset
async def in_aexit(context: Context) -> None:
    """When it leaves an `async with`."""
    async with Leaving(context.partition):
        await asyncio.sleep(0)


async def fail(name):
    """What a child does."""
    await asyncio.sleep(0)
    raise make(name)


@pipeline.asset
async def in_task(context: Context) -> None:
    """In a task that it started and awaits."""
    await asyncio.create_task(fail(context.partition))


@pipeline.asset
async def in_gather(context: Context) -> None:
    """In one of several tasks that it gathers."""
    await asyncio.gather(fail(context.partition), asyncio.sleep(0))


@pipeline.asset
async def in_task_group(context: Context) -> None:
    """In a task of a group."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(fail(context.partition))


@pipeline.asset
async def in_anyio_group(context: Context) -> None:
    """In a task of anyio's group."""
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 60)
        group.start_soon(fail, context.partition)


@pipeline.asset
async def in_timeout(context: Context) -> None:
    """Under a time limit."""
    async with asyncio.timeout(200):
        await fail(context.partition)


@pipeline.asset
async def in_thread(context: Context) -> None:
    """In a thread that anyio runs for it."""
    await anyio.to_thread.run_sync(raise_now, context.partition)


@pipeline.asset
async def in_generator(context: Context) -> None:
    """In an async generator that it iterates."""

    async def numbers():
        yield 1
        raise make(context.partition)

    async with contextlib.aclosing(numbers()) as each:
        async for _ in each:
            pass


# def --------------------------------------------------------------------------------------------------------


def raise_now(name):
    """Raise it."""
    raise make(name)


def plain(context: Context) -> None:
    """At once."""
    raise make(context.partition)


def plain_finally(context: Context) -> None:
    """While another exception is on its way out."""
    try:
        raise LookupError("earlier")
    finally:
        raise make(context.partition)


def plain_exit(context: Context) -> None:
    """When it leaves a `with`."""
    with Leaving(context.partition):
        pass


def plain_coroutine(context: Context):
    """In a coroutine that it returns."""
    return fail(context.partition)


GROUPS = (in_task_group, in_anyio_group)
ASYNC = (
    body,
    after_await,
    in_finally,
    in_aexit,
    in_task,
    in_gather,
    *GROUPS,
    in_timeout,
    in_thread,
    in_generator,
)


def _defined(run_in):
    functions = (plain, plain_finally, plain_exit, plain_coroutine)
    return tuple(pipeline.asset(name=f"{each.__name__}_{run_in}", run_in=run_in)(each) for each in functions)


LOOP = _defined("loop")
THREAD = _defined("thread")
PROCESS = _defined("process")
