"""Numbers of things in messages: one of them is one thing."""

from __future__ import annotations

import pytest

from flowstone import DynamicPartitions, MemoryIO, Pipeline, RunFailed, Runtime, StaticPartitions, materialize
from flowstone.counting import are, count, count_of
from flowstone.errors import DefinitionError
from flowstone.runs.item_values import PackedValues
from flowstone.runs.items import ENDED, ItemTable
from flowstone.runs.packed import Packed
from flowstone.runs.records import Status


def test_one_is_one_thing():
    """And large numbers have their commas."""
    assert [count(number, "step") for number in (0, 1, 2, 1_461)] == [
        "0 steps",
        "1 step",
        "2 steps",
        "1,461 steps",
    ]
    assert (count_of(1, 1, "item"), count_of(2, 4_000, "item")) == ("1 of 1 item", "2 of 4,000 items")
    assert (are(1), are(2), are(0)) == ("is", "are", "are")


def single():
    """A pipeline with one asset."""
    pipeline = Pipeline("one")

    @pipeline.asset
    def only() -> int:
        raise ValueError("no")

    return pipeline


def items():
    """A sequence of one item."""
    table = ItemTable()
    table.values = Packed()
    table.end(0, ENDED[Status.SUCCEEDED], 1)
    table.values.put(0, 5)
    table.values.pack()
    return PackedValues(table)


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        (single(), "Pipeline('one', 1 asset)"),
        (single().graph, "AssetGraph(1 asset: only)"),
        (Runtime(single()), "<Runtime 1 asset, not running>"),
        (StaticPartitions(["eu"]).between("eu", "eu"), "1 key"),
        (DynamicPartitions("customers"), "DynamicPartitions('customers')"),
        (MemoryIO(), "MemoryIO(0 values)"),
        (items(), "<1 item>"),
    ],
    ids=repr,
)
def test_a_repr_of_one(what, shown):
    """Whatever it is of."""
    assert shown in repr(what)


async def test_errors_of_one():
    """A run of one step, a pool of one slot, an index beyond one item."""
    with pytest.raises(RunFailed, match=r": 1 of 1 step failed"):
        await materialize(single().assets["only"])
    pipeline = single()
    pipeline.pool("warehouse", slots=1)
    with pytest.raises(DefinitionError, match=r"it asks for 2 slots of the pool 'warehouse', which has 1 \("):
        pipeline.asset(lambda: 1, name="wide", pool={"warehouse": 2})
    other = Pipeline("other")
    other.pool("warehouse", slots=3)
    with pytest.raises(DefinitionError, match=r"has 1 slot at .* and 3 at"):
        pipeline.include(other)
    with pytest.raises(IndexError, match="there is 1 item, so none at 4"):
        items()[4]
    with pytest.raises(IndexError, match=r"position 3 of 1 partition key$"):
        StaticPartitions(["eu"]).between("eu", "eu")[3]
