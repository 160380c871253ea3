"""Assets that meddle with what is around them: the loop, its tasks, the interpreter, their own values."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from contextlib import suppress

import anyio
import pytest

from flowstone import (
    FileIO,
    MaterializationFailed,
    MemoryIO,
    Output,
    Permanent,
    Pipeline,
    Retry,
    RunCancelled,
    RunFailed,
    Runtime,
)
from tests.hostile.exceptions import CATALOGUE, make

LONG = 60.0
"""Seconds that nothing here takes, unless it hangs."""


@pytest.fixture
def pipeline():
    """A pipeline with one asset that behaves."""
    made = Pipeline("tampering")

    @made.asset
    async def healthy():
        await asyncio.sleep(0)
        task = asyncio.create_task(asyncio.sleep(0, "well"))
        return await task

    return made


async def fails(runtime, asset, **options):
    """How it fails; the runtime serves on."""
    with pytest.raises(MaterializationFailed) as caught:
        await runtime.materialize(asset, **options)
    await serves(runtime)
    return caught.value.failure


async def serves(runtime):
    """The runtime works as before."""
    assert (await runtime.materialize("healthy")).status == "succeeded"
    assert (await runtime.health()).status == "ok"


# Its own task -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
async def test_cancelling_itself_is_a_failure(pipeline, times):
    """An asset that ends in a CancelledError nobody asked for has failed: kind `cancelled_by_asset`."""

    @pipeline.asset(retry=Retry(attempts=3, delay=0.0))
    async def suicidal():
        for _ in range(times):
            asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async with Runtime(pipeline) as runtime:
        failure = await fails(runtime, "suicidal")
    assert failure.kind == "cancelled_by_asset"
    assert not failure.retryable


async def test_cancelling_itself_and_returning_is_a_success(pipeline):
    """What counts is the value: a cancel that was never awaited strikes nobody."""

    @pipeline.asset
    async def undecided():
        asyncio.current_task().cancel()
        return "value"

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("undecided")).status == "succeeded"
        assert await runtime.load("undecided") == "value"
        await serves(runtime)


async def test_uncancelling_does_not_undo_a_cancel(pipeline):
    """An asset that takes its cancel back is stopped all the same."""
    entered = asyncio.Event()

    @pipeline.asset
    async def forgiving():
        try:
            entered.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
        await asyncio.sleep(0)
        return "value"

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("forgiving")
        await entered.wait()
        await run.cancel()
        assert await run.status() == "cancelled"
        assert not await runtime.exists("forgiving")


async def test_an_asset_may_use_every_kind_of_timeout(pipeline):
    """An asset's own time limits work as everywhere, and leave nothing behind that strikes later."""

    @pipeline.asset
    async def impatient():
        for limit in (asyncio.timeout(0), anyio.move_on_after(0)):
            try:
                async with limit if hasattr(limit, "__aenter__") else asyncio.timeout(0):
                    await asyncio.sleep(LONG)
            except TimeoutError:
                pass
        with anyio.move_on_after(0):
            await anyio.sleep(LONG)
        with pytest.raises(TimeoutError), anyio.fail_after(0):
            await anyio.sleep(LONG)
        return asyncio.current_task().cancelling()

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("impatient")
        assert await runtime.load("impatient") == 0


async def test_another_assets_task_can_be_cancelled_but_not_the_run(pipeline):
    """An asset that cancels its neighbour makes that one fail, and nothing else."""
    entered = asyncio.Event()

    @pipeline.asset
    async def victim():
        entered.set()
        await asyncio.Event().wait()

    @pipeline.asset
    async def murderer():
        await entered.wait()
        for task in asyncio.all_tasks():
            if task.get_name() == "victim":
                task.cancel()

    @pipeline.asset(deps=["victim", "murderer"])
    async def after():
        return 1

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("after")
        result = caught.value.result
        assert [record.failure.kind for record in result.failed] == ["cancelled_by_asset"]
        assert [record.asset for record in result.succeeded] == ["murderer"]
        await serves(runtime)


