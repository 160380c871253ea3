"""A program with misbehaving assets ends when it is told to, with the status it should have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

LONG = 30.0
"""Seconds that nothing here takes, unless it hangs: assets hang for ever."""
ROOT = Path(__file__).parents[2]

PROGRAM = """
    import asyncio, sys, threading, time
    import uvloop
    from flowstone import Pipeline, Runtime

    pipeline = Pipeline("program")
    entered = threading.Event()

    @pipeline.asset
    def thread():
        entered.set()
        threading.Event().wait()

    @pipeline.asset(run_in="process")
    def process():
        print("entered", file=sys.stderr, flush=True)
        time.sleep(600)

    async def stubborn():
        while True:
            try:
                entered.set()
                await asyncio.Event().wait()
            except BaseException:
                pass

    @pipeline.asset
    async def swallows():
        await stubborn()

    @pipeline.asset
    async def spawns():
        asyncio.create_task(stubborn())
        await asyncio.shield(asyncio.create_task(stubborn()))

    @pipeline.asset
    async def exits():
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            sys.exit(9)

    async def begun(name):
        while not entered.is_set() and name != "process":
            await asyncio.sleep(0.01)
        if name == "process":
            await asyncio.sleep(1.0)

    def runtime():
        return Runtime(pipeline, shutdown_timeout=0.1, cancel_timeout=0.1)

    async def leaves(name):
        async with runtime() as at:
            await at.submit(name)
            await begun(name)
        print("left")

    async def fails(name):
        async with runtime() as at:
            await at.submit(name)
            await begun(name)
            raise LookupError("in the body")

    async def waits(name):
        async with runtime() as at:
            run = await at.submit(name)
            await begun(name)
            print("ready", flush=True)
            await run.wait()

    async def calls(name):
        async with runtime() as at:
            async def tell():
                await begun(name)
                print("ready", flush=True)
            telling = asyncio.create_task(tell())
            await at.materialize(name)

    if __name__ == "__main__":
        run = {"asyncio": asyncio.run, "uvloop": uvloop.run}[sys.argv[3]]
        run(globals()[sys.argv[1]](sys.argv[2]))
"""

HOSTILE = ("thread", "process", "swallows", "spawns", "exits")


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


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_leaving_ends_the_program(start, name, loop):
    """Leaving `async with` while the asset hangs ends the program with status 0."""
    process = start("leaves", name, loop)
    out, err = process.communicate(timeout=LONG)
    assert (process.returncode, out) == (0, "left\n"), err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["thread", "spawns"])
def test_an_error_in_the_body_ends_the_program(start, name):
    """The body's own exception comes out, and the program ends with it."""
    process = start("fails", name, "asyncio")
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert err.rstrip().endswith("LookupError: in the body")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("what", ["waits", "calls"])
def test_ctrl_c_ends_the_program(start, name, what):
    """SIGINT under `asyncio.run` ends the program, whether it waits for the run or for the call."""
    process = start(what, name, "asyncio")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == -signal.SIGINT, err
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert time.monotonic() - began < LONG / 2
