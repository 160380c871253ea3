"""Steps that are skipped by choice: what they take along, what takes a default, and that the run succeeds."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import (
    AllPartitions,
    Context,
    MaterializationFailed,
    Pipeline,
    Retry,
    RunFailed,
    Skip,
    StaticPartitions,
    ValueNotFound,
)
from tests.flow import process_assets

KEYS = StaticPartitions(["a", "b", "c"])


def market(*, closed=True):
    """A day's prices, if there are any; what needs them, what can do without, and what neither concerns."""
    pipeline = Pipeline("market")
    pipeline.closed = closed

    @pipeline.asset
    async def raw() -> int:
        if pipeline.closed:
            raise Skip("no data today")
        return 1

    @pipeline.asset
    async def clean(raw: int) -> int:
        return raw + 1

    @pipeline.asset
    def report(clean: int = 0, raw: int = -5) -> str:
        return f"{clean} {raw}"

    @pipeline.asset
    async def other() -> int:
        return 7

    @pipeline.asset(deps=["clean"])
    async def notice(other: int) -> int:
        return other

    @pipeline.asset
    async def everything(report: str, other: int, notice: int = 0) -> str:
        return f"{report} {other} {notice}"

    return pipeline


async def test_what_needs_it_is_skipped_and_what_has_a_default_runs(place):
    async with place.runtime(market()) as runtime:
        result = await runtime.materialize_all("everything")
        assert result.status == "succeeded"
        assert await result.value() == "0 -5 7 0"
        found = {step.name: step.failure for step in result.skipped}
        assert set(found) == {"raw", "clean", "notice"}
        assert {failure.kind for failure in found.values()} == {"skip"}
        assert (found["raw"].message, found["raw"].cause) == ("no data today", None)
        for name in ("clean", "notice"):
            assert found[name].cause == "raw"
            assert found[name].message == "Skipped because raw was skipped by choice."
        assert await runtime.status("raw") == "skipped"
        assert not await runtime.exists("raw")
        run = await runtime.run(result.run_id)
        kinds = {(event.asset, event.kind) async for event in run.events() if event.kind.startswith("step.")}
        assert ("raw", "step.skipped") in kinds
        assert ("clean", "step.started") not in kinds
        with pytest.raises(
            ValueNotFound, match="raw has no value in this run: it was skipped by choice: no data"
        ):
            await result.value("raw")


async def test_an_older_value_is_not_taken_instead(place):
    pipeline = market(closed=False)
    async with place.runtime(pipeline) as runtime:
        assert await (await runtime.materialize_all("everything")).value() == "2 1 7 7"
        pipeline.closed = True
        result = await runtime.materialize_all("everything")
        assert await result.value() == "0 -5 7 0"
        assert len(result.skipped) == 3
        assert await runtime.load("raw") == 1
        assert await runtime.status("raw") == "succeeded"


async def test_asked_for_alone_it_is_no_error(place):
    async with place.runtime(market()) as runtime:
        record = await runtime.materialize("raw")
        assert (record.status, record.failure.message, record.attempt) == ("skipped", "no data today", 1)
        result = await runtime.materialize_all("clean")
        assert (result.status, len(result.skipped)) == ("succeeded", 2)
        with pytest.raises(ValueNotFound, match="it was skipped, because raw was skipped by choice"):
            await result.value()


async def test_a_failure_outweighs_a_choice_whichever_comes_first(place):
    for slow in (0, 1):
        pipeline = Pipeline("both")
        over = asyncio.Event()

        @pipeline.asset
        async def declines(over=over, slow=slow) -> int:
            if slow == 0:
                await over.wait()
            over.set()
            raise Skip("nothing to do")

        @pipeline.asset
        async def fails(over=over, slow=slow) -> int:
            if slow == 1:
                await over.wait()
            over.set()
            raise ValueError("no")

        @pipeline.asset
        async def needs_both(declines: int, fails: int) -> int:
            return 1

        @pipeline.asset
        async def without(needs_both: int = 0) -> int:
            return needs_both

        pipeline.value("over", over)
        pipeline.value("slow", slow)
        async with place.runtime(pipeline) as runtime:
            with pytest.raises(RunFailed) as caught:
                await runtime.materialize_all("without")
        skipped = {step.name: step.failure for step in caught.value.result.skipped}
        assert {name: failure.cause for name, failure in skipped.items()} == {
            "declines": None,
            "needs_both": "fails",
            "without": "fails",
        }


