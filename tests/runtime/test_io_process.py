"""IO managers under supervision: set up before they are used, tried again, named when they misbehave."""

from __future__ import annotations

import asyncio
import csv
import io

import pytest

from flowstone import IOManagerError, MaterializationFailed, MemoryIO, Output, Pipeline, Runtime, Stored
from tests.runtime.doubles import BrokenIO


class Bucket(MemoryIO):
    """A manager with a life: `setup` waits for `ready` and fails as often as `fail` says."""

    __slots__ = ("calls", "fail", "ready")

    def __init__(self, fail=0):
        super().__init__()
        self.calls = []
        self.fail = fail
        self.ready = asyncio.Event()

    async def setup(self):
        self.calls.append("setup")
        await self.ready.wait()
        if self.fail:
            self.fail -= 1
            raise ConnectionError("no such bucket")
        self.calls.append("set up")

    async def teardown(self):
        self.calls.append("teardown")

    async def store(self, target, value):
        self.calls.append("store")
        return await super().store(target, value)

    async def load(self, location):
        self.calls.append("load")
        return await super().load(location)


def one():
    """A pipeline with the asset `one`."""
    pipeline = Pipeline()

    @pipeline.asset
    async def one() -> int:
        return 1

    return pipeline


@pytest.mark.both_loops
async def test_nothing_is_stored_before_the_manager_is_set_up(background):
    """Steps wait for the first try of its set-up."""
    bucket = Bucket()
    async with Runtime(one(), io={"default": bucket}) as runtime:
        call = background(runtime.materialize("one"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert bucket.calls == ["setup"]
        bucket.ready.set()
        await call
        assert await runtime.load("one") == 1
    assert bucket.calls == ["setup", "set up", "store", "load", "teardown"]


async def test_a_set_up_that_fails_is_tried_again(clock):
    """Steps fail with kind io meanwhile, at once; the runtime goes on; its health says why."""
    bucket = Bucket(fail=2)
    bucket.ready.set()
    async with Runtime(one(), io={"default": bucket}, clock=clock) as runtime:
        with pytest.raises(MaterializationFailed, match="no such bucket") as caught:
            await runtime.materialize("one")
        assert caught.value.failure.kind == "io"
        assert "no such bucket" in (await runtime.health()).io["default"]
        await clock.advance(10)
        assert bucket.calls == ["setup", "setup", "setup", "set up"]
        assert await runtime.health()
        await runtime.materialize("one")
    assert bucket.calls[-1] == "teardown"


async def test_managers_that_fail_together_are_not_tried_again_together(clock):
    """Two buckets of one server that is down: their tries drift apart."""
    tries = {"default": [], "other": []}

    class Down(MemoryIO):
        __slots__ = ("name",)

        async def setup(self):
            tries[self.name].append(clock.monotonic())
            raise ConnectionError("no such server")

    managers = {name: Down() for name in tries}
    for name, manager in managers.items():
        manager.name = name
    async with Runtime(one(), io=managers, clock=clock):
        await clock.advance(300)
    first, second = tries.values()
    assert len(first) > 5
    assert not set(first[1:]) & set(second[1:])


async def test_what_was_never_set_up_is_not_torn_down(clock):
    """Leaving a runtime whose manager never came up is quick and calls nothing."""
    bucket = Bucket()
    async with asyncio.timeout(200), Runtime(one(), io={"default": bucket}, clock=clock):
        await clock.settle()
    assert bucket.calls == ["setup"]


async def test_a_manager_that_returns_nonsense_is_named():
    """`store` must return a `Stored`; otherwise the step fails with kind io and says so."""

    class Careless(MemoryIO):
        __slots__ = ()

        async def store(self, target, value):
            return "somewhere"

    async with Runtime(one(), io={"default": Careless()}) as runtime:
        with pytest.raises(MaterializationFailed, match="Stored") as caught:
            await runtime.materialize("one")
        assert caught.value.failure.kind == "io"


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), MemoryError()]
)
@pytest.mark.parametrize("where", ["store", "load"])
async def test_whatever_a_manager_raises_is_a_failure_of_kind_io(error, where):
    """Exceptions that would tear down a loop, or pass for a cancel, fail one step."""
    pipeline = one()

    @pipeline.asset
    async def two(one: int) -> int:
        return one

    manager = BrokenIO(error)
    async with asyncio.timeout(200), Runtime(pipeline, io={"default": manager}) as runtime:
        await runtime.materialize("one")
        manager.broken = {where}
        with pytest.raises(MaterializationFailed, match=type(error).__name__) as caught:
            await runtime.materialize("two")
        assert caught.value.failure.kind == "io"
        if where == "load":
            with pytest.raises(IOManagerError, match=type(error).__name__):
                await runtime.load("one")
        manager.broken.clear()
        await runtime.materialize("two")


async def test_a_caller_that_is_cancelled_while_it_loads_is_cancelled(background):
    """A cancel of ours is not turned into an error of the manager."""

    class Slow(MemoryIO):
        __slots__ = ("entered",)

        async def load(self, location):
            self.entered.set()
            await asyncio.Event().wait()

    manager = Slow()
    manager.entered = asyncio.Event()
    async with Runtime(one(), io={"default": manager}) as runtime:
        await runtime.materialize("one")
        call = background(runtime.load("one"))
        await manager.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_it_counts_what_went_through():
    """Stores, loads and errors, for whoever looks at the tree."""
    manager = BrokenIO(OSError("full"))
    async with Runtime(one(), io={"default": manager}) as runtime:
        await runtime.materialize("one")
        await runtime.load("one")
        manager.broken = {"store"}
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("one")
        process = runtime._ctx.io["default"]
        statistics = process.statistics()
        assert (statistics.stored, statistics.loaded, statistics.errors) == (1, 1, 1)


class Anything:
    """A manager of the user's that takes whatever it is given."""

    def __init__(self):
        self.values = []

    async def store(self, target, value):
        self.values.append(value)
        return Stored(f"{len(self.values)}")

    async def load(self, location):
        return self.values[int(location) - 1]

    async def delete(self, location):
        pass

    async def exists(self, location):
        return True


def rows_by(make, **options):
    """A pipeline whose asset `rows` returns what `make` gives."""
    pipeline = Pipeline()

    @pipeline.asset(**options)
    def rows():
        return make()

    return pipeline


@pytest.mark.parametrize("run_in", ["loop", "thread"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: map(str, [1]),
        lambda: Output(csv.reader(["a"])),
        lambda: {"rows": (n for n in [1])},
        lambda: io.StringIO("text"),
    ],
)
async def test_what_can_be_read_only_once_is_no_value_for_any_manager(make, run_in):
    """The step fails with kind io and a remedy; the manager is never asked, and nothing is recorded as a value."""
    manager = Anything()
    async with Runtime(rows_by(make, run_in=run_in), io={"default": manager}) as runtime:
        with pytest.raises(MaterializationFailed, match=r"can be read only once.*; return ") as caught:
            await runtime.materialize("rows")
        assert caught.value.failure.kind == "io"
        assert not await runtime.exists("rows")
    assert manager.values == []
