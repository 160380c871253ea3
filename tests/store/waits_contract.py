"""What every store promises of waits, as tests: mix `WaitsContract` into a class with the fixture `place`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flowstone.runs.events import RunCancelRequested, RunStarted, RunWaiting, StepWaiting, StepWoken
from flowstone.runs.records import Status
from flowstone.store.protocol import StaleWrite
from tests.store.facts import end, over, run, start

STEP = ("report", None)
HOUR = timedelta(hours=1)


def now():
    """The time of day, as a store's clock tells it as well."""
    return datetime.now(UTC)


def asks(name="nap", *, run_id="run-1", step=STEP, attempt=1, kind="sleep", deadline=None, timeout=None):
    """An attempt waits."""
    return StepWaiting(now(), run_id, *step, attempt, name, kind, deadline, timeout)


def waits(run_id="run-1", steps=1, timeout=None):
    """Nothing is left of a run but such steps."""
    return RunWaiting(now(), run_id, "report", steps, timeout)


async def waiting_run(store, run_id="run-1", *, timeout=None, **wait):
    """A parked run of one step."""
    await store.create_run(run(run_id, owner="node", status=Status.RUNNING))
    await store.write(RunStarted(now(), run_id, "report", 1))
    await store.write(start(run_id=run_id))
    await store.write(asks(run_id=run_id, **wait))
    await store.write(waits(run_id, timeout=timeout))
    return await store.run(run_id)


