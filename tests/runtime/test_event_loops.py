"""A runtime belongs to the event loop that entered it: elsewhere everything public says so at once."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from flowstone import (
    MaterializationFailed,
    Pipeline,
    Run,
    RunCancelled,
    RunResult,
    Runtime,
    RuntimeStopping,
    WrongLoop,
)
from flowstone.runtime.client.lineage import Lineage

PARTITIONS = ["a", "b"]

CALLS = {
    "Runtime.materialize": lambda at: at.runtime.materialize("leaf"),
    "Runtime.materialize_all": lambda at: at.runtime.materialize_all("leaf"),
    "Runtime.backfill": lambda at: at.runtime.backfill("leaf", partitions=PARTITIONS),
    "Runtime.submit": lambda at: at.runtime.submit("leaf"),
    "Runtime.submit_backfill": lambda at: at.runtime.submit_backfill("leaf", partitions=PARTITIONS),
    "Runtime.run": lambda at: at.runtime.run(at.run.id),
    "Runtime.runs": lambda at: at.runtime.runs(),
    "Runtime.plan": lambda at: at.runtime.plan("leaf"),
    "Runtime.load": lambda at: at.runtime.load("leaf"),
    "Runtime.exists": lambda at: at.runtime.exists("leaf"),
    "Runtime.status": lambda at: at.runtime.status("leaf"),
    "Runtime.history": lambda at: at.runtime.history("leaf"),
    "Runtime.invalidate": lambda at: at.runtime.invalidate("leaf"),
    "Runtime.audit": lambda at: at.runtime.audit(),
    "Runtime.add_partitions": lambda at: at.runtime.add_partitions("names", ["a"]),
    "Runtime.remove_partitions": lambda at: at.runtime.remove_partitions("names", ["a"]),
    "Runtime.subscribe": lambda at: enter(at.runtime.subscribe()),
    "Runtime.tree": lambda at: at.runtime.tree(),
    "Runtime.health": lambda at: at.runtime.health(),
    "Runtime.drain": lambda at: at.runtime.drain(0.0),
    "Runtime.reload": lambda at: at.runtime.reload(at.pipeline),
    "Runtime.live_runs": lambda at: at.runtime.live_runs(),
    "Runtime.running_steps": lambda at: at.runtime.running_steps(),
    "Runtime.queued_steps": lambda at: at.runtime.queued_steps(),
    "Runtime.lineage": lambda at: at.runtime.lineage,
    "Run.wait": lambda at: at.run.wait(),
    "Run.detach": lambda at: at.run.detach(),
    "Run.status": lambda at: at.run.status(),
    "Run.cancel": lambda at: at.run.cancel(),
    "Run.drain": lambda at: at.run.drain(),
    "Run.record": lambda at: at.run.record(),
    "Run.result": lambda at: at.run.result(),
    "Run.events": lambda at: anext(aiter(at.run.events())),
    "Lineage.upstream": lambda at: at.lineage.upstream("leaf"),
    "Lineage.downstream": lambda at: at.lineage.downstream("leaf"),
    "Lineage.impact": lambda at: at.lineage.impact("leaf"),
    "RunResult.value": lambda at: at.result.value(),
}
"""How each public name is used."""

ANYWHERE = {
    "Runtime.loop": "it is asked for by those who are elsewhere",
    "Runtime.node": "it never changes",
    "Runtime.ui": "it is made before there is a loop; what it answers is asked of it on that of its server",
    "RunResult.steps": "what is loaded is plain data; a look into the store is tested with results",
    "RunResult.each": "as `steps`",
}


async def enter(manager):
    """Enter an async context manager and leave it."""
    async with manager as entered:
        return entered


def public(kind):
    """The methods and properties that a class offers."""
    return {
        f"{kind.__name__}.{name}"
        for name, member in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
    } - {"RunResult.of"}


PUBLIC = set().union(*map(public, (Runtime, Run, RunResult, Lineage)))


class Everything:
    """A running runtime and what it has given out."""

    def __init__(self, runtime, run, result, pipeline):
        self.runtime, self.run, self.result, self.pipeline = runtime, run, result, pipeline
        self.lineage = runtime.lineage


def leaves():
    """A pipeline of one asset."""
    pipeline = Pipeline()

    @pipeline.asset
    def leaf() -> int:
        return 1

    return pipeline


@pytest.fixture
async def everything():
    """A runtime, a run that has ended, and its result."""
    pipeline = leaves()
    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("leaf")
        yield Everything(runtime, run, await run.wait(), pipeline)


def elsewhere(use):
    """Use something on the event loop of another thread; gives what comes of it, or the error."""

    async def there():
        found = use()
        return await found if inspect.isawaitable(found) else found

    def run():
        try:
            return asyncio.run(there())
        except BaseException as error:
            return error

    return asyncio.to_thread(run)


def test_nothing_public_is_left_out():
    """A method that is added to the public surface has to be listed here, and is then tested."""
    assert PUBLIC - set(CALLS) - set(ANYWHERE) == set()


@pytest.mark.parametrize("name", sorted(PUBLIC - set(ANYWHERE)))
async def test_on_another_loop_it_raises_and_says_what_to_do(everything, name):
    """Each public name raises `WrongLoop` at once, which names `asyncio.run_coroutine_threadsafe`."""
    async with asyncio.timeout(200):
        error = await elsewhere(lambda: CALLS[name](everything))
    assert isinstance(error, WrongLoop)
    assert isinstance(error, RuntimeError)
    assert "asyncio.run_coroutine_threadsafe(coroutine, runtime.loop)" in str(error)


async def test_on_a_thread_without_a_loop_it_raises_as_well(everything):
    """What needs no `await` raises there too."""
    with pytest.raises(WrongLoop, match="outside of any event loop"):
        await asyncio.to_thread(everything.runtime.tree)
    with pytest.raises(WrongLoop, match="outside of any event loop"):
        await asyncio.to_thread(everything.run.events)


async def test_events_cannot_be_read_elsewhere(everything):
    """An open subscription raises on another loop, where nothing would ever wake its reader."""
    async with everything.runtime.subscribe() as events:
        assert isinstance(await elsewhere(lambda: anext(events)), WrongLoop)


async def test_what_it_tells_people_to_do_works(everything):
    """From a thread, `run_coroutine_threadsafe` with `runtime.loop` gives the result."""
    runtime = everything.runtime

    def ask():
        return asyncio.run_coroutine_threadsafe(runtime.load("leaf"), runtime.loop).result(30)

    assert await asyncio.to_thread(ask) == 1


@pytest.mark.parametrize("name", sorted(PUBLIC - set(ANYWHERE) - {"RunResult.value"} | {"Runtime.loop"}))
async def test_a_runtime_that_has_ended_says_so(name):
    """Each public name raises `RuntimeStopping` after the runtime was left, on its own loop as on any other."""
    pipeline = leaves()
    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("leaf")
        at = Everything(runtime, run, await run.wait(), pipeline)
    use = CALLS.get(name, lambda at: at.runtime.loop)
    async with asyncio.timeout(200):
        with pytest.raises(RuntimeStopping):
            found = use(at)
            await found
        assert isinstance(await elsewhere(lambda: use(at)), RuntimeStopping)


def test_a_runtime_that_was_not_entered_says_so():
    """Its calls raise `RuntimeStopping`."""
    runtime = Runtime(leaves())
    with pytest.raises(RuntimeStopping, match="async with"):
        asyncio.run(runtime.materialize("leaf"))
    with pytest.raises(RuntimeStopping, match="async with"):
        _ = runtime.loop


def test_a_result_answers_on_any_loop_when_its_runtime_has_gone():
    """So `asyncio.run` may be called twice with the one-off helper's result."""

    async def make():
        async with Runtime(leaves()) as runtime:
            return await runtime.materialize_all("leaf")

    result = asyncio.run(make())
    assert asyncio.run(result.value()) == 1