async def test_cancelling_every_task_ends_the_runtime_in_time(pipeline):
    """An asset that cancels all tasks of the loop cancels its caller too: the runtime ends, and says so."""

    @pipeline.asset
    async def apocalypse():
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(0)

    async def program():
        async with Runtime(pipeline, shutdown_timeout=0.1, cancel_timeout=0.1) as runtime:
            await runtime.materialize("apocalypse")

    before = asyncio.all_tasks()
    task = asyncio.create_task(program())
    while not task.done():
        try:
            await asyncio.wait([task], timeout=LONG)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()  # The test is a task as well.
    assert task.cancelled() or isinstance(task.exception(), Exception)
    for _ in range(20):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == set()


# The loop ---------------------------------------------------------------------------------------------------


async def test_closing_the_loop_is_refused(pipeline):
    """A running loop cannot be closed; the attempt is an ordinary failure."""

    @pipeline.asset
    async def closes():
        asyncio.get_running_loop().close()

    @pipeline.asset
    async def nests():
        coroutine = asyncio.sleep(0)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    async with Runtime(pipeline) as runtime:
        for name in ("closes", "nests"):
            assert (await fails(runtime, name)).message.startswith("RuntimeError")


def survives_a_second_run():
    """Whether asyncio's loop goes on when `run_forever` was refused because it runs already."""
    loop, running = asyncio.new_event_loop(), []

    def again():
        with suppress(RuntimeError):
            loop.run_forever()
        running.append(loop.is_running())
        loop.stop()

    loop.call_soon(again)
    loop.run_forever()
    loop.close()
    return running[0]


@pytest.mark.skipif(not survives_a_second_run(), reason="the refusal ends the running loop, on Python 3.13.0")
async def test_running_the_loop_again_is_refused(pipeline):
    """A running loop cannot be run; the attempt is an ordinary failure."""

    @pipeline.asset
    async def reruns():
        asyncio.get_running_loop().run_forever()

    async with Runtime(pipeline) as runtime:
        assert (await fails(runtime, "reruns")).message.startswith("RuntimeError")


async def test_shutting_down_what_the_loop_owns_hurts_nobody(pipeline):
    """The runtime needs neither the loop's executor, nor its async generators, nor its exception handler."""

    @pipeline.asset
    async def vandal():
        loop = asyncio.get_running_loop()
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()
        loop.set_exception_handler(lambda *_: 1 / 0)
        loop.set_task_factory(None)
        loop.set_debug(False)

    @pipeline.asset
    def in_thread():
        return threading.current_thread().name

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("vandal")).status == "succeeded"
        await serves(runtime)
        await runtime.materialize("in_thread")
        assert (await runtime.load("in_thread")).startswith("flowstone-asset")


async def test_the_task_factory_is_given_back():
    """Runtimes that come and go in any order leave the loop as it was."""
    loop = asyncio.get_running_loop()
    made = []

    def factory(loop, coroutine, **options):
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(factory)
    try:
        pipeline = Pipeline("empty")
        first, second = Runtime(pipeline), Runtime(pipeline)
        await first.__aenter__()
        await second.__aenter__()
        await first.__aexit__(None, None, None)
        made.clear()
        await asyncio.create_task(asyncio.sleep(0))
        assert len(made) == 1
        await second.__aexit__(None, None, None)
        assert loop.get_task_factory() is factory
    finally:
        loop.set_task_factory(None)


async def test_tasks_of_the_application_are_left_alone(pipeline):
    """What is no asset's is made, named and ended as without a runtime; an exit in it is not contained."""
    async with Runtime(pipeline):
        coroutine = asyncio.sleep(0, "mine")
        task = asyncio.create_task(coroutine, name="mine")
        assert task.get_coro() is coroutine
        assert task.get_name() == "mine"
        assert await task == "mine"


async def test_tasks_of_assets_look_like_tasks(pipeline):
    """Names, stacks and coroutines of an asset's tasks can be looked at."""
    seen = {}

    async def child():
        seen["stack"] = asyncio.current_task().get_stack()
        await asyncio.sleep(0)

    @pipeline.asset
    async def parent():
        task = asyncio.create_task(child(), name="the child")
        seen["name"] = task.get_name()
        seen["coroutine"] = task.get_coro().__qualname__
        seen["repr"] = repr(task)
        await task

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("parent")).status == "succeeded"
    assert seen["name"] == "the child"
    assert seen["coroutine"].endswith("child")
    assert "the child" in seen["repr"]
    assert seen["stack"]


