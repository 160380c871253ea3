"""What every store promises of its feed: mix `FeedContract` into a class with the fixture `place`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowstone.errors import FeedExpired
from flowstone.runs.automation_events import AssetLate, AutomationPaused
from flowstone.runs.events import RunQueued, StepKept, StepProgressed
from flowstone.runs.records import Status
from flowstone.store.protocol import StaleWrite
from tests.store.facts import at, begun, end, over, run, start

PIPELINE = "sales"


async def entries(feed, after):
    """Everything after an id, page by page, as a reader has it."""
    found = []
    while page := await feed.read(after):
        found += page
        after = page[-1].id
    return found


async def events(feed, after):
    """The same, without the ids."""
    return [entry.event for entry in await entries(feed, after)]


def is_in_order(found):
    """Whether ids increase."""
    ids = [entry.id for entry in found]
    return ids == sorted(set(ids))


class FeedContract:
    """The promises."""

    async def test_the_feed_begins_with_the_store(self, place):
        """0 is before everything."""
        feed = place.store.feed
        assert await events(feed, 0) == []
        await place.store.create_run(run())
        assert [type(event) for event in await events(feed, 0)] == [RunQueued]

    async def test_what_happens_to_a_run_is_about_all_its_assets(self, place):
        """What happens to a step is about its own."""
        store = place.store
        several = replace(run().request, beside={"raw": "same", "note": "once"})
        await store.create_run(run(request=several))
        await store.create_run(run("run-2"))
        await store.write_many([begun(), start("raw"), end("raw")])
        await store.write(over())
        await store.write(over("run-2"))
        told = [(entry.kind, entry.asset, sorted(entry.beside)) for entry in await entries(store.feed, 0)]
        assert sorted(told) == [
            ("run.queued", "report", []),
            ("run.queued", "report", ["note", "raw"]),
            ("run.started", "report", ["note", "raw"]),
            ("run.succeeded", "report", []),
            ("run.succeeded", "report", ["note", "raw"]),
            ("step.started", "raw", []),
            ("step.succeeded", "raw", []),
        ]

    async def test_every_event_comes_as_it_was_recorded_in_its_order(self, place):
        """Whatever records it: the creation, single writes and batches, of one run and another."""
        store = place.store
        position = await store.feed.position()
        await store.create_run(run())
        await store.create_run(run("run-2"))
        await store.write(begun())
        await store.write_many([start("a", node="n1"), start("b", "one", node="n2"), end("a")])
        await store.write(start("a", run_id="run-2", node="n1"))
        await store.write(StepKept(at(4), "run-1", "b", "one", 1, "draft", {"x": 1}))
        await store.write_many(
            [
                end("b", "one", status=Status.FAILED),
                end("c", status=Status.SKIPPED, attempt=0),
            ]
        )
        await store.write(over(status=Status.FAILED))
        found = await entries(store.feed, position)
        assert is_in_order(found)
        for run_id in ("run-1", "run-2"):
            recorded = [event for _, event in await store.events(run_id)]
            assert [each.event for each in found if each.run_id == run_id] == recorded
        assert [each.kind for each in found if each.run_id == "run-1"][-3:] == [
            "step.failed",
            "step.skipped",
            "run.failed",
        ]
        assert [each.asset for each in found][:2] == [found[0].event.asset, found[1].event.asset]

    async def test_events_of_no_run_are_in_the_feed(self, place):
        """Whether anybody follows them or not."""
        store = place.store
        position = await store.feed.position()
        told = [
            AutomationPaused(at(1), "nightly", by="Ada"),
            AssetLate(at(2), "report", None, at(1), 3600.0),
        ]
        await store.deliveries.add(PIPELINE, told)
        found = await entries(store.feed, position)
        assert [each.event for each in found] == told
        assert [(each.kind, each.run_id, each.asset) for each in found] == [
            ("automation.paused", "", ""),
            ("asset.late", "", "report"),
        ]

    async def test_a_reader_goes_on_after_any_event(self, place):
        """In the middle of what was recorded together as well."""
        store = place.store
        await store.create_run(run())
        await store.write_many([start(asset) for asset in "abc"])
        await store.write_many([end(asset) for asset in "abc"])
        every = await entries(store.feed, 0)
        assert len(every) == 7
        for place_of, entry in enumerate(every):
            rest = await entries(store.feed, entry.id)
            assert [each.id for each in rest] == [each.id for each in every[place_of + 1 :]]

    async def test_a_position_is_after_what_is_recorded_and_before_what_comes(self, place):
        """So whoever takes it first, and then looks at the store, misses nothing."""
        store = place.store
        await store.create_run(run())
        await store.write(start("a"))
        position = await store.feed.position()
        assert await events(store.feed, position) == []
        await store.write(end("a"))
        assert await events(store.feed, position) == [end("a")]

    async def test_what_was_refused_or_is_not_recorded_is_not_in_the_feed(self, place):
        """And leaves nothing to be waited for."""
        store = place.store
        await store.create_run(run())
        await store.write(end("a"))
        position = await store.feed.position()
        with pytest.raises(StaleWrite):
            await store.write(end("a"))
        with pytest.raises(StaleWrite):
            await store.write(start("a", run_id="nobody"))
        await store.write(StepProgressed(at(1), "run-1", "b", None, 1, 0.5))
        await store.write(start("b"))
        assert await events(store.feed, position) == [start("b")]

    async def test_ids_go_on_when_the_store_is_opened_again(self, place):
        """Whoever had read everything goes on there; what was recorded meanwhile has other ids."""
        store = place.store
        await store.create_run(run())
        await store.write(start("a"))
        last = (await entries(store.feed, 0))[-1].id
        store = await place.reopen()
        assert await events(store.feed, last) == []
        await store.write(end("a"))
        found = await entries(store.feed, last)
        assert [each.event for each in found] == [end("a")]
        assert found[0].id > last

    @pytest.mark.parametrize("far", [1, 10**6, 2**62])
    async def test_an_id_that_there_never_was_is_refused(self, place, far):
        """It is of another store: nobody knows what was missed."""
        await place.store.create_run(run())
        position = await place.store.feed.position()
        with pytest.raises(FeedExpired, match="load what you show again"):
            await place.store.feed.read(position + far)

    async def test_who_watches_hears_of_what_comes(self, place):
        """From whichever connection."""
        store = place.store
        heard = asyncio.Event()
        with store.feed.watch(heard.set):
            position = await store.feed.position()
            await store.create_run(run())
            while not (found := await store.feed.read(position)):
                heard.clear()
                await heard.wait()
        assert [type(entry.event) for entry in found] == [RunQueued]
