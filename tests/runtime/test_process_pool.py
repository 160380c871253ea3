"""Assets in worker processes: what travels, what does not, and what a death or a kill does to others."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from flowstone import MaterializationFailed, Pipeline, RunCancelled, RunFailed, Runtime
from flowstone.runtime.execution.process_pool import ProcessPool
from tests.runtime.process_assets import pipeline

LONG = 60.0
"""Seconds that nothing here takes, unless it hangs."""


@pytest.fixture
async def runtime():
    """A runtime with the assets of process_assets.py."""
    async with Runtime(pipeline, resources={"db": "a plain text"}, cancel_timeout=LONG) as runtime:
        yield runtime


async def failure(runtime, asset, **options):
    """How the asset fails."""
    with pytest.raises(MaterializationFailed) as caught:
        await runtime.materialize(asset, **options)
    return caught.value.failure


async def value(runtime, asset, **options):
    """What the asset gives."""
    await runtime.materialize(asset, **options)
    return await runtime.load(asset, **options)


async def until(condition):
    """Return when the condition holds; what it waits for happens in another process."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.01)


async def appears(path):
    """The words of a file that an asset leaves."""
    await until(path.exists)
    return path.read_text().split()


def running(pid):
    """Whether there is such a process, and not only what its parent has not looked at."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # The second if it ends between open and read.
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def gone(pid):
    """Return when the process has ended."""
    await until(lambda: not running(pid))


# What travels -----------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_it_runs_in_another_process_which_is_kept(runtime):
    """An asset runs in a process of its own kind, and the next one finds that process ready."""
    first = await value(runtime, "pid")
    assert first != os.getpid()
    assert await value(runtime, "pid") == first
    assert await value(runtime, "doubled") == 2 * first


async def test_assets_in_processes_run_side_by_side():
    """As many processes work at a time as there may be."""
    processes = ProcessPool(2)
    asset = pipeline.graph["pid"]
    outcomes = await asyncio.gather(*(processes.call("pid", asset, {}, None) for _ in range(6)))
    processes.close()
    assert all(ok for ok, _ in outcomes)
    assert len({pid for _, pid in outcomes}) <= 2


async def test_an_async_function_gets_a_loop_there(runtime):
    """`async def` with run_in="process" runs on an event loop of that process."""
    assert await value(runtime, "awaited") == "awaited"


@pytest.mark.both_loops
async def test_what_it_notes_comes_back(runtime):
    """Metadata, data version and progress reach the record and the subscribers."""
    async with runtime.subscribe("step.progressed") as events:
        record = await runtime.materialize("noted", partition="eu")
        progressed = await anext(events)
    assert record.metadata == {"partition": "eu", "attempt": 1, "rows": 3}
    assert record.data_version == "v1"
    assert (progressed.fraction, progressed.message) == (0.5, "half way")
    assert await runtime.load("noted", partition="eu") == f"noted {record.run_id}"


async def test_a_failure_comes_back(runtime):
    """An exception is recorded as text, with the traceback of that process and what was noted before."""
    with pytest.raises(MaterializationFailed) as caught:
        await runtime.materialize("fails")
    assert caught.value.failure.kind == "error"
    assert caught.value.failure.message == "ValueError: in the process"
    assert "process_assets.py" in caught.value.failure.traceback
    assert caught.value.materialization.metadata == {"reached": "the middle"}


async def test_retries_are_decided_by_the_exception(runtime):
    """The policy of an asset in a process is asked there, where the exception is."""
    record = await runtime.materialize("retried")
    assert record.attempt == 2


@pytest.mark.parametrize("size", [1, 70_000, 5_000_000])
async def test_large_values_travel(runtime, size):
    """Values larger than a pipe's buffer go and come whole."""
    assert len(await value(runtime, "large", partition=size)) == size
    assert await value(runtime, "echoed", partition=size) == size


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_idle_process_holds_no_value(runtime):
    """What it was given and what it gave is forgotten when the call is over, and not at the next one."""
    pid, size = await value(runtime, "pid"), 50_000_000
    await runtime.materialize("large", partition=size)
    await until(lambda: resident(pid) < size)