class WaitsContract:
    """Waits are asked for once and answered once; runs that only wait are nobody's."""

    async def test_a_run_that_only_waits_is_parked(self, place):
        """Nobody owns it, and its status says so; it is found by that, also after the store was opened again."""
        record = await waiting_run(place.store)
        assert (record.status, record.owner) == ("waiting", None)
        store = await place.reopen()
        assert [each.id for each in await store.runs(statuses=[Status.WAITING])] == ["run-1"]
        assert await store.waits.waiting(STEP)
        assert await store.waits.waiting()
        assert not await store.waits.waiting(("other", None))

    async def test_an_answer_wakes_the_step_and_the_run(self, place):
        """It is kept with the step; the event has the wait's name; nobody drives the run yet."""
        await waiting_run(place.store)
        before = await place.store.events("run-1")
        answer = {"by": "Ä", "n": [1, None]}
        wait = await place.store.waits.answer("run-1", STEP, "nap", answer, now=now())
        assert (wait.status, wait.answer, wait.kind, wait.attempt) == ("answered", answer, "sleep", 1)
        store = await place.reopen()
        assert await store.waits.answers("run-1", STEP) == {"nap": answer}
        assert not await store.waits.waiting()
        record = await store.run("run-1")
        assert (record.status, record.owner) == ("running", None)
        ((number, woken),) = (await store.events("run-1"))[len(before) :]
        assert isinstance(woken, StepWoken)
        assert (woken.asset, woken.partition_key, woken.attempt, woken.name) == (*STEP, 1, "nap")
        assert await store.waits.woken("run-1", after=0) == [(number, woken)]
        assert await store.waits.woken("run-1", after=number) == []

    async def test_a_wait_is_answered_once(self, place):
        """Whoever comes later is told, and changes nothing; nor does who answers what nobody asked."""
        await waiting_run(place.store)
        await place.store.waits.answer("run-1", STEP, "nap", 1, now=now())
        for name, run_id in (("nap", "run-1"), ("nip", "run-1"), ("nap", "run-9")):
            with pytest.raises(StaleWrite):
                await place.store.waits.answer(run_id, STEP, name, 2, now=now())
        assert await place.store.waits.answers("run-1", STEP) == {"nap": 1}
        assert len(await place.store.waits.woken("run-1", after=0)) == 1

    async def test_a_step_may_wait_for_one_thing_after_the_other(self, place):
        """Each attempt asks for what it has no answer to; the answers of a step are its own."""
        await waiting_run(place.store)
        await place.store.waits.answer("run-1", STEP, "nap", None, now=now())
        await place.store.write(start(attempt=2))
        await place.store.write(asks("other", attempt=2))
        await place.store.write(waits())
        assert (await place.store.run("run-1")).status == "waiting"
        await place.store.waits.answer("run-1", STEP, "other", 5, now=now())
        store = await place.reopen()
        assert await store.waits.answers("run-1", STEP) == {"nap": None, "other": 5}
        assert await store.waits.answers("run-1", ("report", "s:1")) == {}

    async def test_a_run_of_which_a_step_was_woken_meanwhile_is_not_parked(self, place):
        """Its owner goes on: it counted one step more than still waits."""
        await place.store.create_run(run(owner="node", status=Status.RUNNING))
        await place.store.write(start())
        await place.store.write(asks())
        await place.store.waits.answer("run-1", STEP, "nap", None, now=now())
        await place.store.write(waits())
        record = await place.store.run("run-1")
        assert (record.owner, record.status == "waiting") == ("node", False)

    async def test_sleeps_end_when_their_time_has_come(self, place):
        """Those and no others; the store says when the next one is due."""
        await waiting_run(place.store, "run-1", deadline=now() - HOUR)
        await waiting_run(place.store, "run-2", deadline=now() + HOUR)
        await waiting_run(place.store, "run-3", timeout=None)
        expired = await place.store.waits.expire(now=now())
        assert 3500 < expired.next <= 3600
        assert [(await place.store.run(f"run-{n}")).status for n in (1, 2, 3)] == [
            "running",
            "waiting",
            "waiting",
        ]
        assert await place.store.waits.answers("run-1", STEP) == {"nap": None}
        store = await place.reopen()
        assert 3500 < (await store.waits.expire(now=now())).next <= 3600
        assert len(await store.waits.woken("run-1", after=0)) == 1

    async def test_seconds_are_counted_from_when_the_wait_is_recorded(self, place):
        """By the store's clock, whatever the node's said."""
        await waiting_run(place.store, deadline=now() + HOUR, timeout=3600.0)
        assert 3500 < (await place.store.waits.expire(now=now())).next <= 3600

    async def test_what_is_over_cannot_be_answered(self, place):
        """The deadline wins over an answer that comes late, whether it was noticed or not."""
        await waiting_run(place.store, kind="signal", deadline=now() - HOUR)
        with pytest.raises(StaleWrite):
            await place.store.waits.answer("run-1", STEP, "nap", 1, now=now())
        await place.store.waits.expire(now=now())
        with pytest.raises(StaleWrite):
            await place.store.waits.answer("run-1", STEP, "nap", 1, now=now())
        assert (await place.store.run("run-1")).status == "running"

    async def test_waits_end_with_their_run(self, place):
        """Nobody can answer them any more, and no deadline is kept."""
        await waiting_run(place.store, deadline=now() + HOUR)
        record = await place.store.claim("run-1", "other", epoch=0)
        assert (record.owner, record.status) == ("other", "waiting")
        await place.store.write(end(attempt=1, status=Status.CANCELLED), 1)
        await place.store.write(over(status=Status.CANCELLED), 1)
        assert not await place.store.waits.waiting()
        assert (await place.store.waits.expire(now=now())).next is None
        with pytest.raises(StaleWrite):
            await place.store.waits.answer("run-1", STEP, "nap", 1, now=now())

    async def test_the_timeout_of_a_run_goes_on_while_it_is_parked(self, place):
        """Then it is to be cancelled for that, which is on record; a run that was woken has its own clock."""
        await waiting_run(place.store, "run-1", timeout=0.0)
        await waiting_run(place.store, "run-2", timeout=3600.0)
        await waiting_run(place.store, "run-3", timeout=1800.0)
        await place.store.waits.answer("run-3", STEP, "nap", 1, now=now())
        store = await place.reopen()
        expired = await store.waits.expire(now=now() + timedelta(seconds=1))
        assert 3500 < expired.next <= 3600
        asked = [event for _, event in await store.events("run-1") if isinstance(event, RunCancelRequested)]
        assert [event.reason for event in asked] == ["timeout"]
        assert (await store.run("run-1")).status in ("running", "cancelled")
        assert (await store.run("run-2")).status == "waiting"

    async def test_retention_does_not_forget_what_waits(self, place):
        """However old it is; with a finished run its answers go."""
        await waiting_run(place.store, "run-1")
        await waiting_run(place.store, "run-2")
        await place.store.waits.answer("run-2", STEP, "nap", 1, now=now())
        await place.store.write(over("run-2"), 0)
        await place.store.prune(keep_versions=0, keep_runs=0)
        store = await place.reopen()
        assert await store.run("run-2") is None
        assert await store.waits.answers("run-2", STEP) == {}
        await store.waits.answer("run-1", STEP, "nap", 1, now=now())
