"""Runtimes that look, on a store that outlives them; in this process, or in one that a test may kill."""

from __future__ import annotations

import asyncio

from flowstone import RunRequest, Runtime
from tests.automation.looking import letters


class Place:
    """A store that outlives its runtimes."""

    def __init__(self, store, io):
        self._store = store
        self._io = io

    def runtime(self, pipeline, **options):
        """A runtime on it, not yet entered, that looks."""
        io = {} if self._io is None else {"io": {"default": self._io}}
        options = {"shutdown_timeout": 1.0, "cancel_timeout": 0.5, "automate": True, **io, **options}
        return Runtime(pipeline, store=self._store, **options)


def counting(upto, *, step=1, limit=1000, looks=None, every=0.01, **options):
    """A pipeline with a sensor that asks for each number once, `step` a look."""
    pipeline = letters()

    @pipeline.sensor("post", every=every, limit=limit, **options)
    async def post(context):
        if looks is not None:
            looks.append(context.cursor)
        begin = context.cursor or 0
        context.cursor = min(begin + step, upto)
        for number in range(begin, context.cursor):
            yield RunRequest("letter", tags={"n": str(number)}, refresh="all", join=False)

    return pipeline


def serve(dsn):
    """Be a node that looks until it is killed."""

    async def look_on():
        looks = []
        async with Place(dsn, None).runtime(counting(10_000, looks=looks), lease=2.0):
            while len(looks) < 3:
                await asyncio.sleep(0.01)
            print("ready", flush=True)
            await asyncio.Event().wait()

    asyncio.run(look_on())
