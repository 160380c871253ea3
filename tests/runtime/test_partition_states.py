"""`runtime.partition_states`: what has become of all partitions, in one question."""

from __future__ import annotations

from flowstone import DailyPartitions, Pipeline, Runtime, Skip, StaticPartitions, Status
from flowstone.runs.partition_states import counts_of, states_of

DAYS = DailyPartitions("2025-01-01", "2025-01-05")


def shop() -> Pipeline:
    pipeline = Pipeline("shop")
    pipeline.value("rate", 3)

    @pipeline.asset(partitions=DAYS)
    async def visits(context) -> int:
        if context.partition.day == 2:
            raise OSError("no file")
        if context.partition.day == 3:
            raise Skip("closed")
        return 1

    @pipeline.asset(partitions=DAYS)
    async def orders() -> int:
        return 1

    @pipeline.asset(partitions=StaticPartitions(["eu", "us"]))
    async def regions() -> int:
        return 1

    @pipeline.asset
    async def report() -> int:
        return 1

    return pipeline


async def test_each_partition_has_a_status_in_the_order_of_its_set():
    """As `status` says it of each, without asking for each."""
    async with Runtime(shop()) as runtime:
        await runtime.backfill("visits", end="2025-01-04")
        await runtime.materialize("regions", partition="us")
        states = await runtime.partition_states()
        assert list(states) == list(runtime.graph.order())
        visits = states["visits"]
        assert visits.keys == tuple(f"d:2025-01-0{day}" for day in range(1, 6))
        said = [await runtime.status("visits", partition=day) for day in DAYS]
        assert [visits[place] for place in range(len(visits))] == said
        assert visits.spans == [
            (Status.SUCCEEDED, 0, 1),
            (Status.FAILED, 1, 1),
            (Status.SKIPPED, 2, 1),
            (Status.SUCCEEDED, 3, 1),
            (Status.NEVER, 4, 1),
        ]
        assert visits.counts == {
            Status.SUCCEEDED: 2,
            Status.FAILED: 1,
            Status.SKIPPED: 1,
            Status.NEVER: 1,
        }
        assert visits.latest_of(Status.SUCCEEDED, 1) == ["d:2025-01-04"]
        assert visits.latest_of(Status.SUCCEEDED, 9) == ["d:2025-01-04", "d:2025-01-01"]
        assert visits.latest_of(Status.RUNNING, 9) == []
        assert [states[name].codes for name in ("orders", "regions", "report", "rate")] == [
            bytes([0] * 5),
            bytes([0, 4]),
            bytes([0]),
            bytes([4]),
        ]


async def test_they_are_counted():
    """Each partition once; what has failed since has a value all the same."""
    async with Runtime(shop()) as runtime:
        await runtime.backfill("visits", end="2025-01-04")
        counts = await runtime.partition_counts()
        states = await runtime.partition_states()
        assert {name: each.counts for name, each in counts.items()} == {
            name: each.counts for name, each in states.items()
        }
        assert (counts["visits"].have, counts["visits"].total) == (2, 5)
        assert (counts["rate"].have, counts["report"].total) == (1, 1)
        known = {Status.SUCCEEDED: (3, 3), Status.FAILED: (2, 1), Status.SKIPPED: (1, 1)}
        since = counts_of("one", 6, known)
        assert (since.have, since.counts) == (
            3,
            {Status.SUCCEEDED: 2, Status.FAILED: 2, Status.NEVER: 2},
        )


async def test_only_the_latest_are_asked_for():
    """Of each asset; how many there are in all is said."""
    async with Runtime(shop()) as runtime:
        await runtime.backfill("visits")
        (visits,) = (await runtime.partition_states("visits", latest=2)).values()
        assert (visits.keys, visits.total) == (("d:2025-01-04", "d:2025-01-05"), 5)
        assert visits.counts == {Status.SUCCEEDED: 2}


def test_what_is_said_later_counts():
    """Keys that stand nowhere are left out."""
    known = [(Status.SUCCEEDED, ["a", "b", "z"]), (Status.FAILED, ["b"])]
    states = states_of("one", {"a": 0, "b": 1, "c": 2}, known, 3, {})
    assert [states[place] for place in range(3)] == [Status.SUCCEEDED, Status.FAILED, Status.NEVER]
