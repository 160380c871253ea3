"""Parameters that take whatever became of an upstream step."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from flowstone import (
    AllPartitions,
    Context,
    DailyPartitions,
    DefinitionError,
    Each,
    Outcome,
    Pipeline,
    RunFailed,
    Skip,
    StaticPartitions,
    TimeOffset,
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
        with pytest.raises(ValueNotFound, match=r"bad has no value: it failed: ValueError: no answer"):
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
        result = await runtime.materialize_all("end")
        assert (result.status, len(result.failed), await result.value()) == ("succeeded", 1, 5)
        assert [step.name for step in result.failed] == ["bad"]
        assert {step.name for step in result.skipped} == {"none", "behind", "after"}
        assert [tuple(each) for each in await result.value("join")] == [
            ("succeeded", True, 1, None),
            ("failed", False, "ValueError: no answer", "error"),
            ("skipped", False, "nothing today", None),
            ("skipped", False, "Skipped because bad failed.", None),
            ("skipped", False, "Skipped because none was skipped by choice.", None),
        ]
        record = (await runtime.history("join"))[0]
        assert [item.asset for item in record.inputs] == ["good"]


@pytest.mark.parametrize("target", ["bad", "behind", "needs", "joins_and_needs"])
async def test_a_failure_that_reaches_what_was_asked_for_fails_the_run(place, target):
    """Though an outcome of it is taken as well."""
    pipeline = branches()

    @pipeline.asset
    async def needs(join: list, behind: int = 0) -> int:
        return behind

    @pipeline.asset
    async def joins_and_needs(join: list, needs: int) -> int:
        return needs

    async with place.runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all(target)
        result = caught.value.result
        assert result.status == "failed"
        assert [step.name for step in result.failed] == ["bad"]


async def test_the_error_counts_the_failures_that_made_the_run_fail(place):
    """One that everything takes as an outcome is told of as tolerated, also by the handle of a run."""
    pipeline = branches()

    @pipeline.asset
    async def fatal(join: list) -> int:
        raise KeyError("gone")

    @pipeline.asset
    async def report(fatal: int) -> int:
        return fatal

    async with place.runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("report")
        with pytest.raises(RunFailed) as told:
            await (await runtime.submit("report")).wait()
        for error in (caught.value, told.value):
            text = str(error).partition(": ")[2]
            assert text.startswith(
                "1 of 8 steps failed, 4 were skipped, 1 failure is tolerated\n  fatal: KeyError: 'gone' ("
            )
            assert "no answer" not in text
            assert [step.name for step in error.failures] == ["fatal", "bad"]
            assert len(error.__notes__) == 1


async def test_each_partition_is_tolerated_on_its_own(place):
    pipeline = Pipeline("partitions")

    @pipeline.asset(partitions=KEYS)
    async def raw(context: Context) -> str:
        if context.partition == "bad":
            raise ValueError("no")
        return context.partition

    @pipeline.asset(partitions=KEYS)
    async def joined(raw: Outcome[str], context: Context) -> str:
        if context.partition == pipeline.breaks:
            raise ValueError("nothing to join")
        return raw.status

    async with place.runtime(pipeline) as runtime:
        for breaks, status in ((None, "succeeded"), ("none", "failed"), ("bad", "failed")):
            pipeline.breaks = breaks
            result = await runtime.backfill("joined", upstream=True, refresh="all")
            assert result.status == status
            failed = {step.name for step in result.failed}
            assert failed == {"raw[bad]"} | ({f"joined[{breaks}]"} if breaks else set())
            assert len(result.succeeded) == 5 - bool(breaks)


async def test_what_is_tolerated_is_known_after_a_restart(place):
    pipeline = Pipeline("restarted")

    @pipeline.asset
    async def bad() -> int:
        raise ValueError("no answer")

    @pipeline.asset
    async def behind(bad: int) -> int:
        return bad

    @pipeline.asset
    async def gate(context: Context) -> str:
        return context.approval("go").by

    @pipeline.asset
    async def join(behind: Outcome[int], gate: str) -> str:
        return f"{gate}: {behind.reason}"

    async with place.runtime(pipeline) as runtime:
        run = await runtime.submit("join")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        if place.name == "memory":
            await runtime.approve((await runtime.approvals())[0].id, by="ann")
            assert await (await run.wait()).value() == "ann: Skipped because bad failed."
    if place.name != "memory":
        async with place.runtime(pipeline) as runtime:
            run = await runtime.run(run.id)
            await runtime.approve((await runtime.approvals())[0].id, by="ann")
            result = await run.wait()
            assert (result.status, len(result.failed)) == ("succeeded", 1)
            assert await result.value() == "ann: Skipped because bad failed."
            assert (await run.record()).status == "succeeded"


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
        assert await (await runtime.materialize_all("told")).value() == "failed "
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
        result = await runtime.backfill("joined", upstream=True, raise_on_failure=True)
        assert (result.status, [step.name for step in result.failed]) == ("succeeded", ["raw[bad]"])
        found = [await result.value("joined", partition=key) for key in ("good", "bad", "none")]
        assert found == ["raw[good] succeeded 3", "raw[bad] failed 3", "raw[none] skipped 3"]


async def test_the_outcome_of_items_has_their_values(place):
    pipeline = Pipeline("items")

    @pipeline.asset
    async def numbers() -> AsyncIterator[int]:
        for number in range(4):
            yield number

    @pipeline.asset(each=Each("numbers", tolerate=1))
    async def half(numbers: int) -> int:
        if numbers % 2:
            raise ValueError(f"{numbers} is odd")
        return numbers // 2

    @pipeline.asset(each=Each("numbers", tolerate=2))
    async def tolerant(numbers: int) -> int:
        if numbers % 2:
            raise ValueError(f"{numbers} is odd")
        return numbers // 2

    @pipeline.asset
    async def told(numbers: Outcome[list[int]], half: Outcome[list[int]], tolerant: Outcome) -> list:
        assert half.failure.message.startswith("2 of 4 items failed, more than tolerate=1 allows")
        return [numbers.value, half.status, list(tolerant.value)]

    async with place.runtime(pipeline) as runtime:
        result = await runtime.materialize_all("told")
        assert await result.value() == [[0, 1, 2, 3], "failed", [0, 1]]


async def test_an_outcome_of_its_own_past(place):
    """What fails of a sum that goes on does not end it."""
    pipeline = Pipeline("sums")

    @pipeline.asset(
        partitions=DailyPartitions("2025-01-01", "2025-01-04"), mappings={"balance": TimeOffset(days=-1)}
    )
    async def balance(context: Context, balance: Outcome[int] | None = None) -> int:
        if context.partition.day == 2:
            raise ValueError("no figures")
        return 1 + (balance.value if balance is not None and balance.ok else 0)

    async with place.runtime(pipeline) as runtime:
        result = await runtime.backfill("balance")
        assert (result.status, [step.name for step in result.failed]) == ("failed", ["balance[2025-01-02]"])
        assert [await result.value(partition=f"2025-01-0{day}") for day in (1, 3, 4)] == [1, 1, 2]
        with pytest.raises(RunFailed):
            await runtime.backfill("balance", partitions=["2025-01-02"], upstream=True, raise_on_failure=True)
        result = await runtime.backfill("balance", partitions=["2025-01-03"], upstream=True, refresh="all")
        assert (result.status, len(result.failed)) == ("succeeded", 1)


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
