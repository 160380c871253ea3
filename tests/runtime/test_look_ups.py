"""How often a run asks Postgres what is current: not once for each step."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from flowstone import Context, DailyPartitions, Pipeline, Runtime, TimeOffset
from flowstone.store.postgres import database as connections
from flowstone.store.postgres.sql import query

FIRST = date(2025, 1, 1)
MANY = 60
DAYS = DailyPartitions(FIRST, FIRST + timedelta(MANY - 1))


@pytest.fixture
def asked(monkeypatch):
    """How often each statement was sent, by name."""
    counts = Counter()
    fetch = connections.Database.fetch_counting

    async def counting(database, name, *arguments):
        counts[name] += 1
        assert query(name)
        return await fetch(database, name, *arguments)

    monkeypatch.setattr(connections.Database, "fetch_counting", counting)
    return counts


def bank(computed):
    """`balance` of a day is that of the day before and the day's payments; `total` takes in all of them."""
    pipeline = Pipeline("bank")

    @pipeline.asset(partitions=DAYS)
    async def payments(context: Context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=DAYS, mappings={"balance": TimeOffset(days=-1)})
    async def balance(payments: int, context: Context, balance: int = 0) -> int:
        computed.append(context.partition)
        return balance + payments

    @pipeline.asset(partitions=DAYS)
    async def report(balance: int) -> str:
        return f"{balance} NOK"

    @pipeline.asset
    async def total(payments: dict[date, int]) -> int:
        return sum(payments.values())

    return pipeline


@pytest.mark.parametrize("refresh", ["missing", "stale"])
async def test_a_chain_that_is_reused_is_looked_up_in_batches(database, asked, refresh):
    """The first few looks tell that it is worth looking ahead."""
    computed = []
    async with Runtime(bank(computed), store=database) as runtime:
        await runtime.backfill("report", upstream=True)
        assert len(computed) == MANY
        asked.clear()
        result = await runtime.backfill("report", upstream=True, refresh=refresh)
        assert len(result.reused) == 3 * MANY
        assert len(computed) == MANY
        assert asked["current"] < MANY // 3


async def test_what_has_to_be_computed_in_the_middle_of_a_chain_is(database, asked):
    """What follows it is looked at again, and is reused: the value is what it was."""
    computed = []
    async with Runtime(bank(computed), store=database) as runtime:
        await runtime.backfill("report", upstream=True)
        computed.clear()
        await runtime.invalidate("balance", partition="2025-02-20")
        result = await runtime.backfill("report", upstream=True, refresh="missing")
        assert computed == [date(2025, 2, 20)]
        assert (len(result.reused), len(result.succeeded)) == (3 * MANY - 1, 1)
        await runtime.invalidate("balance", partition="2025-02-20")
        computed.clear()
        asked.clear()
        await runtime.backfill("report", upstream=True, refresh="stale")
        assert computed == [date(2025, 2, 20)]
        assert asked["current"] < MANY // 2
        assert await runtime.load("report", partition="2025-03-01") == "903 NOK"


async def test_a_preview_of_what_is_stale_asks_for_many_steps_at_a_time(database, asked):
    """Each step depends on what was found of those before it, but not on what is asked."""
    async with Runtime(bank([]), store=database) as runtime:
        await runtime.backfill("report", upstream=True)
        await runtime.invalidate("balance", partition="2025-02-27")
        asked.clear()
        plan = await runtime.plan("report", partitions=list(DAYS), upstream=True, refresh="stale")
        stale = {(step.asset, step.partition) for step in plan if step.action == "run"}
        days = [date(2025, 2, 27) + timedelta(n) for n in range(3)]
        assert stale == {(asset, day) for asset in ("balance", "report") for day in days}
        assert asked["current"] <= 2


async def test_inputs_that_the_run_has_reused_are_looked_up_at_once(database, asked):
    """They are another run's, so the run asks what itself has of them."""
    async with Runtime(bank([]), store=database) as runtime:
        await runtime.backfill("payments")
        asked.clear()
        result = await runtime.materialize_all("total", refresh="missing")
        assert await result.value() == sum(day.day for day in DAYS)
        assert asked["step"] <= 2
        assert asked["payload"] < 10
