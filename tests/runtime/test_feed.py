"""`runtime.feed`: what is recorded, in one order, with ids to go on from."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import AssetNotFound, FeedExpired, Runtime
from tests.runtime.chains import simple, take


@pytest.mark.both_loops
async def test_a_reader_gets_everything_that_is_recorded_from_then_on():
    """Nothing of before, each with an id that is larger than the one before it."""
    async with Runtime(simple()) as runtime:
        await runtime.materialize("a")
        async with runtime.feed() as entries:
            result = await runtime.materialize_all("b")
            taken = await take(entries, 7)
    assert [entry.event.kind for entry in taken] == [
        "run.queued",
        "run.started",
        "step.started",
        "step.succeeded",
        "step.started",
        "step.succeeded",
        "run.finished",
    ]
    assert {entry.event.run_id for entry in taken} == {result.run_id}
    assert [entry.id for entry in taken] == sorted({entry.id for entry in taken})


async def test_a_reader_goes_on_after_any_id():
    """As one who was away."""
    async with Runtime(simple()) as runtime:
        await runtime.materialize_all("b")
        async with runtime.feed(after=0) as entries:
            every = await take(entries, 7)
        for place, entry in enumerate(every[:-1]):
            async with runtime.feed(after=entry.id) as entries:
                assert [each.id for each in await take(entries, 6 - place)] == [
                    each.id for each in every[place + 1 :]
                ]


async def test_a_reader_chooses():
    """By kinds as for `subscribe`, by run and by asset."""
    async with Runtime(simple()) as runtime:
        first = await runtime.materialize_all("b")
        second = await runtime.materialize_all("b")
        async with runtime.feed("run.finished", "run.started", after=0) as entries:
            assert [entry.kind for entry in await take(entries, 4)] == ["run.started", "run.succeeded"] * 2
        async with runtime.feed("step", after=0, run_id=second.run_id) as entries:
            assert {entry.run_id for entry in await take(entries, 4)} == {second.run_id}
        async with runtime.feed("step.succeeded", after=0, asset="a") as entries:
            assert [entry.event.run_id for entry in await take(entries, 2)] == [first.run_id, second.run_id]


async def test_a_position_passes_what_does_not_fit():
    """Whoever keeps it does not go through all of that again."""
    async with Runtime(simple()) as runtime, runtime.feed("run.failed") as entries:
        before = entries.position
        waiting = asyncio.create_task(take(entries, 1))
        await runtime.materialize("a")
        while entries.position == before:
            await asyncio.sleep(0)
        passed = entries.position
        async with runtime.feed(after=before) as others:
            assert (await take(others, 5))[-1].id == passed
        waiting.cancel()


async def test_a_reader_ends_with_the_runtime():
    """What it has not given yet is there for the next one."""
    async with Runtime(simple()) as runtime:
        entries = runtime.feed()
        await entries.__aenter__()
        waiting = asyncio.create_task(take(entries, 1))
        await asyncio.sleep(0)
    assert await waiting == []


async def test_ids_go_on_after_a_restart(tmp_path):
    """Where runs are remembered, an id is good in the next process as well."""
    url = f"file://{tmp_path / 'runs'}"
    async with Runtime(simple(), store=url) as runtime, runtime.feed() as entries:
        await runtime.materialize("a")
        (first, *rest) = await take(entries, 5)
    async with Runtime(simple(), store=url) as runtime, runtime.feed(after=first.id) as entries:
        await runtime.materialize("a")
        found = await take(entries, 9)
    assert [entry.id for entry in found[:4]] == [entry.id for entry in rest]
    assert [entry.event for entry in found[:4]] == [entry.event for entry in rest]
    assert found[4].id > rest[-1].id


async def test_an_id_that_is_not_reached_is_refused(monkeypatch):
    """At once, or when a reader was too slow: never as if nothing had happened."""
    monkeypatch.setattr("flowstone.store.feed_log._KEPT", 5)
    async with Runtime(simple()) as runtime, runtime.feed() as slow:
        await runtime.materialize_all("b")
        with pytest.raises(FeedExpired, match="load what you show again"):
            await anext(slow)
        with pytest.raises(FeedExpired):
            async with runtime.feed(after=1):
                pass
        with pytest.raises(FeedExpired):
            async with runtime.feed(after=10_000):
                pass


async def test_mistakes_are_said_at_once():
    """What there is not, and what is not recorded."""
    async with Runtime(simple()) as runtime:
        with pytest.raises(ValueError, match="not recorded"):
            runtime.feed("step.progressed")
        with pytest.raises(ValueError, match="no events of kind"):
            runtime.feed("steps")
        with pytest.raises(ValueError, match="after"):
            runtime.feed(after=-1)
        with pytest.raises(AssetNotFound):
            runtime.feed(asset="nobody")
        with pytest.raises(RuntimeError, match="async with"):
            await anext(runtime.feed())
        with pytest.raises(RuntimeError, match="position"):
            _ = runtime.feed().position
