"""A runtime on `file://` with values in files: what outlives the process, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    DynamicPartitions,
    FileIO,
    MaterializationFailed,
    Output,
    Pipeline,
    RunFailed,
    RunNotFound,
    Runtime,
    StoreUnavailable,
)
from flowstone.runs.events import StepSucceeded
from flowstone.store import FileStore

ROOT = Path(__file__).parents[2]
WEEK = DailyPartitions("2025-01-01", "2025-01-07")


def weekly(starts=None, fail=()):
    """`raw` by day and `total` over all days."""
    pipeline = Pipeline("weekly")

    @pipeline.asset(partitions=WEEK, version="1")
    async def raw(context: Context) -> Output[int]:
        if starts is not None:
            starts.append(context.partition.day)
        if context.partition.day in fail:
            raise ValueError(f"day {context.partition.day}")
        return Output(context.partition.day, metadata={"rows": context.partition.day})

    @pipeline.asset
    async def total(raw: dict) -> int:
        return sum(raw.values())

    return pipeline


async def test_values_last_as_long_as_the_history(tmp_path):
    """Without an IO manager of one's own as well: they are in the directory, where a command keeps them too."""
    url = f"file://{tmp_path}/store"
    async with Runtime(weekly(), store=url) as first:
        await first.materialize_all("total")
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [
        "journal.jsonl",
        "journal.lock",
        "values",
    ]
    async with Runtime(weekly(), store=FileStore(tmp_path / "store")) as second:
        assert await second.load("total") == 28
        assert await second.status("total") == "succeeded"
    (tmp_path / "weeks.py").write_text(
        "from tests.runtime.test_file_store_runtime import weekly\n\nweeks = weekly()\n"
    )
    command = [
        sys.executable,
        "-m",
        "flowstone",
        "materialize",
        f"{tmp_path}/weeks.py:weeks",
        "total",
        "--store",
        url,
    ]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=200, cwd=ROOT)
    async with Runtime(weekly(), store=url) as third:
        assert len(await third.history("total")) == 2
        assert await third.load("total") == 28


async def test_values_have_the_permissions_of_the_history(tmp_path):
    """Who may read the one may read the other."""
    async with Runtime(weekly(), store=FileStore(tmp_path / "store", mode=0o640)) as shared:
        record = await shared.materialize("raw", partition="2025-01-01")
    assert (tmp_path / "store" / "values" / record.location).stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "store" / "journal.jsonl").stat().st_mode & 0o777 == 0o640


def runtime(folder, pipeline, **options):
    """A runtime whose history and values are in the folder."""
    return Runtime(
        pipeline, store=f"file://{folder}/store", io={"default": FileIO(folder / "values")}, **options
    )


@pytest.mark.both_loops
async def test_values_and_history_outlive_the_runtime(tmp_path):
    """Another runtime on the same folder loads, reuses, and knows what became of each step."""
    async with runtime(tmp_path, weekly()) as first:
        result = await first.materialize_all("total")
    async with runtime(tmp_path, weekly()) as second:
        assert await second.load("total") == 28
        assert await second.load("raw", partition="2025-01-03") == 3
        assert await second.status("total") == "succeeded"
        (record,) = await second.history("raw", partition="2025-01-03")
        assert record == next(m for m in result.succeeded if m.partition_key == "d:2025-01-03")
        assert dict(record.metadata) == {"rows": 3}
        assert record.code_version == "1"
        assert record.data_version is not None
        assert record.duration >= 0
        again = await second.materialize_all("total", refresh="stale")
        assert len(again.reused) == 8
        assert len(await second.lineage.upstream("total")) == 7


