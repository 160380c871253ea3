"""What a process asset has started ends with its worker process, and a forked child with its function."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from flowstone import MaterializationFailed, Runtime
from tests.runtime.family_assets import MEMBERS, pipeline

LONG = 60.0
"""Seconds that nothing here takes, unless it hangs."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process group is all there is")


def running(pid):
    """Whether there is such a process, and not only what its parent has not looked at."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # The second if it ends between open and read.
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def until(condition):
    """Return when the condition holds; what it waits for happens in other processes."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def ids(tmp_path):
    """The file in which a family leaves its process ids; who is left at the end is killed."""
    path = tmp_path / "ids"
    yield path
    for pid in members(path):
        if running(pid):
            os.kill(pid, signal.SIGKILL)


def members(path):
    """The family, the worker first."""
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


async def family(path):
    """The process ids of a family that is complete."""
    await until(lambda: len(members(path)) == MEMBERS)
    return members(path)


async def gone(family):
    """Return when nobody of it is left."""
    await until(lambda: not any(map(running, family)))


@linux
async def test_cancelling_ends_the_family(ids):
    """Also who has begun a session of its own, and orphans."""
    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("stays", partition=str(ids))
        everybody = await family(ids)
        await run.cancel()
        await gone(everybody)


@linux
async def test_the_death_of_the_worker_ends_the_family(ids):
    """As when the kernel kills it for the memory it takes; the failure says how it died."""
    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("stays", partition=str(ids))
        everybody = await family(ids)
        os.kill(everybody[0], signal.SIGKILL)
        await gone(everybody)
        async with asyncio.timeout(LONG):
            while not (result := await run.result()).failed:
                await asyncio.sleep(0.01)
        assert "SIGKILL" in result.failed[0].failure.message
        assert result.failed[0].failure.retryable


@linux
async def test_leaving_the_runtime_ends_the_family(ids):
    """Also if its asset returned long ago, and its worker process waits for the next one."""
    async with Runtime(pipeline) as runtime:
        await runtime.materialize("leaves", partition=str(ids))
        everybody = await family(ids)
        assert all(map(running, everybody))
    await gone(everybody)


@linux
async def test_a_worker_does_not_outlive_its_reaper(ids):
    """Whoever kills the process between program and worker has killed the worker."""
    async with Runtime(pipeline) as runtime:
        await runtime.materialize("parents")
        worker, reaper = await runtime.load("parents")
        assert reaper != os.getpid()
        os.kill(reaper, signal.SIGKILL)
        await gone([worker])
        await runtime.materialize("parents")
        assert (await runtime.load("parents"))[0] != worker


PROGRAM = """
    import asyncio, os, signal, sys, time
    from pathlib import Path
    from flowstone import Runtime
    from tests.runtime.family_assets import MEMBERS, pipeline

    async def main(ids, how):
        async with Runtime(pipeline) as runtime:
            await runtime.submit("stays", partition=str(ids))
            while not ids.exists() or ids.read_text().count("\\n") < MEMBERS:
                await asyncio.sleep(0.01)
            if how == "stopped":
                os.kill(int(ids.read_text().split()[0]), signal.SIGSTOP)
            if how == "forked" and (child := os.fork()) == 0:
                time.sleep(600)  # Holds the pipes of the program open.
            if how == "forked":
                print(child, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    if __name__ == "__main__":
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@linux
@pytest.mark.parametrize("how", ["plain", "stopped", "forked"])
async def test_the_death_of_the_program_ends_the_family(ids, tmp_path, how):
    """Also if the worker cannot notice, or something else holds the pipes of the program open."""
    script = tmp_path / "program.py"
    script.write_text(dedent(PROGRAM))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, str(script), str(ids), how]
    said = tmp_path / "said"
    with said.open("w") as out:
        program = await asyncio.to_thread(
            subprocess.run, arguments, env=environment, check=False, stdout=out, timeout=LONG
        )
    assert program.returncode == -signal.SIGKILL
    try:
        await gone(await family(ids))
    finally:
        for child in said.read_text().split():
            os.kill(int(child), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("how", "status"), [("returns", 0), ("raises", 1), ("exits", 3)])
@pytest.mark.parametrize(
    "asset", ["forks_in_thread", "forks_in_process", "forks_on_loop", "forks_on_loop_in_thread"]
)
async def test_a_forked_child_ends_with_the_function(asset, how, status):
    """It never gets into the runtime: its end is the end of the function, with the status of a program."""
    async with asyncio.timeout(LONG), Runtime(pipeline) as runtime:
        await runtime.materialize(asset, partition=how)
        assert await runtime.load(asset, partition=how) == status


async def test_a_forked_child_that_fails_is_not_the_assets_failure():
    """The asset's own process says what became of the step."""
    async with asyncio.timeout(LONG), Runtime(pipeline) as runtime:
        try:
            record = await runtime.materialize("forks_in_thread", partition="raises")
        except MaterializationFailed as error:
            pytest.fail(str(error))
        assert (record.attempt, record.failure) == (1, None)
