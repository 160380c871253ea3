"""`/api/v1/events`: everything that happens, without a gap."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest

from flowstone import Pipeline, Runtime
from flowstone.errors import FeedExpired
from flowstone.server.api.event_feed import EventFeed, Wanted
from tests.server.api.shops import shop

ALL = Wanted(frozenset({"run.queued", "run.started", "run.succeeded", "step.started", "step.succeeded"}))


def events_of(text: bytes) -> list[dict]:
    """The data of messages."""
    return [
        json.loads(line.removeprefix("data: "))
        for line in text.decode().splitlines()
        if line.startswith("data: ")
    ]


async def until(stream, kind: str) -> list[dict]:
    """What comes, up to the first event of that kind."""
    found: list[dict] = []
    async for text in stream:
        found += events_of(text)
        if any(event["kind"] == kind for event in found):
            return found
    return found


async def test_whoever_follows_is_told_what_happens(store_url):
    """In order, with partitions as people write them."""
    async with Runtime(shop(), store=store_url) as runtime:
        feed = EventFeed(runtime)
        async with aclosing(feed.follow(ALL, await feed.position(None))) as stream:
            await anext(stream)
            await runtime.materialize("visits", partition="2025-01-03")
            found = await until(stream, "run.succeeded")
        assert [event["kind"] for event in found] == [
            "run.queued",
            "run.started",
            "step.started",
            "step.succeeded",
            "run.succeeded",
        ]
        assert found[3]["partition"] == "2025-01-03"
        assert [event["id"] for event in found] == sorted({event["id"] for event in found})


@pytest.mark.parametrize("asset", ["visits", "broken"])
async def test_a_run_is_about_all_that_it_was_asked_for(store_url, asset):
    """Whoever follows one of its assets is told of it; each event says what it is about beside."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def visits() -> int:
        return 1

    @pipeline.asset
    async def broken() -> int:
        return 2

    async with Runtime(pipeline, store=store_url) as runtime:
        feed = EventFeed(runtime)
        async with aclosing(feed.follow(replace(ALL, asset=asset), await feed.position(None))) as stream:
            await anext(stream)
            await runtime.materialize(["visits", "broken"])
            async with asyncio.timeout(30):
                found = await until(stream, "run.succeeded")
        assert [event["kind"] for event in found] == [
            "run.queued",
            "run.started",
            "step.started",
            "step.succeeded",
            "run.succeeded",
        ]
        assert {event["asset"] for event in found if event["kind"].startswith("step.")} == {asset}
        for event in found:
            about = {event["asset"], *event.get("beside", ())}
            assert about == ({asset} if event["kind"].startswith("step.") else {"visits", "broken"})


async def test_whoever_comes_back_misses_nothing(store_url):
    """From any event on, also after a restart of whoever reads for all."""
    async with Runtime(shop(), store=store_url) as runtime:
        feed = EventFeed(runtime)
        begin = await feed.position(None)
        for day in (3, 4, 5):
            await runtime.materialize("visits", partition=f"2025-01-0{day}")
        async with aclosing(feed.follow(ALL, begin)) as stream:
            whole: list[dict] = []
            while sum(event["kind"] == "run.succeeded" for event in whole) < 3:
                whole += events_of(await anext(stream))
        for place, event in enumerate(whole[:-1]):
            async with aclosing(feed.follow(ALL, await feed.position(event["id"]))) as stream:
                await anext(stream)
                assert events_of(await anext(stream))[0] == whole[place + 1]


async def heard_live(runtime, stream) -> list[dict]:
    """The events of a run, heard as they happened: the one before it had all that is read for all begin."""
    for day in (3, 4):
        await runtime.materialize("visits", partition=f"2025-01-0{day}")
        found = await until(stream, "run.succeeded")
    assert len(found) == 5
    return found


async def test_the_only_one_who_followed_comes_back_to_any_event(store_url):
    """It heard them as they happened, and went; nobody followed meanwhile."""
    async with Runtime(shop(), store=store_url) as runtime:
        feed = EventFeed(runtime)
        async with aclosing(feed.follow(ALL, await feed.position(None))) as stream:
            whole = await heard_live(runtime, stream)
        for place, event in enumerate(whole[:-1]):
            stream = feed.follow(ALL, await feed.position(event["id"]))
            async with asyncio.timeout(60), aclosing(stream):
                assert await until(stream, "run.succeeded") == whole[place + 1 :]