def test_a_runtime_of_a_loop_that_does_not_run_says_so():
    """As in a test whose fixture has another loop: it cannot be used there, nor left."""
    home, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    runtime = Runtime(leaves())
    try:
        home.run_until_complete(runtime.__aenter__())
        with pytest.raises(WrongLoop, match="one loop"):
            other.run_until_complete(runtime.materialize("leaf"))
        with pytest.raises(WrongLoop, match="one loop"):
            other.run_until_complete(runtime.__aexit__(None, None, None))
        home.run_until_complete(runtime.__aexit__(None, None, None))
    finally:
        home.close()
        other.close()


# Synchronous assets that call their own runtime -------------------------------------------------------------


class Nested:
    """A pipeline whose synchronous assets call the runtime they run in."""

    def __init__(self, call):
        self.pipeline = Pipeline()
        self.runtime = None
        self.together = threading.Barrier(2)

        @self.pipeline.asset
        def leaf():
            return 1

        @self.pipeline.asset
        def asks():
            return call(self)


def threadsafe(nested):
    """What the error tells people to do."""
    if nested.together.parties > 1:
        nested.together.wait(60)
    coroutine = nested.runtime.materialize("leaf")
    return asyncio.run_coroutine_threadsafe(coroutine, nested.runtime.loop).result(30).asset


