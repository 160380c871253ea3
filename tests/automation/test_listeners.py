"""Listeners are called at least once for each event, in order for each run, whatever they do."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx2
import pytest

from flowstone import AutomationNotFound, MaterializationFailed, Pipeline, Retry, Runtime, WebhookAlert
from flowstone.errors import Permanent, Retryable
from flowstone.runs.records import Failure, Status
from flowstone.runtime.automation.listeners import ATTEMPTS, pause_after
from flowstone.store import FileStore, MemoryStore
from tests.automation.listening import Ear, reports


async def status_of(runtime, name):
    """What people see of it."""
    (found,) = [each for each in await runtime.automations() if each.name == name]
    return found


async def left(runtime, name, count):
    """Return when so much is to be delivered to it."""
    async with asyncio.timeout(10):
        while (await status_of(runtime, name)).pending != count:
            await asyncio.sleep(0)


async def test_a_listener_is_called_for_what_it_listens_to():
    """Each event once, in order; others are none of its business."""
    pipeline, ear = reports(), Ear()

    @pipeline.on("run", "step.succeeded")
    async def alert(event):
        ear(event)

    async with Runtime(pipeline, automate=True) as runtime:
        await runtime.materialize("report")
        await ear.has(4)
        assert ear.kinds == ["run.queued", "run.started", "step.succeeded", "run.finished"]
        shown = await status_of(runtime, "alert")
        assert (shown.kind, shown.text, shown.given_up) == ("listener", "run, step.succeeded", 0)


async def test_what_a_listener_was_told_is_remembered_as_what_it_did(clock):
    """The first at once, then several together; over restarts, and though it was paused and resumed meanwhile."""
    pipeline, ear, store = reports(), Ear(), MemoryStore()
    pipeline.on("run.succeeded", name="alert")(ear.hear)

    async def told(runtime, number):
        async with asyncio.timeout(30):
            while len(found := (await status_of(runtime, "alert")).last_fires) < number:
                await asyncio.sleep(0)
        return found

    async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
        first = (await runtime.materialize("report")).run_id
        (fire,) = await told(runtime, 1)
        assert (fire.status, fire.reason, fire.runs) == ("told", f"run.succeeded of run {first}", ())
        runs = [(await runtime.materialize("report")).run_id for _ in range(3)]
        await ear.has(4)
        await runtime.pause("alert")
        await runtime.resume("alert")
        await clock.advance(5.0)
        second = (await told(runtime, 2))[0]
        assert second.reason == f"run.succeeded of run {runs[-1]}, and 2 events before"
    async with Runtime(pipeline, store=store, automate=True) as runtime:
        assert len(await told(runtime, 2)) == 2


async def test_a_failed_run_is_told_of():
    """Not one that succeeded."""
    pipeline, ear = reports(failing=True), Ear()
    pipeline.on("run.failed", name="alert")(ear.hear)
    pipeline.on("run.succeeded", name="other")(ear.hear)
    async with Runtime(pipeline, automate=True) as runtime:
        with pytest.raises(MaterializationFailed, match="no data"):
            await runtime.materialize("report")
        (event,) = await ear.has(1)
        assert (event.kind, event.status) == ("run.finished", Status.FAILED)


async def test_a_plain_function_runs_in_a_thread():
    """So it may block."""
    pipeline, threads = reports(), []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    @pipeline.on("run.finished")
    def alert(event):
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(done.set)

    async with Runtime(pipeline, automate=True) as runtime:
        await runtime.materialize("report")
        await done.wait()
    assert threads[0] is not threading.main_thread()


async def test_an_embedded_runtime_calls_nobody_unless_asked_to():
    """Nor does anything wait for it."""
    pipeline, ear, store = reports(), Ear(), MemoryStore()
    pipeline.on("run", name="alert")(ear.hear)
    async with Runtime(pipeline, store=store) as runtime:
        await runtime.materialize("report")
        assert await store.deliveries.followers("sales") == []
    assert ear.heard == []


async def test_what_was_not_delivered_is_after_a_restart(tmp_path):
    """From a durable position: neither lost nor, where it was acknowledged, told again."""
    pipeline, ear = reports(), Ear()
    stuck = asyncio.Event()

    @pipeline.on("run.finished")
    async def alert(event):
        ear(event)
        await stuck.wait()

    async with Runtime(pipeline, store=FileStore(tmp_path / "runs"), automate=True) as runtime:
        await runtime.materialize("report")
        await ear.has(1)
    stuck.set()
    async with Runtime(pipeline, store=FileStore(tmp_path / "runs"), automate=True) as runtime:
        first, again = await ear.has(2)
        assert first == again
        await runtime.materialize("report")
        assert (await ear.has(3))[2].run_id != first.run_id
    async with Runtime(pipeline, store=FileStore(tmp_path / "runs"), automate=True) as runtime:
        assert (await status_of(runtime, "alert")).pending == 0
    assert len(ear.heard) == 3


async def test_one_that_fails_holds_up_its_run_alone(clock):
    """The next event of the run waits; those of other runs, and other listeners, go on. Then it comes again."""
    pipeline, ear, other = reports(), Ear(), Ear()
    broken = []

    @pipeline.on("run.queued", "run.finished")
    async def alert(event):
        broken.append(event.run_id)
        if event.run_id == broken[0] and len(broken) < 9:
            raise OSError("no route")
        ear(event)

    pipeline.on("run.finished", name="other")(other.hear)
    async with Runtime(pipeline, automate=True, clock=clock) as runtime:
        await runtime.materialize("report")
        await other.has(1)
        second = await runtime.submit("report")
        await second.result()
        heard = await ear.has(2)
        assert {event.run_id for event in heard} == {second.id}
        broken += [broken[0]] * 9
        await clock.advance(2.0)
        await ear.has(4)
        assert [event.kind for event in ear.heard[2:]] == ["run.queued", "run.finished"]


async def test_one_that_always_raises_is_given_up(clock):
    """It was called for each event, which is said once; nothing is left to be told."""
    pipeline, ear = reports(), Ear()
    calls = []

    @pipeline.on("run.finished")
    async def alert(event):
        calls.append(event.run_id)
        raise OSError("no route")

    pipeline.on("automation.failed", name="other")(ear.hear)
    async with Runtime(pipeline, automate=True, clock=clock) as runtime:
        for _ in range(3):
            await runtime.materialize("report")
        async with runtime.subscribe("automation.failed") as told:
            for _ in range(ATTEMPTS):
                await clock.advance(3600.0)
            (failed,) = await ear.has(1)
            assert await anext(told) == failed
        assert (failed.name, failed.failures, failed.failure.message) == ("alert", 10, "OSError: no route")
        assert len(calls) == 3 * ATTEMPTS
        shown = await status_of(runtime, "alert")
        assert (shown.pending, shown.given_up, shown.failure.message) == (0, 3, "OSError: no route")
        assert len(ear.heard) == 1


async def test_one_that_fails_is_shown_long_before_it_is_given_up(clock):
    """Why, how often, how much waits and since when; and no more when it has succeeded."""
    pipeline, ear = reports(), Ear()
    broken = True

    @pipeline.on("run.finished")
    async def alert(event):
        ear(event)
        if broken:
            raise OSError("no route")

    async with Runtime(pipeline, automate=True, clock=clock) as runtime:
        await runtime.materialize("report")
        await ear.has(1)
        await clock.advance(30.0)
        await runtime.materialize("report")
        await clock.advance(0.5)
        shown = await status_of(runtime, "alert")
        assert (shown.pending, shown.attempts, shown.failing.message) == (2, 4, "OSError: no route")
        assert shown.oldest == ear.heard[0].at
        assert (shown.failure, shown.given_up) == (None, 0)
        broken = False
        await clock.advance(3600.0)
        shown = await status_of(runtime, "alert")
        assert (shown.pending, shown.attempts, shown.failing, shown.oldest) == (0, 0, None, None)


async def test_one_that_will_never_take_it_is_not_asked_again():
    """`Permanent` says so."""
    pipeline, ear = reports(), Ear()

    @pipeline.on("run.finished")
    async def alert(event):
        ear(event)
        raise Permanent("gone")

    pipeline.on("automation.failed", name="other")(ear.hear)
    async with Runtime(pipeline, automate=True) as runtime:
        await runtime.materialize("report")
        await ear.has(2)
        assert ear.kinds == ["run.finished", "automation.failed"]


async def test_one_may_say_when_it_is_to_be_called_again(clock):
    """`Retryable(after=…)`."""
    pipeline, ear = reports(), Ear()

    @pipeline.on("run.finished")
    async def alert(event):
        ear(event)
        if len(ear.heard) == 1:
            raise Retryable("later", after=100.0)

    async with Runtime(pipeline, automate=True, clock=clock) as runtime:
        await runtime.materialize("report")
        await ear.has(1)
        await clock.advance(99.0)
        assert len(ear.heard) == 1
        await clock.advance(1.0)
        await ear.has(2)


async def test_one_that_hangs_is_named_and_holds_up_nobody(clock):
    """It is cancelled after its timeout, and called again."""
    pipeline, ear, other = reports(), Ear(), Ear()

    @pipeline.on("run.finished", timeout=5.0)
    async def alert(event):
        ear(event)
        await asyncio.Event().wait()

    pipeline.on("run.finished", name="other")(other.hear)
    async with Runtime(pipeline, automate=True, clock=clock) as runtime:
        await runtime.materialize("report")
        await ear.has(1)
        await other.has(1)
        await runtime.materialize("report")
        await other.has(2)
        await clock.advance(5.0)
        health = await runtime.health()
        assert not health
        assert "its call for run." in health.automations["listener alert"]
        assert "has not returned for 5 s" in str(health.problems)
        await clock.advance(2.0)
        await ear.has(3)


async def test_a_thread_that_hangs_is_left_behind_by_name(clock):
    """No more of them than calls at a time; the asset's threads are others."""
    pipeline, release = reports(), threading.Event()
    called = asyncio.Queue()
    loop = asyncio.get_running_loop()

    @pipeline.on("run.finished", timeout=5.0)
    def alert(event):
        loop.call_soon_threadsafe(called.put_nowait, event)
        release.wait()

    @pipeline.asset
    def other() -> int:
        return 2

    async with Runtime(pipeline, automate=True, clock=clock, max_threads=1) as runtime:
        await runtime.materialize("report")
        await called.get()
        assert await runtime.materialize("other")
        await clock.advance(5.0)
        await clock.advance(2.0)
        await called.get()
        release.set()


