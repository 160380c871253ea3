"""`runtime.lineage`: what came from what, transitively and at partition level."""

from __future__ import annotations

from datetime import date

import pytest

from flowstone import Context, DailyPartitions, MemoryIO, PartitionError, Pipeline, Runtime
from flowstone.store.memory import MemoryStore

WEEK = DailyPartitions("2025-01-01", "2025-01-03")


def diamond():
    """`a` feeds `b` and `c`, which feed `d`; `e` comes after `d`."""
    pipeline = Pipeline()

    @pipeline.asset
    async def a() -> int:
        return 1

    @pipeline.asset
    async def b(a: int) -> int:
        return a

    @pipeline.asset
    async def c(a: int) -> int:
        return a

    @pipeline.asset
    async def d(b: int, c: int) -> int:
        return b + c

    @pipeline.asset(deps=["d", "a"])
    async def e() -> int:
        return 1

    return pipeline


def shown(entries):
    return [(entry.asset, entry.depth) for entry in entries]


async def test_upstream_and_downstream_are_transitive():
    """Nearest first, each once, with the shortest distance as its depth."""
    async with Runtime(diamond()) as runtime:
        await runtime.materialize_all("e")
        assert shown(await runtime.lineage.upstream("e")) == [("d", 1), ("a", 1), ("b", 2), ("c", 2)]
        assert shown(await runtime.lineage.downstream("a")) == [("b", 1), ("c", 1), ("e", 1), ("d", 2)]
        assert shown(await runtime.lineage.upstream("a")) == []
        assert shown(await runtime.lineage.downstream("e")) == []


async def test_impact_is_in_the_order_of_computing():
    """Everything downstream, none before what it was computed from."""
    async with Runtime(diamond()) as runtime:
        await runtime.materialize_all("e")
        assert [entry.asset for entry in await runtime.lineage.impact("a")] == ["b", "c", "d", "e"]


async def test_running_again_adds_no_second_edge():
    """Entries do not multiply, and edges follow the newest value."""
    async with Runtime(diamond()) as runtime:
        for _ in range(3):
            await runtime.materialize_all("e")
        assert len(await runtime.lineage.upstream("e")) == 4
        assert len(await runtime.lineage.downstream("a")) == 4


async def test_what_was_never_computed_has_no_lineage():
    """Lineage is of values, not of definitions; an invalidated value has none."""
    async with Runtime(diamond()) as runtime:
        assert await runtime.lineage.upstream("d") == []
        await runtime.materialize_all("d")
        await runtime.invalidate("d")
        assert await runtime.lineage.upstream("d") == []
        assert shown(await runtime.lineage.downstream("b")) == []


async def test_lineage_is_by_partition():
    """Each entry says which partition; a dependency over several keys has an entry for each."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=WEEK)
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset
    async def total(clean: dict) -> int:
        return sum(clean.values())

    async with Runtime(pipeline) as runtime:
        await runtime.materialize_all("total")
        entries = await runtime.lineage.upstream("total")
        assert [(e.asset, e.partition, e.depth) for e in entries] == [
            *(("clean", date(2025, 1, day), 1) for day in (1, 2, 3)),
            *(("raw", date(2025, 1, day), 2) for day in (1, 2, 3)),
        ]
        down = await runtime.lineage.downstream("raw", partition="2025-01-02")
        assert [(e.asset, e.partition_key, e.depth) for e in down] == [
            ("clean", "d:2025-01-02", 1),
            ("total", None, 2),
        ]
        with pytest.raises(PartitionError):
            await runtime.lineage.upstream("raw")
        with pytest.raises(PartitionError):
            await runtime.lineage.downstream("raw", partition="2026-01-01")


async def test_a_value_is_not_its_own_lineage():
    """Even where an asset that was renamed closes a circle of recorded inputs, each step is named once."""
    store, io = MemoryStore(), {"default": MemoryIO()}
    first, second = Pipeline(), Pipeline()

    @first.asset(name="a")
    async def source() -> int:
        return 1

    @first.asset(name="b")
    async def copy(a: int) -> int:
        return a

    @second.asset(name="b")
    async def new_source() -> int:
        return 1

    @second.asset(name="a")
    async def new_copy(b: int) -> int:
        return b

    async with Runtime(first, store=store, io=io) as runtime:
        await runtime.materialize_all("b")
    async with Runtime(second, store=store, io=io) as runtime:
        await runtime.materialize("a")
        assert shown(await runtime.lineage.upstream("a")) == [("b", 1)]
        assert shown(await runtime.lineage.downstream("a")) == [("b", 1)]


async def test_an_input_that_is_used_no_more_leaves_the_lineage():
    """An optional input that had no value is no edge; once it has one, the next value has the edge."""
    pipeline = Pipeline()

    @pipeline.asset
    async def rate() -> float:
        return 2.0

    @pipeline.asset
    async def price(rate: float = 1.0) -> float:
        return rate

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("price")
        assert await runtime.lineage.upstream("price") == []
        await runtime.materialize("rate")
        await runtime.materialize("price")
        assert shown(await runtime.lineage.upstream("price")) == [("rate", 1)]
        await runtime.invalidate("rate")
        await runtime.materialize("price")
        assert await runtime.lineage.upstream("price") == []
        assert await runtime.lineage.downstream("rate") == []
