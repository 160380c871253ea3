"""Runs whose owner died, and coordinators that crash: who goes on, with what, and that each step ends once."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    FlowstoneError,
    MemoryIO,
    Pipeline,
    Retry,
    RunCancelled,
    RunFailed,
    Runtime,
    RuntimeStopping,
    Status,
    StoreUnavailable,
)
from flowstone.actors import SupervisorGaveUp
from flowstone.runs.events import StepSucceeded
from flowstone.runs.state import RunState
from flowstone.runtime.run.coordinator import RunCoordinator
from flowstone.runtime.run.retention import Retention
from flowstone.runtime.services.events import Events
from tests.runtime.doubles import Gate, Meter, UnreliableStore

WEEK = DailyPartitions("2025-01-01", "2025-01-07")


class Scene:
    """A pipeline of `raw` and `clean` by day, whose steps note each start and wait where a gate is closed.

    Attributes:
        starts: (asset, day, attempt) in order.
        gates: Where a step waits, by (asset, day).
    """

    def __init__(self):
        self.starts = []
        self.gates = {}
        self.store = UnreliableStore()
        self.io = MemoryIO()

    def runtime(self, **options):
        """Another life: the same store and values, a pipeline of its own."""
        return Runtime(self.pipeline(), store=self.store, io={"default": self.io}, **options)

    def pipeline(self):
        pipeline = Pipeline("scene")

        async def visit(name, context):
            day = context.partition.day
            self.starts.append((name, day, context.attempt))
            if (name, day) in self.gates:
                await self.gates[name, day].wait()

        @pipeline.asset(partitions=WEEK)
        async def raw(context: Context) -> int:
            await visit("raw", context)
            return context.partition.day

        @pipeline.asset(partitions=WEEK)
        async def clean(context: Context, raw: int) -> int:
            await visit("clean", context)
            return raw * 10

        return pipeline

    async def die(self, run, *waiting):
        """Let the store fail under a runtime when these steps wait: nothing more of the run is recorded."""
        for gate in waiting:
            await gate.entered.wait()
        self.store.down = True
        for gate in waiting:
            gate.open()
        with pytest.raises(StoreUnavailable):
            await run.wait()
        self.store.down = False

    async def successes(self, run_id):
        """Per step, how often a success was recorded."""
        counts = {}
        for _, event in await self.store.events(run_id, limit=10_000):
            if isinstance(event, StepSucceeded):
                key = event.asset, event.partition_key
                counts[key] = counts.get(key, 0) + 1
        return counts


@pytest.mark.both_loops
async def test_an_orphan_is_adopted_and_finished():
    """A runtime that opens the store goes on where the run stopped; what had succeeded does not run again."""
    scene = Scene()
    gate = scene.gates["raw", 3] = Gate()
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("clean", upstream=True, max_parallel=1)
        await scene.die(run, gate)
    assert (await scene.store.run(run.id)).status is Status.RUNNING
    done = {step for step, count in (await scene.successes(run.id)).items() if count}
    del scene.gates["raw", 3]
    scene.starts.clear()
    async with asyncio.timeout(200), scene.runtime() as runtime:
        run = await runtime.run(run.id)
        result = await run.wait()
        assert len(result.succeeded) == 14
        assert result.status == "succeeded"
        assert await runtime.load("clean", partition="2025-01-07") == 70
    started = [(name, f"d:2025-01-{day:02}") for name, day, _ in scene.starts]
    assert len(started) == len(set(started)) == 14 - len(done)
    assert not done & set(started)
    assert ("raw", 3, 2) in scene.starts
    assert set((await scene.successes(run.id)).values()) == {1}


async def test_what_was_in_flight_runs_alone_first(caplog):
    """Each of the steps that were under way may be what ended the process. One line says so of all of them."""
    scene = Scene()
    gates = [scene.gates.setdefault(("raw", day), Gate()) for day in (1, 2, 3)]
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("raw", max_parallel=3)
        await scene.die(run, *gates)
    scene.gates = {("raw", 1): Gate()}
    scene.starts.clear()
    async with asyncio.timeout(200), scene.runtime() as runtime:
        await scene.gates["raw", 1].entered.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert scene.starts == [("raw", 1, 2)]
        (alone,) = runtime.running_steps()
        assert (alone.name, alone.alone) == ("raw[2025-01-01]", True)
        scene.gates["raw", 1].open()
        await (await runtime.run(run.id)).wait()
    assert scene.starts[:3] == [("raw", 1, 2), ("raw", 2, 2), ("raw", 3, 2)]
    (line,) = [each.getMessage() for each in caplog.records if "in flight" in each.getMessage()]
    names = "raw[2025-01-01], raw[2025-01-02], raw[2025-01-03]"
    assert f"3 steps were in flight when their node was lost ({names}), and run again one at a time" in line


async def test_what_was_in_flight_runs_alone_on_its_node():
    """No step of another run is beside it either: nobody else goes down with it. Those behind it come next."""
    scene = Scene()
    gate = scene.gates["raw", 1] = Gate()
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("raw", partitions=["2025-01-01"])
        await scene.die(run, gate)
    suspect = scene.gates["raw", 1] = Gate()
    scene.starts.clear()
    async with asyncio.timeout(200), scene.runtime() as runtime:
        await suspect.entered.wait()
        other = await runtime.submit_backfill("raw", partitions=["2025-01-02", "2025-01-03"])
        for _ in range(50):
            await asyncio.sleep(0)
        assert scene.starts == [("raw", 1, 2)]
        assert (await runtime.health()).waiting == 2
        told = [(step.run_id, step.waits_for, step.names) for step in runtime.queued_steps()]
        assert told == [(other.id, "alone", ("raw[2025-01-01]",))] * 2
        suspect.open()
        await other.wait()
        await (await runtime.run(run.id)).wait()


async def test_what_is_to_run_alone_waits_until_the_node_is_idle():
    """It does not start beside a step of another run, and those that come later do not overtake it."""
    scene = Scene()
    gate = scene.gates["raw", 1] = Gate()
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("raw", partitions=["2025-01-01"])
        await scene.die(run, gate)
    scene.gates = {("raw", 2): Gate()}
    scene.starts.clear()
    scene.store.gates["claim"] = claim = Gate()
    async with asyncio.timeout(200), scene.runtime() as runtime:
        busy = await runtime.submit_backfill("raw", partitions=["2025-01-02"])
        await scene.gates["raw", 2].entered.wait()
        claim.open()
        for _ in range(50):
            await asyncio.sleep(0)
        late = await runtime.submit_backfill("raw", partitions=["2025-01-03"])
        for _ in range(50):
            await asyncio.sleep(0)
        assert scene.starts == [("raw", 2, 1)]
        scene.gates["raw", 2].open()
        for handle in (busy, late, await runtime.run(run.id)):
            await handle.wait()
    assert scene.starts == [("raw", 2, 1), ("raw", 1, 2), ("raw", 3, 1)]


async def test_a_cancelled_run_holds_nobody_up_with_a_step_that_was_to_run_alone():
    """Its place in the line is given up at once, although the node is still busy."""
    scene = Scene()
    gate = scene.gates["raw", 1] = Gate()
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("raw", partitions=["2025-01-01"])
        await scene.die(run, gate)
    scene.gates = {("raw", 2): Gate()}
    scene.store.gates["claim"] = claim = Gate()
    async with asyncio.timeout(200), scene.runtime() as runtime:
        busy = await runtime.submit_backfill("raw", partitions=["2025-01-02"])
        await scene.gates["raw", 2].entered.wait()
        claim.open()
        for _ in range(50):
            await asyncio.sleep(0)
        late = await runtime.submit_backfill("raw", partitions=["2025-01-03"])
        await (await runtime.run(run.id)).cancel()
        await late.wait()
        scene.gates["raw", 2].open()
        await busy.wait()


@pytest.mark.parametrize("limit", [1, 4])
async def test_a_step_that_runs_alone_may_wait_for_runs_of_its_own(limit):
    """It lets others in while it waits, several at a time, and is alone again when it goes on."""
    store, io, gate, meter = UnreliableStore(), MemoryIO(), Gate(), Meter()

    def make(runtime_of):
        pipeline = Pipeline("nested")

        @pipeline.asset
        async def outer() -> None:
            await gate.wait()
            if store.down:
                return
            runtime = runtime_of()
            await asyncio.gather(*(runtime.materialize("inner", partition=number) for number in range(5)))
            async with meter:
                for _ in range(20):
                    await asyncio.sleep(0)

        @pipeline.asset
        async def inner() -> None:
            async with meter:
                await asyncio.sleep(0)

        return pipeline

    async with Runtime(make(lambda: None), store=store, io={"default": io}) as runtime:
        run = await runtime.submit("outer")
        await gate.entered.wait()
        store.down = True
        gate.open()
        with pytest.raises(StoreUnavailable):
            await run.wait()
    store.down = False
    second = Runtime(make(lambda: second), store=store, io={"default": io}, max_concurrency=limit)
    async with asyncio.timeout(200), second:
        others = [second.materialize("inner", partition=number) for number in range(10, 15)]
        _, result = await asyncio.gather(asyncio.gather(*others), (await second.run(run.id)).wait())
        assert result.succeeded[0].attempt == 2
        assert (await second.health()).steps == 0
    assert meter.total == 11


async def test_attempts_lost_with_a_process_do_not_use_up_the_retries_of_an_asset():
    """An asset that has two attempts has two that fail, however many went with their processes."""
    store, gates = UnreliableStore(), []
    pipeline = Pipeline("unlucky")

    @pipeline.asset(retry=Retry(attempts=2, delay=0))
    async def flaky(context: Context) -> int:
        if len(gates) < 3:
            gates.append(Gate())
            await gates[-1].wait()
        raise OSError(f"attempt {context.attempt}")

    run_id = None
    for number in range(3):
        async with Runtime(pipeline, store=store, lost_attempts=9) as runtime:
            run_id = run_id or (await runtime.submit("flaky")).id
            run = await runtime.run(run_id)
            while len(gates) <= number:
                await asyncio.sleep(0)
            await gates[-1].entered.wait()
            store.down = True
            gates[-1].open()
            with pytest.raises(StoreUnavailable):
                await run.wait()
            store.down = False
    async with asyncio.timeout(200), Runtime(pipeline, store=store, lost_attempts=9) as runtime:
        with pytest.raises(RunFailed) as caught:
            await (await runtime.run(run_id)).wait()
    (failed,) = caught.value.result.failed
    assert (failed.attempt, failed.failure.message) == (5, "OSError: attempt 5")


async def test_a_step_that_ends_its_process_again_and_again_is_given_up():
    """After `lost_attempts` losses it fails with kind lost; its downstream is skipped, the others finish."""
    scene = Scene()
    run_id = None
    for _ in range(2):
        gate = scene.gates["raw", 2] = Gate()
        async with scene.runtime(lost_attempts=2) as runtime:
            if run_id is None:
                run_id = (await runtime.submit_backfill("clean", upstream=True)).id
            await scene.die(await runtime.run(run_id), gate)
    async with asyncio.timeout(200), scene.runtime(lost_attempts=2) as runtime:
        with pytest.raises(RunFailed) as caught:
            await (await runtime.run(run_id)).wait()
        (failed,) = caught.value.result.failed
        assert (failed.name, failed.failure.kind) == ("raw[2025-01-02]", "lost")
        assert [m.name for m in caught.value.result.skipped] == ["clean[2025-01-02]"]
        assert len(caught.value.result.succeeded) == 12
        assert len([start for start in scene.starts if start[:2] == ("raw", 2)]) == 2


async def left(scene):
    """The id of a run whose process has died in the middle of `raw` on the third day."""
    gate = scene.gates["raw", 3] = Gate()
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("raw", max_parallel=1)
        await scene.die(run, gate)
    scene.starts.clear()
    scene.gates.clear()
    return run.id


def namesake():
    """A pipeline of another name that has an asset of the same."""
    pipeline = Pipeline("other")

    @pipeline.asset
    async def raw() -> int:
        return 1

    return pipeline


@pytest.mark.parametrize("who", ["a command", "another pipeline", "a namesake"])
async def test_a_run_that_is_not_its_own_is_left_as_it_is(who):
    """It is neither resumed behind anybody's back nor ended; one that is to go on with it does."""
    scene = Scene()
    run_id = await left(scene)
    before = await scene.store.run(run_id), await scene.store.events(run_id)
    pipeline = {
        "a command": scene.pipeline(),
        "another pipeline": Pipeline("other"),
        "a namesake": namesake(),
    }
    options = {"worker": who != "a command", "io": {"default": scene.io}}
    async with asyncio.timeout(200), Runtime(pipeline[who], store=scene.store, **options) as runtime:
        if who == "a command":
            await runtime.materialize("raw", partition="2025-01-07")
            scene.starts.clear()
        for _ in range(50):
            await asyncio.sleep(0)
        assert scene.starts == []
    assert (await scene.store.run(run_id), await scene.store.events(run_id)) == before
    async with asyncio.timeout(200), scene.runtime() as runtime:
        result = await (await runtime.run(run_id)).wait()
        assert (result.status, len(result.succeeded) + len(result.reused)) == ("succeeded", 7)
    assert scene.starts[0] == ("raw", 3, 2)


