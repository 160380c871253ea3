"""Whatever happens in which order: in the end all is as somebody would have it who scans everything."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone import (
    Automation,
    DailyPartitions,
    LastPartitions,
    MonthlyPartitions,
    Output,
    Pipeline,
    Runtime,
)
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_view import PartitionView
from flowstone.testing.clock import VirtualClock

DAYS = DailyPartitions("2024-12-28", "2025-01-02")
MONTHS = MonthlyPartitions("2024-12-01", "2025-01-31")
EAGER = Automation.on_upstream_change()
AUTOMATED = ("clean", "window", "monthly", "total", "both")


def world(values):
    """Sources by day and without partitions; what follows from them by the day, by the last days, by the month."""
    pipeline = Pipeline("p")

    @pipeline.asset(partitions=DAYS)
    async def raw(context) -> Output:
        return Output(1, data_version=values.get(str(context.partition), "0"))

    @pipeline.asset
    async def rate() -> Output:
        return Output(1, data_version=values.get("rate", "0"))

    @pipeline.asset(partitions=DAYS, automation=EAGER)
    async def clean(raw: int, rate: int) -> int:
        return raw * rate

    @pipeline.asset(partitions=DAYS, mappings={"clean": LastPartitions(2)}, automation=EAGER)
    async def window(clean: dict[object, int]) -> int:
        return sum(clean.values())

    @pipeline.asset(partitions=MONTHS, automation=EAGER)
    async def monthly(clean: dict[object, int] = {}) -> int:  # noqa: B006 - never changed
        return sum(clean.values())

    @pipeline.asset(automation=EAGER)
    async def total(monthly: dict[object, int] = {}, rate: int = 0) -> int:  # noqa: B006 - as above
        return sum(monthly.values()) * rate

    @pipeline.asset(partitions=DAYS, automation=EAGER)
    async def both(window: int, clean: int) -> int:
        return window + clean

    return pipeline


def steps():
    """Days and `rate` whose value is computed anew, as this or that; or time that passes."""
    days = [str(day) for day in DAYS]
    made = st.tuples(st.sampled_from([*days[:3], "rate"]), st.sampled_from("abc"))
    return st.lists(st.one_of(made, st.sampled_from([0.01, 0.15, 2.0])), min_size=2, max_size=14)


async def due(runtime, clock):
    """What somebody would start who looks at every partition of every asset."""
    graph = runtime._started().snapshot.graph
    view, store = PartitionView(graph, clock.now()), runtime._started().store
    found = []
    for asset in AUTOMATED:
        for key in view.keys(asset):
            text = None if key is None else encode_partition(key)
            needed = {
                (dep.asset, None if each is None else encode_partition(each)): dep.optional
                for dep in graph.dependencies(asset)
                for each in view.upstream_keys(asset, dep.asset, key).keys
            }
            current = await store.current([(asset, text), *needed])
            if any(need not in current and not optional for need, optional in needed.items()):
                continue
            mine = current.get((asset, text))
            used = (
                {}
                if mine is None
                else {(i.asset, i.partition_key): i.data_version or i.run_id for i in mine.inputs}
            )
            there = {need: current[need] for need in needed if need in current}
            if any(used.get(need) != (now.data_version or now.run_id) for need, now in there.items()):
                found.append((asset, text))
    return found


@given(steps())
@settings(max_examples=25, deadline=None)
def test_in_the_end_nothing_is_due(taken):
    """And nothing was started without need: a partition at most once for each change, and once more."""
    values = {}

    async def live():
        clock = VirtualClock()
        async with Runtime(world(values), clock=clock, automate=True) as runtime:
            await clock.advance(1)
            changes = 0
            for step in taken:
                if isinstance(step, float):
                    await clock.advance(step)
                    continue
                name, values[name] = step[0], step[1]
                changes += 1
                partition = {} if name == "rate" else {"partition": name}
                await runtime.materialize("rate" if name == "rate" else "raw", **partition)
            await clock.advance(20)
            assert await due(runtime, clock) == []
            for asset in AUTOMATED:
                runs = await runtime.runs(tag=f"automation={asset}", limit=1_000)
                for key in {key for run in runs for key in run.request.keys}:
                    assert sum(key in run.request.keys for run in runs) <= changes + 1
            before = len(await runtime.runs(limit=1_000))
            await clock.advance(600)
            assert len(await runtime.runs(limit=1_000)) == before

    asyncio.run(live())
