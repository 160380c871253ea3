"""Who follows `asset` events is told of each change of freshness once, whatever happens in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from flowstone import (
    AutomationNotFound,
    Freshness,
    PartitionError,
    Pipeline,
    Runtime,
    Settings,
    StaticPartitions,
)
from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.errors import ArgumentError, StoreUnavailable
from flowstone.store import FileStore, MemoryStore
from flowstone.store.deliveries import Follower

MIDNIGHT = datetime(2025, 1, 1, tzinfo=UTC)
MINUTE = 60.0
POLICY = Freshness(within=timedelta(minutes=26))


def minute(number):
    """An instant, in minutes after the beginning."""
    return MIDNIGHT + timedelta(minutes=number)


def shop(freshness=POLICY, partitions=None):
    """A pipeline with one asset."""
    pipeline = Pipeline("sales")

    @pipeline.asset(freshness=freshness, partitions=partitions)
    async def orders() -> int:
        return 1

    return pipeline


async def listen(store):
    """Have the store keep every event about assets, for ever."""
    everything = Follower("all", exact_kinds(["asset"], recorded=True), anywhere=True)
    await store.deliveries.follow("tests", [everything])


async def told(store):
    """What was told since, and when."""
    found = await store.deliveries.pending("tests", "all", limit=1000)
    return [(each.event.kind, each.event.at) for each in found]


@pytest.fixture
async def store():
    """A store that outlives its runtimes and knows what was told."""
    made = MemoryStore()
    await listen(made)
    return made


class TestTold:
    """What is told, and when."""

    async def test_each_change_is_told_once(self, clock, store):
        """Late, overdue, and fresh again after a success; to whoever has subscribed as well."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            async with runtime.subscribe("asset") as events:
                await clock.advance(60 * MINUTE)
                await runtime.materialize("orders")
                await clock.advance(30 * MINUTE)
                heard = events.taken()
            expected = [
                ("asset.late", minute(26)),
                ("asset.overdue", minute(52)),
                ("asset.fresh", minute(60)),
                ("asset.late", minute(86)),
            ]
            assert await told(store) == expected
            assert [(event.kind, event.at) for event in heard] == expected
            late = heard[0]
            assert (late.asset, late.since, late.within) == ("orders", minute(26), 26 * MINUTE)
            assert (late.materialized_at, late.partition_key) == (MIDNIGHT, None)
            assert heard[2].since == heard[2].materialized_at == minute(60)

    async def test_a_success_in_time_tells_nothing(self, clock, store):
        """However many there are: the deadline moves with each."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            for _ in range(5):
                await runtime.materialize("orders")
                await clock.advance(25 * MINUTE)
            assert await told(store) == []
            assert (await runtime.freshness("orders")).status == "fresh"

    async def test_what_never_had_a_value_is_late_as_well(self, clock, store):
        """Its age counts from when it was first watched; over restarts too."""
        async with Runtime(shop(), store=store, clock=clock, automate=True):
            await clock.advance(20 * MINUTE)
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            found = await runtime.freshness("orders")
            assert (found.status, found.since, found.materialized_at) == ("unknown", MIDNIGHT, None)
            await clock.advance(10 * MINUTE)
            assert await told(store) == [("asset.late", minute(26))]

    async def test_a_value_that_is_old_when_it_is_first_watched_is_late_at_once(self, clock, store):
        """A policy counts for what is there already."""
        async with Runtime(shop(None), store=store, clock=clock) as runtime:
            await runtime.materialize("orders")
        await clock.advance(30 * MINUTE)
        async with Runtime(shop(), store=store, clock=clock, automate=True):
            await clock.settle()
            assert await told(store) == [("asset.late", minute(30))]

    async def test_what_became_late_while_nobody_watched_is_told_by_the_next(self, clock, store):
        """Both states, if both have come; not what was over before anybody looked."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.settle()
        await clock.advance(60 * MINUTE)
        async with Runtime(shop(), store=store, clock=clock, automate=True):
            await clock.settle()
            assert await told(store) == [("asset.late", minute(60)), ("asset.overdue", minute(60))]
        async with Runtime(shop(), store=store, clock=clock) as runtime:  # Which does not watch.
            await runtime.materialize("orders")
        await clock.advance(MINUTE)
        async with Runtime(shop(), store=store, clock=clock, automate=True):
            await clock.settle()
            assert (await told(store))[2:] == [("asset.fresh", minute(61))]

    async def test_a_success_that_no_follower_was_told_of_counts(self, clock, store):
        """Such as while another release of the pipeline had no policy: the store knows it."""
        async with Runtime(shop(), store=store, clock=clock, automate=True):
            await clock.advance(30 * MINUTE)
        async with Runtime(shop(None), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
        async with Runtime(shop(), store=store, clock=clock, automate=True):
            await clock.settle()
            assert [kind for kind, _ in await told(store)] == ["asset.late", "asset.fresh"]

    async def test_any_partition_makes_the_asset_fresh(self, clock, store):
        """Each is asked about on its own, and tells nothing."""
        pipeline = shop(partitions=StaticPartitions(["a", "b", "c"]))
        async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders", partition="a")
            await clock.advance(20 * MINUTE)
            await runtime.materialize("orders", partition="b")
            await clock.advance(20 * MINUTE)
            assert await told(store) == []
            assert (await runtime.freshness("orders")).since == minute(20)
            assert (await runtime.freshness("orders", "a")).status == "late"
            assert (await runtime.freshness("orders", partition="b")).status == "fresh"
            assert (await runtime.freshness("orders", "c")).status == "unknown"
            with pytest.raises(PartitionError):
                await runtime.freshness("orders", "d")

    async def test_an_invalidated_value_is_late_when_it_would_have_been(self, clock, store):
        """To invalidate it says that it is wrong, not that it is old."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.advance(MINUTE)
            await runtime.invalidate("orders")
            assert (await runtime.freshness("orders")).status == "unknown"
            await clock.advance(30 * MINUTE)
            assert await told(store) == [("asset.late", minute(26))]
            assert (await runtime.freshness("orders")).status == "late"

    async def test_however_much_was_delivered_is_taken_at_once(self, clock, store):
        """A backfill while nobody watched is one change, not one for each partition."""
        pipeline = shop(partitions=StaticPartitions([str(number) for number in range(250)]))
        async with Runtime(pipeline, store=store, clock=clock, automate=True):
            await clock.settle()
        async with Runtime(pipeline, store=store, clock=clock) as runtime:
            await runtime.backfill("orders")
        async with Runtime(pipeline, store=store, clock=clock, automate=True):
            await clock.settle()
            (follower,) = await store.deliveries.followers("sales")
            assert follower.pending == 0
            record = await store.automations.record(("sales", "freshness:orders"))
            assert record.version <= 4

    async def test_a_run_of_another_pipeline_counts(self, clock, store):
        """The asset is the same, whoever asks for it."""
        other = Pipeline("reports")

        @other.asset
        async def report(orders: int) -> int:
            return orders

        async with Runtime([shop(), other], store=store, clock=clock, automate=True) as runtime:
            await clock.advance(30 * MINUTE)
            await runtime.materialize_all("report")
            await clock.settle()
            assert [kind for kind, _ in await told(store)] == ["asset.late", "asset.fresh"]


class TestPeople:
    """What people see and do."""

    async def test_it_is_shown_among_automations(self, clock, store):
        """With what it allows; there is nothing to fire."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            (status,) = await runtime.automations()
            assert (status.name, status.kind) == ("freshness:orders", "freshness")
            assert status.text == "within 26 min, overdue after 52 min"
            with pytest.raises(AutomationNotFound, match="nothing to fire"):
                await runtime.fire("freshness:orders")

    async def test_a_paused_one_tells_nothing_until_it_is_resumed(self, clock, store):
        """What has changed meanwhile is told then; what came and went is not."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await clock.advance(30 * MINUTE)
            await runtime.pause("freshness:orders")
            await runtime.materialize("orders")
            await clock.advance(10 * MINUTE)
            assert [kind for kind, _ in await told(store)] == ["asset.late"]
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.resume("freshness:orders")
            await clock.settle()
            assert (await told(store))[1:] == [("asset.fresh", minute(40))]
            await runtime.pause("freshness:orders")
            await clock.advance(30 * MINUTE)
            await runtime.resume("freshness:orders")
            await clock.settle()
            assert (await told(store))[2:] == [("asset.late", minute(70))]

    async def test_another_policy_begins_anew(self, clock, store):
        """What is late by it is told, once for each policy."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.advance(20 * MINUTE)
            await runtime.reload(shop(Freshness(within=10 * MINUTE)))
            await clock.settle()
            assert await told(store) == [("asset.late", minute(20)), ("asset.overdue", minute(20))]
            await runtime.reload(shop(None))
            await clock.advance(10 * MINUTE)
            await runtime.reload(shop())
            await clock.settle()
            assert (await told(store))[2:] == [("asset.late", minute(30))]

    async def test_one_can_be_asked_without_anybody_watching(self, clock, store):
        """Of the value that is there; without one nothing is known."""
        async with Runtime(shop(), store=store, clock=clock) as runtime:
            found = await runtime.freshness("orders")
            assert (found.status, found.since) == ("unknown", None)
            await runtime.materialize("orders")
            await clock.advance(30 * MINUTE)
            found = await runtime.freshness("orders")
            assert (found.status, found.since, found.materialized_at) == ("late", minute(26), MIDNIGHT)

    async def test_what_has_no_policy_says_so(self, clock):
        """With the remedy."""
        async with Runtime(shop(None), clock=clock) as runtime:
            with pytest.raises(ArgumentError, match=r"Define it with freshness=Freshness\(within"):
                await runtime.freshness("orders")


class TestClocks:
    """Clocks of the wall are set, and nothing is told twice or lost by that."""

    async def test_a_clock_that_is_set_back_delays_nothing(self, clock, store):
        """What counts is the time that has passed, while somebody watches."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.advance(20 * MINUTE)
            clock.step(-100 * MINUTE)
            await clock.advance(7 * MINUTE)
            assert [kind for kind, _ in await told(store)] == ["asset.late"]
            await runtime.materialize("orders")
            await clock.settle()
            assert [kind for kind, _ in await told(store)] == ["asset.late", "asset.fresh"]
            await clock.advance(25 * MINUTE)
            assert len(await told(store)) == 2
            await clock.advance(2 * MINUTE)
            assert [kind for kind, _ in await told(store)][2:] == ["asset.late"]

    async def test_a_clock_that_is_set_on_is_noticed_within_a_lease(self, clock, store):
        """The value is as old as people say it is."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.settle()
            clock.step(27 * MINUTE)
            await clock.advance(Settings().lease)
            assert [kind for kind, _ in await told(store)] == ["asset.late"]

    async def test_a_clock_that_was_set_back_over_a_restart_takes_nothing_back(self, clock, store):
        """What was late stays so until there is a success, which is told, whenever it says it was finished."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.advance(27 * MINUTE)
        clock.step(-100 * MINUTE)
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await clock.advance(MINUTE)
            assert (await runtime.freshness("orders")).status == "late"
            await runtime.materialize("orders")
            await clock.advance(MINUTE)
            assert [kind for kind, _ in await told(store)] == ["asset.late", "asset.fresh"]

    async def test_a_success_that_waited_to_be_heard_of_after_the_clock_was_set_back_counts(
        self, clock, store
    ):
        """By its time it was finished before the one of before; it was delivered since, and so it is newer."""
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.advance(27 * MINUTE)
        clock.step(-100 * MINUTE)
        async with Runtime(shop(), store=store, clock=clock) as runtime:
            await runtime.materialize("orders")
        await clock.advance(5)
        async with Runtime(shop(), store=store, clock=clock, automate=True):
            await clock.settle()
            assert [kind for kind, _ in await told(store)] == ["asset.late", "asset.fresh"]

    async def test_a_value_of_the_future_is_not_fresh_for_ever(self, clock, store):
        """Its clock was wrong: it was finished when it was first heard of, over restarts as well."""
        clock.step(10_000 * MINUTE)
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            await runtime.materialize("orders")
            await clock.settle()
        clock.step(-10_000 * MINUTE)
        for _ in range(9):
            async with Runtime(shop(), store=store, clock=clock, automate=True):
                await clock.advance(3 * MINUTE)
        assert [kind for kind, _ in await told(store)] == ["asset.late"]


class _Faulty:
    """Calls of a store's automations, of which some fail before or after they have done something."""

    def __init__(self, automations, failing):
        self._automations = automations
        self._failing = failing

    def __getattr__(self, name):
        return getattr(self._automations, name)

    async def move(self, change):
        when = self._failing.pop(0) if self._failing else ""
        if when == "before":
            raise StoreUnavailable("the line is dead")
        moved = await self._automations.move(change)
        if when == "after":
            raise StoreUnavailable("the line went dead")
        if when == "crash":
            raise RuntimeError("a fault")
        return moved


class TestFaults:
    """The store goes away, and processes die, between any two things."""

    @pytest.mark.parametrize("when", ["before", "after", "crash"])
    async def test_a_change_whose_outcome_is_unknown_is_told_once(self, clock, when, caplog):
        """It was made or not: its record says so."""
        store = MemoryStore()
        await listen(store)
        failing = []
        store._automations = _Faulty(store._automations, failing)
        async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
            failing[:] = [when]
            await clock.advance(30 * MINUTE)
            failing[:] = [when]
            await runtime.materialize("orders")
            await clock.advance(MINUTE)
            failing[:] = ["", when]
            await clock.advance(60 * MINUTE)
            assert failing == []
            kinds = [kind for kind, _ in await told(store)]
            assert kinds == ["asset.late", "asset.fresh", "asset.late", "asset.overdue"]


async def until(condition):
    """Let threads get on that a virtual clock knows nothing of."""
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.001)