def resident(pid):
    """Bytes of memory that a process uses."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_its_output_is_its_own(runtime, capfd):
    """What it and its children print or read cannot spoil the conversation; prints go to standard error."""
    assert await value(runtime, "noisy") == ""
    assert capfd.readouterr().out == ""
    assert await value(runtime, "noisy") == ""


async def test_a_resource_travels_if_it_can(runtime):
    """A resource parameter gets a copy."""
    assert await value(runtime, "takes_resource") == "a plain text"


async def test_it_may_use_processes_itself(runtime):
    """A worker process may start others."""
    assert await value(runtime, "makes_processes") != os.getpid()


@pytest.mark.parametrize(("asset", "expected"), [("by_function", 1), ("by_partial", 41)])
async def test_functions_that_are_assets_elsewhere_travel(runtime, asset, expected):
    """A function need not be decorated where it stands, and may be a partial."""
    assert await value(runtime, asset) == expected


# What does not ----------------------------------------------------------------------------------------------


def one_sentence(text):
    """Whether a message reads as one."""
    return ". " not in text.rstrip(".") and "\n" not in text


async def test_an_asset_defined_in_a_function_is_refused():
    """A function that no import finds gives one sentence that names it and says what to do."""
    local = Pipeline("local")

    @local.asset(run_in="process")
    def inside():
        return 1

    async with Runtime(local) as runtime:
        found = await failure(runtime, "inside")
    assert "'inside'" in found.message
    assert "top level of importable modules" in found.message
    assert "run_in='thread'" in found.message
    assert one_sentence(found.message)
    assert not found.retryable


async def test_an_argument_that_cannot_travel_is_refused():
    """A resource that does not pickle gives the same sentence."""
    async with Runtime(pipeline, resources={"db": object.__subclasses__}) as runtime:
        assert await value(runtime, "pid")
    async with Runtime(pipeline, resources={"db": (each for each in ())}) as runtime:
        found = await failure(runtime, "takes_resource")
    assert found.message.startswith(
        "Asset 'takes_resource' or its arguments cannot be sent to a worker process"
    )
    assert one_sentence(found.message)


@pytest.mark.parametrize("asset", ["returns_lock", "notes_lock"])
async def test_a_value_that_cannot_come_back_is_refused(runtime, asset):
    """A value or metadata that does not pickle fails the step, in one sentence, and not the process."""
    before = await value(runtime, "pid")
    found = await failure(runtime, asset)
    assert found.message.startswith(f"The value or the metadata of asset '{asset}' cannot be sent back")
    assert one_sentence(found.message)
    assert await value(runtime, "pid") == before


async def test_a_value_that_can_be_read_only_once_is_refused_in_its_process(runtime):
    """The error is the one of an asset that runs here, with the same remedy."""
    found = await failure(runtime, "returns_rows")
    assert found.kind == "io"
    assert "asset 'returns_rows': its value is of type generator" in found.message
    assert found.message.endswith("; return list(...).")


async def test_a_value_that_cannot_be_read_is_a_failure(runtime):
    """A value whose unpickling raises fails its step alone."""
    found = await failure(runtime, "returns_trap")
    assert "SystemExit: unpickled" in found.message
    assert await value(runtime, "pid")


# Death ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "exit status 7"),
        ("kill", "SIGKILL"),
        ("term", "SIGTERM"),
        ("abort", "SIGABRT"),
        ("fork", "exit status 7"),
    ],
)
async def test_a_process_that_dies_fails_its_own_step(runtime, how, said):
    """However a worker process ends, its step fails with the reason, and the next one gets a new process."""
    found = await failure(runtime, "dies", partition=how)
    assert found.kind == "error"
    assert said in found.message
    assert f"dies[{how}]" in found.message
    assert found.retryable
    assert await value(runtime, "pid")


async def test_a_death_leaves_other_processes_alone(runtime, tmp_path):
    """Two work side by side; one dies, the other finishes."""
    run = await runtime.submit("hangs", partition=str(tmp_path / "ids"))
    await appears(tmp_path / "ids")
    await failure(runtime, "dies", partition="kill")
    assert await run.status() == "running"
    await run.cancel()


async def test_a_death_is_retried(runtime):
    """A process that dies is a failure like others: the policy decides."""
    record = await runtime.materialize("dies_once")
    assert record.attempt == 2


async def test_a_dead_idle_process_is_replaced(runtime):
    """A process that was killed while it waited for work is not used."""
    first = await value(runtime, "pid")
    os.kill(first, signal.SIGKILL)
    await gone(first)
    assert await value(runtime, "pid") != first


@pytest.mark.parametrize("how", ["closes", "writes"])
async def test_a_process_that_spoils_the_conversation_is_killed(runtime, monkeypatch, how):
    """Whoever waits for it would wait as long as it lives: nothing that it says can be understood any more."""
    monkeypatch.setattr("flowstone.runtime.execution.subprocess._ENDS_WITHIN", 0.0)
    found = await failure(runtime, "spoils", partition=how)
    assert "lost its connection to the program, and was killed: its code closed files" in found.message
    assert found.retryable
    assert await value(runtime, "pid")


# Stopping ---------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_cancelling_kills_the_process_and_its_children(runtime, tmp_path):
    """A cancelled step's process, and what that started, is gone when `cancel` returns or soon after."""
    run = await runtime.submit("hangs", partition=str(tmp_path / "ids"))
    pids = await appears(tmp_path / "ids")
    await run.cancel()
    with pytest.raises(RunCancelled):
        await run.wait()
    for pid in pids:
        await gone(pid)
    assert not (await runtime.health()).abandoned
    assert await value(runtime, "pid")


