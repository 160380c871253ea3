"""The two recipes of an attempt, the one in memory and the one that may wait: they record the same."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from contextlib import suppress
from datetime import datetime
from random import Random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Context, MemoryIO, Output, Pipeline, Retry, Runtime
from flowstone.errors import FlowstoneError
from flowstone.runtime.run.memory_attempt import MemoryAttempt
from flowstone.store import MemoryStore
from tests.runs.graphs import Scene, scenes


class OtherStore(MemoryStore):
    """Remembers in memory as well, but may be anything: it is asked as every store is."""


class OtherIO(MemoryIO):
    """As `OtherStore`, for values."""


@dataclasses.dataclass
class Call:
    """One call of an asset's function: its step as text, its context if it has one, and what it was given."""

    world: World
    step: str
    context: Context | None
    given: list[str]


async def plain(call):
    return len(call.given)


async def a_list(call):
    return [call.step, call.given]


async def waits(call):
    await asyncio.sleep(0)
    return (call.step, *call.given)


async def output(call):
    return Output([call.step], metadata={"rows": 1, "odd": float("nan")}, data_version=f"v{len(call.given)}")


async def bare_output(_):
    return Output(None)


async def notes(call):
    if call.context is not None:
        call.context.metadata["note"] = {"given": call.given}


async def notes_and_fails(call):
    await notes(call)
    raise RuntimeError("after a note")


async def fails(call):
    raise ValueError(call.step)


async def fails_once(call):
    if call.step not in call.world.tried:
        call.world.tried.add(call.step)
        raise OSError("once")
    return call.step


async def generator(call):
    return (each for each in call.given)


async def coroutine(_):
    return asyncio.sleep(0)


async def cancels_itself(call):
    asyncio.current_task().cancel()
    return call.step


async def is_cancelled_by_itself(_):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def exits(_):
    raise SystemExit(3)


async def child(call):
    asyncio.create_task(asyncio.sleep(0))  # noqa: RUF006 - it is left behind on purpose
    return call.step


async def child_that_stays(call):
    asyncio.create_task(asyncio.Event().wait())  # noqa: RUF006 - as above
    await asyncio.sleep(0)
    return call.step


async def blocks(call):
    call.world.blocked.set()
    await asyncio.Event().wait()


async def keeps_on(call):
    with suppress(asyncio.CancelledError):
        await blocks(call)
    return call.step


DEEDS = (
    *(plain, a_list, waits, notes),
    *(output, bare_output, notes, notes_and_fails, fails, fails_once, generator, coroutine),
    *(cancels_itself, is_cancelled_by_itself, exits, child, child_that_stays, blocks, keeps_on),
)


class World:
    """A pipeline of a scene's assets, each of which does what it was drawn to do.

    Attributes:
        blocked: Set when an asset waits for the run to be cancelled.
    """

    def __init__(self, scene, deeds, options):
        self.blocked = asyncio.Event()
        self.tried = set()
        self.pipeline = Pipeline("world")
        for name, asset in scene.view.graph.assets.items():
            given = options[name]
            parameters = [d.asset for d in asset.dependencies if not given["deps"]]
            self.pipeline.asset(
                name=name,
                deps=[d.asset for d in asset.dependencies if given["deps"]],
                partitions=asset.partitions,
                mappings=dict(asset.mappings),
                version=given["version"],
                io=given["io"],
                timeout=given["timeout"],
                retry=Retry(attempts=2, delay=0, jitter=0) if given["retry"] else None,
            )(self._function(deeds[name], parameters, optional=given["optional"], context=given["context"]))

    def _function(self, deed, dependencies, *, optional, context):
        async def compute(**given):
            found = given.pop("context", None)
            step = "?" if found is None else f"{found.asset} {found.partition_key} {found.attempt}"
            return await deed(Call(self, step, found, sorted(map(str, given.items()))))

        kind = inspect.Parameter.KEYWORD_ONLY
        default = None if optional else inspect.Parameter.empty
        parameters = [inspect.Parameter(name, kind, default=default) for name in dependencies]
        if context:
            parameters.append(inspect.Parameter("context", kind, annotation=Context))
        compute.__signature__ = inspect.Signature(parameters)
        return compute


def drawn_options(random, *, retry):
    """How an asset is declared: nearly always so that it may take the recipe in memory."""
    return {
        "deps": random.random() < 0.3,
        "version": random.choice([None, "1"]),
        "io": "more" if random.random() < 0.2 else "default",
        "timeout": 60.0 if random.random() < 0.1 else None,
        "retry": retry and random.random() < 0.5,
        "optional": random.random() < 0.5,
        "context": random.random() < 0.5,
    }


