"""Calls of one process for the same that share one request to the store, however long that takes."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import MaterializationFailed, Pipeline, RunCancelled, Runtime, StoreUnavailable
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import Status
from tests.runtime.doubles import Gate, UnreliableStore


class HeldCallers:
    """The callers of a store, whose calls wait at a gate if there is one.

    Attributes:
        gates: Where a call of that name waits before it does anything.
        asked: The calls of each name so far.
        down: Whether nothing can be asked.
    """

    def __init__(self, callers):
        self._callers = callers
        self.gates = {}
        self.asked = []
        self.down = False

    async def _pass(self, what):
        self.asked.append(what)
        if what in self.gates:
            await self.gates[what].wait()
        if self.down:
            raise StoreUnavailable("the store is down")

    async def create(self, run, caller, *, join=True, but=()):
        await self._pass("create")
        return await self._callers.create(run, caller, join=join, but=but)

    async def attend(self, run_id, caller):
        await self._pass("attend")
        await self._callers.attend(run_id, caller)

    async def leave(self, run_id, caller):
        await self._pass("leave")
        return await self._callers.leave(run_id, caller)

    async def keep(self, run_id):
        await self._callers.keep(run_id)

    async def wanted(self, run_ids, node_id):
        return await self._callers.wanted(run_ids, node_id)


class HeldStore(UnreliableStore):
    """A store in memory whose callers are held up."""

    def __init__(self):
        super().__init__()
        self.held = HeldCallers(super().callers)

    @property
    def callers(self):
        return self.held


class Scene:
    """A runtime with an asset that ends when it may, and one that needs another."""

    def __init__(self):
        self.store = HeldStore()
        self.asked = self.store.held.asked
        self.gate = Gate()
        self.computed = []
        self.fails = False
        pipeline = Pipeline("held")

        @pipeline.asset
        async def page() -> int:
            self.computed.append("page")
            await self.gate.wait()
            if self.fails:
                raise ValueError("no data")
            return 1

        @pipeline.asset
        async def summary(page: int) -> int:
            self.computed.append("summary")
            await self.gate.wait()
            return page

        self.runtime = Runtime(pipeline, store=self.store, shutdown_timeout=0.5)

    def hold(self, what):
        """Have calls of that name wait."""
        gate = self.store.held.gates[what] = Gate()
        return gate

    def let_go(self, what):
        self.store.held.gates.pop(what).open()

    def counts(self):
        return self.asked.count("create"), self.asked.count("attend")


@pytest.fixture
async def scene():
    """A fresh one, whose runtime is started."""
    scene = Scene()
    async with scene.runtime, asyncio.timeout(60):
        yield scene
    flights = scene.runtime._client._shared.flights
    assert (flights._open, flights._ended, flights._coming) == ({}, {}, {})


async def turns(number=50):
    """Let all go as far as they can."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_calls_that_come_while_the_first_is_in_the_store_share_its_run(scene, background):
    """Two hundred calls are two requests to the store: the first one, and one for all others."""
    gate = scene.hold("create")
    first = background(scene.runtime.materialize("page", join=True))
    await gate.entered.wait()
    others = [background(scene.runtime.materialize("page", join=True)) for _ in range(199)]
    await turns()
    assert scene.counts() == (1, 0)
    scene.gate.open()
    scene.let_go("create")
    records = await asyncio.gather(first, *others)
    assert len({record.run_id for record in records}) == 1
    assert scene.computed == ["page"]
    assert scene.asked.count("create") == 1
    assert scene.asked.count("attend") <= 1
    assert len(await scene.runtime.runs()) == 1


async def test_calls_that_come_while_the_run_is_under_way_share_it(scene, background):
    """One request to the store for all who take part in the same way."""
    calls = [background(scene.runtime.materialize("page", join=True))]
    await turns()
    calls += [background(scene.runtime.materialize("page", join=True)) for _ in range(20)]
    calls += [
        background(scene.runtime.materialize("page", join=True, cancel_when_unwanted=True)) for _ in range(20)
    ]
    await turns()
    assert scene.counts() == (1, 2)
    scene.gate.open()
    assert len({record.run_id for record in await asyncio.gather(*calls)}) == 1


async def test_a_call_that_was_made_before_the_end_is_served_by_that_run(scene, background):
    """Though it gets its turn after; one that is made after the end computes again."""
    scene.gate.open()
    await scene.runtime.materialize("page")
    scene.gate = Gate()
    first = background(scene.runtime.materialize("summary", join=True))
    await scene.gate.entered.wait()
    look_up = scene.store.gates["current"] = asyncio.Event()
    before = background(scene.runtime.materialize("summary", join=True))
    await turns()
    scene.gate.open()
    ended = await first
    after = background(scene.runtime.materialize("summary", join=True))
    await turns()
    look_up.set()
    assert (await before).run_id == ended.run_id
    assert (await after).run_id != ended.run_id
    assert scene.computed == ["page", "summary", "summary"]


