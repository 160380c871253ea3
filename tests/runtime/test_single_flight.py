"""Calls that share a run, on every store: what each of them gets, and what becomes of the run when some leave."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import (
    Config,
    Context,
    MaterializationFailed,
    Pipeline,
    Retry,
    RunCancelled,
    RunFailed,
    Runtime,
    StaticPartitions,
    WaitsForItself,
)
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import Status
from flowstone.store.file import FileStore
from flowstone.store.memory import MemoryStore


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request, tmp_path):
    """Each kind of store; that of a database is shared by nodes."""
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path)


class Work(Config):
    """How much."""

    much: int = 1


class Scene:
    """A pipeline of steps that begin, say so, and end when they may.

    Attributes:
        began: The parts that began, in order.
        gate: Closed until they may end.
        fails: Whether they fail then.
        stopped: How many were stopped.
    """

    def __init__(self):
        self.began = []
        self.gate = asyncio.Event()
        self.fails = False
        self.stopped = 0
        self.pipeline = pipeline = Pipeline("shared")

        async def go(part):
            self.began.append(part)
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.stopped += 1
                raise
            if self.fails:
                raise ValueError("no data")

        @pipeline.asset(partitions=StaticPartitions(["a", "b"]))
        async def page(context: Context, work: Work) -> int:
            await go(context.partition)
            return work.much

        @pipeline.asset
        async def whole() -> int:
            await go("whole")
            return 1

        @pipeline.asset
        async def report(whole: int) -> int:
            return whole

        @pipeline.asset
        async def stubborn() -> int:
            """Takes its time to be stopped."""
            self.began.append("stubborn")
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0.3)
                raise
            return 1

        @pipeline.asset
        async def decided(context: Context) -> str:
            self.began.append("decided")
            return context.approval("agreed").by

    def runtime(self, store, **options):
        return Runtime(self.pipeline, store=store, shutdown_timeout=0.5, cancel_timeout=0.5, **options)


@pytest.fixture
def scene():
    """A fresh one."""
    return Scene()


async def until(condition):
    """Return when a condition holds, that may be asked of a store."""
    async with asyncio.timeout(60):
        while not (await found if asyncio.iscoroutine(found := condition()) else found):
            await asyncio.sleep(0)


async def all_wait(runtime, scene, calls, *, runs=1):
    """Return when the step has begun, and so many calls have come as far as they can."""
    await until(lambda: scene.began)
    callers = runtime._ctx.store.callers
    pool = getattr(callers, "_database", None)

    def shared():
        """How many more calls there are than callers on record: those of a group are one."""
        flights = runtime._client._shared.flights._of_runs.values()
        groups = [group for flight in flights for group in flight.groups.values() if group.written]
        return sum(group.members - 1 for group in groups)

    async def there():
        if pool is not None:
            rows = await pool._pool.fetch(
                "select count(*) as n from flowstone.callers where not gone and id <> ''"
            )
            return rows[0]["n"] + shared() == calls
        present = callers._present.values()
        return sum(len([each for each in found if each]) for found in present) + shared() == calls

    await until(there)
    assert len(await runtime.runs()) == runs
    # The last one has its answer from the store, and waits for the end in one of the next turns.
    await asyncio.sleep(0.05)


async def reasons(runtime, run_id):
    """Why it was asked to cancel a run."""
    events = await runtime._ctx.store.events(run_id)
    return {event.reason for _, event in events if isinstance(event, RunCancelRequested)}


async def only_run(runtime):
    (record,) = await runtime.runs()
    return record


async def gone(*calls):
    """Cancel calls, and wait until they have returned."""
    for call in calls:
        call.cancel()
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, asyncio.CancelledError)


# What each of them gets -------------------------------------------------------------------------------------


async def test_many_calls_compute_once(store, scene, background):
    """Each of them is given the record of the one run."""
    async with scene.runtime(store) as runtime:
        calls = [background(runtime.materialize("page", partition="a", join=True)) for _ in range(50)]
        await all_wait(runtime, scene, 50)
        scene.gate.set()
        records = await asyncio.gather(*calls)
        assert scene.began == ["a"]
        assert len({record.run_id for record in records}) == 1
        assert {record.status for record in records} == {Status.SUCCEEDED}
        assert len(await runtime.runs()) == 1


async def test_another_call_after_the_end_computes_again(store, scene):
    """What is joined is a run that is under way, not a result."""
    scene.gate.set()
    async with scene.runtime(store) as runtime:
        first = await runtime.materialize("whole", join=True)
        second = await runtime.materialize("whole", join=True)
        assert first.run_id != second.run_id
        assert scene.began == ["whole", "whole"]


async def test_a_request_that_meets_the_end_computes_nothing_that_is_there(
    store, scene, background, monkeypatch
):
    """Made while the run was under way, it comes to the store after it: what is missing is missing no more."""
    async with scene.runtime(store) as runtime:
        callers = runtime._ctx.store.callers
        create, asked, go_on = callers.create, asyncio.Event(), asyncio.Event()

        async def late(*given, **more):
            asked.set()
            await go_on.wait()
            return await create(*given, **more)

        first = await runtime.submit("whole", refresh="missing", join=True)
        await until(lambda: scene.began)
        monkeypatch.setattr(callers, "create", late)
        call = background(runtime.submit("whole", refresh="missing", join=True))
        await asked.wait()
        scene.gate.set()
        await first.wait()
        go_on.set()
        second = await call
        assert second.submitted
        assert await (await second.wait()).value("whole") == 1
        assert scene.began == ["whole"]


async def test_other_partitions_and_other_config_are_computed_beside(store, scene, background):
    """And so is what is asked for together with its upstream."""
    async with scene.runtime(store) as runtime:
        calls = [
            background(runtime.materialize("page", partition="a", join=True)),
            background(runtime.materialize("page", partition="b", join=True)),
            background(runtime.materialize("page", partition="a", config={"much": 2}, join=True)),
            background(runtime.materialize_all("page", partition="a", join=True)),
        ]
        await until(lambda: len(scene.began) == 4)
        scene.gate.set()
        await asyncio.gather(*calls)
        assert len(await runtime.runs()) == 4


async def test_materialize_all_joins(store, scene, background):
    """All calls get the result of the one run; another `refresh` is another request."""
    async with scene.runtime(store) as runtime:
        calls = [background(runtime.materialize_all("report", join=True)) for _ in range(5)]
        await all_wait(runtime, scene, 5)
        other = background(runtime.materialize_all("report", refresh="missing", join=True))
        await until(lambda: len(scene.began) == 2)
        scene.gate.set()
        results = await asyncio.gather(*calls)
        assert len({result.run_id for result in results}) == 1
        assert [await result.value("report") for result in results] == [1] * 5
        assert (await other).run_id != results[0].run_id


async def test_a_failure_is_raised_for_each(store, scene, background):
    """As for the one who started the run, with what the step raised."""
    scene.fails = True
    async with scene.runtime(store) as runtime:
        calls = [background(runtime.materialize("whole", join=True)) for _ in range(3)]
        calls += [background(runtime.materialize("whole", join=True, cancel_when_unwanted=True))]
        await all_wait(runtime, scene, 4)
        scene.gate.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in outcomes] == [MaterializationFailed] * 4
        assert len({str(each) for each in outcomes}) == 1
        assert {type(each.__cause__) for each in outcomes} == {ValueError}
        assert len({each.materialization.run_id for each in outcomes}) == 1


async def test_a_failure_of_what_is_upstream_is_raised_for_each(store, scene, background):
    """With the whole result."""
    scene.fails = True
    async with scene.runtime(store) as runtime:
        calls = [background(runtime.materialize_all("report", join=True)) for _ in range(3)]
        await all_wait(runtime, scene, 3)
        scene.gate.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in outcomes] == [RunFailed] * 3
        assert [len(each.result.failed) for each in outcomes] == [1] * 3


async def test_a_cancelled_run_is_cancelled_for_each(store, scene, background):
    """Whoever cancelled it."""
    async with scene.runtime(store) as runtime:
        calls = [background(runtime.materialize("whole", join=True)) for _ in range(3)]
        await all_wait(runtime, scene, 3)
        record = await only_run(runtime)
        await (await runtime.run(record.id)).cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in outcomes] == [RunCancelled] * 3
        assert await reasons(runtime, record.id) == {"asked"}


async def test_a_call_joins_a_run_that_did_not_ask_for_that(store, scene, background):
    """It was started by a call like any other, or submitted."""
    async with scene.runtime(store) as runtime:
        plain = background(runtime.materialize("whole"))
        await until(lambda: scene.began)
        joined = background(runtime.materialize("whole", join=True))
        await all_wait(runtime, scene, 2)
        scene.gate.set()
        assert (await plain).run_id == (await joined).run_id


# Those who leave --------------------------------------------------------------------------------------------


async def test_a_joiner_that_is_cancelled_does_not_cancel_the_run(store, scene, background):
    """Even if it would cancel it as the last one: the others get what they wait for."""
    async with scene.runtime(store) as runtime:
        starter = background(runtime.materialize("whole"))
        await until(lambda: scene.began)
        joiner = background(runtime.materialize("whole", join=True, cancel_when_unwanted=True))
        await all_wait(runtime, scene, 2)
        await gone(joiner)
        scene.gate.set()
        assert (await starter).status is Status.SUCCEEDED
        assert (scene.began, scene.stopped) == (["whole"], 0)


@pytest.mark.parametrize("joins", [True, False])
async def test_the_run_goes_on_without_its_starter(store, scene, background, joins):
    """If somebody has joined it, whether its starter would have joined one or not."""
    async with scene.runtime(store) as runtime:
        starter = background(runtime.materialize("whole", join=joins))
        await until(lambda: scene.began)
        joiner = background(runtime.materialize("whole", join=True))
        await all_wait(runtime, scene, 2)
        await gone(starter)
        scene.gate.set()
        assert (await joiner).status is Status.SUCCEEDED
        assert (scene.began, scene.stopped) == (["whole"], 0)


@pytest.mark.parametrize("joins", [True, False])
async def test_a_run_that_nobody_joined_is_cancelled_with_its_call(store, scene, background, joins):
    """As any run is."""
    async with scene.runtime(store) as runtime:
        call = background(runtime.materialize("whole", join=joins))
        await until(lambda: scene.began)
        await gone(call)
        record = await only_run(runtime)
        assert record.status is Status.CANCELLED
        assert await reasons(runtime, record.id) == {"caller"}
        assert scene.stopped == 1


async def test_a_run_without_callers_goes_on(store, scene, background):
    """If the last one who left did not want it cancelled; who joins it then gets its result."""
    async with scene.runtime(store) as runtime:
        starter = background(runtime.materialize("whole", join=True))
        await until(lambda: scene.began)
        joiner = background(runtime.materialize("whole", join=True))
        await all_wait(runtime, scene, 2)
        await gone(starter)
        await gone(joiner)
        again = background(runtime.materialize("whole", join=True))
        await all_wait(runtime, scene, 1)
        scene.gate.set()
        assert (await again).status is Status.SUCCEEDED
        assert (scene.began, scene.stopped) == (["whole"], 0)


async def test_the_last_one_who_leaves_cancels_the_run(store, scene, background):
    """And says so on record."""
    async with scene.runtime(store) as runtime:
        starter = background(runtime.materialize("whole"))
        await until(lambda: scene.began)
        wish = {"join": True, "cancel_when_unwanted": True}
        joiners = [background(runtime.materialize("whole", **wish)) for _ in range(2)]
        await all_wait(runtime, scene, 3)
        await gone(starter)
        await gone(joiners[0])
        assert scene.stopped == 0
        await gone(joiners[1])
        record = await only_run(runtime)
        assert record.status is Status.CANCELLED
        assert "unwanted" in await reasons(runtime, record.id)
        assert scene.stopped == 1


async def test_a_run_that_is_being_cancelled_is_not_joined(store, scene, background):
    """Whoever asks then has a run of its own, and gets what it asked for."""
    async with scene.runtime(store) as runtime:
        first = background(runtime.materialize("stubborn", join=True))
        await until(lambda: scene.began)
        run = await runtime.run((await only_run(runtime)).id)
        stopping = background(run.cancel())
        await asyncio.sleep(0.1)
        second = background(runtime.materialize("stubborn", join=True))
        await until(lambda: len(scene.began) == 2)
        scene.gate.set()
        assert (await second).status is Status.SUCCEEDED
        await stopping
        with pytest.raises(RunCancelled):
            await first
        assert len(await runtime.runs()) == 2


@pytest.mark.parametrize("which", ["starter", "joiner"])
async def test_a_timeout_is_the_patience_of_its_call(store, scene, background, which):
    """The run goes on for the others."""
    async with scene.runtime(store) as runtime:
        patience = {"starter": 0.4, "joiner": None}
        starter = background(runtime.materialize("whole", join=True, timeout=patience.get(which)))
        await until(lambda: scene.began)
        joiner = background(
            runtime.materialize("whole", join=True, timeout=0.1 if which == "joiner" else None)
        )
        impatient, patient = (starter, joiner) if which == "starter" else (joiner, starter)
        with pytest.raises(TimeoutError, match=r"has not ended within 0.\d s; it goes on for others"):
            await impatient
        scene.gate.set()
        assert (await patient).status is Status.SUCCEEDED
        assert scene.stopped == 0


async def test_a_timeout_of_the_only_call_cancels_its_run(store, scene):
    """As if the call had been cancelled, and it says so."""
    async with scene.runtime(store) as runtime:
        with pytest.raises(TimeoutError, match=r"within 0.05 s; it was cancelled, since nobody else waits"):
            await runtime.materialize("whole", join=True, timeout=0.05)
        await until(lambda: scene.stopped or not scene.began)
        assert {record.status for record in [await only_run(runtime)]} == {Status.CANCELLED}


# Submitting -------------------------------------------------------------------------------------------------


async def test_submit_joins(store, scene, background):
    """It returns the handle of the run under way, which goes on whoever leaves it then."""
    async with scene.runtime(store) as runtime:
        call = background(runtime.materialize("whole", join=True, cancel_when_unwanted=True))
        await until(lambda: scene.began)
        run = await runtime.submit("whole", upstream=False, join=True)
        assert not run.submitted
        await gone(call)
        scene.gate.set()
        assert await (await run.wait()).value("whole") == 1
        assert scene.began == ["whole"]


async def test_a_submitted_run_is_joined_and_not_cancelled(store, scene, background):
    """By calls, and by others who submit the same."""
    async with scene.runtime(store) as runtime:
        run = await runtime.submit("report", join=True)
        assert run.submitted
        assert await runtime.submit("report", join=True) == run
        await until(lambda: scene.began)
        call = background(runtime.materialize_all("report", join=True, cancel_when_unwanted=True))
        await asyncio.sleep(0.2)
        await gone(call)
        scene.gate.set()
        assert await (await run.wait()).value("report") == 1
        assert scene.began == ["whole"]


async def test_a_detached_run_is_not_cancelled_by_who_leaves_last(store, scene, background):
    """It is as if it had been submitted."""
    async with scene.runtime(store) as runtime:
        starter = background(runtime.materialize("whole"))
        await until(lambda: scene.began)
        run = await runtime.run((await only_run(runtime)).id)
        run.detach()
        joiner = background(runtime.materialize("whole", join=True, cancel_when_unwanted=True))
        await all_wait(runtime, scene, 2)
        await gone(starter)
        await gone(joiner)
        scene.gate.set()
        assert (await run.wait()).status is Status.SUCCEEDED


# Waiting ----------------------------------------------------------------------------------------------------


async def test_a_run_that_is_parked_is_joined(store, scene, background):
    """Its starter leaves, and it waits for its approval all the same; then it goes on for whoever joined."""
    async with scene.runtime(store) as runtime:
        starter = background(runtime.materialize("decided"))
        await until(lambda: scene.began)
        while not (asked := await runtime.approvals()):
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        joiner = background(runtime.materialize("decided", join=True, cancel_when_unwanted=True))
        await asyncio.sleep(0.3)
        await gone(starter)
        await runtime.approve(asked[0].id, by="me")
        assert (await joiner).status is Status.SUCCEEDED
        assert len(await runtime.runs()) == 1


async def test_who_leaves_a_parked_run_last_cancels_it(store, scene, background):
    """If that was asked for; its starter was known to wait all the time."""
    async with scene.runtime(store) as runtime:
        starter = background(runtime.materialize("decided"))
        while not await runtime.approvals():
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        joiner = background(runtime.materialize("decided", join=True, cancel_when_unwanted=True))
        await asyncio.sleep(0.3)
        await gone(starter)
        assert (await only_run(runtime)).status is Status.WAITING
        await gone(joiner)
        record = await only_run(runtime)
        assert record.status is Status.CANCELLED
        assert "unwanted" in await reasons(runtime, record.id)


async def test_a_step_that_would_join_the_run_that_waits_for_it_is_refused(store):
    """Instead of waiting for ever; the run itself is not touched by that."""
    pipeline, tried = Pipeline("circle"), []

    @pipeline.asset(retry=Retry(attempts=1))
    async def outer() -> int:
        return (await runtime.materialize("inner", join=True)).attempt

    @pipeline.asset
    async def inner() -> int:
        try:
            await runtime.materialize("outer", join=True, cancel_when_unwanted=True)
        except WaitsForItself as error:
            tried.append(error)
        return 1

    async with Runtime(pipeline, store=store) as runtime, asyncio.timeout(60):
        record = await runtime.materialize("outer", join=True)
        assert record.status is Status.SUCCEEDED
        assert len(tried) == 1
        assert len(await runtime.runs()) == 2


async def test_a_step_that_joins_a_run_gives_its_slot_back(store):
    """Otherwise two that join one could never end where only two may run."""
    pipeline = Pipeline("nested")

    @pipeline.asset(partitions=StaticPartitions(["a", "b", "c"]))
    async def part() -> str:
        return (await runtime.materialize("base", join=True)).run_id

    @pipeline.asset
    async def base() -> int:
        await asyncio.sleep(0)
        return 1

    async with Runtime(pipeline, store=store, max_concurrency=1) as runtime, asyncio.timeout(60):
        result = await runtime.backfill("part", max_parallel=3)
        assert len(result.succeeded) == 3


async def test_a_step_that_waits_for_the_run_that_started_it_is_refused():
    """In the first turn of a run as well, in which the step that starts it has not begun to wait."""
    pipeline, tried = Pipeline("circle"), []

    @pipeline.asset
    async def outer(context: Context) -> int:
        tried.append(context.run_id)
        return (await runtime.materialize("inner")).attempt

    @pipeline.asset
    async def inner() -> int:
        with pytest.raises(WaitsForItself):
            await (await runtime.run(tried[0])).wait()
        return 1

    async with Runtime(pipeline) as runtime, asyncio.timeout(60):
        assert (await runtime.materialize("outer")).status is Status.SUCCEEDED
