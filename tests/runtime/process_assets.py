"""Assets for worker processes, which import them from here."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from flowstone import Config, Context, Output, Pipeline, Resource, Retry, Retryable

__all__ = ["pipeline", "undecorated"]

pipeline = Pipeline("processes")


@pipeline.asset(run_in="process")
def rested(context: Context) -> int:
    """Waits, and says which attempt it is."""
    context.sleep("nap", 60.0)
    return context.attempt


@pipeline.asset(run_in="process")
def pid() -> int:
    """Which process this is."""
    return os.getpid()


@pipeline.asset(run_in="process")
def doubled(pid: int) -> int:
    """Uses a value of another asset."""
    return 2 * pid


@pipeline.asset(run_in="process")
async def awaited() -> str:
    """An `async def` in a process."""
    await asyncio.sleep(0)
    return "awaited"


@pipeline.asset(run_in="process")
def noted(context: Context) -> Output[str]:
    """Says something on every channel there is."""
    context.metadata["partition"] = context.partition
    context.metadata["attempt"] = context.attempt
    context.progress(0.5, "half way")
    context.log.info("working")
    return Output(f"{context.asset} {context.run_id}", metadata={"rows": 3}, data_version="v1")


@pipeline.asset(run_in="process")
def fails(context: Context) -> None:
    """Notes something and fails."""
    context.metadata["reached"] = "the middle"
    raise ValueError("in the process")


@pipeline.asset(run_in="process")
def dies(context: Context) -> None:
    """Ends its process in the way its partition says."""
    match context.partition:
        case "exit":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
        case "abort":
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            os.abort()
        case "fork":
            if os.fork() == 0:
                time.sleep(60)
            os._exit(7)


@pipeline.asset(run_in="process")
def spoils(context: Context) -> str:
    """Does to files that are not its own what its partition says."""
    if context.partition == "closes":
        os.closerange(3, 64)
        time.sleep(600)
    for file in range(3, 64):
        with suppress(OSError):  # Not open, or only for reading.
            if stat.S_ISFIFO(os.fstat(file).st_mode):
                os.write(file, b"in the way")
    return "spoilt"


@pipeline.asset(run_in="process")
def stops_its_reaper() -> list[int]:
    """Leaves its ids and those of its reaper, which hears nothing any more."""
    os.kill(os.getppid(), signal.SIGSTOP)
    return [os.getpid(), os.getppid()]


@pipeline.asset(run_in="process", retry=Retry(attempts=3, delay=0.0, jitter=0.0))
def dies_once(context: Context) -> int:
    """Dies in its first attempt only."""
    if context.attempt == 1:
        os._exit(1)
    return context.attempt


@pipeline.asset(run_in="process", retry=Retry(attempts=2, delay=0.0))
def retried(context: Context) -> int:
    """Asks for another attempt."""
    if context.attempt == 1:
        raise Retryable("again", after=0.0)
    return context.attempt


def hold(path):
    """Leave the ids of this process and a child of it in a file, and never return."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    part = Path(f"{path}.part")
    part.write_text(f"{os.getpid()} {child.pid}")
    part.rename(path)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(600)


@pipeline.asset(run_in="process")
def hangs(context: Context) -> None:
    """Hangs and ignores what can be ignored."""
    hold(context.partition)


@pipeline.asset(run_in="process", timeout=0.2, retry=Retry(attempts=2, delay=0.0, jitter=0.0))
def too_long(context: Context) -> str:
    """Hangs at first."""
    if context.attempt == 1:
        threading.Event().wait()
    return "in time"


@pipeline.asset(run_in="process")
def noisy() -> str:
    """Writes where only the runtime may write, and reads what is not for it."""
    print("printed")
    os.write(1, b"written")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    return sys.stdin.read() + os.read(0, 10).decode()


@pipeline.asset(run_in="process")
def large(context: Context) -> bytes:
    """More than a pipe holds."""
    return b"x" * context.partition


@pipeline.asset(run_in="process")
def echoed(large: bytes) -> int:
    """Takes more than a pipe holds."""
    return len(large)


@pipeline.asset(run_in="process")
def returns_lock():
    """A value that cannot travel."""
    return threading.Lock()


@pipeline.asset(run_in="process")
def returns_rows():
    """A value that can be read only once."""
    return Output(n for n in range(3))


class Trap:
    """Cannot be read where it arrives."""

    def __reduce__(self):
        return _explode, ()


def _explode():
    raise SystemExit("unpickled")


@pipeline.asset(run_in="process")
def returns_trap():
    """A value that raises when it is read."""
    return Trap()


@pipeline.asset(run_in="process")
def notes_lock(context: Context) -> int:
    """Metadata that cannot travel."""
    context.metadata["lock"] = threading.Lock()
    return 1


@pipeline.asset(run_in="process")
def takes_resource(db: Annotated[object, Resource]) -> str:
    """Gets a copy of the resource, if it can travel."""
    return f"{db}"


@pipeline.asset(run_in="process")
def makes_processes() -> int:
    """Uses processes of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(os.getpid)


def undecorated() -> int:
    """A function that is made an asset elsewhere."""
    return 1


def added(left: int, right: int) -> int:
    """A function whose arguments are given beforehand."""
    return left + right


pipeline.asset(name="by_function", run_in="process")(undecorated)
pipeline.asset(name="by_partial", run_in="process")(functools.partial(added, 40, 1))


class ProcessConfig(Config):
    """What a worker process is given."""

    factor: int = 1


@pipeline.asset(run_in="process")
def configured(config: ProcessConfig) -> int:
    """Only what it was given."""
    return config.factor