async def test_another_call_asks_where_the_first_one_is_cancelled(scene, background):
    """While it is in the store: it takes nobody along."""
    gate = scene.hold("create")
    first = background(scene.runtime.materialize("page", join=True))
    await gate.entered.wait()
    others = [background(scene.runtime.materialize("page", join=True)) for _ in range(20)]
    await turns()
    first.cancel()
    await turns()
    scene.gate.open()
    scene.let_go("create")
    records = await asyncio.gather(*others)
    assert len({record.run_id for record in records}) == 1
    assert {record.status for record in records} == {Status.SUCCEEDED}
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_first_one_leaves_when_it_is_on_record_who_stays(scene, background):
    """It is cancelled when the others are about to say that they wait: the run goes on for them."""
    gate = scene.hold("attend")
    first = background(scene.runtime.materialize("page", join=True))
    await turns()
    others = [background(scene.runtime.materialize("page", join=True)) for _ in range(20)]
    await gate.entered.wait()
    first.cancel()
    await turns()
    assert "leave" not in scene.asked
    scene.let_go("attend")
    with pytest.raises(asyncio.CancelledError):
        await first
    assert scene.asked.count("leave") == 1
    scene.gate.open()
    assert {record.status for record in await asyncio.gather(*others)} == {Status.SUCCEEDED}
    assert scene.computed == ["page"]


async def test_a_store_that_is_away_is_asked_once(scene, background):
    """Each call is told; the next one asks again."""
    gate = scene.hold("create")
    calls = [background(scene.runtime.materialize("page", join=True)) for _ in range(20)]
    await gate.entered.wait()
    await turns()
    scene.store.held.down = True
    scene.let_go("create")
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(each) for each in outcomes} == {StoreUnavailable}
    assert scene.counts() == (1, 0)
    scene.store.held.down = False
    scene.gate.open()
    assert (await scene.runtime.materialize("page", join=True)).status is Status.SUCCEEDED


@pytest.mark.parametrize("cancels", [True, False])
async def test_only_the_last_one_of_all_who_share_leaves_the_run_alone(scene, background, cancels):
    """Then it is cancelled if that one wanted that."""
    first = background(scene.runtime.materialize("page", join=True))
    await scene.gate.entered.wait()
    wish = {"join": True, "cancel_when_unwanted": cancels}
    others = [background(scene.runtime.materialize("page", **wish)) for _ in range(5)]
    await turns()
    for call in [first, *others]:
        (record,) = await scene.runtime.runs()
        assert record.status is Status.RUNNING
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert scene.asked.count("leave") == 2
    (record,) = await scene.runtime.runs()
    assert (record.status is Status.CANCELLED) == cancels
    events = [event for _, event in await scene.store.events(record.id)]
    assert [each.reason for each in events if isinstance(each, RunCancelRequested)] == ["unwanted"] * cancels
    scene.gate.open()


async def test_all_who_share_are_raised_what_the_step_raised(scene, background):
    """Also those who came while the first one was in the store."""
    scene.fails = True
    scene.gate.open()
    gate = scene.hold("create")
    calls = [background(scene.runtime.materialize("page", join=True)) for _ in range(5)]
    await gate.entered.wait()
    await turns()
    calls[3].cancel()
    scene.let_go("create")
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(outcomes.pop(3), asyncio.CancelledError)
    assert {type(each) for each in outcomes} == {MaterializationFailed}
    assert {type(each.__cause__) for each in outcomes} == {ValueError}


async def test_a_run_that_is_cancelled_is_cancelled_for_all_who_share(scene, background):
    """And is shared by nobody who asks after that."""
    calls = [background(scene.runtime.materialize("page", join=True)) for _ in range(5)]
    await scene.gate.entered.wait()
    await turns()
    (record,) = await scene.runtime.runs()
    await (await scene.runtime.run(record.id)).cancel()
    scene.gate.open()
    again = await scene.runtime.materialize("page", join=True)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(each) for each in outcomes} == {RunCancelled}
    assert again.run_id != record.id


async def test_a_call_that_shares_nothing_asks_nobody(scene):
    """It goes to the store as if no other call had ever shared a run."""
    scene.gate.open()
    await asyncio.gather(*(scene.runtime.materialize("page") for _ in range(3)))
    assert scene.asked == []
    assert len(scene.computed) == 3
