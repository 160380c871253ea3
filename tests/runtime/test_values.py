"""Questions about values: load, exists, status, history, invalidate."""

from __future__ import annotations

import json
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    MaterializationFailed,
    MemoryIO,
    Output,
    PartitionError,
    Pipeline,
    RunFailed,
    Runtime,
    Status,
    ValueNotFound,
)
from tests.runtime.doubles import Gate, UnreliableStore

WEEK = DailyPartitions("2025-01-01", "2025-01-07")


def chain(fail=()):
    """`a` → `b` → `c`; each counts how often it ran, and fails while its name is in `fail`."""
    pipeline = Pipeline("chain")
    counts = {"a": 0, "b": 0, "c": 0}

    def count(name):
        if name in fail:
            raise ValueError(name)
        counts[name] += 1
        return counts[name]

    @pipeline.asset
    async def a() -> int:
        return count("a")

    @pipeline.asset
    async def b(a: int) -> int:
        return count("b") + 10 * a

    @pipeline.asset
    async def c(b: int) -> int:
        return count("c") + 10 * b

    return pipeline


async def test_without_a_value_a_runtime_in_memory_says_that_a_store_may_have_it(tmp_path):
    """Whoever has computed on the command line may forget that a runtime's default is another store."""
    async with Runtime(chain()) as runtime:
        with pytest.raises(
            ValueNotFound, match=r"materialize it first, or, .* \(memory://\), give it a store that has it\.$"
        ):
            await runtime.load("a")
    async with Runtime(chain(), store=f"file://{tmp_path}") as runtime:
        with pytest.raises(ValueNotFound, match=r"materialize it first\.$"):
            await runtime.load("a")


async def test_without_a_value():
    """Nothing loads, nothing exists, the status is `never`, the history is empty."""
    async with Runtime(chain()) as runtime:
        with pytest.raises(ValueNotFound, match="materialize it first"):
            await runtime.load("a")
        assert await runtime.exists("a") is False
        assert await runtime.status("a") is Status.NEVER
        assert list(await runtime.history("a")) == []


async def test_what_failed_or_was_skipped_says_why_it_has_no_value():
    """A result and the runtime: the failure with its place; of what was skipped, that of its cause."""
    fail = {"a"}
    async with Runtime(chain(fail)) as runtime:
        result = await (await runtime.submit("c")).result()
        failed = r"it failed: ValueError: a \(.*test_values\.py:\d+\)$"
        skipped = r"it was skipped, because a failed: ValueError: a \(.*test_values\.py:\d+\)$"
        for name, why in (("a", failed), ("b", skipped), ("c", skipped)):
            with pytest.raises(ValueNotFound, match=f"{name} has no value in this run: {why}"):
                await result.value(name)
            with pytest.raises(
                ValueNotFound, match=f"{name} has no current value: in run {result.run_id} {why}"
            ):
                await runtime.load(name)
        fail.clear()
        await runtime.materialize("a")
        assert await runtime.load("a") == 1


async def test_the_newest_success_is_current():
    """Each success replaces the one before."""
    async with Runtime(chain()) as runtime:
        for expected in (1, 2, 3):
            await runtime.materialize("a")
            assert await runtime.load("a") == expected
        assert await runtime.status("a") is Status.SUCCEEDED
        assert await runtime.exists("a") is True


async def test_failed_skipped_reused_and_cancelled_steps_never_change_what_is_current():
    """The value of the last success stays loadable whatever happens later."""
    fail: list[str] = []
    async with Runtime(chain(fail)) as runtime:
        await runtime.materialize_all("b")
        await runtime.materialize_all("b", refresh="missing")
        fail.append("a")
        with pytest.raises(RunFailed):
            await runtime.materialize_all("b")
        assert await runtime.load("a") == 1
        assert await runtime.load("b") == 11
        run = await runtime.submit("b")
        await run.cancel()
        assert await runtime.load("b") == 11