async def test_a_call_that_still_hangs_stays_named_though_others_succeed(clock):
    """A thread that cannot be stopped is not well because another run's call was; when it is back, all is."""
    pipeline, ear, release = reports(), Ear(), threading.Event()
    loop, hung = asyncio.get_running_loop(), []

    @pipeline.asset
    def other() -> int:
        return 2

    @pipeline.on("run.finished", timeout=5.0)
    def alert(event):
        if not hung:
            hung.append(event)
            loop.call_soon_threadsafe(ear, event)
            release.wait()
        else:
            loop.call_soon_threadsafe(ear, event)

    async with Runtime(pipeline, automate=True, clock=clock) as runtime:
        await runtime.materialize("report")
        await ear.has(1)
        await clock.advance(5.0)
        await runtime.materialize("other")
        await ear.has(2)
        await left(runtime, "alert", 1)
        health = await runtime.health()
        assert "its call for run." in health.automations["listener alert"]
        assert "has not returned for 5 s" in str(health.problems)
        await clock.advance(2.0)
        await ear.has(3)  # The first one again.
        await left(runtime, "alert", 0)
        assert (await runtime.health()).automations
        release.set()
        async with asyncio.timeout(10):
            while (await runtime.health()).automations:
                await clock.advance(1.0)
        assert "listener alert" not in str((await runtime.health()).problems)


