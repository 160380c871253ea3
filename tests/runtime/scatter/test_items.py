"""What is remembered of items, on every store; and that those which were done are not called again."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowstone import Each, Pipeline, Retry, RunFailed, RunNotFound, Runtime, Skip
from flowstone.runtime.run import scatter
from tests.runtime.doubles import Gate
from tests.runtime.scatter import process_items
from tests.runtime.scatter.resumed import pipeline_of


def pipeline_with(function, items=(), **each):
    """`files`, which has the items, and `page`, which goes through them."""
    pipeline = Pipeline("scatter")
    pipeline.asset(lambda: items, name="files")
    pipeline.asset(name="page", each=Each("files", **each))(function)
    return pipeline


async def test_items_are_listed_with_what_became_of_them(kept):
    """By position, name and status."""

    def page(files, context):
        if files == "b" or (files == "d" and context.attempt == 1):
            raise ValueError(f"no {files}")
        return files.upper()

    retry = Retry(attempts=2, delay=0.0)
    pipeline = pipeline_with(
        page, ["a", "b", "c", "d"], tolerate=1, key=lambda item: f"key {item}", retry=retry
    )
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("page")
        assert await result.value("page") == ["A", "C", "D"]
        assert await runtime.load("page") == ["A", "C", "D"]
        items = await runtime.items(result.run_id, "page")
        assert [(item.position, item.key, item.status, item.attempt) for item in items] == [
            (0, "key a", "succeeded", 1),
            (1, "key b", "failed", 2),
            (2, "key c", "succeeded", 1),
            (3, "key d", "succeeded", 2),
        ]
        assert items[1].failure.message == "ValueError: no b"
        assert await runtime.items(result.run_id, "page", status="failed") == [items[1]]
        assert await runtime.items(result.run_id, "page", status="succeeded", limit=1, offset=1) == [items[2]]
        for status in ("running", [], {}):
            with pytest.raises(ValueError, match="an item is one of"):
                await runtime.items(result.run_id, "page", status=status)
        with pytest.raises(RunNotFound):
            await runtime.items("nobody", "page")


async def test_the_record_of_the_step_counts_its_items(kept):
    """So whoever looks at the step sees that items failed or were skipped, also if it failed, or was reused."""

    def page(files):
        if files == "skipped":
            raise Skip("it is empty")
        if files == "failed":
            raise ValueError(files)
        return files

    source = ["a", "failed", "skipped", "b", "c"]
    async with asyncio.timeout(200), Runtime(pipeline_with(page, source, tolerate=1), **kept) as runtime:
        result = await runtime.materialize_all("page")
        counts = {"total": 5, "succeeded": 3, "failed": 1, "skipped": 1}
        assert result.succeeded[-1].metadata == {"items": counts}
        (newest,) = await runtime.history("page")
        assert newest.metadata == {"items": counts}
        again = await runtime.materialize_all("page", refresh="missing")
        assert {step.asset: step.metadata for step in again.reused}["page"] == {"items": counts}
        await runtime.reload(pipeline_with(page, source))
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("page")
        (failed,) = caught.value.failures
        assert failed.metadata["items"]["failed"] == 1
        assert failed.metadata["items"]["total"] == 5


async def test_many_items_are_recorded_and_loaded(kept):
    """More than go into a page or a batch."""

    async def page(files):
        return files

    pipeline = pipeline_with(page, list(range(1100)))

    @pipeline.asset
    def summary(page: list[int]) -> int:
        assert type(page) is list
        return sum(page)

    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("summary")
        assert await result.value("summary") == sum(range(1100))
        assert await runtime.load("page") == list(range(1100))
        assert len(await runtime.items(result.run_id, "page", limit=5000)) == 1100


async def test_a_dict_comes_back_as_a_dict_with_its_own_keys(kept):
    """Whatever its keys are."""

    async def page(files):
        return files * 2

    async with asyncio.timeout(200), Runtime(pipeline_with(page, {1: 10, 2: 20}), **kept) as runtime:
        result = await runtime.materialize_all("page")
        assert await runtime.load("page") == {1: 20, 2: 40}
        assert [item.key for item in await runtime.items(result.run_id, "page")] == ["1", "2"]


async def test_what_cannot_be_stored_fails_its_item_alone(kept):
    """As an IO failure of that item."""
    if "memory" in str(kept["io"]["default"]).lower():
        pytest.skip("memory takes anything")

    async def page(files):
        return object() if files == 1 else files

    async with asyncio.timeout(200), Runtime(pipeline_with(page, [0, 1, 2], tolerate=1), **kept) as runtime:
        result = await runtime.materialize_all("page")
        assert await runtime.load("page") == [0, 2]
        (failed,) = await runtime.items(result.run_id, "page", status="failed")
        assert failed.failure.kind == "io"


async def test_items_of_a_step_that_failed_are_listed(kept):
    """What was done, and what failed."""

    def page(files):
        return 1 // files

    async with asyncio.timeout(200), Runtime(pipeline_with(page, [1, 0], max_parallel=1), **kept) as runtime:
        with pytest.raises(RunFailed) as raised:
            await runtime.materialize_all("page")
        items = await runtime.items(raised.value.result.run_id, "page")
        assert [str(item.status) for item in items] == ["succeeded", "failed"]


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_an_item_may_choose_to_be_skipped(kept, run_in):
    """It is left out of the value, is not attempted again, and is no failure that has to be tolerated."""
    calls = []

    def page(files):
        calls.append(files)
        if files % 2:
            raise Skip(f"{files} is odd")
        return files

    async def page_on_loop(files):
        return page(files)

    pipeline = pipeline_with(
        page if run_in == "thread" else page_on_loop, list(range(6)), retry=Retry(attempts=3, on=Skip)
    )
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("page")
        assert result.status == "succeeded"
        assert await runtime.load("page") == [0, 2, 4]
        skipped = await runtime.items(result.run_id, "page", status="skipped")
        assert [(item.position, item.status, item.attempt) for item in skipped] == [
            (1, "skipped", 1),
            (3, "skipped", 1),
            (5, "skipped", 1),
        ]
        assert skipped[0].failure.message == "1 is odd"
        assert sorted(calls) == [0, 1, 2, 3, 4, 5]


async def test_a_partition_has_items_of_its_own(kept):
    """Listed by the partition."""

    async def page(files, context):
        return context.partition * files

    async with asyncio.timeout(200), Runtime(pipeline_with(page, [1, 2]), **kept) as runtime:
        result = await runtime.materialize_all("page", partition=5)
        assert await runtime.load("page", partition=5) == [5, 10]
        assert len(await runtime.items(result.run_id, "page", 5)) == 2
        assert await runtime.items(result.run_id, "page", 6) == []


async def test_a_cancel_keeps_what_was_recorded(kept):
    """And records nothing of what was stopped."""
    gate = Gate()

    async def page(files):
        if files:
            await gate.wait()
        return files

    pipeline = pipeline_with(page, [0, 1], max_parallel=1)
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        run = await runtime.submit("page")
        await gate.entered.wait()
        await run.cancel()
        assert [item.position for item in await runtime.items(run.id, "page")] == [0]


async def test_after_a_kill_only_unfinished_items_are_called_again(lasting, tmp_path):
    """Each is recorded once, and the value is whole."""
    command = [sys.executable, "-m", "tests.runtime.scatter.resumed", lasting, str(tmp_path)]
    killed = await asyncio.to_thread(subprocess.run, command, cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == 9
    log = tmp_path / "calls"
    before = log.read_text().split()
    pipeline, options = pipeline_of(lasting, tmp_path)
    async with asyncio.timeout(200), Runtime(pipeline, **options) as runtime:
        (record,) = await runtime.runs()
        done = {item.position for item in await runtime.items(record.id, "page", limit=1000)}
        run = await runtime.run(record.id)
        result = await run.wait()
        assert await result.value("page") == list(range(200))
        again = {int(each) for each in log.read_text().split()[len(before) :]}
        assert done
        assert not again & done
        assert done | again == set(range(200))
        assert len(await runtime.items(record.id, "page", limit=1000)) == 200


async def test_a_step_says_how_far_it_has_come_and_its_items_have_no_events(kept):
    """A few times a second at most, and once all are done; whoever asks is told without listening."""

    async def page(files):
        if files % 100 == 7:
            raise ValueError(files)
        if files % 100 == 8:
            raise Skip("nothing in it")

    pipeline = pipeline_with(page, list(range(1000)), tolerate=10)
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime, runtime.subscribe() as events:
        await runtime.materialize_all("page")
        told = []
        async for event in events:
            told.append(event)
            if event.kind == "run.finished":
                break
    kinds = [event.kind for event in told if event.asset == "page" and event.kind.startswith("step.")]
    progress = [event for event in told if event.kind == "step.progressed"]
    assert kinds == ["step.started", *["step.progressed"] * len(progress), "step.succeeded"]
    assert 1 <= len(progress) < 100
    assert (progress[-1].fraction, progress[-1].attempt) == (1.0, 1)
    assert progress[-1].message == "1,000 of 1,000 items, 10 failed, 10 skipped"


async def test_how_far_a_step_has_come_can_be_asked():
    """Though nobody listens."""
    gate = Gate()

    async def page(files):
        if files == 3:
            await gate.wait()

    pipeline = pipeline_with(page, list(range(4)), max_parallel=1)
    async with asyncio.timeout(200), Runtime(pipeline) as runtime:
        run = await runtime.submit("page")
        await gate.entered.wait()
        (step,) = runtime.running_steps()
        assert (step.asset, step.message) == ("page", "1 of 4 items")
        gate.open()
        await run.wait()


async def test_failed_items_of_a_submitted_run_are_in_the_log(kept, caplog):
    """A warning each, for they may be tolerated; of one run no more than twenty, and where the others are."""

    def page(files):
        raise ValueError(f"no {files}")

    pipeline = pipeline_with(page, list(range(30)), tolerate=1.0, key="page {}".format, max_parallel=1)
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        run = await runtime.submit("page")
        while not (await run.status()).terminal:
            await asyncio.sleep(0.005)
        awaited = len(caplog.records)
        await runtime.materialize("page")
    lines = [each for each in caplog.records if each.name == "flowstone.steps"]
    assert [each.levelno for each in lines] == [logging.WARNING] * 21
    assert (
        lines[0].getMessage().startswith("page item 'page 0' failed (error, attempt 1): ValueError: no 0 (")
    )
    assert (lines[0].asset, lines[0].partition, lines[0].run_id) == ("page", None, run.id)
    assert f"`flowstone items {run.id} page --status failed`" in lines[20].getMessage()
    assert len(caplog.records) == awaited


@pytest.mark.parametrize("named", ["key", "dict"])
async def test_a_password_in_what_names_an_item_is_shown_nowhere(kept, caplog, named):
    """Neither in lists, nor in the log, nor in what is raised; and two that differ in it alone are two items."""

    def page(files):
        raise ValueError("no page")

    urls = [f"https://ada:s3cr3t{number}@host/page" for number in range(2)]
    options = {"key": str} if named == "key" else {}
    pipeline = pipeline_with(page, urls if named == "key" else dict.fromkeys(urls, 1), **options)
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        run = await runtime.submit("page")
        while not (await run.status()).terminal:
            await asyncio.sleep(0)
        with pytest.raises(RunFailed) as raised:
            await run.wait()
        keys = [item.key for item in await runtime.items(run.id, "page")]
    assert set(keys) == {"https://ada:***@host/page"}
    shown = f"{raised.value} {raised.value.failures} {caplog.text}"
    assert "ada:***@host" in shown
    assert "s3cr3t" not in shown
    again = pipeline_with(page, ["https://ada:s3cr3t@host/page"] * 2, key=str)
    async with asyncio.timeout(200), Runtime(again, **kept) as runtime:
        with pytest.raises(RunFailed, match=r"ada:\*\*\*@host/page' for item 1 and for one before it"):
            await runtime.materialize_all("page")


async def test_items_run_in_processes_which_may_die(kept):
    """That fails one item; the others, before and after it, have others."""
    async with asyncio.timeout(120), Runtime(process_items.pipeline, **kept) as runtime:
        result = await runtime.materialize_all("page")
        (first, one), (last, other) = await result.value("page")
        assert (first, last) == ("value", "last")
        assert os.getpid() not in {one, other}
        items = await runtime.items(result.run_id, "page")
        assert [str(item.status) for item in items] == [
            "succeeded",
            "failed",
            "skipped",
            "failed",
            "succeeded",
        ]
        assert items[1].failure.message == "ValueError: no"
        assert "page item 3" in items[3].failure.message


async def test_only_the_first_failures_keep_their_tracebacks(kept, monkeypatch):
    """A million of them would say the same, and be gigabytes."""
    monkeypatch.setattr(scatter, "_TRACED", 2)

    async def page(files):
        raise ValueError(files)

    pipeline = pipeline_with(page, range(4), max_parallel=1, tolerate=4)
    async with asyncio.timeout(200), Runtime(pipeline, **kept) as runtime:
        result = await runtime.materialize_all("page")
        failures = [item.failure for item in await runtime.items(result.run_id, "page", status="failed")]
        assert [bool(failure.traceback) for failure in failures] == [True, True, False, False]
        assert [failure.message for failure in failures] == [f"ValueError: {number}" for number in range(4)]
        assert all(failure.where for failure in failures)