@pytest.mark.parametrize("who", ["a command", "another pipeline"])
async def test_a_run_that_nobody_drives_can_be_cancelled(who):
    """Also by who does not know what it consists of; nothing of it is started."""
    scene = Scene()
    run_id = await left(scene)
    pipeline = scene.pipeline() if who == "a command" else Pipeline("other")
    async with asyncio.timeout(200), Runtime(pipeline, store=scene.store, worker=False) as runtime:
        run = await runtime.run(run_id)
        await run.cancel()
        assert await run.status() == "cancelled"
        with pytest.raises(RunCancelled) as caught:
            await run.wait()
        assert "raw[2025-01-03]" in [each.name for each in caught.value.result.cancelled]
    assert scene.starts == []


async def test_who_waits_for_a_run_that_nobody_drives_is_told_when_the_runtime_ends(background):
    """Somebody may go on with it later; not here."""
    scene = Scene()
    run_id = await left(scene)
    async with asyncio.timeout(200), scene.runtime(worker=False) as runtime:
        waiting = background((await runtime.run(run_id)).wait())
        await asyncio.sleep(0)
    async with asyncio.timeout(200):
        with pytest.raises(RuntimeStopping, match="may go on in another one"):
            await waiting


async def test_an_orphan_that_was_being_cancelled_ends_cancelled():
    """The request to cancel is recorded, and survives whoever took it."""
    scene = Scene()
    gate = scene.gates["raw", 2] = Gate()
    async with scene.runtime(cancel_timeout=0.05) as runtime:
        run = await runtime.submit_backfill("raw", max_parallel=1)
        await gate.entered.wait()
        scene.store.gates["step.cancelled"] = stuck = Gate()
        cancelling = asyncio.create_task(run.cancel())
        await stuck.entered.wait()
        scene.store.down = True
        stuck.open()
        with pytest.raises(StoreUnavailable):
            await cancelling
        scene.store.down = False
        scene.store.gates.clear()
    scene.starts.clear()
    async with asyncio.timeout(200), scene.runtime() as runtime:
        for _ in range(200):
            await asyncio.sleep(0)
        run = await runtime.run(run.id)
        assert await run.status() == "cancelled"
        assert scene.starts == []


