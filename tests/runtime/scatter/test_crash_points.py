"""A process may die between any two writes: whoever goes on calls what is not on record, and nothing else."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from flowstone import Each, FileIO, Pipeline, Runtime
from flowstone.runtime.run import reader
from flowstone.store.memory_items import MemoryItems
from flowstone.store.open import open_store

COUNT = 10


class Copies:
    """Copies of what lasts, one after each write: what is there if the process dies then."""

    def __init__(self, place):
        self.place = place
        self.found = []

    def take(self):
        copy = self.place / f"copy {len(self.found)}"
        shutil.copytree(self.place / "original", copy, ignore=shutil.ignore_patterns(".tmp"))
        self.found.append(copy)


class CopyingIO(FileIO):
    """A copy is taken when a value is stored."""

    def __init__(self, root, copies):
        super().__init__(root)
        self._copies = copies

    async def store(self, target, value):
        stored = await super().store(target, value)
        self._copies.take()
        return stored


def pipeline_of(source, calls, beside):
    """`page` goes through ten items, of which one fails; `beside` has how many ran when each was called."""
    pipeline = Pipeline("crashes")

    if source == "list":

        @pipeline.asset
        async def files():
            return list(range(COUNT))

    else:

        @pipeline.asset
        async def files(context):
            for number in range(context.cursor or 0, COUNT):
                yield number
                await asyncio.sleep(0)
                if number % 3 == 2:
                    context.checkpoint(number + 1)

    running = []

    @pipeline.asset(each=Each("files", max_parallel=2, tolerate=1))
    async def page(files):
        calls.append(files)
        running.append(files)
        beside.append(len(running))
        await asyncio.sleep(0)
        running.remove(files)
        if files == 4:
            raise ValueError("never")
        return [files]

    @pipeline.asset
    async def summary(page: list):
        return page

    return pipeline


async def states_in(place):
    """What is on record of the items of `page` there, by run."""
    store = open_store(f"file://{place}/runs")
    await store.open()
    try:
        return {run.id: await store.items.states(run.id, ("page", None)) for run in await store.runs(limit=9)}
    finally:
        await store.close()


@pytest.mark.parametrize("source", ["list", "reader"])
async def test_only_items_that_are_not_on_record_are_called_again(tmp_path, monkeypatch, source):
    copies = Copies(tmp_path)
    record = MemoryItems.record

    async def record_and_copy(self, *args, **options):
        await record(self, *args, **options)
        copies.take()

    original = tmp_path / "original"
    with monkeypatch.context() as patch:
        patch.setattr(MemoryItems, "record", record_and_copy)
        patch.setattr(reader, "PAGE", 3)  # What is read is recorded in between, not only at the end.
        io = CopyingIO(original / "values", copies)
        async with Runtime(
            pipeline_of(source, [], []), store=f"file://{original}/runs", io={"default": io}
        ) as first:
            await first.materialize_all("summary")
    assert len(copies.found) > COUNT
    seen = set()
    for copy in copies.found:
        ((run_id, before),) = (await states_in(copy)).items()
        seen.add(bytes(before))
        calls = []
        io = {"default": FileIO(copy / "values")}
        beside = []
        pipeline = pipeline_of(source, calls, beside)
        async with asyncio.timeout(200), Runtime(pipeline, store=f"file://{copy}/runs", io=io) as second:
            result = await (await second.run(run_id)).wait()
            assert await result.value("summary") == [[number] for number in range(COUNT) if number != 4]
            items = await second.items(run_id, "page", limit=100)
            assert [item.position for item in items] == list(range(COUNT))
        done = {position for position, state in enumerate(before) if state}
        assert sorted(calls) == [number for number in range(COUNT) if number not in done], Path(copy).name
        if any(before):
            # Any of them may be what ended the process, so the first ones run alone, as many as ran at a time.
            assert beside[:2] == [1, 1][: len(beside)]
    assert len(seen) > 3