def test_the_pauses_between_ten_attempts_add_up_to_what_is_promised():
    """From 1.7 to 3.4 hours."""
    failure = Failure("error", "no")
    for spread, hours in ((0.5, 1.7), (1.0, 3.4)):
        seconds = sum(pause_after(attempts, failure, spread) for attempts in range(1, ATTEMPTS))
        assert round(seconds / 3600, 1) == hours


async def test_calls_about_several_runs_are_made_at_a_time():
    """About one run one after the other."""
    pipeline = reports()
    under_way, most, together = [], [], []
    go_on = asyncio.Event()

    @pipeline.on("run.queued", "run.finished")
    async def alert(event):
        under_way.append(event.run_id)
        most.append(len(under_way))
        together.append(under_way.count(event.run_id))
        if len(most) >= 3:
            go_on.set()
        await go_on.wait()
        under_way.remove(event.run_id)

    async with Runtime(pipeline, automate=True) as runtime:
        for _ in range(3):
            await runtime.materialize("report")
        async with asyncio.timeout(10):
            while len(most) < 6:
                await asyncio.sleep(0)
    assert max(most) == 3
    assert max(together) == 1


async def test_a_paused_listener_is_told_later():
    """What happens meanwhile waits for it."""
    pipeline, ear = reports(), Ear()
    pipeline.on("run.finished", name="alert")(ear.hear)
    async with Runtime(pipeline, automate=True) as runtime:
        await runtime.materialize("report")
        await ear.has(1)
        await left(runtime, "alert", 0)
        await runtime.pause("alert")
        await runtime.materialize("report")
        await left(runtime, "alert", 1)
        assert len(ear.heard) == 1
        await runtime.resume("alert")
        await ear.has(2)