async def test_a_zombie_cannot_write_into_a_run_that_was_taken_over():
    """When another runtime has claimed the run, the attempts of the first record nothing more, and it stops."""
    scene = Scene()
    gate = scene.gates["raw", 1] = Gate()
    async with scene.runtime() as first:
        run = await first.submit_backfill("raw", partitions=["2025-01-01"])
        await gate.entered.wait()
        del scene.gates["raw", 1]
        async with asyncio.timeout(200), scene.runtime() as second:
            result = await (await second.run(run.id)).wait()
            assert [m.attempt for m in result.succeeded] == [2]
            gate.open()
            with pytest.raises(FlowstoneError):
                await run.wait()
    assert await scene.successes(run.id) == {("raw", "d:2025-01-01"): 1}


async def test_recovery_survives_a_store_that_is_down_when_it_looks(clock):
    """Restart intensity is for bugs: a store that does not answer is asked again later."""
    scene = Scene()
    gate = scene.gates["raw", 3] = Gate()
    async with scene.runtime() as runtime:
        run = await runtime.submit_backfill("raw", max_parallel=1)
        await scene.die(run, gate)
    scene.gates.clear()
    scene.store.down = True
    async with scene.runtime(clock=clock) as runtime:
        await clock.advance(5)
        assert (await runtime.health()).store is None
        scene.store.down = False
        await clock.advance(60)
        assert await (await runtime.run(run.id)).status() == "succeeded"


