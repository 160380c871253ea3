"""A program with misbehaving assets ends when it is told to, with the status it should have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

LONG = 60.0
"""Seconds that nothing here takes, unless it hangs: assets hang for ever."""
ROOT = Path(__file__).parents[2]

PROGRAM = """
    import asyncio, sys, threading, time
    import uvloop
    from flowstone import Context, Pipeline, Runtime

    pipeline = Pipeline("program")
    begun = set()

    @pipeline.asset
    def thread():
        begun.add("thread")
        threading.Event().wait()

    @pipeline.asset(run_in="process")
    def process(context: Context):
        context.progress(0.0)
        time.sleep(600)

    async def stubborn():
        while True:
            try:
                await asyncio.Event().wait()
            except BaseException:
                pass

    @pipeline.asset
    async def swallows():
        begun.add("swallows")
        await stubborn()

    @pipeline.asset
    async def spawns():
        asyncio.create_task(stubborn())
        task = asyncio.create_task(stubborn())
        begun.add("spawns")
        await asyncio.shield(task)

    @pipeline.asset
    async def exits():
        try:
            begun.add("exits")
            await asyncio.Event().wait()
        finally:
            sys.exit(9)

    @pipeline.asset(deps=["thread", "process", "swallows", "spawns", "exits"])
    def everything():
        pass

    async def all_have_begun(events):
        async for event in events:
            begun.add(event.asset)
            break
        while len(begun) < 5:
            await asyncio.sleep(0.01)

    def runtime():
        return Runtime(pipeline, shutdown_timeout=0.1, cancel_timeout=0.1)

    async def leaves():
        async with runtime() as at, at.subscribe("step.progressed") as events:
            await at.submit("everything")
            await all_have_begun(events)
        print("left")

    async def fails():
        async with runtime() as at, at.subscribe("step.progressed") as events:
            await at.submit("everything")
            await all_have_begun(events)
            raise LookupError("in the body")

    async def waits():
        async with runtime() as at, at.subscribe("step.progressed") as events:
            run = await at.submit("everything")
            await all_have_begun(events)
            print("ready", flush=True)
            await run.wait()

    async def calls():
        async with runtime() as at, at.subscribe("step.progressed") as events:
            async def tell():
                await all_have_begun(events)
                print("ready", flush=True)
            telling = asyncio.create_task(tell())
            await at.materialize_all("everything")

    if __name__ == "__main__":
        run = {"asyncio": asyncio.run, "uvloop": uvloop.run}[sys.argv[2]]
        run(globals()[sys.argv[1]]())
"""


@pytest.fixture
def start(tmp_path):
    """Start the program; killed at the end of the test if it has not ended by itself."""
    script = tmp_path / "program.py"
    script.write_text(dedent(PROGRAM))
    started = []

    def begin(*arguments):
        process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_leaving_ends_the_program(start, loop):
    """Leaving `async with` while assets hang in every way ends the program with status 0."""
    process = start("leaves", loop)
    out, err = process.communicate(timeout=LONG)
    assert (process.returncode, out) == (0, "left\n"), err
    assert "Traceback" not in err
    assert "thread cannot be stopped" in err


def test_an_error_in_the_body_ends_the_program(start):
    """The body's own exception comes out, and the program ends with it."""
    process = start("fails", "asyncio")
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert err.rstrip().endswith("LookupError: in the body")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("what", ["waits", "calls"])
def test_ctrl_c_ends_the_program(start, what, loop):
    """SIGINT ends the program, whether it waits for a run or for a call."""
    process = start(what, loop)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == -signal.SIGINT, err
    assert err.rstrip().endswith("KeyboardInterrupt")
