"""Resources: how they reach assets, their life, and what happens when they fail."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Annotated

import pytest

from flowstone import (
    Context,
    MaterializationFailed,
    Pipeline,
    Resource,
    ResourceProvider,
    ResourceUnavailable,
    Retry,
    Runtime,
)


class Pool:
    """What a provider makes."""


class PoolProvider(ResourceProvider[Pool]):
    """Counts its life; raises what it is told to."""

    def __init__(self, name="pool", log=None, *, fail=0, healthy=True):
        self.name = name
        self.log = [] if log is None else log
        self.fail = fail
        self.healthy = healthy
        self.ready = None

    async def setup(self):
        self.log.append(f"setup {self.name}")
        if self.ready is not None:
            await self.ready.wait()
        if self.fail:
            self.fail -= 1
            raise ConnectionError("no route to host")
        return Pool()

    async def teardown(self, resource):
        assert isinstance(resource, Pool)
        self.log.append(f"teardown {self.name}")

    async def health(self, resource):
        if not self.healthy:
            raise ConnectionError("pool is stale")


def needs_db():
    """An asset `one` that needs the resource `db`."""
    pipeline = Pipeline()

    @pipeline.asset
    async def one(db: Annotated[Pool, Resource]) -> str:
        return type(db).__name__

    return pipeline


@pytest.mark.both_loops
async def test_a_resource_reaches_an_asset_in_three_ways():
    """By a parameter of its name, by a parameter of another name, and through the context."""
    pipeline = Pipeline()
    seen = []

    @pipeline.asset
    async def by_name(db: Annotated[Pool, Resource]) -> None:
        seen.append(db)

    @pipeline.asset
    def renamed(pool: Annotated[Pool, Resource("db")]) -> None:
        seen.append(pool)

    @pipeline.asset(requires={"db"})
    async def by_context(context: Context) -> None:
        seen.extend([context.resources.db, context.resources["db"]])
        with pytest.raises(ResourceUnavailable):
            _ = context.resources.other

    provider = PoolProvider()
    async with Runtime(pipeline, resources={"db": provider}) as runtime:
        for name in ("by_name", "renamed", "by_context"):
            await runtime.materialize(name)
    assert len(seen) == 4
    assert len(set(map(id, seen))) == 1
    assert provider.log == ["setup pool", "teardown pool"]


async def test_a_plain_object_and_a_context_manager_function_are_resources():
    """An object is passed as it is; an `@asynccontextmanager` function is entered and left by the runtime."""
    pipeline = Pipeline()
    log = []

    @asynccontextmanager
    async def client():
        log.append("open")
        yield "client"
        log.append("closed")

    @pipeline.asset
    async def both(http: Annotated[str, Resource], settings: Annotated[dict, Resource]) -> str:
        log.append("used")
        return f"{http} {settings['a']}"

    async with Runtime(pipeline, resources={"http": client, "settings": {"a": 1}}) as runtime:
        await runtime.materialize("both")
        assert await runtime.load("both") == "client 1"
    assert log == ["open", "used", "closed"]


async def test_resources_are_torn_down_in_reverse_order():
    """The last one set up goes first."""
    log = []
    providers = {name: PoolProvider(name, log) for name in ("a", "b", "c")}
    async with Runtime(needs_db(), resources=providers) as runtime:
        for _ in range(10):
            await asyncio.sleep(0)
        assert await runtime.health()
    assert log == ["setup a", "setup b", "setup c", "teardown c", "teardown b", "teardown a"]


async def test_a_resource_outlives_the_steps_that_use_it(background):
    """When the runtime stops, running steps finish before their resource is torn down."""
    pipeline = Pipeline()
    log = []
    entered = asyncio.Event()

    @pipeline.asset
    async def slow(db: Annotated[Pool, Resource]) -> None:
        entered.set()
        for _ in range(20):
            await asyncio.sleep(0)
        log.append("used")

    async with Runtime(pipeline, resources={"db": PoolProvider("db", log)}) as runtime:
        await runtime.submit("slow")
        await entered.wait()
    assert log == ["setup db", "used", "teardown db"]


async def test_a_resource_the_runtime_does_not_have():
    """The step fails with kind resource; the sentence says what to pass."""
    async with Runtime(needs_db()) as runtime:
        with pytest.raises(MaterializationFailed, match=r"resources=\{") as caught:
            await runtime.materialize("one")
        assert caught.value.failure.kind == "resource"
        assert caught.value.failure.retryable


async def test_a_failing_resource_does_not_stop_the_runtime(clock, background):
    """Steps that need it fail at once with kind resource, others run; its health says why; set-up is retried."""
    pipeline = needs_db()

    @pipeline.asset
    async def other() -> int:
        return 1

    provider = PoolProvider(fail=3)
    async with Runtime(pipeline, resources={"db": provider}, clock=clock) as runtime:
        with pytest.raises(MaterializationFailed, match="no route to host") as caught:
            await runtime.materialize("one")
        assert caught.value.failure.kind == "resource"
        await runtime.materialize("other")
        health = await runtime.health()
        assert not health
        assert "no route to host" in health.resources["db"]
        await clock.advance(30)
        assert provider.log == ["setup pool"] * 4
        assert (await runtime.materialize("one")).status == "succeeded"
        assert await runtime.health()


async def test_the_delay_between_set_ups_grows(clock):
    """A resource that stays down is tried less and less often, at most every 45 s or so."""
    provider = PoolProvider(fail=10**6)
    async with Runtime(needs_db(), resources={"db": provider}, clock=clock):
        await clock.advance(600)
        first = len(provider.log)
        await clock.advance(600)
        assert 5 < first < 60
        assert 600 / 46 < len(provider.log) - first < 600 / 14


async def test_a_step_waits_for_the_first_set_up(background):
    """While a resource is being set up for the first time, steps wait for it."""
    provider = PoolProvider()
    provider.ready = asyncio.Event()
    async with Runtime(needs_db(), resources={"db": provider}) as runtime:
        call = background(runtime.materialize("one"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not call.done()
        assert "set up" in (await runtime.health()).resources["db"]
        provider.ready.set()
        assert (await call).status == "succeeded"


async def test_a_step_that_waits_for_a_set_up_can_be_cancelled(background):
    """A set-up that hangs holds nobody who wants to go, nor the runtime that is left."""
    provider = PoolProvider()
    provider.ready = asyncio.Event()
    async with asyncio.timeout(200):
        async with Runtime(needs_db(), resources={"db": provider}) as runtime:
            call = background(runtime.materialize("one"))
            for _ in range(20):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await runtime.status("one") == "cancelled"
    assert provider.log == ["setup pool"]


async def test_a_step_whose_resource_failed_is_retried(clock, background):
    """A failure of kind resource is retryable: the next attempt finds the resource set up."""
    pipeline = Pipeline()

    @pipeline.asset(retry=Retry(attempts=3, delay=10, on=(ValueError,)))
    async def one(db: Annotated[Pool, Resource]) -> int:
        return 1

    async with Runtime(pipeline, resources={"db": PoolProvider(fail=1)}, clock=clock) as runtime:
        call = background(runtime.materialize("one"))
        await clock.advance(30)
        assert (await call).attempt == 2


async def test_an_unhealthy_resource_is_named_and_then_set_up_anew(clock):
    """`health()` asks now; after several bad checks in a row the resource is torn down and set up again."""
    provider = PoolProvider(healthy=False)
    async with Runtime(needs_db(), resources={"db": provider}, clock=clock) as runtime:
        await runtime.materialize("one")
        health = await runtime.health()
        assert "pool is stale" in health.resources["db"]
        assert health.status == "degraded"
        await clock.advance(31)
        assert provider.log == ["setup pool", "teardown pool", "setup pool"]
        provider.healthy = True
        assert await runtime.health()
        await clock.advance(300)
        assert provider.log == ["setup pool", "teardown pool", "setup pool"]


async def test_a_failing_teardown_does_not_keep_the_others_from_theirs():
    """Whatever one raises, `SystemExit` included, the rest is torn down and the runtime is left."""
    log = []

    class Sticky(PoolProvider):
        async def teardown(self, resource):
            await super().teardown(resource)
            raise SystemExit(1)

    providers = {"a": PoolProvider("a", log), "b": Sticky("b", log), "c": PoolProvider("c", log)}
    async with Runtime(needs_db(), resources=providers):
        for _ in range(10):
            await asyncio.sleep(0)
    assert log[3:] == ["teardown c", "teardown b", "teardown a"]


async def test_a_provider_without_setup_says_what_is_missing():
    """The health names the class and the method."""

    class Empty(ResourceProvider[int]):
        pass

    async with Runtime(needs_db(), resources={"db": Empty()}) as runtime:
        for _ in range(10):
            await asyncio.sleep(0)
        assert "Empty must define" in (await runtime.health()).resources["db"]


async def test_a_resource_may_be_none():
    """Whatever `setup` returns is the resource."""

    class Nothing(ResourceProvider[None]):
        async def setup(self):
            return None

    pipeline = Pipeline()
    seen = []

    @pipeline.asset
    async def one(db: Annotated[None, Resource]) -> None:
        seen.append(db)

    async with Runtime(pipeline, resources={"db": Nothing()}) as runtime:
        await runtime.materialize("one")
    assert seen == [None]