# Crashes of our own -----------------------------------------------------------------------------------------


@pytest.mark.both_loops
@pytest.mark.parametrize("at", range(1, 11))
async def test_a_coordinator_that_crashes_goes_on(monkeypatch, at):
    """Whichever event it crashes on, its supervisor starts a new one, and every step ends once."""
    scene = Scene()
    calls = []
    apply = RunState.apply

    def crash_once(self, event, step=None):
        calls.append(event)
        if len(calls) == at:
            raise RuntimeError("injected")
        return apply(self, event, step)

    monkeypatch.setattr(RunState, "apply", crash_once)
    async with asyncio.timeout(200), scene.runtime() as runtime:
        result = await runtime.backfill("clean", upstream=True, end="2025-01-03", max_parallel=2)
        assert result.status == "succeeded"
        assert len(result.succeeded) == 6
        assert set((await scene.successes(result.run_id)).values()) == {1}
        assert await runtime.load("clean", partition="2025-01-03") == 30
        assert len(calls) >= at


async def test_attempts_of_a_crashed_coordinator_are_stopped_first(monkeypatch):
    """No attempt of the last incarnation runs beside its successor."""
    scene = Scene()
    inside, most = [], []
    pipeline = Pipeline()
    entered = asyncio.Event()

    @pipeline.asset
    async def slow(context: Context) -> int:
        inside.append(context.attempt)
        most.append(len(inside))
        entered.set()
        try:
            if context.attempt == 1:
                await asyncio.Event().wait()
        finally:
            inside.remove(context.attempt)
        return context.attempt

    @pipeline.asset
    async def quick() -> None:
        await entered.wait()

    @pipeline.asset(deps=[slow, quick])
    async def end() -> None: ...

    apply = RunState.apply
    crashed = []

    def crash_once(self, event, step=None):
        if not crashed:
            crashed.append(event)
            raise RuntimeError("injected")
        return apply(self, event, step)

    monkeypatch.setattr(RunState, "apply", crash_once)
    async with asyncio.timeout(200), Runtime(pipeline, store=scene.store) as runtime:
        await runtime.materialize_all("end")
        assert await runtime.load("slow") == 2
        assert max(most) == 1