async def test_one_who_comes_back_does_not_wait_for_another_who_waits(store_url, monkeypatch):
    """Who follows with nothing to hear keeps nobody from what is known."""
    monkeypatch.setattr("flowstone.server.api.event_feed._ALIVE", 3_600.0)
    monkeypatch.setattr("flowstone.server.api.event_feed._LEAST", 0.0)
    async with Runtime(shop(), store=store_url) as runtime:
        feed = EventFeed(runtime)
        async with aclosing(feed.follow(ALL, await feed.position(None))) as stream:
            whole = await heard_live(runtime, stream)
            idle = asyncio.create_task(anext(stream))
            for _ in range(10):
                await asyncio.sleep(0)
            async with asyncio.timeout(60), aclosing(feed.follow(ALL, whole[0]["id"])) as other:
                assert await until(other, "run.succeeded") == whole[1:]
            idle.cancel()
            await asyncio.wait([idle])


async def test_all_who_follow_share_one_reader(monkeypatch):
    """A hundred cost the store what one does, and each gets everything; when nobody follows, nothing is read."""
    async with Runtime(shop()) as runtime:
        feed = EventFeed(runtime)
        begin = await feed.position(None)
        streams = [feed.follow(ALL, begin) for _ in range(100)]
        told = [asyncio.create_task(until(stream, "run.succeeded")) for stream in streams]
        while feed.following < 100:
            await asyncio.sleep(0)
        await runtime.materialize("visits", partition="2025-01-03")
        found = await asyncio.gather(*told)
        assert len(found[0]) == 5
        assert all(each == found[0] for each in found)
        assert len(runtime._ctx.feeds.open) == 1
        for stream in streams:
            await stream.aclose()
        assert not runtime._ctx.feeds.open


async def test_one_who_is_slow_reads_on_by_itself(monkeypatch):
    """What is no longer kept for all comes from the store."""
    monkeypatch.setattr("flowstone.server.api.event_feed._KEPT", 3)
    async with Runtime(shop()) as runtime:
        feed = EventFeed(runtime)
        begin = await feed.position(None)
        slow, quick = feed.follow(ALL, begin), feed.follow(ALL, begin)
        async with aclosing(slow), aclosing(quick):
            await anext(slow)
            for day in range(3, 9):
                await runtime.materialize("visits", partition=f"2025-01-0{day}")
                await until(quick, "run.succeeded")
            found: list[dict] = []
            while sum(event["kind"] == "run.succeeded" for event in found) < 6:
                found += events_of(await anext(slow))
        assert [event["kind"] for event in found] == [
            "run.queued",
            "run.started",
            "step.started",
            "step.succeeded",
            "run.succeeded",
        ] * 6


async def test_those_who_follow_hear_that_the_runtime_stops():
    """Their streams end."""
    async with Runtime(shop()) as runtime:
        feed = EventFeed(runtime)
        begin = await feed.position(None)
        told = [asyncio.create_task(until(feed.follow(ALL, begin), "never")) for _ in range(3)]
        while feed.following < 3:
            await asyncio.sleep(0)
    assert await asyncio.gather(*told) == [[], [], []]


async def test_an_id_that_is_not_reached_is_a_problem(visit):
    """So is what is no id, or no kind, or no asset."""
    async with visit(shop()) as visitor:
        feed = EventFeed(visitor.runtime)
        with pytest.raises(FeedExpired):
            await feed.position(10**9)
        gone = await visitor.get("/api/v1/events", headers={"Last-Event-ID": "1000000"})
        assert (gone.status_code, gone.json()["type"]) == (410, "FeedExpired")
        for query, headers, kind in (
            ("", {"Last-Event-ID": "x"}, "ArgumentError"),
            ("", {"Last-Event-ID": "9" * 30}, "ArgumentError"),
            ("kind=run.done", {}, "ArgumentError"),
            ("kind=step.progressed", {}, "ArgumentError"),
            ("asset=visit", {}, "AssetNotFound"),
            ("run=a&run=b", {}, "ArgumentError"),
        ):
            assert (await visitor.get(f"/api/v1/events?{query}", headers=headers)).json()["type"] == kind


async def test_only_what_is_wanted_is_told():
    """By kind, run and asset; the place moves on all the same."""
    async with Runtime(shop()) as runtime:
        feed = EventFeed(runtime)
        begin = await feed.position(None)
        await runtime.materialize("visits", partition="2025-01-03")
        run = await runtime.submit("visits", partition="2025-01-04")
        await run.wait()
        for wanted, number in (
            (Wanted(frozenset({"step.succeeded"})), 2),
            (Wanted(ALL.kinds, run_id=run.id), 5),
            (Wanted(ALL.kinds, asset="report"), 0),
        ):
            async with aclosing(feed.follow(wanted, begin)) as stream:
                await anext(stream)
                assert len(events_of(await anext(stream))) == number