async def test_a_run_can_be_asked_for_after_a_restart(tmp_path):
    """Its handle tells the status, waits for the result, lists the events, and the result loads values."""
    async with runtime(tmp_path, weekly(fail=[5])) as first:
        good = await first.submit("raw", partition="2025-01-02")
        await good.wait()
        bad = await first.submit("total")
        with pytest.raises(RunFailed):
            await bad.wait()
    async with runtime(tmp_path, weekly()) as second:
        run = await second.run(good.id)
        assert await run.status() == "succeeded"
        result = await run.wait()
        assert await result.value() == 2
        assert [event.kind async for event in run.events()][-1] == "run.finished"
        await run.cancel()
        assert await run.status() == "succeeded"
        with pytest.raises(RunFailed) as caught:
            await (await second.run(bad.id)).wait()
        assert [m.failure.message for m in caught.value.result.failed] == ["ValueError: day 5"]
        assert [m.asset for m in caught.value.result.skipped] == ["total"]
        with pytest.raises(RunNotFound):
            await second.run("nobody")


async def test_dynamic_partitions_and_invalidations_outlive_the_runtime(tmp_path):
    """Keys that were added are still there; a value that was invalidated still is."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DynamicPartitions("customers"))
    async def invoice(context: Context) -> str:
        return context.partition

    async with runtime(tmp_path, pipeline) as first:
        await first.add_partitions("customers", ["acme", "zenith"])
        await first.backfill("invoice")
        await first.invalidate("invoice", partition="acme")
    async with runtime(tmp_path, pipeline) as second:
        assert not await second.exists("invoice", partition="acme")
        assert await second.load("invoice", partition="zenith") == "zenith"
        assert len((await second.backfill("invoice")).reused) == 1


async def test_a_value_no_codec_takes_is_refused_before_anything_is_recorded(tmp_path):
    """The failure names the type and what to do; there is no current value."""
    pipeline = Pipeline()

    @pipeline.asset
    async def odd() -> object:
        return object()

    async with runtime(tmp_path, pipeline) as first:
        with pytest.raises(MaterializationFailed, match="object") as caught:
            await first.materialize("odd")
        assert caught.value.failure.kind == "io"
        assert not await first.exists("odd")


async def test_metadata_that_json_cannot_hold_does_not_fail_the_step(tmp_path):
    """The store keeps what it can of what an asset noted."""
    pipeline = Pipeline()

    @pipeline.asset
    async def noted(context: Context) -> int:
        context.metadata.update({"nan": float("nan"), "object": object(), "text": "a\x00b\ud800", "ok": 1})
        return 1

    async with runtime(tmp_path, pipeline) as first:
        await first.materialize("noted")
    async with runtime(tmp_path, pipeline) as second:
        assert (await second.history("noted"))[0].metadata["ok"] == 1


async def test_a_second_runtime_on_the_same_folder_is_refused(tmp_path):
    """One process at a time: the second is told, the first goes on."""
    async with runtime(tmp_path, weekly()) as first:
        with pytest.raises(StoreUnavailable):
            async with runtime(tmp_path, weekly()):
                pass
        await first.materialize("raw", partition="2025-01-01")


async def test_concurrent_runs_share_the_journal(tmp_path):
    """Many calls at once are all remembered."""
    async with runtime(tmp_path, weekly()) as first:
        records = await asyncio.gather(*(first.materialize("raw", partition=day) for day in WEEK))
    async with runtime(tmp_path, weekly()) as second:
        for record in records:
            (kept,) = await second.history("raw", partition=record.partition)
            assert kept == record


async def test_cancelled_means_stopped_after_a_restart_too(tmp_path, background):
    """A run that was cancelled is not taken up again."""
    pipeline, entered = Pipeline(), asyncio.Event()

    @pipeline.asset
    async def slow() -> None:
        entered.set()
        await asyncio.Event().wait()

    async with runtime(tmp_path, pipeline) as first:
        call = background(first.materialize("slow"))
        await entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    entered.clear()
    async with runtime(tmp_path, pipeline) as second:
        await second.drain()
        assert not entered.is_set()
        assert await second.status("slow") == "cancelled"


# kill -9 ----------------------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from flowstone import Context, DailyPartitions, FileIO, Pipeline, Runtime

folder, deadly = Path(sys.argv[1]), int(sys.argv[2])
pipeline = Pipeline("days")
days = DailyPartitions("2025-01-01", "2025-01-31")

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

@pipeline.asset(partitions=days)
async def raw(context: Context) -> int:
    tell("start", context.partition.day, context.attempt)
    if context.partition.day == deadly:
        os._exit(7)
    await asyncio.sleep(0.002)
    return context.partition.day

@pipeline.asset(partitions=days)
def squared(raw: int) -> int:
    return raw * raw

async def main():
    store, values = f"file://{folder}/store", FileIO(folder / "values")
    async with Runtime(pipeline, store=store, io={"default": values}) as runtime:
        known = folder / "run"
        if not known.exists():
            run = await runtime.submit_backfill("squared", upstream=True, max_parallel=4)
            known.write_text(run.id)
        run = await runtime.run(known.read_text())
        tell("running")
        try:
            await run.wait()
        except Exception:
            pass
        tell("over", await run.status())

asyncio.run(main())
"""


