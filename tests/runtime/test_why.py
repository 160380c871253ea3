"""`runtime.why`: one sentence for how an asset stands, and its causes down to the root."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from flowstone import (
    Automation,
    Context,
    DailyPartitions,
    DependencyNotReady,
    FileIO,
    MemoryIO,
    Pipeline,
    Retry,
    Runtime,
    Skip,
)
from flowstone.store.memory import MemoryStore
from tests.runtime.doubles import Gate

DAYS = DailyPartitions("2025-01-01", "2025-01-03")
DAY = "2025-01-02"


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    """What makes runtimes on one store after the other."""
    if request.param == "memory":
        options = {"store": MemoryStore(), "io": {"default": MemoryIO()}}
    elif request.param == "file":
        options = {"store": f"file://{tmp_path / 'store'}", "io": {"default": FileIO(tmp_path / "values")}}
    else:
        options = {"store": request.getfixturevalue("database")}
    return lambda pipeline, **more: Runtime(pipeline, **options, **more)


def chain(version=None, fails=None):
    """`raw`, `clean` and `report` by day; `raw` fails if it is told how."""
    pipeline = Pipeline("chain")
    numbers = count()

    @pipeline.asset(partitions=DAYS)
    async def raw() -> int:
        if fails is not None:
            raise fails
        return next(numbers)

    @pipeline.asset(partitions=DAYS, version=version)
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset(partitions=DAYS)
    async def report(clean: int) -> int:
        return clean

    return pipeline


async def until(ask, wanted):
    """Ask until the sentence has these words, which a beat of a node may have to bring."""
    async with asyncio.timeout(20):
        while wanted not in (found := await ask()).sentence:
            await asyncio.sleep(0)
    return found


async def submitted(runtime, asset, gate):
    """Start an asset, and wait until it has come to the gate."""
    run = await runtime.submit(asset)
    await gate.entered.wait()
    return run


async def test_what_was_never_asked_for(place):
    async with place(chain()) as runtime:
        why = await runtime.why("report", DAY)
        assert (why.sentence, why.status, why.causes) == ("never asked for", "never", ())
        assert str(why) == (
            "report[2025-01-02]: never asked for\n  → Materialize report[2025-01-02] with what it needs."
        )


async def test_a_skipped_asset_names_the_failure_that_it_comes_from(place):
    async with place(chain(fails=OSError("disk full"))) as runtime:
        run = await runtime.submit("report", partition=DAY)
        with pytest.raises(Exception, match="disk full"):
            await run.wait()
        why = await runtime.why("report", partition=DAY)
        assert why.sentence.startswith("skipped because raw[2025-01-02] failed: OSError: disk full")
        assert "test_why.py" in why.sentence
        assert (why.run_id, why.redo) == (run.id, "upstream")
        assert why.remedy == "Materialize report[2025-01-02] with what it needs."
        assert why.root.name == "raw[2025-01-02]"
        assert why.root.sentence.startswith("failed: OSError: disk full")
        assert why.root.status == "failed"
        assert "└─ raw[2025-01-02]: failed: OSError: disk full" in str(why)


async def test_what_was_skipped_is_computed_alone_once_the_cause_is_mended(place):
    """The remedy does not lead to a value that is current; of what lacks an input it has the input made as well."""
    async with place(chain(fails=OSError("disk full"))) as runtime:
        with pytest.raises(Exception, match="disk full"):
            await runtime.materialize_all("report", partition=DAY)
        with pytest.raises(DependencyNotReady):
            await runtime.materialize("clean", partition=DAY)
    async with place(chain()) as runtime:
        unready = await runtime.why("clean", DAY)
        assert unready.remedy == "Materialize clean[2025-01-02] with what it needs."
        await runtime.materialize_all("clean", partition=DAY)
        async with asyncio.timeout(20):  # What a node said may be half a second old.
            while (mended := await runtime.why("report", DAY)).root.status != "succeeded":
                await asyncio.sleep(0)
        assert mended.sentence.startswith("skipped because raw[2025-01-02] failed: OSError: disk full")
        assert (mended.root.status, mended.redo) == ("succeeded", "alone")
        assert mended.remedy == "Materialize report[2025-01-02] again."


async def test_a_failure_beside_a_value_says_that_the_value_stays(place):
    async with place(chain()) as runtime:
        await runtime.materialize("raw", partition=DAY)
    async with place(chain(fails=OSError("no"))) as runtime:
        with pytest.raises(Exception, match="no"):
            await runtime.materialize("raw", partition=DAY)
        assert "is still current" in (await runtime.why("raw", DAY)).sentence


async def test_a_choice_is_told_with_its_reason(place):
    pipeline = Pipeline("choice")

    @pipeline.asset
    async def raw() -> int:
        raise Skip("no data")

    @pipeline.asset
    async def report(raw: int) -> int:
        return raw

    async with place(pipeline) as runtime:
        await runtime.materialize_all("report")
        assert (await runtime.why("raw")).sentence == "skipped by choice: no data"
        why = await runtime.why("report")
        assert why.sentence.startswith("skipped because raw was skipped by choice: no data")
        assert why.causes[0].name == "raw"


async def test_a_current_value_says_who_asked_for_it(place):
    async with place(chain()) as runtime:
        await runtime.materialize_all("clean", partition=DAY)
        clean, raw = await runtime.why("clean", DAY), await runtime.why("raw", DAY)
        assert clean.sentence.startswith("current, computed at ")
        assert clean.sentence.endswith("because it was asked for")
        assert raw.sentence.endswith("because clean[2025-01-02] was asked for, which needs it")
        assert (clean.stale, clean.remedy, clean.causes) == (False, None, ())


async def test_staleness_goes_back_to_what_was_computed_again(place):
    async with place(chain()) as runtime:
        await runtime.materialize_all("report", partition=DAY)
        await runtime.materialize("raw", partition=DAY)
        why = await runtime.why("report", DAY)
        assert (why.sentence, why.stale) == ("stale because clean[2025-01-02] is stale", True)
        (clean,) = why.causes
        assert clean.sentence.startswith("stale because raw[2025-01-02] changed at ")
        assert clean.causes[0].sentence.startswith("current, computed at ")
        assert why.root.name == "raw[2025-01-02]"


async def test_a_new_version_of_the_code_is_named(place):
    async with place(chain("1")) as runtime:
        await runtime.materialize_all("report", partition=DAY)
    async with place(chain("2")) as runtime:
        why = await runtime.why("report", DAY)
        assert why.root.sentence == "stale because the code version of clean changed from 1 to 2"
        assert why.remedy == "Materialize report[2025-01-02] with what it needs."
        assert why.root.remedy == "Materialize clean[2025-01-02] again."


async def test_what_was_invalidated_says_so(place):
    async with place(chain()) as runtime:
        await runtime.materialize("raw", partition=DAY)
        await runtime.invalidate("raw", partition=DAY)
        why = await runtime.why("raw", DAY)
        assert why.sentence.startswith("invalidated: its value of ")
        assert why.status == "never"


async def test_what_waits_says_for_what_and_what_waits_for_that(place):
    pipeline = Pipeline("waits")

    @pipeline.asset
    def publish(context: Context) -> str:
        return context.approval("publish", message="12 rows").by

    @pipeline.asset
    async def after(publish: str) -> str:
        return publish

    async with place(pipeline) as runtime:
        run = await runtime.submit("after")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        why = await runtime.why("publish")
        assert why.sentence.startswith('waiting for approval "publish" since ')
        assert why.sentence.endswith(": 12 rows")
        (approval,) = await runtime.approvals()
        assert why.remedy == f"Approve or reject {approval.id}."
        after = await runtime.why("after")
        assert after.sentence == f"queued in run {run.id}: waits for publish"
        assert after.causes == (why,)
        await run.cancel()
        assert (await runtime.why("publish")).sentence.startswith("cancelled with its run")


async def test_what_runs_and_what_waits_for_it(place):
    gate = Gate()
    pipeline = Pipeline("runs")

    @pipeline.asset
    async def raw(context: Context) -> int:
        context.progress(0.4, "page 4")
        await gate.wait()
        return 1

    @pipeline.asset
    async def report(raw: int) -> int:
        return raw

    async with place(pipeline) as runtime:
        run = await submitted(runtime, "report", gate)
        why = await until(lambda: runtime.why("raw"), "running on")
        assert why.sentence == f"running on {runtime.node}, attempt 1, 40% done: page 4"
        report = await runtime.why("report")
        assert report.sentence == f"queued in run {run.id}: waits for raw"
        assert report.root.status == "running"
        gate.open()
        await run.wait()


async def test_what_is_tried_again_says_when_and_why(place):
    pipeline = Pipeline("retries")

    @pipeline.asset(retry=Retry(attempts=3, delay=60.0, jitter=0.0))
    async def raw() -> int:
        raise OSError("no route")

    async with place(pipeline) as runtime:
        run = await runtime.submit("raw")
        async for event in run.events():
            if event.kind == "step.retried":
                break
        why = await until(lambda: runtime.why("raw"), "retrying")
        assert why.sentence.startswith("retrying in ")
        assert "attempt 1 failed: OSError: no route" in why.sentence
        await run.cancel()


async def test_what_waits_for_a_pool_names_who_has_its_slots(place):
    gate = Gate()
    pipeline = Pipeline("pools")
    pipeline.pool("warehouse", slots=1)

    @pipeline.asset(pool="warehouse")
    async def first() -> int:
        await gate.wait()
        return 1

    @pipeline.asset(pool="warehouse")
    async def second() -> int:
        return 2

    async with place(pipeline) as runtime:
        run = await submitted(runtime, "first", gate)
        other = await runtime.submit("second")
        why = await until(lambda: runtime.why("second"), "taken by")
        assert why.sentence == f'queued behind pool "warehouse" (1 of 1 taken by first of run {run.id})'
        gate.open()
        await run.wait()
        await other.wait()


async def test_an_automation_is_named_by_what_it_waits_for():
    pipeline = Pipeline("automated")

    @pipeline.asset(automation=Automation.on_missing())
    async def raw() -> int:
        return 1

    async with Runtime(pipeline) as runtime:
        assert (await runtime.why("raw")).remedy == (
            "Materialize raw with what it needs, or wait for its automation on_missing()."
        )


async def test_what_runs_on_another_node_is_seen_from_here(database):
    gate = Gate()
    pipeline = Pipeline("nodes")

    @pipeline.asset
    async def raw() -> int:
        await gate.wait()
        return 1

    async with (
        Runtime(pipeline, store=database) as works,
        Runtime(pipeline, store=database, worker=False) as asks,
    ):
        run = await submitted(works, "raw", gate)
        why = await until(lambda: asks.why("raw"), "running on")
        assert why.sentence.startswith(f"running on {works.node}, attempt 1")
        gate.open()
        await run.wait()


async def test_a_queued_run_that_no_node_takes_says_what_to_start(database):
    async with Runtime(chain(), store=database, worker=False) as runtime:
        run = await runtime.submit("report", partition=DAY)
        why = await runtime.why("raw", DAY)
        assert why.sentence.startswith(f"queued: run {run.id} waits for a node to take it")
        assert "flowstone serve" in why.remedy