async def test_on_a_retry_and_wherever_it_runs(place):
    pipeline = Pipeline("wherever")
    pipeline.include(process_assets.pipeline)

    @pipeline.asset(retry=Retry(attempts=3, delay=0.0))
    async def second(context: Context) -> int:
        context.metadata["tried"] = context.attempt
        if context.attempt == 1:
            raise OSError("not yet")
        raise Skip("gone by now")

    @pipeline.asset(retry=Retry(attempts=3, delay=0.0))
    def threaded() -> int:
        raise Skip("in a thread")

    @pipeline.asset(timeout=10.0)
    async def grouped() -> int:
        async def member():
            raise Skip("in a group")

        async with asyncio.TaskGroup() as group:
            group.create_task(member())
        return 1

    async with place.runtime(pipeline) as runtime:
        for name, reason, attempt in (
            ("second", "gone by now", 2),
            ("threaded", "in a thread", 1),
            ("grouped", "in a group", 1),
            ("in_a_process", "in a process", 1),
        ):
            record = await runtime.materialize(name)
            assert (record.status, record.failure.message, record.attempt) == ("skipped", reason, attempt)
        assert (await runtime.history("second"))[0].metadata == {"tried": 2}


async def test_each_partition_decides_for_itself(place):
    pipeline = Pipeline("partitions")

    @pipeline.asset(partitions=KEYS)
    async def raw(context: Context) -> str:
        if context.partition == "b":
            raise Skip("nothing of b")
        return context.partition

    @pipeline.asset(partitions=KEYS)
    async def clean(raw: str) -> str:
        return raw

    @pipeline.asset(mappings={"clean": AllPartitions()})
    async def needs_all(clean: dict[str, str]) -> int:
        return len(clean)

    @pipeline.asset(mappings={"clean": AllPartitions()})
    async def takes_what_is_there(clean: dict[str, str] | None = None) -> list[str]:
        return sorted(clean)

    async with place.runtime(pipeline) as runtime:
        result = await runtime.materialize_all("needs_all")
        causes = {step.name: step.failure.cause for step in result.skipped}
        assert causes == {"raw[b]": None, "clean[b]": "raw[b]", "needs_all": "raw[b]"}
        assert await (await runtime.materialize_all("takes_what_is_there")).value() == ["a", "c"]


async def test_it_survives_a_restart(place):
    """What was skipped before the end of a runtime is so after it: no function runs twice, and the causes stand."""
    if place.name == "memory":
        pytest.skip("nothing survives")
    pipeline = Pipeline("restart")
    calls = []

    @pipeline.asset
    async def raw() -> int:
        calls.append("raw")
        raise Skip("no data today")

    @pipeline.asset
    async def gate(context: Context) -> str:
        return context.approval("go").by

    @pipeline.asset
    async def clean(raw: int, gate: str) -> int:
        return raw

    @pipeline.asset
    async def report(gate: str, clean: int = 0, raw: int = 0) -> str:
        return f"{gate} {clean} {raw}"

    async with place.runtime(pipeline) as runtime:
        run = await runtime.submit("report")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
    async with place.runtime(pipeline) as runtime:
        run = await runtime.run(run.id)
        await runtime.approve((await runtime.approvals())[0].id, by="ann")
        result = await run.wait()
        assert await result.value() == "ann 0 0"
        causes = {step.name: step.failure.cause for step in result.skipped}
        assert causes == {"raw": None, "clean": "raw"}
    assert calls == ["raw"]


async def test_a_skip_inside_a_try_that_lets_it_pass_not_is_a_value(place):
    """Caught by the function it is nothing: what it returns or raises counts."""
    pipeline = Pipeline("caught")

    @pipeline.asset
    async def caught() -> int:
        try:
            raise Skip
        except Skip:
            return 3

    @pipeline.asset
    async def replaced() -> int:
        try:
            raise Skip("a")
        except Skip as error:
            raise ValueError("b") from error

    async with place.runtime(pipeline) as runtime:
        assert (await runtime.materialize(caught)).status == "succeeded"
        with pytest.raises(MaterializationFailed):
            await runtime.materialize(replaced)