async def test_listeners_follow_a_reload():
    """A new one is told from then on; one that is gone, no more."""
    pipeline, ear, other = reports(), Ear(), Ear()
    pipeline.on("run.finished", name="alert")(ear.hear)
    changed = reports()
    changed.on("run.finished", name="new")(other.hear)
    async with Runtime(pipeline, automate=True) as runtime:
        await runtime.materialize("report")
        await ear.has(1)
        await runtime.reload(changed)
        await runtime.materialize("report")
        await other.has(1)
        assert len(ear.heard) == 1


async def test_a_listener_is_not_fired():
    """There is nothing that it could be called with."""
    pipeline = reports()
    pipeline.on("run.finished", name="alert")(print)
    async with Runtime(pipeline, automate=True) as runtime:
        with pytest.raises(AutomationNotFound, match="is a listener"):
            await runtime.fire("alert")


async def test_what_would_end_the_loop_ends_nothing():
    """User code meets the runtime in the guard; such an exception is no reason to try again."""
    pipeline, ear = reports(), Ear()

    @pipeline.on("run.finished")
    async def alert(event):
        raise SystemExit(3)

    pipeline.on("automation.failed", name="other")(ear.hear)
    async with Runtime(pipeline, automate=True) as runtime:
        await runtime.materialize("report")
        (failed,) = await ear.has(1)
        assert "SystemExit" in failed.failure.message
        (problem,) = (await runtime.health()).problems
        assert problem.startswith("listener alert: it is not told of")
        assert (await runtime.materialize("report")).status is Status.SUCCEEDED


async def test_retries_of_steps_are_events(clock):
    """As everything that is recorded is."""
    pipeline, ear = Pipeline("sales"), Ear()

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0))
    async def report(context) -> int:
        if context.attempt == 1:
            raise ValueError("not yet")
        return 1

    pipeline.on("step", name="alert")(ear.hear)
    async with Runtime(pipeline, automate=True) as runtime:
        await runtime.materialize("report")
        await ear.has(4)
        assert ear.kinds == ["step.started", "step.retried", "step.started", "step.succeeded"]


async def test_a_webhook_is_sent_again_until_it_is_taken(clock):
    """Signed each time, with the same id, on the loop."""
    requests = []

    async def answer(request):
        requests.append(request)
        return httpx2.Response(503 if len(requests) == 1 else 204, headers={"Retry-After": "30"})

    pipeline = reports(failing=True)
    transport = httpx2.MockTransport(answer)
    pipeline.add(
        WebhookAlert("https://example.com/hook", kinds="run.failed", secret="s", transport=transport)
    )
    async with Runtime(pipeline, automate=True, clock=clock) as runtime:
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("report")
        await left(runtime, "webhook example.com", 1)
        await clock.advance(30.0)
        await left(runtime, "webhook example.com", 0)
    first, second = requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert json.loads(second.content)["kind"] == "run.failed"
