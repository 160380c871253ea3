"""Inputs that the run itself has just computed are not asked for; all others are."""

from __future__ import annotations

from datetime import date

import pytest

from flowstone import DailyPartitions, Pipeline, Runtime
from flowstone.runtime.services.recent_successes import RecentSuccesses
from flowstone.store.memory import MemoryStore
from tests.store.facts import record

DAYS = DailyPartitions(date(2025, 1, 1), date(2025, 1, 5))


class AskedStore(MemoryStore):
    """A store that says for what it was asked what is current."""

    def __init__(self):
        super().__init__()
        self.asked = []

    async def current(self, keys):
        keys = list(keys)
        self.asked += [asset for asset, _ in keys]
        return await super().current(keys)


def made(value):
    """Assets raw → clean → report, by day."""
    pipeline = Pipeline("p")

    @pipeline.asset(partitions=DAYS)
    def raw():
        return value

    @pipeline.asset(partitions=DAYS)
    def clean(raw):
        return raw + 1

    @pipeline.asset(partitions=DAYS)
    def report(clean, raw):
        return clean + raw

    return pipeline


async def test_a_run_does_not_ask_for_what_it_computed():
    """Neither for one step nor for the other; another run asks for what it did not compute."""
    store = AskedStore()
    async with Runtime(made(1), store=store) as runtime:
        await runtime.backfill("report", upstream=True, refresh="all")
        assert "clean" not in store.asked
        assert "raw" not in store.asked
        await runtime.materialize("report", partition=date(2025, 1, 3))
        assert {"clean", "raw"} <= set(store.asked)
        assert await runtime.load("report", partition=date(2025, 1, 3)) == 3


@pytest.mark.parametrize("version", [None, "v"])
def test_only_the_newest_are_known(version):
    """The oldest go first, and what the store puts in other words is not kept at all."""
    recent = RecentSuccesses(most=3)
    made = [record("a", str(number), location=f"l{number}", data_version=version) for number in range(5)]
    for each in made:
        recent.add(each)
    recent.add(record("a", "x"))
    recent.add(record("a", "y", location="l", data_version=7))
    keys = [("a", str(number)) for number in range(5)] + [("a", "x"), ("a", "y")]
    assert recent.of("run-1", keys) == {("a", each.partition_key): each for each in made[2:]}
    assert recent.of("run-2", keys) == {}
