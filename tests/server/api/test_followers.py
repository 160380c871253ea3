"""Followers of what happens who come, go and come back with any id, on a loop whose time is virtual.

The feed under them takes its time, answers not at all for a while, and its ids have gaps, as those of a database.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowstone.errors import StoreUnavailable
from flowstone.runs.events import RunQueued, RunStarted, StepStarted
from flowstone.runtime.services.feed import FeedReader, FeedReaders
from flowstone.server.api import event_feed as module
from flowstone.server.api.event_feed import EventFeed, Wanted
from flowstone.store.feed import FeedEntry
from flowstone.testing.simulation.loop import SimulationLoop

AT = datetime(2025, 1, 1, tzinfo=UTC)
SPACE = 10
"""Ids from one event to the next."""

PAGE = 10
"""Events in one answer of the store, which takes up to a twentieth of a second."""

PROMPTLY = 4.0
"""Seconds within which whoever follows has been told of all that a story tells, which is up to thirty pages."""

WANTED = (
    Wanted(frozenset({"run.started", "step.started"})),
    Wanted(frozenset({"step.started"}), asset="b"),
    Wanted(frozenset({"run.queued"})),
)


class SlowFeed:
    """A feed of one store whose answers take a while, each another one."""

    def __init__(self, random):
        self.random = random
        self.entries = []
        self.watchers = {}
        self.answers = True

    def add(self, event):
        number = SPACE * (len(self.entries) + 1)
        self.entries.append(FeedEntry(number, event.kind, event.run_id, "a", lambda: event, ("b",)))
        self.wake()

    def wake(self):
        for heard in tuple(self.watchers.values()):
            heard()

    async def position(self):
        await self._asked()
        known = SPACE * len(self.entries) + SPACE // 2
        await self._asked()
        return known

    async def read(self, after):
        await self._asked()
        found = [entry for entry in self.entries if entry.id > after][:PAGE]
        await self._asked()
        return found

    def watch(self, heard):
        mark = object()
        self.watchers[mark] = heard
        return _Left(self.watchers, mark)

    async def _asked(self):
        await asyncio.sleep(self.random.random() / 40)
        if not self.answers:
            raise StoreUnavailable("not now")


class _Left:
    def __init__(self, watchers, mark):
        self.watchers, self.mark = watchers, mark

    def __enter__(self):
        return None

    def __exit__(self, *_):
        self.watchers.pop(self.mark, None)


class Node:
    """What a feed of events needs of a runtime."""

    def __init__(self, feed):
        self.feeds = FeedReaders(feed)

    def feed(self, after=None):
        return FeedReader(self.feeds, (), after=after, run_id=None, asset=None)


class Follower:
    """One connection: what it was told, held against what happened."""

    def __init__(self, feed, entries, wanted, after):
        self.entries = entries
        self.wanted = wanted
        self.start = self.place = after
        self.told = []
        self.task = asyncio.get_running_loop().create_task(self._follow(feed))

    async def _follow(self, feed):
        async with aclosing(feed.follow(self.wanted, self.start)) as messages:
            async for message in messages:
                for number, kind in re.findall(rb"id: (\d+)\n(event)?", message):
                    self.place = int(number)
                    self.told += [self.place] if kind else []
                assert self.told == self.expected(self.place)

    def expected(self, place):
        return [
            each.id
            for each in self.entries
            if self.start < each.id <= place
            and each.kind in self.wanted.kinds
            and self.wanted.asset in {None, "a", "b"}
        ]

    async def go(self):
        self.task.cancel()
        await asyncio.wait([self.task])
        assert self.task.cancelled() or self.task.result() is None


events = st.sampled_from(
    [StepStarted(AT, "one", "a", None, 1), RunStarted(AT, "one", "a", 1), RunStarted(AT, "two", "a", 1)]
)
places = st.one_of(st.just("now"), st.just("where it was"), st.integers(0, 30))
deeds = st.one_of(
    st.tuples(st.just("tell"), events, st.integers(1, 12)),
    st.tuples(st.just("come"), st.integers(0, 2), places),
    st.tuples(st.just("come"), st.integers(0, 2), places),
    st.tuples(st.just("go"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.03, 0.06, 20.0])),
    st.tuples(st.just("settle")),
    st.tuples(st.just("no answer"), st.sampled_from([0.01, 3.0])),
)


async def play(story, random):
    """Do all of it; whenever it has settled, each who follows has been told all that is for it."""
    log = SlowFeed(random)
    node = Node(log)
    feed = EventFeed(node)
    here, places = {}, {}

    async def leave(who):
        if who in here:
            places[who] = here[who].place
            await here.pop(who).go()

    async def settled():
        await asyncio.sleep(PROMPTLY)
        for each in here.values():
            assert not each.task.done()
            assert each.told == each.expected(SPACE * len(log.entries))

    for deed, *what in (*story, ("settle",)):
        if deed == "tell":
            for _ in range(what[1]):
                log.add(what[0])
        elif deed == "come":
            who, place = what
            await leave(who)
            if place == "now":
                after = await feed.position(None)
            elif place == "where it was":
                after = places.get(who, 0)
            else:
                after = SPACE * min(place, len(log.entries))
            here[who] = Follower(feed, log.entries, WANTED[who], after)
        elif deed == "go":
            await leave(what[0])
        elif deed == "wait":
            await asyncio.sleep(what[0])
        elif deed == "settle":
            await settled()
        else:
            log.answers = False
            log.wake()
            await asyncio.sleep(what[0])
            log.answers = True
            await asyncio.sleep(module._PAUSE)
    node.feeds.close()
    await asyncio.sleep(PROMPTLY)
    for each in here.values():
        assert each.task.done()
        each.task.result()
    assert not log.watchers
    assert not feed.following


def simulated(world, seed):
    """Run it to its end in virtual time."""
    loop = SimulationLoop(seed=seed, order="shuffle", budget=1_000_000)
    try:
        return loop.run_until_complete(world)
    finally:
        loop.dispose()


ONE = StepStarted(AT, "one", "a", None, 1)


@given(st.lists(deeds, min_size=3, max_size=25), st.integers(0, 1_000))
@example(  # All go; one comes back to the middle of what the last one has heard.
    [("come", 0, "now"), ("tell", ONE, 9), ("settle",), ("go", 0), ("come", 0, 4), ("settle",)], 0
)
@example(  # One comes back while another one waits for news.
    [("tell", ONE, 9), ("come", 0, "now"), ("wait", 0.06), ("come", 1, 4), ("settle",)], 0
)
@example(  # One comes while the last one goes.
    [("come", 0, "now"), ("wait", 0.06), ("tell", ONE, 1), ("go", 0), ("come", 1, "now"), ("go", 1)] * 3, 1
)
@pytest.mark.parametrize("kept", [2, 2_000])
def test_each_is_told_all_that_comes_after_its_id_once_in_order_and_promptly(kept, story, seed):
    """Whoever else comes and goes, and however little is kept for those who are slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_KEPT", kept)
        simulated(play(story, Random(seed)), seed)


def test_whoever_is_told_nothing_hears_where_it_is():
    """Though other events go on: it comes back to a place that the feed still has."""
    heard = []

    async def world():
        log = SlowFeed(Random(0))
        node = Node(log)
        feed = EventFeed(node)

        async def follow():
            async with aclosing(feed.follow(WANTED[2], 0)) as messages:
                heard.extend([(asyncio.get_running_loop().time(), message) async for message in messages])

        task = asyncio.get_running_loop().create_task(follow())
        for _ in range(600):
            await asyncio.sleep(0.2)
            log.add(ONE)
        log.add(RunQueued(AT, "one", "a", None))
        await asyncio.sleep(PROMPTLY)
        node.feeds.close()
        await task

    simulated(world(), 0)
    assert b"event: run.queued" in heard[-1][1]
    assert all(later - earlier < module._ALIVE + 1.0 for (earlier, _), (later, _) in pairwise(heard))
    numbers = [int(re.search(rb"id: (\d+)", message)[1]) for _, message in heard]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 7
