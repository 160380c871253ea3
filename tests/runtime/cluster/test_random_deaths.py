"""Nodes that stop, die, come back and join at random instants: a backfill ends once and as it should."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone import Context, DailyPartitions, Pipeline
from flowstone.testing.clock import VirtualClock
from tests.runtime.cluster.scene import LEASE, Town

NAMES = ("a", "b", "c")
MAX_PARALLEL = 3

steps = st.lists(
    st.tuples(
        st.sampled_from(["freeze", "cut", "mend", "leave", "join", "wait"]),
        st.integers(0, len(NAMES) - 1),
        st.sampled_from([0.1, 1.0, 5.0, LEASE, LEASE + 2.0]),
    ),
    max_size=12,
)


class Village(Town):
    """Nodes that compute for a while, and a gauge of how many steps run on nodes that are well.

    Attributes:
        most: The largest number that ran at once.
        double: Steps that ran twice at once on nodes that were well.
    """

    def __init__(self, clock):
        super().__init__(clock)
        self.running = Counter()
        self.most = 0
        self.names = list(NAMES)

    def pipeline(self, node):
        pipeline = Pipeline("village")

        async def work(context):
            store = self.stores[node]
            if store._broken is None:
                self.running[store] += 1
                self.most = max(self.most, sum(n for s, n in self.running.items() if s._broken is None))
            try:
                await self.clock.sleep(2.0)
            finally:
                self.running[store] = max(0, self.running[store] - 1)

        @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-09"))
        async def raw(context: Context) -> int:
            await work(context)
            return context.partition.day

        @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-09"))
        async def clean(context: Context, raw: int) -> int:
            await work(context)
            return raw * 10

        return pipeline

    async def happens(self, what, number):
        name = self.names[number]
        if what == "leave":
            self.stores[name].mend()
            await self.leave(name)
            self.names[number] = name + "'"
            await self.node(self.names[number], lost_attempts=100)
        elif what == "join" and len(self.stores) < 8:
            self.names[number] = name + "+"
            await self.node(self.names[number], lost_attempts=100)
        elif what in {"freeze", "cut", "mend"}:
            getattr(self.stores[name], what)()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_a_backfill_survives_whatever_happens_to_its_nodes(happenings):
    """Each step succeeds once, with a value that can be loaded; never do more run at a time than it says."""
    asyncio.run(live(happenings))


async def live(happenings):
    clock = VirtualClock()
    async with Village(clock) as village:
        for name in NAMES:
            await village.node(name, lost_attempts=100)
        command = await village.node("command", worker=False)
        run = await command.submit_backfill("clean", upstream=True, max_parallel=MAX_PARALLEL)
        for what, number, wait in happenings:
            await village.happens(what, number)
            await clock.advance(wait)
        for store in village.stores.values():
            store.mend()
        await village.until(lambda: village.status(run.id) != "running", 600, 1.0)
        result = await village.outcome(run.wait(), 30)
        assert len(result.succeeded) == 18
        assert set(village.successes(run.id).values()) == {1}
        for record in result.succeeded:
            expected = record.partition.day * (10 if record.asset == "clean" else 1)
            assert await result.value(record.asset, partition=record.partition) == expected
        assert village.shared.most_leases <= MAX_PARALLEL
        assert village.most <= MAX_PARALLEL
        await clock.advance(2.0)
        assert village.shared.leases == {}
        for name in village._entered:
            assert (await village.runtimes[name].health()).steps == 0
