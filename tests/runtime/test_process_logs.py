"""What an asset logs in a worker process reaches the handlers of the program, by the program's levels."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from flowstone import Context, Pipeline, Runtime

pipeline = Pipeline("talking")


class Odd:
    """A value of a class that is not everywhere."""

    def __str__(self):
        return "odd"


@pipeline.asset(run_in="process")
def elsewhere(context: Context) -> int:
    context.log.info("read", rows=3, what=Odd())
    logging.getLogger("shop").debug("in detail")
    logging.getLogger().warning("plain %s", "words")
    try:
        raise ValueError("no data")
    except ValueError:
        context.log.exception("failed")
    return os.getpid()


@pipeline.asset(run_in="process")
def forks(context: Context) -> int:
    child = os.fork()
    if child == 0:
        logging.getLogger().warning("of a child")
        os._exit(0)
    os.waitpid(child, 0)
    return 1


@pipeline.asset(run_in="process")
def crowd(context: Context) -> int:
    def speak(number):
        for turn in range(20):
            context.log.warning("spoke", number=number, turn=turn)

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1


@pipeline.asset
def thread(context: Context) -> int:
    context.log.warning("here", thread=threading.current_thread().name)
    return 1


async def test_records_come_back(caplog):
    """With message, fields, traceback and the asset's own line; and from the process where it happened."""
    caplog.set_level(logging.INFO)
    async with Runtime(pipeline) as runtime:
        await runtime.materialize(elsewhere)
        there = await runtime.load(elsewhere)
    read, plain, failed = caplog.records
    assert read.getMessage() == "read rows=3 what=odd"
    assert (read.name, read.asset, read.rows) == ("flowstone.asset.elsewhere", "elsewhere", 3)
    assert (read.filename, read.process) == ("test_process_logs.py", there)
    assert there != os.getpid()
    assert plain.getMessage() == "plain words"
    assert "ValueError: no data" in failed.exc_text
    assert "ValueError: no data" in caplog.text


async def test_levels_are_those_of_the_program(caplog):
    """A logger that the program has opened further is heard, the others are not."""
    caplog.set_level(logging.ERROR)
    caplog.set_level(logging.DEBUG, "shop")
    async with Runtime(pipeline) as runtime:
        await runtime.materialize(elsewhere)
    assert [record.getMessage() for record in caplog.records] == ["in detail", "failed"]


async def test_what_a_child_of_the_process_logs_spoils_nothing(capfd):
    """It has no part in the conversation of its parent, and is heard on stderr."""
    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize(forks)).status == "succeeded"
    assert "of a child" in capfd.readouterr().err


async def test_many_threads_may_speak_at_once(caplog):
    """Each record comes whole, and once."""
    async with Runtime(pipeline) as runtime:
        await runtime.materialize(crowd)
    spoken = sorted((record.number, record.turn) for record in caplog.records)
    assert spoken == [(number, turn) for number in range(5) for turn in range(20)]


async def test_a_thread_is_heard(caplog):
    """A sync asset's log needs nothing more."""
    async with Runtime(pipeline) as runtime:
        await runtime.materialize(thread)
    (record,) = caplog.records
    assert record.asset == "thread"
    assert record.thread_ != threading.current_thread().name


@pytest.mark.parametrize("asset", [elsewhere, thread], ids=lambda asset: asset.name)
async def test_handlers_that_break_harm_no_step(asset):
    """What the application's handlers raise is theirs."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("no more paper")

    handler = Broken()
    logging.getLogger().addHandler(handler)
    try:
        async with Runtime(pipeline) as runtime:
            if asset is elsewhere:
                await runtime.materialize(asset)
    finally:
        logging.getLogger().removeHandler(handler)