async def test_a_coordinator_that_crashes_for_ever_is_given_up(monkeypatch):
    """The waiter gets an error that names the cause, other runs go on, and the runtime can be left."""
    scene = Scene()
    begin = RunCoordinator._begin

    async def crash(self):
        if self._run.record.request.asset == "raw":
            raise RuntimeError("injected")
        await begin(self)

    monkeypatch.setattr(RunCoordinator, "_begin", crash)
    async with asyncio.timeout(200), scene.runtime() as runtime:
        with pytest.raises(FlowstoneError, match="given up") as caught:
            await runtime.materialize("raw", partition="2025-01-01")
        assert not isinstance(caught.value, RuntimeStopping)
        assert "injected" in repr(caught.value.__cause__) + repr(caught.value.__cause__.__cause__)
        assert len(await runtime.backfill("clean", partitions=["2025-01-01"])) == 1
        assert (await runtime.health()).runs == 0


@pytest.mark.both_loops
async def test_runs_go_on_when_the_services_above_them_are_restarted(monkeypatch):
    """A part of the tree that crashes too often is restarted with all below it; waiters need not know."""
    scene = Scene()
    gate = scene.gates["raw", 2] = Gate()
    crashes, crash = [], asyncio.Event()
    live = Events.run

    async def crash_often(self, started):
        if crash.is_set() and len(crashes) < 4:
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
    async with asyncio.timeout(200), scene.runtime() as runtime:
        heard = []
        call = runtime.backfill("clean", upstream=True, max_parallel=1, on_progress=heard.append)
        waiter = asyncio.create_task(call)
        await gate.entered.wait()
        del scene.gates["raw", 2]
        crash.set()
        result = await waiter
        assert len(result.succeeded) == 14
        assert [progress.done for progress in heard] == list(range(1, 15))
        assert set((await scene.successes(result.run_id)).values()) == {1}
        assert ("raw", 2, 2) in scene.starts
        ctx = next(process for process in runtime.tree().walk() if process.name == "services")
        assert ctx.restarts == 1
        assert (await runtime.materialize("raw", partition="2025-01-01")).status == "succeeded"


async def test_a_root_that_gives_up_ends_the_body_and_all_who_wait(monkeypatch, background):
    """What cannot be healed is not hidden: the body is cancelled, the error names the cause, nobody is left."""
    crash = asyncio.Event()

    async def crash_always(self, started):
        started()
        await crash.wait()
        raise RuntimeError("injected")

    scene = Scene()
    gate = scene.gates["raw", 1] = Gate()
    monkeypatch.setattr(Retention, "run", crash_always)
    async with asyncio.timeout(200):
        with pytest.raises(SupervisorGaveUp, match="injected"):
            async with scene.runtime(cancel_timeout=0.1) as runtime:
                waiter = background(runtime.materialize("raw", partition="2025-01-01"))
                await gate.entered.wait()
                crash.set()
                await asyncio.Event().wait()
        with pytest.raises(FlowstoneError):
            await waiter


async def test_retries_that_waited_when_the_process_died_are_made():
    """A step between two attempts gets its next one."""
    store, fail = UnreliableStore(), [1]

    def pipeline():
        made = Pipeline()

        @made.asset(retry=Retry(attempts=3, delay=1000, jitter=0))
        async def flaky(context: Context) -> int:
            if fail:
                raise OSError("down")
            return context.attempt

        return made

    async with Runtime(pipeline(), store=store, shutdown_timeout=0) as runtime:
        async with runtime.subscribe("step.retried") as events:
            run = await runtime.submit("flaky")
            await anext(events)
        store.down = True
    store.down = False
    fail.clear()
    async with asyncio.timeout(200), Runtime(pipeline(), store=store) as runtime:
        result = await (await runtime.run(run.id)).wait()
        assert await result.value() == 2