async def test_a_journal_has_what_was_told(clock, tmp_path):
    """So over its restarts nothing is told twice, or lost."""
    store = FileStore(tmp_path)

    async def has(*kinds):
        return [kind for kind, _ in await told(store)] == list(kinds)

    async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
        await listen(store)
        await runtime.materialize("orders")
        await until(lambda: _seen(store))
        await clock.advance(30 * MINUTE)
        await until(lambda: has("asset.late"))
    async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
        await runtime.materialize("orders")
        await until(lambda: has("asset.late", "asset.fresh"))
    await clock.advance(60 * MINUTE)
    async with Runtime(shop(), store=store, clock=clock, automate=True) as runtime:
        await until(lambda: has("asset.late", "asset.fresh", "asset.late", "asset.overdue"))


async def _seen(store):
    """Whether the success was taken notice of."""
    record = await store.automations.record(("sales", "freshness:orders"))
    return record is not None and "finished_at" in record.cursor


async def test_ten_thousand_assets_cost_one_timer(clock):
    """And nothing while nothing is due; those that are due come one after the other."""
    pipeline = Pipeline("sales")
    for number in range(10_000):

        async def orders() -> int:
            return 1

        pipeline.asset(name=f"orders_{number}", freshness=Freshness(within=MINUTE + number))(orders)

    @pipeline.asset
    async def other() -> int:
        return 1

    store = MemoryStore()
    await listen(store)
    async with Runtime(pipeline, store=store, clock=clock) as runtime:
        await clock.settle()
        timers = clock.timers
    async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
        await clock.settle()
        assert clock.timers == timers + 1
        await runtime.materialize(
            "other"
        )  # Of which it is told as well: that is cheaper than to look for each.
        await clock.settle()
        (follower,) = await store.deliveries.followers("sales")
        assert (follower.follower.assets, follower.pending) == (None, 0)
        await clock.advance(MINUTE + 4.5)
        assert [kind for kind, _ in await told(store)] == ["asset.late"] * 5
        assert clock.timers == timers + 1
        assert len(await runtime.automations()) == 10_000