async def test_a_synchronous_asset_that_starts_a_loop_of_its_own_fails_at_once():
    """The failure of its step says what to write instead."""
    nested = Nested(lambda nested: asyncio.run(nested.runtime.materialize("leaf")))
    async with asyncio.timeout(200), Runtime(nested.pipeline) as nested.runtime:
        with pytest.raises(MaterializationFailed, match="run_coroutine_threadsafe"):
            await nested.runtime.materialize("asks")


@pytest.mark.parametrize("limits", [{"max_threads": 2}, {"max_threads": 2, "max_concurrency": 2}])
async def test_synchronous_assets_lend_their_threads_to_the_runs_they_wait_for(limits):
    """With every thread held by an asset that waits for a synchronous one, all of them finish."""
    nested = Nested(threadsafe)
    async with asyncio.timeout(200), Runtime(nested.pipeline, **limits) as runtime:
        nested.runtime = runtime
        async with asyncio.TaskGroup() as group:
            for key in PARTITIONS:
                group.create_task(runtime.materialize("asks", partition=key))
        assert [await runtime.load("asks", partition=key) for key in PARTITIONS] == ["leaf", "leaf"]
        busy = runtime._ctx.threads.statistics()
        assert (busy.threads, busy.busy, busy.queued) == (2, 0, 0)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("way", ["result", "await"])
async def test_a_cancelled_synchronous_asset_cancels_the_run_it_waits_for(way, early):
    """As an async one does, whether it waits already or is about to; and its thread is not abandoned."""
    pipeline = Pipeline()
    begun, calling, may_call = asyncio.Event(), threading.Event(), threading.Event()

    @pipeline.asset
    async def endless():
        begun.set()
        await asyncio.get_running_loop().create_future()

    def call():
        calling.set()
        may_call.wait(60)
        return asyncio.run_coroutine_threadsafe(runtime.materialize("endless"), runtime.loop)

    def asks():
        return call().result()

    async def asks_and_awaits():
        return await asyncio.wrap_future(call())

    pipeline.asset(name="asks", run_in="thread")(asks if way == "result" else asks_and_awaits)
    async with asyncio.timeout(200), Runtime(pipeline, cancel_timeout=60.0) as runtime:
        run = await runtime.submit("asks")
        await asyncio.to_thread(calling.wait, 60)
        if not early:
            may_call.set()
            await begun.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(run.cancel())
            await asyncio.sleep(0)
            may_call.set()
        for record in await runtime.runs():
            with pytest.raises(RunCancelled):
                await (await runtime.run(record.id)).wait()
        assert (await runtime.health()).abandoned == ()


async def test_an_asynchronous_asset_in_a_thread_awaits_its_runtime_through_a_wrapped_future():
    """It has an event loop of its own there."""
    nested = Nested(lambda nested: through_a_future(nested.runtime))
    async with asyncio.timeout(200), Runtime(nested.pipeline, max_threads=1) as nested.runtime:
        await nested.runtime.materialize("asks")
        assert await nested.runtime.load("asks") == "leaf"


async def through_a_future(runtime):
    """What an `async def` on another loop writes."""
    return (
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(runtime.materialize("leaf"), runtime.loop))
    ).asset
