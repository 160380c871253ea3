"""`runtime.plan`: what would run and why, nothing executed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flowstone import Context, DailyPartitions, PartitionError, Pipeline, Runtime
from tests.runtime.doubles import UnreliableStore

WEEK = DailyPartitions("2025-01-01", "2025-01-07")


def daily(version=None, calls=None):
    """`raw` by day, `clean` by day, `total` over all days."""
    pipeline = Pipeline("daily")

    def note(name):
        if calls is not None:
            calls.append(name)

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        note("raw")
        return context.partition.day

    @pipeline.asset(partitions=WEEK, version=version)
    async def clean(raw: int) -> int:
        note("clean")
        return raw

    @pipeline.asset
    async def total(clean: dict) -> int:
        note("total")
        return sum(clean.values())

    return pipeline


async def test_nothing_is_executed_or_written():
    """A plan lists the steps in order and leaves no trace."""
    calls = []
    store = UnreliableStore()
    async with Runtime(daily(calls=calls), store=store) as runtime:
        plan = await runtime.plan("clean", partition="2025-01-03")
        assert [(step.asset, step.partition_key) for step in plan] == [
            ("raw", "d:2025-01-03"),
            ("clean", "d:2025-01-03"),
        ]
        assert calls == []
        assert store.writes == 0
        assert (plan.to_run, plan.to_reuse) == (2, 0)
        assert {step.action for step in plan} == {"run"}
        assert list(plan.steps) == list(plan)


async def test_a_partitioned_asset_without_a_partition_plans_a_backfill():
    """With the defaults of a backfill: this asset, reusing what exists."""
    async with Runtime(daily()) as runtime:
        await runtime.materialize("raw", partition="2025-01-02")
        plan = await runtime.plan("raw")
        assert len(plan) == 7
        assert [step.action for step in plan] == ["run", "reuse", "run", "run", "run", "run", "run"]
        assert "current value" in plan[1].because
        assert (plan.to_run, plan.to_reuse) == (6, 1)
        assert len(await runtime.plan("raw", start="2025-01-06")) == 2
        assert len(await runtime.plan("clean", partitions=["2025-01-01"], upstream=True)) == 2


@pytest.mark.parametrize("refresh", ["all", "missing", "stale"])
async def test_a_plan_is_what_the_run_then_does(refresh):
    """Whatever the refresh, the steps planned to run are those that run, the others are reused."""
    async with Runtime(daily()) as runtime:
        await runtime.backfill("clean", upstream=True, end="2025-01-05")
        await runtime.materialize_all("total", refresh="missing")
        await runtime.materialize("raw", partition="2025-01-02")
        await runtime.invalidate("clean", partition="2025-01-04")
        plan = await runtime.plan("total", refresh=refresh)
        result = await runtime.materialize_all("total", refresh=refresh)
        ran = {(m.asset, m.partition_key) for m in result.succeeded}
        reused = {(m.asset, m.partition_key) for m in result.reused}
        assert {(s.asset, s.partition_key) for s in plan if s.action == "run"} == ran
        assert {(s.asset, s.partition_key) for s in plan if s.action == "reuse"} == reused
        assert (plan.to_run, plan.to_reuse) == (len(ran), len(reused))


async def test_reasons_say_why():
    """No value, a changed upstream, a new code version."""
    store = UnreliableStore()
    async with Runtime(daily("1"), store=store) as runtime:
        plan = await runtime.plan("clean", partition="2025-01-01", refresh="stale")
        assert "no current value" in plan[0].because
        await runtime.materialize_all("clean", partition="2025-01-01")
        await runtime.materialize("raw", partition="2025-01-01")
        plan = await runtime.plan("clean", partition="2025-01-01", refresh="stale")
        assert plan[0].action == "reuse"
        assert "raw" in plan[1].because
        assert "changed" in plan[1].because
    async with Runtime(daily("2"), store=store) as runtime:
        plan = await runtime.plan("clean", partition="2025-01-01", refresh="stale")
        assert "code version" in plan[1].because


async def test_an_unpartitioned_asset_plans_everything_upstream():
    """As `materialize_all` would; `upstream=False` leaves the upstream out."""
    async with Runtime(daily()) as runtime:
        plan = await runtime.plan("total")
        assert len(plan) == 15
        assert (plan[-1].asset, plan[-1].partition) == ("total", None)
        assert len(await runtime.plan("total", upstream=False)) == 1
        with pytest.raises(PartitionError):
            await runtime.plan("raw", partition="2030-01-01")
        with pytest.raises(ValueError, match="refresh"):
            await runtime.plan("raw", refresh="never")


async def test_a_plan_shows_itself():
    """Its repr counts, its rich form lists."""
    async with Runtime(daily()) as runtime:
        plan = await runtime.plan("total")
        assert repr(plan) == "Plan(15 to run, 0 to reuse)"
        assert [step.asset for step in plan[:2]] == ["raw", "raw"]
        console = Console(record=True, width=120, file=io.StringIO())
        console.print(plan)
        assert "total" in console.export_text()


async def test_a_plan_over_very_many_partitions_is_lazy():
    """Steps are computed when they are read."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DailyPartitions("0100-01-01", "2737-12-01"))
    async def raw() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        plan = await runtime.plan("raw")
        assert len(plan) > 960_000
        assert plan[-1].partition_key == "d:2737-12-01"