def live(folder, deadly=0, kill_after=None):
    """One life of the program, killed after so many steps have begun; returns what it told and its exit status."""
    command = [sys.executable, "-c", PROGRAM, str(folder), str(deadly)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        told = []
        begun = 0
        for line in process.stdout:
            told.append(line.split())
            begun += told[-1][0] == "start"
            if kill_after is not None and begun >= kill_after:
                process.kill()
                break
        told += [line.split() for line in process.stdout]
    return told, process.returncode


async def successes(folder):
    """Per step of the run, how often a success was recorded; and the run."""
    store = FileStore(folder / "store")
    await store.open()
    try:
        (run,) = await store.runs()
        events = await store.events(run.id, limit=100_000)
        return Counter(
            (event.asset, event.partition_key) for _, event in events if isinstance(event, StepSucceeded)
        ), run
    finally:
        await store.close()


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
async def test_kill_9_loses_nothing_and_repeats_no_success(tmp_path):
    """Killed again and again, the run is finished in the end, each step recorded as succeeded exactly once."""
    for kill_after in (3, 8, 11):
        told, status = await asyncio.to_thread(live, tmp_path, 0, kill_after)
        assert status == -signal.SIGKILL
        before, _ = await successes(tmp_path)
        assert set(before.values()) <= {1}
    told, status = await asyncio.to_thread(live, tmp_path)
    assert (told[-1], status) == (["over", "succeeded"], 0)
    again = {int(line[1]) for line in told if line[0] == "start"}
    assert not again & {int(key[-2:]) for asset, key in before if asset == "raw"}
    counts, run = await successes(tmp_path)
    assert run.status == "succeeded"
    assert len(counts) == 62
    assert set(counts.values()) == {1}
    pipeline = Pipeline()

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-31"))
    async def squared() -> int:
        raise AssertionError

    async with runtime(tmp_path, pipeline) as after:
        values = [await after.load("squared", partition=f"2025-01-{day:02}") for day in range(1, 32)]
        assert values == [day * day for day in range(1, 32)]


@pytest.mark.skipif(os.name == "nt", reason="exit statuses of POSIX")
async def test_an_asset_that_kills_its_process_is_given_up_and_its_neighbours_are_not(tmp_path):
    """After three lost attempts it fails with kind lost; every other step succeeds."""
    for _ in range(3):
        told, status = await asyncio.to_thread(live, tmp_path, 5)
        assert status == 7
    assert told[-1][:2] == ["start", "5"]
    told, status = await asyncio.to_thread(live, tmp_path, 5)
    assert (told[-1], status) == (["over", "failed"], 0)
    counts, run = await successes(tmp_path)
    assert dict(run.counts) == {"succeeded": 60, "failed": 1, "skipped": 1}
    assert set(counts.values()) == {1}
    assert ("raw", "d:2025-01-05") not in counts


async def test_a_removed_store_fails_runs_and_shows_in_health(tmp_path):
    """Nothing is reported as done that the next opening would not know; who asks after the health is told why."""
    async with runtime(tmp_path, weekly()) as service:
        await service.materialize("raw", partition="2025-01-01")
        assert (await service.health()).status == "ok"
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        with pytest.raises(StoreUnavailable, match=r"journal\.jsonl is gone"):
            await service.materialize("raw", partition="2025-01-02")
        health = await service.health()
        assert health.status != "ok"
        assert "journal.jsonl is gone" in str(health)
