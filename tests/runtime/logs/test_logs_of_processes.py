"""What an asset prints and says in a worker process is kept with its attempt."""

from __future__ import annotations

import logging
import os
import sys
import threading

import pytest

from flowstone import Context, Pipeline, Runtime

pipeline = Pipeline("talking")


class Odd:
    """A value of a class that is not everywhere."""

    def __str__(self):
        return "odd"


@pipeline.asset(run_in="process")
def speaks(context: Context) -> int:
    print("printed", 1)
    context.log.info("said %d", 2, what=Odd(), many=[1, {"odd": Odd()}])
    logging.getLogger("shop").warning("logged", extra={"rows": 3})
    thread = threading.Thread(target=print, args=("in a thread",))
    thread.start()
    thread.join()
    child = os.fork()
    if child == 0:
        print("in a child")
        os._exit(0)
    os.waitpid(child, 0)
    context.log.debug("too low")
    sys.stderr.write("no end")
    return 1


@pipeline.asset(run_in="process")
def again() -> int:
    print("next")
    return 1


@pipeline.asset(run_in="process")
def dies() -> int:
    print("last words")
    os._exit(3)


class Unreadable:
    def __str__(self):
        raise RuntimeError("no")


@pipeline.asset(run_in="process")
def garbles() -> int:
    logging.getLogger("shop").warning("%s", Unreadable())
    return 1


@pytest.fixture
async def runtime():
    """A running runtime."""
    async with Runtime(pipeline, max_threads=1) as runtime:
        yield runtime


async def lines_of(runtime, asset):
    """What an asset says."""
    run = await runtime.submit(asset)
    return [line async for line in runtime.logs(run.id, follow=True)]


async def test_what_is_said_in_a_worker_process_is_kept(runtime, capfd):
    """In order, once, with its fields, and it still reaches the terminal; the next call is another attempt."""
    lines = await lines_of(runtime, "speaks")
    assert [(line.level, line.message, line.fields) for line in lines] == [
        ("info", "printed 1", {"stream": "stdout"}),
        ("info", "said 2", {"what": "odd", "many": [1, {"odd": "odd"}]}),
        ("warning", "logged", {"logger": "shop", "rows": 3}),
        ("info", "in a thread", {"stream": "stdout"}),
        ("info", "no end", {"stream": "stderr"}),
    ]
    assert {(line.asset, line.attempt) for line in lines} == {("speaks", 1)}
    assert "printed 1" in capfd.readouterr().err
    assert [line.message for line in await lines_of(runtime, "again")] == ["next"]


async def test_a_message_that_cannot_be_read_leaves_a_line(runtime):
    """As it does in the process of the runtime."""
    (line,) = await lines_of(runtime, "garbles")
    assert (line.level, line.message) == ("warning", "<its message cannot be read: RuntimeError>")


async def test_the_last_words_of_a_process_that_dies_are_kept(runtime):
    """They had been sent."""
    assert [line.message for line in await lines_of(runtime, "dies")] == ["last words"]
