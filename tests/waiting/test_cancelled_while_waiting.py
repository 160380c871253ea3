"""Whoever is told that a run is cancelled can rely on it: nobody answers its steps afterwards."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from flowstone import AlreadyDecided, Context, Pipeline, RunCancelled, TokenExpired
from flowstone.runtime.run.parking import Parking
from flowstone.runtime.services.events import Events
from tests.runtime.doubles import Gate
from tests.waiting.test_decisions import Desk, parked, pending


@pytest.fixture
def parking(monkeypatch):
    """Holds a coordinator whose run is parked in the store, and which does not know that yet."""
    gate, park = Gate(), Parking.park

    async def held(self, epoch):
        try:
            return await park(self, epoch)
        finally:
            await gate.wait()

    monkeypatch.setattr(Parking, "park", held)
    return gate


class Slow:
    """A store that does not say which runs there are, nor takes a cancel, until the gate is open."""

    def __init__(self, patch, store):
        self.gate = Gate()
        self._patch = patch
        self._hold(store, "run")
        self._hold(store.callers, "leave")
        if store.cluster is not None:
            self._hold(store.cluster, "request_cancel")

    def _hold(self, port, name):
        ask = getattr(port, name)

        async def held(*given, **more):
            await self.gate.wait()
            return await ask(*given, **more)

        self._patch.setattr(port, name, held)


async def left(call):
    """Cancel a call, and see it told."""
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def ended(runtime):
    """The only run there is, once it has ended."""
    while not (run := (await runtime.runs())[0]).status.terminal:
        await asyncio.sleep(0.005)
    return run


@pytest.mark.parametrize("joins", [False, True])
async def test_a_call_that_leaves_while_its_run_is_being_parked_cancels_it(place, background, parking, joins):
    """The store has parked it, and its coordinator is told after the call has left."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize("paid", join=joins))
        await parking.entered.wait()
        waiting.cancel()
        for _ in range(20):
            await asyncio.sleep(0.005)  # As long as a store takes to be told.
        parking.open()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(TokenExpired, match="cancelled"):
            await runtime.signal(desk.tokens[0], {"id": 1})
        assert (await ended(runtime)).status == "cancelled"


async def test_a_run_that_is_cancelled_while_it_is_being_parked_stops(place, background, parking):
    """By its handle, as by its caller."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        run = await runtime.submit("published")
        await parking.entered.wait()
        cancel = background(run.cancel())
        await asyncio.sleep(0)
        parking.open()
        await cancel
        assert await run.status() == "cancelled"
        (asked,) = await runtime.approvals(None)
        with pytest.raises(AlreadyDecided, match="cancelled"):
            await runtime.approve(asked.id, by="ada")


@pytest.mark.parametrize("answer", ["signal", "approve", "reject"])
async def test_a_call_that_could_not_wait_for_the_cancel_is_right_all_the_same(
    place, background, monkeypatch, answer
):
    """The store was slower than `cancel_timeout`: the cancel goes on, and no answer overtakes it."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline, cancel_timeout=0.02) as runtime:
        waiting = background(runtime.materialize("paid" if answer == "signal" else "published"))
        await parked(runtime)
        asked = await runtime.approvals()
        with monkeypatch.context() as patch:
            slow = Slow(patch, runtime._ctx.store)
            await left(waiting)
            if answer == "signal":
                told = background(runtime.signal(desk.tokens[0], {"id": 1}))
            else:
                told = background(getattr(runtime, answer)(asked[0].id, by="ada"))
            slow.gate.open()
            with pytest.raises((TokenExpired, AlreadyDecided), match="cancelled"):
                await told
        assert (await ended(runtime)).status == "cancelled"
        assert desk.attempts == [1]


async def test_a_runtime_that_ends_sees_to_the_cancels_that_are_under_way(place, background, monkeypatch):
    """Nobody would know of them afterwards; where there may be other nodes, one of them may end the run."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline, cancel_timeout=0.02) as runtime:
        waiting = background(runtime.materialize("paid"))
        await parked(runtime)
        store = runtime._ctx.store
        slow = Slow(monkeypatch, store)
        await left(waiting)
        draining = background(runtime.drain(30))
        slow.gate.open()
        assert await draining
        with pytest.raises(TokenExpired, match="cancelled"):
            await runtime.signal(desk.tokens[0], {"id": 1})


async def test_a_cancel_that_nobody_waits_for_outlives_a_restart_above_it(place, background, monkeypatch):
    """The part of the tree that it is in is stopped and started again."""
    crashes, crash, live = [], asyncio.Event(), Events.run

    async def crash_often(self, started):
        if crashes and len(crashes) < 5:
            crashes.append(1)
            raise RuntimeError("injected")
        if crashes:
            await live(self, started)
            return
        started()
        await crash.wait()
        crashes.append(1)
        raise RuntimeError("injected")

    monkeypatch.setattr(Events, "run", crash_often)
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline, cancel_timeout=0.02) as runtime:
        waiting = background(runtime.materialize("paid"))
        await parked(runtime)
        slow = Slow(monkeypatch, runtime._ctx.store)
        await left(waiting)
        assert runtime._runs.abandoned.left
        before = runtime._runs._supervisor
        crash.set()
        while runtime._runs._supervisor is before:
            await asyncio.sleep(0.005)
        slow.gate.open()
        assert (await ended(runtime)).status == "cancelled"


@asynccontextmanager
async def held(patch, port, name):
    """Hold the next call of a store back, within the block from when it was made."""
    gate, ask = Gate(), getattr(port, name)

    async def later(*given, **more):
        answer = await ask(*given, **more)
        patch.undo()
        await gate.wait()
        return answer

    patch.setattr(port, name, later)
    try:
        yield gate
    finally:
        gate.open()


async def test_a_run_that_is_woken_and_parked_again_while_it_is_cancelled_stops(
    place, background, monkeypatch
):
    """Its life that was being parked has let go of the request."""
    if place.name == "postgres":
        pytest.skip("there the request is on record before anything else")
    pipeline = Pipeline("two")

    @pipeline.asset
    async def one(context: Context) -> str:
        return context.approval("first").by

    @pipeline.asset
    async def two(context: Context) -> str:
        return context.approval("second").by

    @pipeline.asset
    async def both(one: str, two: str) -> str:
        return one + two

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        run = await runtime.submit("both")
        asked = {each.name: each.id for each in await pending(runtime, 2)}
        while runtime._runs.live:
            await asyncio.sleep(0.005)
        with monkeypatch.context() as patch:
            async with held(patch, runtime._ctx.store, "run") as looked:
                cancel = background(run.cancel())
                await looked.entered.wait()
                parking, park = Gate(), Parking.park

                async def parks(self, epoch):
                    answer = await park(self, epoch)
                    await parking.wait()
                    return answer

                monkeypatch.setattr(Parking, "park", parks)
                await runtime.approve(asked["first"], by="ada")
                await parking.entered.wait()
        while Parking.park is parks and not any(live.requests for live in runtime._runs.live.values()):
            await asyncio.sleep(0.005)
        monkeypatch.setattr(Parking, "park", park)
        parking.open()
        await cancel
        assert await run.status() == "cancelled"
        with pytest.raises(AlreadyDecided, match="cancelled"):
            await runtime.approve(asked["second"], by="ada")
        with pytest.raises(RunCancelled):
            await run.wait()
