"""Parameters that take whatever became of an upstream step."""

from __future__ import annotations

import pytest

from flowstone import (
    AllPartitions,
    Context,
    DefinitionError,
    Outcome,
    Pipeline,
    RunFailed,
    Skip,
    StaticPartitions,
    TypeMismatch,
    ValueNotFound,
)

KEYS = StaticPartitions(["good", "bad", "none"])


def branches():
    """Three branches that end differently, one behind them that is skipped, and what joins them all."""
    pipeline = Pipeline("branches")
    pipeline.works = False

    @pipeline.asset
    async def good() -> int:
        return 1

    @pipeline.asset
    async def bad() -> int:
        if pipeline.works:
            return 2
        raise ValueError("no answer")

    @pipeline.asset
    async def none() -> int:
        if pipeline.works:
            return 3
        raise Skip("nothing today")

    @pipeline.asset
    async def behind(bad: int) -> int:
        return bad

    @pipeline.asset
    async def after(none: int) -> int:
        return none

    @pipeline.asset
    def join(
        good: Outcome[int],
        bad: Outcome[int],
        none: Outcome[int],
        behind: Outcome[int],
        after: Outcome,
    ) -> list[tuple]:
        found = [good, bad, none, behind, after]
        with pytest.raises(ValueNotFound, match=r"bad has no value, it is failed: ValueError: no answer"):
            print(bad.value)
        return [
            (each.status, each.ok, each.value if each.ok else each.reason, each.failure and each.failure.kind)
            for each in found
        ]

    @pipeline.asset
    async def end(join: list) -> int:
        return len(join)

    return pipeline


async def test_it_runs_whatever_became_of_the_branches(place):
    pipeline = branches()
    async with place.runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("end")
        result = caught.value.result
        assert await result.value() == 5
        assert [tuple(each) for each in await result.value("join")] == [
            ("succeeded", True, 1, None),
            ("failed", False, "ValueError: no answer", "error"),
            ("skipped", False, "nothing today", None),
            ("skipped", False, "Skipped because bad failed.", None),
            ("skipped", False, "Skipped because none was skipped by choice.", None),
        ]
        record = (await runtime.history("join"))[0]
        assert [item.asset for item in record.inputs] == ["good"]


async def test_a_value_of_an_earlier_run_is_no_outcome_of_this_one(place):
    pipeline = branches()

    @pipeline.asset
    async def told(bad: Outcome[int]) -> str:
        return f"{bad.status} {bad.value if bad.ok else ''}"

    async with place.runtime(pipeline) as runtime:
        pipeline.works = True
        assert await (await runtime.materialize_all("told")).value() == "succeeded 2"
        result = await runtime.materialize_all("told", refresh="missing")
        assert len(result.reused) == 2
        await runtime.invalidate("told")
        assert await (await runtime.materialize_all("told", refresh="missing")).value() == "reused 2"
        pipeline.works = False
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("told")
        assert await caught.value.result.value() == "failed "
        await runtime.materialize("told")
        assert await runtime.load("told") == "succeeded 2"
        await runtime.invalidate("bad")
        await runtime.materialize("told")
        assert await runtime.load("told") == "never "


async def test_partitions_and_constants(place):
    pipeline = Pipeline("partitions")
    pipeline.value("limit", 3)

    @pipeline.asset(partitions=KEYS)
    async def raw(context: Context) -> str:
        if context.partition == "bad":
            raise ValueError("no")
        if context.partition == "none":
            raise Skip("nothing")
        return context.partition

    @pipeline.asset(partitions=KEYS)
    async def joined(raw: Outcome[str], limit: Outcome[int]) -> str:
        return f"{raw.name} {raw.status} {limit.value}"

    async with place.runtime(pipeline) as runtime:
        result = await runtime.backfill("joined", upstream=True)
        found = [await result.value("joined", partition=key) for key in ("good", "bad", "none")]
        assert found == ["raw[good] succeeded 3", "raw[bad] failed 3", "raw[none] skipped 3"]


def test_what_is_refused():
    """Types that cannot fit, an outcome of many steps, and items of an outcome."""
    pipeline = Pipeline("refused")

    @pipeline.asset(partitions=KEYS)
    async def raw(context: Context) -> str:
        return "a"

    @pipeline.asset(mappings={"raw": AllPartitions()})
    async def total(raw: Outcome[str]) -> int:
        return 1

    with pytest.raises(
        DefinitionError, match=r"takes the Outcome of 'raw', of which it needs many partitions"
    ):
        print(pipeline.graph)
    pipeline = Pipeline("refused")

    @pipeline.asset
    async def number() -> int:
        return 1

    with pytest.raises(DefinitionError, match="an Outcome has none"):

        @pipeline.asset(each="number")
        async def item(number: Outcome[int]) -> int:
            return 1

    @pipeline.asset
    async def text(number: Outcome[str]) -> int:
        return 1

    with pytest.raises(TypeMismatch):
        print(pipeline.graph)
