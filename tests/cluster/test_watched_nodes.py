"""What other processes do is seen within half a second, on a real database."""

from __future__ import annotations

import asyncio
import time

from flowstone import Context, Pipeline, Runtime

AT_MOST = 0.5


def reading(gate, told):
    """A pipeline of one asset that says how far it is when it is told."""
    pipeline = Pipeline("reading")

    @pipeline.asset
    async def book(context: Context) -> None:
        while not gate.is_set():
            context.progress(await told.get(), "reads")

    return pipeline


async def test_progress_elsewhere_is_seen_in_time(works):
    """At most half a second after the asset has said it; the middle of ten, for the machine may be busy."""
    gate, told = asyncio.Event(), asyncio.Queue()
    pipeline = reading(gate, told)
    options = {"store": works.dsn, "lease": 15.0}
    async with Runtime(pipeline, worker=False, **options) as looking, Runtime(pipeline, **options) as working:
        run = await looking.submit("book")
        delays = []
        for tenth in range(1, 11):
            told.put_nowait(tenth / 10)
            said_at = time.monotonic()
            async with asyncio.timeout(60):
                while True:
                    nodes = {node.id: node for node in await looking.nodes()}
                    steps = nodes[working.node].running
                    if steps and steps[0].fraction == tenth / 10:
                        break
                    await asyncio.sleep(0.05)
            if tenth > 1:  # The first waits for the run to be taken.
                delays.append(time.monotonic() - said_at)
        assert sorted(delays)[len(delays) // 2] < AT_MOST
        gate.set()
        told.put_nowait(1.0)
        await run.wait(timeout=60)


async def test_events_elsewhere_are_seen_in_time(works):
    """Of a worker process, with ids from which another runtime goes on."""
    await works.worker()
    async with works.node(worker=False) as command, works.node(worker=False) as looking:
        async with looking.feed() as entries:
            run = await command.submit("quick")
            kinds = {}
            async with asyncio.timeout(100):
                async for entry in entries:
                    kinds[entry.kind] = entry
                    if entry.kind == "run.succeeded":
                        break
        assert {entry.run_id for entry in kinds.values()} == {run.id}
        assert set(kinds) >= {"run.queued", "run.started", "step.started", "step.succeeded"}
        async with command.feed(after=kinds["step.succeeded"].id) as rest:
            assert (await anext(rest)).id == kinds["run.succeeded"].id


async def test_a_worker_that_is_killed_is_seen(works):
    """Its row stays, and is not alive once its lease is over; the one that takes its place is there at once."""
    first = await works.worker()
    async with works.node(worker=False) as looking:
        assert any(node.pid == first.pid and node.alive for node in await looking.nodes())
        first.send(9)
        second = await works.worker()

        async def is_seen():
            nodes = {node.pid: node for node in await looking.nodes()}
            return second.pid in nodes and nodes[second.pid].alive and not nodes[first.pid].alive

        await works.until(is_seen)