# The interpreter --------------------------------------------------------------------------------------------


async def test_hooks_of_the_interpreter_may_be_replaced(pipeline, monkeypatch):
    """An asset that breaks `sys.excepthook` and the like breaks them for itself."""

    def broken(*_):
        raise SystemExit("broken hook")

    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, getattr(sys, hook))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)

    @pipeline.asset
    async def breaks():
        sys.excepthook = broken
        sys.unraisablehook = lambda _: None
        threading.excepthook = broken
        raise ValueError("after that")

    @pipeline.asset
    def in_thread():
        raise SystemExit("in a thread")

    async with Runtime(pipeline) as runtime:
        assert (await fails(runtime, "breaks")).message == "ValueError: after that"
        assert (await fails(runtime, "in_thread")).message == "SystemExit: in a thread"


async def test_a_finalizer_that_raises_is_nobodys_failure(pipeline, monkeypatch):
    """`__del__` of what an asset leaves behind may raise: Python reports it, and nothing else happens."""
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: reported.append(unraisable.exc_type))

    class Bomb:
        def __del__(self):
            raise SystemExit("boom")

    @pipeline.asset
    async def leaves_a_bomb():
        bomb = [Bomb()]
        bomb.append(bomb)
        return 1

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("leaves_a_bomb")).status == "succeeded"
        gc.collect()
        await serves(runtime)
    assert reported == [SystemExit]