async def test_status_tells_what_became_of_the_last_attempt():
    """A failure shows although an older value is current; a success after it counts again."""
    fail: list[str] = []
    async with Runtime(chain(fail)) as runtime:
        await runtime.materialize("a")
        fail.append("a")
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("a")
        assert await runtime.status("a") == "failed"
        assert await runtime.exists("a")
        fail.clear()
        await runtime.materialize("a")
        assert await runtime.status("a") == "succeeded"


async def test_status_of_a_step_under_way(background):
    """It is running, whatever it was before."""
    gate = Gate()
    pipeline = Pipeline()

    @pipeline.asset
    async def slow() -> None:
        await gate.wait()

    async with Runtime(pipeline) as runtime:
        background(runtime.materialize("slow"))
        await gate.entered.wait()
        assert await runtime.status("slow") is Status.RUNNING
        gate.open()


async def test_history_is_newest_first_and_paged():
    """Every end of a step is there: successes, failures, reuses; a page at a time if asked for."""
    fail: list[str] = []
    async with Runtime(chain(fail)) as runtime:
        first = await runtime.materialize("a")
        fail.append("a")
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("a")
        fail.clear()
        last = await runtime.materialize("a")
        history = await runtime.history("a")
        assert [m.status for m in history] == ["succeeded", "failed", "succeeded"]
        assert (history[0].run_id, history[-1].run_id) == (last.run_id, first.run_id)
        assert [m.status for m in await runtime.history("a", limit=1, offset=1)] == ["failed"]


async def test_partitions_are_apart():
    """Value, status and history belong to one partition."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK)
    async def raw(context: Context) -> int:
        return context.partition.day

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("raw", partition="2025-01-02")
        assert await runtime.exists("raw", partition=date(2025, 1, 2))
        assert not await runtime.exists("raw", partition="2025-01-03")
        assert await runtime.status("raw", partition="2025-01-03") == "never"
        assert len(await runtime.history("raw", partition="2025-01-02")) == 1
        for call in (runtime.load, runtime.exists, runtime.status, runtime.history):
            with pytest.raises(PartitionError):
                await call("raw")
            with pytest.raises(PartitionError):
                await call("raw", partition="2026-01-01")
        with pytest.raises(ValueNotFound, match="2025-01-03"):
            await runtime.load("raw", partition="2025-01-03")


async def test_invalidate_makes_a_value_not_current():
    """It says how many it invalidated; nothing older comes back; the history stays; a new success is current."""
    async with Runtime(chain()) as runtime:
        await runtime.materialize("a")
        await runtime.materialize("a")
        assert await runtime.invalidate("a") == 1
        assert not await runtime.exists("a")
        assert await runtime.status("a") == "never"
        with pytest.raises(ValueNotFound):
            await runtime.load("a")
        assert len(await runtime.history("a")) == 2
        assert await runtime.invalidate("a") == 0
        await runtime.materialize("a")
        assert await runtime.load("a") == 3


async def test_invalidate_downstream():
    """With `downstream=True` everything computed from the value goes as well."""
    async with Runtime(chain()) as runtime:
        await runtime.materialize_all("c")
        assert await runtime.invalidate("b") == 1
        assert await runtime.exists("c")
        await runtime.materialize_all("c")
        assert await runtime.invalidate("a", downstream=True) == 3
        assert [await runtime.exists(name) for name in "abc"] == [False, False, False]


async def test_invalidate_takes_what_still_stands_below_a_value_that_is_gone():
    """Invalidating downstream of a value that is no longer current still reaches what was computed from it."""
    async with Runtime(chain()) as runtime:
        await runtime.materialize_all("c")
        await runtime.invalidate("a")
        assert await runtime.invalidate("a", downstream=True) == 2


async def test_invalidate_partitions():
    """One partition, or all that have a value; downstream follows the partitions that were used."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=WEEK)
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=WEEK)
    async def clean(raw: int) -> int:
        return raw

    async with Runtime(pipeline) as runtime:
        await runtime.backfill("clean", upstream=True)
        assert await runtime.invalidate("raw", partition="2025-01-01", downstream=True) == 2
        assert not await runtime.exists("clean", partition="2025-01-01")
        assert await runtime.exists("clean", partition="2025-01-02")
        assert await runtime.invalidate("raw") == 6