@pytest.mark.both_loops
async def test_a_timeout_kills_the_process(runtime):
    """A step over its time is killed and tried again in a new process; starting one is not its time."""
    record = await runtime.materialize("too_long")
    assert record.attempt == 2
    assert await runtime.load("too_long") == "in time"


async def test_cancelling_one_leaves_the_others(runtime, tmp_path):
    """The process of one step is its own: cancelling the first that ever began harms no other."""
    first = await runtime.submit("hangs", partition=str(tmp_path / "first"))
    await appears(tmp_path / "first")
    second = await runtime.submit("hangs", partition=str(tmp_path / "second"))
    pids = await appears(tmp_path / "second")
    await first.cancel()
    assert await second.status() == "running"
    os.kill(int(pids[0]), 0)
    await second.cancel()


@pytest.mark.both_loops
async def test_a_step_that_waits_for_a_process_is_cancelled_at_once(tmp_path):
    """Without a free place there is nothing to kill: the step just leaves the queue."""
    processes = ProcessPool(1)
    asset = pipeline.graph["hangs"]
    context = {"context": _context("hangs", str(tmp_path / "ids"))}
    busy = asyncio.create_task(processes.call("busy", asset, context, None))
    await appears(tmp_path / "ids")
    begun = []
    waiting = asyncio.create_task(
        processes.call("waiting", pipeline.graph["pid"], {}, lambda: begun.append(1))
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    busy.cancel()
    ok, _ = await busy
    assert not ok
    assert begun == []
    assert (await processes.call("after", pipeline.graph["pid"], {}, None))[0]
    processes.close()


def _context(asset, partition):
    from flowstone import Context

    return Context(asset, partition, partition, "run", 1)


async def test_leaving_the_runtime_ends_the_processes(tmp_path):
    """Idle processes end with the runtime, and busy ones are killed when it lets go."""
    async with Runtime(pipeline, shutdown_timeout=0.0, cancel_timeout=LONG) as runtime:
        idle = await value(runtime, "pid")
        await runtime.submit("hangs", partition=str(tmp_path / "ids"))
        pids = await appears(tmp_path / "ids")
    for pid in [idle, *pids]:
        await gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a reaper")
def test_leaving_the_runtime_wakes_a_reaper_that_was_stopped():
    """It ends the process all the same, and the program does not wait for what cannot hear it."""
    program = (
        "import asyncio; from tests.runtime.test_process_pool import stop_and_leave as f; asyncio.run(f())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG, check=True
    )
    assert not any(map(running, map(int, done.stdout.split())))


async def stop_and_leave():
    """Print the ids of a worker whose reaper is stopped, after the runtime has let go."""
    async with Runtime(pipeline) as runtime:
        pids = await value(runtime, "stops_its_reaper")
    sys.stdout.write(" ".join(map(str, pids)))


async def test_runtimes_share_no_process():
    """Each runtime has processes of its own; one that ends takes none of the other's."""
    async with Runtime(pipeline) as one:
        first = await value(one, "pid")
        async with Runtime(pipeline) as other:
            assert await value(other, "pid") != first
        assert await value(one, "pid") == first


async def test_a_failing_run_names_the_step(runtime):
    """In a run over several assets the failed process step is named like any other."""
    with pytest.raises(RunFailed) as caught:
        await runtime.materialize_all("dies", partition="exit")
    assert [record.name for record in caught.value.result.failed] == ["dies[exit]"]


# Programs ---------------------------------------------------------------------------------------------------

SCRIPT = """
    import asyncio
    from flowstone import Pipeline, Runtime

    pipeline = Pipeline("script")

    class Point:
        def __init__(self, x):
            self.x = x

    @pipeline.asset(run_in="process")
    def point() -> Point:
        return Point(3)

    async def main():
        async with Runtime(pipeline) as runtime:
            await runtime.materialize("point")
            print((await runtime.load("point")).x)

"""


def run_script(path, source, **options):
    """Run a program; what it said and how it ended."""
    path.write_text(dedent(source))
    result = subprocess.run(
        [sys.executable, str(path)], check=False, capture_output=True, text=True, timeout=LONG, **options
    )
    return result.returncode, result.stdout, result.stderr


def test_a_script_may_define_its_assets_itself(tmp_path):
    """Assets and classes of the main module travel."""
    source = SCRIPT + "    if __name__ == '__main__':\n        asyncio.run(main())\n"
    assert run_script(tmp_path / "script.py", source) == (0, "3\n", "")


def test_a_script_without_a_guard_is_told(tmp_path):
    """A program that runs itself on import gets told so, instead of processes without end."""
    status, _, said = run_script(tmp_path / "script.py", SCRIPT + "    asyncio.run(main())\n")
    assert status == 1
    assert "put what a script does under `if __name__ == '__main__':`" in said


def test_processes_end_with_a_killed_program(tmp_path):
    """If the program is killed, its busy worker processes do not stay behind."""
    source = f"""
        import asyncio, os, signal
        from flowstone import Runtime
        from tests.runtime.process_assets import pipeline

        async def main():
            async with Runtime(pipeline) as runtime:
                await runtime.submit("hangs", partition={str(tmp_path / "ids")!r})
                while not os.path.exists({str(tmp_path / "ids")!r}):
                    await asyncio.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)

        if __name__ == "__main__":
            asyncio.run(main())
    """
    root = Path(__file__).parents[2]
    status, _, _ = run_script(tmp_path / "script.py", source, env={**os.environ, "PYTHONPATH": str(root)})
    assert status == -signal.SIGKILL
    worker, child = (tmp_path / "ids").read_text().split()
    asyncio.run(gone(worker))
    if sys.platform == "linux":
        asyncio.run(gone(child))
    else:
        os.kill(int(child), signal.SIGKILL)