async def told(scene: Scene, deeds, drawn, kinds, *, heard):
    """What two runs of the scene leave behind: events, records and values, without instants and ids."""
    store_kind, io_kind = kinds
    world, store = World(scene, deeds, drawn), store_kind()
    io = {"default": io_kind(), "more": io_kind()}
    published = []
    async with Runtime(world.pipeline, store=store, io=io) as runtime:
        listener = asyncio.create_task(_listen(runtime, published)) if heard else None
        await asyncio.sleep(0)
        runs = []
        for upstream in (True, False):
            world.blocked.clear()
            run = await runtime.submit_backfill(
                scene.target, partitions=scene.keys, upstream=upstream, refresh="all", max_parallel=1
            )
            runs.append(run.id)
            waiting = asyncio.create_task(run.wait())
            blocked = asyncio.create_task(world.blocked.wait())
            await asyncio.wait([waiting, blocked], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                await run.cancel()
            blocked.cancel()
            await asyncio.wait([waiting])
            waiting.exception()  # It is on record.
        statistics = [manager.statistics() for manager in runtime._ctx.io.values()]
        recorded = [[event for _, event in await store.events(run)] for run in runs]
        steps = [await store.steps(run) for run in runs]
        values = []
        for key in scene.keys:
            try:
                values.append(await runtime.load(scene.target, partition=key))
            except FlowstoneError as error:
                values.append(type(error))
        if listener is not None:
            listener.cancel()
    by_step = [sorted(_plain(_by_step(each), runs), key=str) for each in (*recorded, *steps, published)]
    return [by_step, *(_plain(each, runs) for each in (values, statistics))]


async def _listen(runtime, published):
    async with runtime.subscribe() as events:
        async for event in events:
            published.append(event)


def _by_step(told):
    """What was told of each step, in order: whose turn it was between steps is nobody's promise."""
    found = {}
    for each in told:
        of_run = each.run_id, getattr(each, "kind", "record").startswith("run")
        found.setdefault((*of_run, each.asset, each.partition_key), []).append(each)
    return list(found.items())


def _plain(value, runs):
    """The same without what is another one each time."""
    if isinstance(value, datetime):
        return "an instant"
    if isinstance(value, str):
        # Of several that failed, because of the first.
        value = "skipped" if value.startswith("Skipped because") else value
        for number, run in enumerate(runs):
            value = value.replace(run, f"run {number}")
        return value
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [type(value).__name__, _plain(fields, runs)]
    if isinstance(value, dict | MappingProxyType):
        return {
            _plain(key, runs): _plain(each, runs)
            for key, each in value.items()
            if key not in ("as_of", "cause", "node")
        }
    if isinstance(value, list | tuple):
        return [_plain(each, runs) for each in value]
    return value


@given(scenes(most=4), st.integers(0, 1_000_000), st.booleans(), st.sampled_from([0.0, 3600.0]))
def test_both_recipes_record_the_same(scene, seed, heard, budget):
    """Over any graph, whatever the functions do, with retries, a second run and a cancel.

    Every step begins in the turn of whoever starts it, or none does: else the clock would say which ones do.
    """
    random = Random(seed)  # Hypothesis would draw the first of the deeds most of the time.
    names = sorted(scene.view.graph.assets)
    deeds = {name: random.choice(DEEDS) for name in names}
    # A cancel finds the same steps begun whichever turn of the loop that was, unless some wait to be retried.
    retry = not {blocks, keeps_on} & set(deeds.values())
    drawn = {name: drawn_options(random, retry=retry) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowstone.actors.eager.BUDGET", budget)
        memory = asyncio.run(told(scene, deeds, drawn, (MemoryStore, MemoryIO), heard=heard))
        for kinds in ((OtherStore, OtherIO), (MemoryStore, OtherIO)):
            assert memory == asyncio.run(told(scene, deeds, drawn, kinds, heard=heard))


@pytest.mark.parametrize(("store", "used"), [(MemoryStore, True), (OtherStore, False)])
async def test_the_recipe_in_memory_is_for_the_store_in_memory_alone(monkeypatch, store, used):
    """A subclass may do something else when it is written to, so it is never passed by."""
    runs = []
    original = MemoryAttempt.run
    monkeypatch.setattr(MemoryAttempt, "run", lambda self: runs.append(self) or original(self))
    pipeline = Pipeline("p")

    @pipeline.asset
    async def one():
        return 1

    async with Runtime(pipeline, store=store()) as runtime:
        await runtime.materialize("one")
    assert bool(runs) is used