async def test_logging_may_be_broken(pipeline, monkeypatch):
    """A log handler that raises does not stop what the log is about."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise SystemExit("no log")

    entered = threading.Event()
    gate = threading.Event()

    @pipeline.asset
    def blocks():
        entered.set()
        gate.wait(LONG)

    handler = Broken()
    logging.getLogger("flowstone").addHandler(handler)
    try:
        async with Runtime(pipeline, cancel_timeout=0.02) as runtime:
            run = await runtime.submit("blocks")
            while not entered.is_set():
                await asyncio.sleep(0.001)
            await run.cancel()
            assert await run.status() == "cancelled"
            gate.set()
    finally:
        logging.getLogger("flowstone").removeHandler(handler)


# Values and metadata ----------------------------------------------------------------------------------------


class Liar:
    """A value that refuses to say what it is."""

    @property
    def __class__(self):
        raise SystemExit("who asks?")


class Poison(dict):
    """Metadata that cannot be read."""

    def keys(self):
        raise SystemExit("no keys")

    __iter__ = items = __len__ = __bool__ = keys


async def test_a_value_may_be_anything(pipeline):
    """A value that lies about its class is kept by reference like any other."""
    value = Liar()

    @pipeline.asset
    async def lies():
        return value

    @pipeline.asset
    def lies_in_thread():
        return value

    async with Runtime(pipeline) as runtime:
        for name in ("lies", "lies_in_thread"):
            failure = None
            try:
                await runtime.materialize(name)
            except MaterializationFailed as error:
                failure = error.failure
            await serves(runtime)
            if failure is None:
                assert await runtime.load(name) is value


async def test_an_awaitable_is_awaited(pipeline):
    """A function on the loop that returns a coroutine, a task or a future gives what that gives."""

    async def answer():
        await asyncio.sleep(0)
        return 42

    @pipeline.asset(run_in="loop")
    def coroutine():
        return answer()

    @pipeline.asset(run_in="loop")
    def task():
        return asyncio.get_running_loop().create_task(answer())

    @pipeline.asset
    def in_thread():
        return answer()

    async with Runtime(pipeline) as runtime:
        for name in ("coroutine", "task", "in_thread"):
            await runtime.materialize(name)
            assert await runtime.load(name) == 42


async def test_a_coroutine_is_no_value(pipeline):
    """An `async def` that returns a coroutine has forgotten an `await`: it fails and is told so."""

    async def answer():
        return 42

    @pipeline.asset
    async def forgetful():
        return answer()

    @pipeline.asset
    async def forgetful_output():
        return Output(answer())

    async with Runtime(pipeline) as runtime:
        for name in ("forgetful", "forgetful_output"):
            failure = await fails(runtime, name)
            assert "await" in failure.message
            assert failure.kind == "error"


@pytest.mark.parametrize("io", ["memory", "files"])
async def test_metadata_that_cannot_be_kept(pipeline, tmp_path, io):
    """Metadata that no record can hold fails its own step, or is kept as text; the store goes on."""
    circle = {}
    circle["circle"] = circle

    @pipeline.asset
    async def notes(context):
        context.metadata.update(
            {
                "lock": threading.Lock(),
                "nan": float("nan"),
                "text": "\ud800\x00",
                "circle": circle,
                "set": {1, 2},
                "deep": _deep(2000),
                "error": make("str exits"),
                3: "three",
            }
        )
        return 1

    @pipeline.asset
    async def poisons():
        return Output(1, metadata=Poison({"a": 1}))

    store = "memory://" if io == "memory" else f"file://{tmp_path / 'store'}"
    async with Runtime(pipeline, store=store, io={"default": MemoryIO()}) as runtime:
        for name in ("notes", "poisons"):
            with suppress(MaterializationFailed):
                await runtime.materialize(name)
            await serves(runtime)


def _deep(levels):
    deep = []
    for _ in range(levels):
        deep = [deep]
    return deep


@pytest.mark.parametrize("name", sorted(CATALOGUE))
async def test_failures_are_written_to_a_file(pipeline, tmp_path, name):
    """Every failure there is can be written down in a store on disk, and read again."""

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    async def failing():
        raise make(name)

    store = f"file://{tmp_path / 'store'}"
    async with Runtime(pipeline, store=store, io={"default": FileIO(tmp_path / "values")}) as runtime:
        failure = await fails(runtime, "failing")
    async with Runtime(pipeline, store=store, io={"default": FileIO(tmp_path / "values")}) as runtime:
        (record,) = await runtime.history("failing")
        assert record.failure.kind == failure.kind
        assert record.failure.message[:8] == failure.message[:8]


class HostileIO(MemoryIO):
    """An IO manager that raises what it is told."""

    error = None

    async def store(self, target, value):
        if target.asset != "healthy":
            raise make(self.error)
        return await super().store(target, value)


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - {"huge"}))
async def test_an_io_manager_may_raise_anything(pipeline, name):
    """Whatever an IO manager raises fails the step that stores, and nothing else."""

    @pipeline.asset
    async def stored():
        return 1

    io = HostileIO()
    io.error = name
    async with Runtime(pipeline, io={"default": io}) as runtime:
        failure = await fails(runtime, "stored")
        assert failure.kind in {"io", "error", "cancelled_by_asset"}
        assert not await runtime.exists("stored")


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - {"huge"}))
async def test_a_resource_may_raise_anything(pipeline, name):
    """Whatever setting up a resource raises fails the steps that need it, and nothing else."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def broken():
        raise make(name)
        yield

    @pipeline.asset(requires={"db"})
    async def needs():
        return 1

    async with Runtime(pipeline, resources={"db": broken}) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("needs")
        assert caught.value.failure.kind == "resource"
        assert (await runtime.materialize("healthy")).status == "succeeded"


async def test_retrying_what_says_it_is_permanent(pipeline):
    """An exception that lies about its class is judged by what it says, and contained if it says nothing."""
    attempts = []

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    async def changeling():
        attempts.append(1)
        raise make("changeling")

    async with Runtime(pipeline) as runtime:
        failure = await fails(runtime, "changeling")
    assert len(attempts) == 1
    assert not failure.retryable
    assert issubclass(Permanent, Exception)


async def test_a_run_in_a_run_is_cancelled_with_it(pipeline):
    """An asset that materializes another one and is cancelled takes that run along."""
    entered = asyncio.Event()
    box = []

    @pipeline.asset
    async def inner():
        entered.set()
        await asyncio.Event().wait()

    @pipeline.asset
    async def outer():
        await box[0].materialize("inner")

    async with Runtime(pipeline) as runtime:
        box.append(runtime)
        run = await runtime.submit("outer")
        await entered.wait()
        await run.cancel()
        assert await runtime.status("inner") == "cancelled"
        assert await runtime.status("outer") == "cancelled"
        with pytest.raises(RunCancelled):
            await run.wait()
        assert (await runtime.health()).runs == 0
        await serves(runtime)
