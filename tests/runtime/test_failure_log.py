"""The application's log has one record for each step that failed where nobody waits for it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flowstone import DailyPartitions, FlowstoneError, Pipeline, Retry, RunFailed, Runtime
from flowstone.assets.partition_keys import encode_partition
from flowstone.runs.records import Failure
from flowstone.runtime.services.failure_log import STEPS, FailureLog

pipeline = Pipeline("failing")


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def fail():
    raise ValueError("no data")


@pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-31"))
async def on_the_loop() -> int:
    fail()


@pipeline.asset
def in_a_thread() -> int:
    fail()


@pipeline.asset(run_in="process")
def in_a_process() -> int:
    fail()


@pipeline.asset
def speechless() -> int:
    raise Speechless


@pipeline.asset
def endless() -> int:
    raise ValueError("x" * 1_000_000)


@pipeline.asset
def chained() -> int:
    try:
        fail()
    except ValueError as error:
        raise KeyError("second") from error


@pipeline.asset
async def grouped() -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(one_of(number))


async def one_of(number):
    raise ValueError(f"part {number}")


@pipeline.asset
def unreadable() -> int:
    return eval("1 +")


@pipeline.asset(retry=Retry(attempts=3, delay=0.0))
async def stubborn() -> int:
    fail()


@pipeline.asset(timeout=0.001)
async def slow() -> int:
    await asyncio.Event().wait()


def records(caplog, least=logging.WARNING):
    """What the logger of failed steps was given."""
    return [record for record in caplog.records if record.name == STEPS and record.levelno >= least]


async def submitted(runtime, name, partition=None):
    """Run an asset to its end without waiting for it as a caller would."""
    async with runtime.subscribe("run.finished") as events:
        await runtime.submit(name, partition=partition)
        await anext(events)


@pytest.mark.parametrize(
    ("name", "partition", "said", "shown"),
    [
        ("on_the_loop", "2025-01-15", "ValueError: no data", "in fail"),
        ("in_a_thread", None, "ValueError: no data", "in fail"),
        ("in_a_process", None, "ValueError: no data", "in fail"),
        ("speechless", None, "Speechless: <its message cannot be read: RuntimeError>", "in speechless"),
        ("endless", None, "characters left out", "in endless"),
        ("chained", None, "KeyError: 'second'", "direct cause"),
        ("grouped", None, "\n  ValueError: part 1 (", "in one_of"),
        ("unreadable", None, "SyntaxError", "in unreadable"),
        ("slow", None, "TimeoutError: slow took longer than its timeout", ""),
    ],
)
async def test_a_failed_step_of_a_submitted_run_leaves_one_record(caplog, name, partition, said, shown):
    """It has asset, partition as people write it, attempt, kind, message and the frames of the user's code."""
    caplog.set_level(logging.INFO)
    async with Runtime(pipeline) as runtime:
        await submitted(runtime, name, partition)
    (record,) = records(caplog)
    text = record.getMessage()
    assert record.levelname == "ERROR"
    assert text.startswith(name if partition is None else f"{name}[{partition}]")
    assert said in text
    assert shown in text
    assert "guard.py" not in text
    assert len(text) < 20_000
    assert (record.asset, record.partition, record.attempt) == (name, partition, 1)
    assert record.failure_kind == ("timeout" if name == "slow" else "error")
    assert len(record.run_id) > 10


async def test_only_the_last_attempt_is_an_error(caplog):
    """An attempt that is made again is a line at "info"."""
    caplog.set_level(logging.INFO)
    async with Runtime(pipeline) as runtime:
        await submitted(runtime, "stubborn")
    assert [(r.levelname, r.attempt) for r in records(caplog, logging.INFO)] == [
        ("INFO", 1),
        ("INFO", 2),
        ("ERROR", 3),
    ]


async def test_what_a_caller_is_told_anyway_is_no_error_of_the_log(caplog):
    """Where somebody waits, the failure is raised or returned, and the log has it at "debug"."""
    caplog.set_level(logging.DEBUG)
    async with Runtime(pipeline) as runtime:
        for request in (runtime.materialize, runtime.materialize_all):
            with pytest.raises(FlowstoneError):
                await request("in_a_thread")
        await runtime.backfill("on_the_loop", end="2025-01-02")
    assert records(caplog) == []
    assert len(records(caplog, logging.DEBUG)) == 4


async def test_whoever_waits_for_a_submitted_run_is_told(caplog):
    """Not the log, if the waiting began before the failure."""
    waits = asyncio.Event()
    own = Pipeline()

    @own.asset
    async def bad() -> int:
        await waits.wait()
        fail()

    async with Runtime(own) as runtime:
        run = await runtime.submit("bad")
        waiting = asyncio.create_task(run.wait())
        await asyncio.sleep(0)
        waits.set()
        with pytest.raises(RunFailed):
            await waiting
    assert records(caplog) == []


async def test_a_broken_source_does_not_fill_the_log(caplog):
    """Of one run the first twenty failures are errors, and a record says how to see the others."""
    async with Runtime(pipeline) as runtime, runtime.subscribe("run.finished") as events:
        run = await runtime.submit_backfill("on_the_loop")
        await anext(events)
    found = records(caplog)
    assert len(found) == 21
    assert found[-1].getMessage().endswith(f"`flowstone run {run.id} --debug` shows them")


def test_failed_items_of_a_run_do_not_fill_the_log(caplog):
    """Of one run twenty are warnings, whatever step they are of, and a record says where those of a step are."""
    log, failure = FailureLog(), Failure("error", "ValueError: no data")
    for number in range(200):
        for item in range(21):
            log.log_item("1a2b", ("page", encode_partition(f"part {number}")), str(item), 1, failure)
    found = records(caplog)
    assert len(found) == 21
    assert found[0].getMessage().startswith("page[part 0] item 0 failed")
    said = "run 1a2b has more failed items: `flowstone items 1a2b page --partition 'part 0' --status failed` lists"
    assert found[-1].getMessage() == f"{said} those of page[part 0]"


def test_what_was_told_of_one_run_does_not_depend_on_a_wide_one(caplog):
    """Which may have more steps than there are runs that are kept in mind."""
    log, failure = FailureLog(), Failure("error", "ValueError: no data")
    for _ in range(30):
        log.log_item("small", ("page", None), "0", 1, failure)
    caplog.clear()
    for number in range(2_000):
        log.log_item("wide", ("page", encode_partition(f"{number}")), "0", 1, failure)
    log.log_item("small", ("page", None), "0", 1, failure)
    assert {record.run_id for record in records(caplog) if hasattr(record, "run_id")} == {"wide"}
    assert len(records(caplog)) == 21


async def test_a_log_that_breaks_harms_no_run(caplog):
    """The handlers of a log are the application's, and may raise anything."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise SystemExit("no more paper")

    handler = Broken()
    logging.getLogger(STEPS).addHandler(handler)
    try:
        async with Runtime(pipeline) as runtime:
            await submitted(runtime, "in_a_thread")
            assert await runtime.status("in_a_thread") == "failed"
            assert all(process.restarts == 0 for process in runtime.tree().walk())
    finally:
        logging.getLogger(STEPS).removeHandler(handler)
