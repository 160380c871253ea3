"""`runtime.plan`: what would run and why, nothing executed."""

from __future__ import annotations

import io
from time import perf_counter

import pytest
from rich.console import Console

from flowstone import (
    Context,
    DailyPartitions,
    PartitionError,
    Pipeline,
    PlanOutdated,
    Runtime,
    StaticPartitions,
)
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


async def test_a_failure_is_a_reason_of_its_own():
    """With its message; one that has a value beside it is reused."""
    fails = []
    pipeline = Pipeline("failing")

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        if context.partition.day in fails:
            raise OSError("disk full")
        return context.partition.day

    async with Runtime(pipeline) as runtime:
        await runtime.backfill("raw", end="2025-01-02")
        fails += [2, 3]
        await runtime.backfill("raw", end="2025-01-03", refresh="all")
        plan = await runtime.plan("raw")
        assert [step.reason for step in plan] == ["fresh", "fresh", "failed", *["missing"] * 4]
        assert plan[2].because.startswith("its last attempt failed: OSError: disk full")
        assert plan.by_reason == {"fresh": 2, "failed": 1, "missing": 4}
        (asset,) = plan.by_asset
        assert (asset.to_run, asset.to_reuse) == (5, 2)
        assert asset.because == plan[2].because
        assert (await runtime.plan("raw", refresh="all")).by_reason == {"forced": 7}
        stale = await runtime.plan("raw", refresh="stale")
        assert stale.by_reason == {"fresh": 2, "failed": 1, "missing": 4}


async def test_how_long_it_takes_is_told_by_history(clock, background):
    """The median of each asset; a chain takes its length, and many steps as long as so many at a time do."""
    pipeline = Pipeline("slow")

    @pipeline.asset(partitions=WEEK)
    async def raw() -> int:
        await clock.sleep(10.0)
        return 1

    @pipeline.asset
    async def total(raw: dict) -> int:
        await clock.sleep(4.0)
        return 1

    async with Runtime(pipeline, clock=clock) as runtime:
        assert (await runtime.plan("total")).expected is None
        run = background(runtime.materialize_all("total"))
        while not run.done():
            await clock.advance(1.0)
        plan = await runtime.plan("total", max_parallel=2)
        assert [round(step.expected) for step in plan] == [10] * 7 + [4]
        assert round(plan.expected) == 37
        raw, total = plan.by_asset
        assert (round(raw.starts), round(raw.ends)) == (0, 35)
        assert (round(total.starts), round(total.ends)) == (10, 39)
        assert round((await runtime.plan("total")).expected) == 14
        reused = await runtime.plan("total", refresh="missing")
        assert (reused.expected, reused[0].expected) == (0.0, None)


@pytest.mark.parametrize("refresh", ["all", "missing", "stale"])
async def test_a_plan_is_run_as_it_is(refresh):
    """What it says is what runs."""
    async with Runtime(daily()) as runtime:
        await runtime.backfill("clean", upstream=True, end="2025-01-05")
        await runtime.materialize("raw", partition="2025-01-02")
        plan = await runtime.plan("total", refresh=refresh)
        run = await runtime.run_plan(plan, tags={"why": "because"})
        result = await run.wait()
        ran = {(m.asset, m.partition_key) for m in result.succeeded}
        assert {(s.asset, s.partition_key) for s in plan if s.action == "run"} == ran
        assert (await run.record()).tags == {"why": "because"}


async def test_a_plan_that_is_outdated_starts_nothing():
    """Values or definitions have changed; the error has the plan of now."""
    async with Runtime(daily("1")) as runtime:
        plan = await runtime.plan("clean", partition="2025-01-02", refresh="missing")
        await runtime.materialize("raw", partition="2025-01-02")
        before = len(await runtime.runs())
        with pytest.raises(PlanOutdated, match="2 steps would have run, now 1") as caught:
            await runtime.run_plan(plan)
        assert len(await runtime.runs()) == before
        run = await runtime.run_plan(caught.value.plan)
        assert [step.name for step in (await run.wait()).succeeded] == ["clean[2025-01-02]"]
        stale = await runtime.plan("clean", partition="2025-01-02", refresh="stale")
        assert stale.to_run == 0
        await runtime.reload(daily("2"))
        with pytest.raises(PlanOutdated):
            await runtime.run_plan(stale)
        await runtime.reload(Pipeline("empty"))
        with pytest.raises(PlanOutdated) as caught:
            await runtime.run_plan(stale)
        assert caught.value.plan is None


async def test_a_million_missing_partitions_are_planned_without_looking_at_each():
    """Nothing is as long as the plan."""
    pipeline = Pipeline("many")
    minutes = StaticPartitions([str(number) for number in range(1_000_000)])

    @pipeline.asset(partitions=minutes)
    async def raw() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        await runtime.plan("raw")
        began = perf_counter()
        plan = await runtime.plan("raw")
        took = perf_counter() - began
        assert (len(plan), plan.to_run, plan.by_reason) == (1_000_000, 1_000_000, {"missing": 1_000_000})
        assert plan[999_999].reason == "missing"
        assert took < 1.0


async def test_a_selection_is_read_by_the_definitions_of_now():
    """Upstream before downstream."""
    async with Runtime(daily()) as runtime:
        assert runtime.select("+total -clean") == ("raw", "total")
        await runtime.reload(Pipeline("empty"))
        assert runtime.select("*") == ()


async def test_a_plan_warns_of_steps_whose_inputs_have_no_value():
    """Unless they are part of it, or are there by now."""
    async with Runtime(daily()) as runtime:
        alone = await runtime.plan("clean", partition="2025-01-02", upstream=False)
        assert alone.warnings == ["1 step would fail: raw[2025-01-02] has no value."]
        many = await runtime.plan("clean", upstream=False)
        assert many.warnings[0].endswith(" more have no value.")
        assert (await runtime.plan("clean", partition="2025-01-02", upstream=True)).warnings == []
        await runtime.materialize("raw", partition="2025-01-02")
        assert (await runtime.plan("clean", partition="2025-01-02", upstream=False)).warnings == []


async def test_a_plan_says_that_an_asset_without_partitions_takes_any():
    """Which may be a slip of who asked."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def slow() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        (warning,) = (await runtime.plan("slow", partition="2026-11-01")).warnings
        assert warning.startswith("slow has no partition set, so it takes any partition")
        assert (await runtime.plan("slow")).warnings == []
