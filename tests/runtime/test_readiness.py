"""Steps whose mapping reaches before the first partition: what is said when they run, and before."""

from __future__ import annotations

import pytest

from flowstone import (
    DailyPartitions,
    DependencyNotReady,
    LastPartitions,
    MonthlyPartitions,
    Pipeline,
    Rollup,
    RunFailed,
    Runtime,
    TimeOffset,
)

DAYS = DailyPartitions("2025-01-01", "2025-01-03")


def chained() -> Pipeline:
    """Two assets, of which `change` needs the day before of `raw`."""
    pipeline = Pipeline("chained")

    @pipeline.asset(partitions=DAYS)
    async def raw() -> int:
        return 1

    async def required(raw: int) -> int:
        return raw

    async def optional(raw: int | None = None) -> int:
        return 0 if raw is None else raw

    async def bare() -> int:
        return 0

    for function in (required, optional):
        pipeline.asset(partitions=DAYS, mappings={"raw": TimeOffset(days=-1)})(function)
    pipeline.asset(partitions=DAYS, deps=["raw"], mappings={"raw": TimeOffset(days=-1)})(bare)
    return pipeline


@pytest.mark.parametrize("upstream", [True, False])
async def test_the_first_day_says_what_helps(upstream):
    """A default does; to materialize upstream, which the error does not ask for, never would."""
    async with Runtime(chained()) as runtime:
        with pytest.raises((DependencyNotReady, RunFailed)) as caught:
            if upstream:
                await runtime.materialize_all("required", partition="2025-01-01")
            else:
                await runtime.materialize("required", partition="2025-01-01")
        said = str(caught.value)
        assert "2025-01-01 leads by TimeOffset(days=-1) to no partition of 'raw'" in said
        assert "which has 2025-01-01 to 2025-01-03: give the parameter 'raw' a default" in said
        assert "Materialize upstream first" not in said
        assert "no such partition" not in said
        if not upstream:
            assert caught.value.missing == ("raw[none for 2025-01-01]",)
        await runtime.materialize("optional", partition="2025-01-01")
        assert await runtime.load("optional", partition="2025-01-01") == 0


async def test_a_dependency_without_a_parameter_has_another_remedy():
    """There is nothing to give a default to."""
    async with Runtime(chained()) as runtime:
        with pytest.raises(DependencyNotReady, match="let the partitions of 'raw' begin earlier"):
            await runtime.materialize("bare", partition="2025-01-01")


async def test_what_is_missing_and_what_cannot_be_there_are_told_apart():
    """Both sentences, where a step lacks both."""
    pipeline = chained()

    @pipeline.asset(partitions=DAYS)
    async def other() -> int:
        return 1

    @pipeline.asset(partitions=DAYS, mappings={"raw": TimeOffset(days=-1)})
    async def both(raw: int, other: int) -> int:
        return raw + other

    async with Runtime(pipeline) as runtime:
        with pytest.raises(DependencyNotReady) as caught:
            await runtime.materialize("both", partition="2025-01-01")
        assert caught.value.missing == ("other[2025-01-01]", "raw[none for 2025-01-01]")
        assert "other[2025-01-01] has no value. Materialize upstream first" in str(caught.value)
        assert "give the parameter 'raw' a default" in str(caught.value)


@pytest.mark.parametrize("refresh", ["missing", "all", "stale"])
async def test_a_plan_says_it_beforehand(refresh):
    """The step that would fail is named with its reason; the others are as ever."""
    async with Runtime(chained()) as runtime:
        planned = await runtime.plan("required", refresh=refresh)
        reasons = {step.partition_key: step.because for step in planned}
        assert reasons["d:2025-01-01"].startswith("it would fail: 2025-01-01 leads by TimeOffset(days=-1)")
        assert "give the parameter 'raw' a default" in reasons["d:2025-01-01"]
        assert not any("fail" in reason for key, reason in reasons.items() if key != "d:2025-01-01")
        for name in ("optional", "required"):
            steps = await runtime.plan(name, partition="2025-01-02", upstream=True)
            assert not any("fail" in step.because for step in steps)


async def test_mappings_to_several_keys_need_none():
    """A window or a roll-up before the first partition is an empty dict, and no failure."""
    pipeline = Pipeline("windows")

    @pipeline.asset(partitions=DailyPartitions("2025-02-01", "2025-02-03"))
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=DAYS, mappings={"raw": LastPartitions(2)})
    async def window(raw: dict) -> int:
        return len(raw)

    @pipeline.asset(partitions=MonthlyPartitions("2025-01", "2025-02"), mappings={"raw": Rollup()})
    async def month(raw: dict) -> int:
        return len(raw)

    async with Runtime(pipeline) as runtime:
        for name, key in (("window", "2025-01-01"), ("month", "2025-01")):
            (step,) = await runtime.plan(name, partition=key, upstream=True)
            assert "fail" not in step.because
            await runtime.materialize(name, partition=key)
            assert await runtime.load(name, partition=key) == 0