async def test_values_go_to_the_io_manager_their_asset_names():
    """And are loaded from the one that stored them, even if the asset names another one by now."""
    first, second = MemoryIO(), MemoryIO()

    def pipeline(io):
        made = Pipeline()

        @made.asset(io=io)
        async def one() -> int:
            return 1

        return made

    store = UnreliableStore()
    managers = {"first": first, "second": second}
    async with Runtime(pipeline("first"), store=store, io=managers) as runtime:
        record = await runtime.materialize("one")
        assert record.io == "first"
        assert (len(first), len(second)) == (1, 0)
    async with Runtime(pipeline("second"), store=store, io=managers) as runtime:
        assert await runtime.load("one") == 1


async def test_superseded_values_are_removed_by_retention(clock):
    """`keep_versions` newest values stay, older ones leave the store and the IO manager; the current one stays."""
    io = MemoryIO()
    async with Runtime(chain(), io={"default": io}, clock=clock, keep_versions=2) as runtime:
        for _ in range(5):
            await runtime.materialize("a")
        assert len(io) == 5
        await clock.advance(60)
        assert len(io) == 2
        assert await runtime.load("a") == 5
        assert len(await runtime.history("a")) == 2


@pytest.mark.parametrize("step", [-3600.0, -30.0, 3600.0])
async def test_a_step_of_the_clock_changes_nothing_but_times(clock, step):
    """What is recorded last is loaded, listed first, kept by retention, and current after an invalidation."""
    io = MemoryIO()
    async with Runtime(chain(), io={"default": io}, clock=clock, keep_versions=2) as runtime:
        for expected in (1, 2, 3):
            made = await runtime.materialize("a")
            clock.step(step)
            assert await runtime.load("a") == expected
            assert (await runtime.history("a"))[0] == made
        await runtime.invalidate("a")
        clock.step(step)
        made = await runtime.materialize("a")
        assert await runtime.load("a") == 4
        await clock.advance(60)
        assert (await runtime.load("a"), len(io)) == (4, 2)
        assert (await runtime.history("a", limit=1))[0] == made


async def test_old_runs_are_removed_by_retention(clock):
    """`keep_runs` newest runs stay known; the current value outlives its run."""
    async with Runtime(chain(), clock=clock, keep_runs=1) as runtime:
        first = await runtime.submit("a")
        await first.wait()
        second = await runtime.submit("b")
        await second.wait()
        await clock.advance(60)
        with pytest.raises(LookupError):
            await runtime.run(first.id)
        assert (await (await runtime.run(second.id)).wait()).status == "succeeded"


@pytest.mark.parametrize("scheme", ["memory", "file"])
async def test_metadata_is_the_same_whoever_asks_and_whatever_the_store(scheme, tmp_path):
    """The record, the event, the history and another runtime have what the metadata means as JSON."""
    numpy = pytest.importorskip("numpy")
    pipeline = Pipeline()
    name = Path(os.fsdecode(b"\xff"))

    @pipeline.asset
    async def a(context: Context) -> Output[int]:
        context.metadata.update({"ok": numpy.bool_(True), "rates": numpy.array([[1.5]]), "colours": {"red"}})
        return Output(
            1, metadata={"at": numpy.datetime64("2025-01-15"), "path": name, "amount": Decimal("1.10")}
        )

    meant = {
        "ok": True, "rates": [[1.5]], "colours": ["red"], "at": "2025-01-15", "path": "\ufffd", "amount": "1.10",
    }  # fmt: skip
    store = "memory://" if scheme == "memory" else f"file://{tmp_path}"
    async with Runtime(pipeline, store=store) as runtime, runtime.subscribe("step.succeeded") as events:
        record = await runtime.materialize("a")
        event = await anext(aiter(events))
        [kept] = await runtime.history("a")
    assert record.metadata == event.materialization.metadata == kept.metadata == meant
    assert json.loads(json.dumps(record.metadata)) == meant
