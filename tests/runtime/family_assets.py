"""Assets for worker processes that start processes of their own, which start others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from flowstone import Context, Pipeline

__all__ = ["MEMBERS", "pipeline"]

pipeline = Pipeline("families")

MEMBERS = 3
"""The worker, its child in a session of its own, and an orphan in another one."""

CHILD = """
import os, sys, time

def tell():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")

tell()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        tell()
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(600)
"""


def found_a_family(path):
    """Start it, and wait until everybody has told their process id."""
    Path(path).write_text(f"{os.getpid()}\n")
    subprocess.Popen([sys.executable, "-c", CHILD, path], start_new_session=True)
    while Path(path).read_text().count("\n") < MEMBERS:
        time.sleep(0.01)


@pipeline.asset(run_in="process")
def stays(context: Context) -> None:
    """Has a family, and never returns."""
    found_a_family(context.partition)
    while True:
        time.sleep(600)


@pipeline.asset(run_in="process")
def leaves(context: Context) -> None:
    """Has a family, and returns."""
    found_a_family(context.partition)


@pipeline.asset(run_in="process")
def parents(context: Context) -> list[int]:
    """The process itself, and the one that started it."""
    return [os.getpid(), os.getppid()]


def forks(how):
    """Fork; the child ends as the partition says, and its status is the value."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if how == "raises":
        raise LookupError("in the child")
    if how == "exits":
        sys.exit(3)
    return "nobody hears of this"


@pipeline.asset
def forks_in_thread(context: Context):
    """In a thread of the program."""
    return forks(context.partition)


@pipeline.asset(run_in="process")
def forks_in_process(context: Context):
    """In a worker process."""
    return forks(context.partition)


@pipeline.asset
async def forks_on_loop(context: Context):
    """On the event loop."""
    return forks(context.partition)


@pipeline.asset(run_in="thread")
async def forks_on_loop_in_thread(context: Context):
    """On an event loop of its own."""
    return forks(context.partition)
