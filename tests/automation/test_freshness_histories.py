"""Random histories of an asset that is to be fresh, compared with somebody who looks at the clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone import Freshness, Pipeline, Runtime
from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.store import MemoryStore
from flowstone.store.deliveries import Follower
from flowstone.testing import VirtualClock

WITHIN, OVERDUE, MINUTE = 10, 25, 60.0
START = datetime(2025, 1, 1, tzinfo=UTC)
NEXT = {
    "": {"asset.late"},
    "asset.late": {"asset.overdue", "asset.fresh"},
    "asset.overdue": {"asset.fresh", "asset.late"},
    "asset.fresh": {"asset.late"},
}

minutes = st.integers(1, 40)
advance = st.tuples(st.just("advance"), minutes)
events = st.one_of(
    advance,
    st.tuples(st.just("succeed"), st.just(0)),
    st.tuples(st.just("invalidate"), st.just(0)),
    st.tuples(st.sampled_from(["pause", "resume"]), st.just(0)),
    st.tuples(st.just("restart"), st.integers(0, 40)),
    st.tuples(st.just("restart and succeed before"), st.integers(0, 40)),
)
steps = st.tuples(st.just("step"), st.integers(-100, 100))


class Observer:
    """Somebody who looks at the clock, and knows nothing of records."""

    def __init__(self):
        self.now = 0
        self.begins = 0
        self.degree = 0
        self.told = []
        self.paused = False
        self.younger = False  # Whether there was a success while nothing was told.

    def _look(self, *, younger):
        """What is to be told now."""
        self.younger |= younger
        if self.paused:
            return
        younger, self.younger = self.younger, False
        age = self.now - self.begins
        degree = 2 if age >= OVERDUE else 1 if age >= WITHIN else 0
        if degree < self.degree and not younger:
            raise AssertionError("nothing becomes younger by itself")
        told = range(self.degree + 1, degree + 1) if degree > self.degree else [degree]
        if degree != self.degree:
            self.told += [(("asset.fresh", "asset.late", "asset.overdue")[each], self.now) for each in told]
        self.degree = degree

    def pause(self, paused):
        self.paused = paused
        self._look(younger=False)

    def advance(self, minutes):
        for _ in range(minutes):
            self.now += 1
            self._look(younger=False)

    def succeed(self):
        self.begins = self.now
        self._look(younger=True)

    def restart(self, down, succeeded):
        if succeeded:
            self.begins = self.now
        self.now += down
        self._look(younger=succeeded)


class World:
    """The real thing, on a virtual clock."""

    def __init__(self):
        self.clock = VirtualClock(START)
        self.store = MemoryStore()
        self.pipeline = Pipeline("sales")
        policy = Freshness(within=WITHIN * MINUTE, overdue=OVERDUE * MINUTE)

        @self.pipeline.asset(freshness=policy)
        async def orders() -> int:
            return 1

    async def begin(self):
        everything = Follower("all", exact_kinds(["asset"], recorded=True), anywhere=True)
        await self.store.deliveries.follow("tests", [everything])
        await self.start()

    async def start(self):
        self.runtime = self.made(automate=True)
        await self.runtime.__aenter__()
        await self.clock.settle()

    async def stop(self):
        await self.runtime.__aexit__(None, None, None)

    def made(self, **options):
        return Runtime(self.pipeline, store=self.store, clock=self.clock, **options)

    async def do(self, what, number):
        match what:
            case "advance":
                await self.clock.advance(number * MINUTE)
            case "step":
                self.clock.step(number * MINUTE)
            case "succeed":
                await self.runtime.materialize("orders")
            case "invalidate":
                await self.runtime.invalidate("orders")
            case "pause":
                await self.runtime.pause("freshness:orders")
            case "resume":
                await self.runtime.resume("freshness:orders")
            case _:
                await self.stop()
                if what != "restart":
                    async with self.made() as other:
                        await other.materialize("orders")
                await self.clock.advance(number * MINUTE)
                await self.start()
        await self.clock.settle()

    async def told(self):
        """Kinds, and minutes since the beginning."""
        found = await self.store.deliveries.pending("tests", "all", limit=10_000)
        return [
            (each.event.kind, round((each.event.at - START).total_seconds() / MINUTE, 6)) for each in found
        ]


@settings(deadline=None)
@given(st.lists(events, max_size=25))
def test_each_change_is_told_once_when_it_comes(history):
    """Whatever succeeds, is invalidated or restarted; an observer tells the same at the same minutes."""

    async def live():
        world, observer = World(), Observer()
        await world.begin()
        for what, number in history:
            await world.do(what, number)
            match what:
                case "advance":
                    observer.advance(number)
                case "succeed":
                    observer.succeed()
                case "pause" | "resume":
                    observer.pause(what == "pause")
                case "restart" | "restart and succeed before":
                    observer.restart(number, what != "restart")
        status = await world.runtime.freshness("orders")
        told = await world.told()
        await world.stop()
        assert told == observer.told
        shown = ("fresh", "late", "overdue").index(status.status.replace("unknown", "fresh"))
        assert observer.paused or shown == observer.degree

    asyncio.run(live())


@settings(deadline=None)
@given(st.lists(st.one_of(events, steps), max_size=25))
def test_clocks_that_are_set_repeat_and_lose_nothing(history):
    """What is told can follow what was told before, and after all that it comes as it would have."""

    async def live():
        world = World()
        await world.begin()
        for what, number in history:
            await world.do(what, number)
        await world.do("resume", 0)
        await world.do("advance", OVERDUE + 1)
        last = ""
        kinds = [kind for kind, _ in await world.told()]
        for kind in kinds:
            assert kind in NEXT[last], kinds
            last = kind
        assert last == "asset.overdue"
        await world.do("succeed", 0)
        await world.do("advance", WITHIN)
        assert [kind for kind, _ in await world.told()][len(kinds) :] == ["asset.fresh", "asset.late"]
        await world.stop()

    asyncio.run(live())