class TestLate:
    """`runtime.late()`: all that is late, whoever watches."""

    @pytest.mark.parametrize("automate", [True, False])
    @pytest.mark.parametrize("kept", ["memory", "file", "database"])
    async def test_what_is_late_is_listed_with_since(self, clock, tmp_path, database, kept, automate):
        """The overdue first, then who has been late for longest; nothing that is fresh, or need not be."""
        pipeline = Pipeline("sales")
        for name, minutes in (("soon", 10), ("sooner", 5), ("early", 2), ("fresh", 100)):
            policy = Freshness(within=timedelta(minutes=minutes), overdue=timedelta(hours=minutes))

            @pipeline.asset(name=name, freshness=policy)
            async def watched() -> int:
                return 1

        @pipeline.asset
        async def other() -> int:
            return 1

        names = ("soon", "sooner", "early", "fresh", "other")
        url = {"memory": "memory://", "file": f"file://{tmp_path}/runs", "database": database}[kept]
        async with Runtime(pipeline, store=url, clock=clock, automate=automate) as runtime:
            for name in names:
                await runtime.materialize(name)
            assert list(await runtime.late()) == []
            began = {name: (await runtime.history(name))[0].finished_at for name in names}
            if kept == "memory":
                await clock.advance(121 * MINUTE)
            else:
                clock.step(121 * MINUTE)  # What waits for a disk or a database takes time of its own.
            late = [(each.asset, each.status, each.since) for each in await runtime.late()]
            assert late == [
                ("early", "overdue", began["early"] + timedelta(hours=2)),
                ("sooner", "late", began["sooner"] + timedelta(minutes=5)),
                ("soon", "late", began["soon"] + timedelta(minutes=10)),
                ("fresh", "late", began["fresh"] + timedelta(minutes=100)),
            ]
            assert (await runtime.late())[0] == await runtime.freshness("early")

    async def test_where_nothing_is_to_be_fresh_nothing_is_late(self):
        """And the store is not asked."""
        pipeline = Pipeline("sales")

        @pipeline.asset
        async def other() -> int:
            return 1

        async with Runtime(pipeline) as runtime:
            assert list(await runtime.late()) == []
