"""What every store promises of waits, as tests: mix `WaitsContract` into a class with the fixture `place`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flowstone.runs.events import (
    RunCancelRequested,
    RunStarted,
    RunWaiting,
    StepFailed,
    StepKept,
    StepTokenIssued,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Status
from flowstone.runs.waits import wait_id
from flowstone.store.protocol import StaleWrite
from tests.store.facts import end, over, run, start

STEP = ("report", None)
HOUR = timedelta(hours=1)


def now():
    """The time of day, as a store's clock tells it as well."""
    return datetime.now(UTC)


def asks(
    name="nap",
    *,
    run_id="run-1",
    step=STEP,
    attempt=1,
    kind="sleep",
    deadline=None,
    timeout=None,
    about=None,
):
    """An attempt waits."""
    known_by = wait_id(run_id, *step, name) if kind == "approval" else ""
    return StepWaiting(now(), run_id, *step, attempt, name, kind, deadline, timeout, known_by, about)


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
        wait = (await place.store.waits.answer("run-1", STEP, "nap", answer, now=now())).wait
        assert (wait.status, wait.answer, wait.kind, wait.attempt) == ("answered", answer, "sleep", 1)
        store = await place.reopen()
        assert await store.waits.answers("run-1", STEP) == {"nap": ("sleep", answer)}
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
        assert await place.store.waits.answers("run-1", STEP) == {"nap": ("sleep", 1)}
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
        assert await store.waits.answers("run-1", STEP) == {"nap": ("sleep", None), "other": ("sleep", 5)}
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
        assert await place.store.waits.answers("run-1", STEP) == {"nap": ("sleep", None)}
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

    async def test_waits_end_with_a_run_that_succeeds_as_well(self, place):
        """Nobody is shown an approval of it to decide."""
        await waiting_run(place.store, kind="approval", deadline=now() + HOUR, about={})
        await place.store.write(over())
        store = await place.reopen()
        assert [wait.status for wait in await store.waits.approvals(now=now())] == ["cancelled"]
        assert not await store.waits.waiting(STEP)
        assert (await store.waits.expire(now=now())).next is None

    async def test_the_timeout_of_a_parked_run_ends_with_it(self, place):
        """Also if no step of it ever waited."""
        await place.store.create_run(run(owner="node", status=Status.RUNNING))
        await place.store.write(RunWaiting(now(), "run-1", "report", 0, 3600.0))
        assert (await place.store.waits.expire(now=now())).next > 0
        await place.store.write(over(status=Status.FAILED))
        assert not await place.store.waits.waiting()
        assert (await place.store.waits.expire(now=now())).next is None

    async def test_the_timeout_of_a_run_that_is_to_be_cancelled_is_over(self, place):
        """Whoever has claimed it stops it."""
        await waiting_run(place.store, timeout=3600.0)
        await place.store.claim("run-1", "other", epoch=0)
        await place.store.write(RunCancelRequested(now(), "run-1", "report", "asked"), 1)
        store = await place.reopen()
        assert (await store.waits.expire(now=now())).next is None

    async def test_a_run_that_was_claimed_while_it_was_parked_is_parked_again(self, place):
        """Its timeout is none of the waits that it counts, and begins anew."""
        await waiting_run(place.store, timeout=60.0)
        await place.store.claim("run-1", "other", epoch=0)
        await place.store.write(waits("run-1", timeout=3600.0), 1)
        record = await place.store.run("run-1")
        assert (record.owner, record.status) == (None, "waiting")
        assert 3500 < (await place.store.waits.expire(now=now())).next <= 3600

    async def test_steps_that_are_denied_what_they_waited_for_fail_in_the_order_of_their_deadlines(
        self, place
    ):
        """However many are over when somebody looks."""
        await place.store.create_run(run(owner="node", status=Status.RUNNING))
        for hours, key in ((3, "s:1"), (2, "s:2"), (1, "s:3")):
            about = (now(), "run-1", "report", key, 1)
            await place.store.write(StepWaiting(*about, "nap", "signal", now() - hours * HOUR))
        await place.store.waits.expire(now=now())
        told = [event for _, event in await place.store.events("run-1") if isinstance(event, StepFailed)]
        assert [event.partition_key for event in told] == ["s:1", "s:2", "s:3"]

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

    async def test_a_rejected_approval_ends_its_step(self, place):
        """In one write: the step has failed, the run is to be gone on with, and nobody decides it again."""
        await waiting_run(place.store, kind="approval", about={"message": "go?"})
        answer = {"by": "ada", "reason": "no", "data": None}
        answered = await place.store.waits.answer("run-1", STEP, "nap", answer, now=now(), status="rejected")
        assert (answered.wait.status, answered.wait.about) == ("rejected", {"message": "go?"})
        with pytest.raises(StaleWrite):
            await place.store.waits.answer("run-1", STEP, "nap", answer, now=now())
        store = await place.reopen()
        record = await store.step("run-1", STEP)
        assert (record.status, record.failure.kind, record.attempt) == ("failed", "rejected", 1)
        assert record.failure.message == "approval 'nap': rejected by ada: no"
        head = await store.run("run-1")
        assert (head.status, head.owner, head.counts) == ("running", None, {"failed": 1})
        ((_, ended),) = await store.waits.woken("run-1", after=0)
        assert isinstance(ended, StepFailed)
        assert await store.waits.answers("run-1", STEP) == {}
        (wait,) = await store.waits.approvals(["rejected"], now=now())
        assert (wait.answer["by"], (await store.waits.approval(wait.id)).status) == ("ada", "rejected")

    @pytest.mark.parametrize(
        ("kind", "chosen", "status", "failure"),
        [
            ("approval", "fail", "expired", "expired"),
            ("approval", "reject", "rejected", "rejected"),
            ("approval", "approve", "answered", None),
            ("signal", None, "expired", "expired"),
        ],
    )
    async def test_what_nobody_answers_in_time_is_over(self, place, kind, chosen, status, failure):
        """The step fails, unless the approval says otherwise; a late answer is refused."""
        about = None if chosen is None else {"on_timeout": chosen}
        await waiting_run(place.store, kind=kind, deadline=now() - HOUR, about=about)
        await place.store.waits.expire(now=now())
        with pytest.raises(StaleWrite):
            await place.store.waits.answer("run-1", STEP, "nap", 1, now=now())
        store = await place.reopen()
        record = await store.step("run-1", STEP)
        assert (None if record is None else record.failure.kind) == failure
        assert ("nap" in await store.waits.answers("run-1", STEP)) == (status == "answered")
        if kind == "approval":
            assert [wait.status for wait in await store.waits.approvals(now=now())] == [status]
        assert (await store.run("run-1")).status == "running"
        assert len(await store.waits.woken("run-1", after=0)) == 1

    @pytest.mark.parametrize(
        ("chosen", "status"), [("fail", "expired"), ("reject", "rejected"), ("approve", "answered")]
    )
    async def test_an_approval_whose_time_is_over_is_not_shown_as_pending(self, place, chosen, status):
        """But as what becomes of it, also while nobody is there to record that."""
        await waiting_run(place.store, kind="approval", deadline=now() - HOUR, about={"on_timeout": chosen})
        waits = place.store.waits
        assert await waits.approvals(["open"], now=now()) == []
        for statuses in ((), (status,)):
            assert [wait.status for wait in await waits.approvals(statuses, now=now())] == [status]
        assert (await place.store.run("run-1")).status == "waiting"

    async def test_what_steps_wait_for_is_listed(self, place):
        """What is over first, then, the newest first, what has no deadline; not what is over or was answered."""
        store = place.store
        await waiting_run(store, "run-1", kind="approval", about={"message": "go?"})
        await waiting_run(store, "run-2", kind="signal", deadline=now() + 2 * HOUR)
        await waiting_run(store, "run-3", deadline=now() + HOUR)
        await waiting_run(store, "run-4", deadline=now() - HOUR)
        await waiting_run(store, "run-5", kind="signal", timeout=3600.0)
        await waiting_run(store, "run-6", kind="approval")
        await store.waits.answer("run-6", STEP, "nap", {"by": "ada"}, now=now())
        store = await place.reopen()
        found = await store.waits.open(now=now())
        assert [(wait.run_id, wait.kind) for wait in found[:2]] == [("run-3", "sleep"), ("run-2", "signal")]
        assert [wait.kind for wait in found[2:]] == ["signal", "approval"]
        assert [wait.run_id for wait in found[2:]] == ["run-5", "run-1"]
        assert await store.waits.open(now=now(), limit=3) == found[:3]
        assert await store.waits.open(now=now(), asset="other") == []
        assert len(await store.waits.open(now=now(), asset="report")) == 4

    async def test_what_is_done_once_is_kept_with_the_step(self, place):
        """The event says only that it is; an attempt that was overtaken says nothing more."""
        await place.store.create_run(run(owner="node", status=Status.RUNNING))
        await place.store.write(start())
        value = {"url": "s3://Ä", "n": [1, None, {"deep": True}]}
        await place.store.write(StepKept(now(), "run-1", *STEP, 1, "draft", value))
        assert await place.store.waits.answers("run-1", STEP) == {"draft": ("once", value)}
        store = await place.reopen()
        assert await store.waits.answers("run-1", STEP) == {"draft": ("once", value)}
        kept = [event for _, event in await store.events("run-1") if isinstance(event, StepKept)]
        assert [(event.name, event.value) for event in kept] == [("draft", None)]
        await store.write(start(attempt=2))
        with pytest.raises(StaleWrite):
            await store.write(StepKept(now(), "run-1", *STEP, 1, "late", 1))
        await store.write(StepKept(now(), "run-1", *STEP, 2, "draft", "another"))
        assert await store.waits.answers("run-1", STEP) == {"draft": ("once", value)}

    async def test_a_signal_may_come_before_its_step_waits(self, place):
        """It is kept, and the step goes on as soon as it comes to wait for it."""
        await place.store.create_run(run(owner="node", status=Status.RUNNING))
        await place.store.write(start())
        await place.store.write(StepTokenIssued(now(), "run-1", *STEP, 1, "bank", "ab" * 32))
        assert await place.store.waits.of_token("cd" * 32) is None
        wait = await place.store.waits.of_token("ab" * 32)
        assert (wait.run_id, wait.step, wait.name, wait.status) == ("run-1", STEP, "bank", "early")
        assert await place.store.waits.answers("run-1", STEP) == {"bank": ("token", None)}
        answered = await place.store.waits.answer("run-1", STEP, "bank", {"id": 7}, now=now())
        assert answered.event is None
        store = await place.reopen()
        assert (await store.waits.of_token("ab" * 32)).status == "answered"
        assert await store.waits.woken("run-1", after=0) == []
        await store.write(start(attempt=2))
        await store.write(asks("bank", attempt=2, kind="signal", timeout=60.0))
        await store.write(waits())
        record = await store.run("run-1")
        assert (record.owner, record.status == "waiting") == ("node", False)
        ((_, woken),) = await store.waits.woken("run-1", after=0)
        assert (woken.name, woken.attempt) == ("bank", 2)
        assert await store.waits.answers("run-1", STEP) == {"bank": ("signal", {"id": 7})}

    async def test_a_run_that_is_to_be_cancelled_takes_no_answers(self, place):
        """From the moment that is on record, whoever drives it; nor does a step that has ended."""
        await waiting_run(place.store, "run-1", kind="approval", about={})
        await place.store.write(RunCancelRequested(now(), "run-1", "report", "asked"))
        await place.store.create_run(run("run-2", owner="node", status=Status.RUNNING))
        await place.store.write(start(run_id="run-2"))
        await place.store.write(StepTokenIssued(now(), "run-2", *STEP, 1, "bank", "ab" * 32))
        await place.store.write(end(run_id="run-2", attempt=1))
        for run_id, name in (("run-1", "nap"), ("run-2", "bank")):
            with pytest.raises(StaleWrite):
                await place.store.waits.answer(run_id, STEP, name, 1, now=now())
        assert [wait.status for wait in await place.store.waits.approvals(now=now())] == ["cancelled"]

    async def test_what_a_run_that_is_to_be_cancelled_still_asks_for_is_cancelled(self, place):
        """A step that has not heard of it comes to wait, or hands out a token; and it is not parked."""
        await place.store.create_run(run(owner="node", status=Status.RUNNING))
        await place.store.write(start())
        await place.store.write(RunCancelRequested(now(), "run-1", "report", "asked"))
        await place.store.write(StepTokenIssued(now(), "run-1", *STEP, 1, "bank", "ab" * 32))
        assert (await place.store.waits.of_token("ab" * 32)).status == "cancelled"
        await place.store.write(asks(kind="approval", about={}))
        await place.store.write(waits())
        store = await place.reopen()
        (wait,) = await store.waits.approvals(now=now())
        assert (wait.status, wait.answered_at is None) == ("cancelled", False)
        assert (await store.run("run-1")).status != "waiting"
        for name in ("nap", "bank"):
            with pytest.raises(StaleWrite):
                await store.waits.answer("run-1", STEP, name, 1, now=now())

    async def test_approvals_are_found(self, place):
        """By status and asset, the newest first, until their run is forgotten."""
        for number in range(1, 4):
            await waiting_run(place.store, f"run-{number}", kind="approval", about={"message": f"{number}"})
        answer = {"by": "ada", "reason": None, "data": 5}
        await place.store.waits.answer("run-2", STEP, "nap", answer, now=now())
        await place.store.write(over("run-2"), 0)
        await place.store.write(over("run-3", status=Status.CANCELLED), 0)
        store = await place.reopen()
        found = await store.waits.approvals(now=now())
        said = [(wait.about["message"], wait.status) for wait in found]
        assert said == [("3", "cancelled"), ("2", "answered"), ("1", "open")]
        assert [wait.run_id for wait in await store.waits.approvals(["open"], now=now())] == ["run-1"]
        assert await store.waits.approvals(now=now(), limit=1) == found[:1]
        assert await store.waits.approvals(now=now(), asset="other") == []
        pages = [await store.waits.approvals(now=now(), before=wait) for wait in found]
        assert pages == [found[1:], found[2:], []]
        assert await store.waits.approvals(["open"], now=now(), before=found[0]) == found[2:]
        assert len(await store.waits.approvals(["open"], now=now(), asset="report")) == 1
        answered = found[1]
        assert (answered.result["by"], answered.result["data"]) == ("ada", 5)
        await store.prune(keep_versions=0, keep_runs=0)
        assert [wait.run_id for wait in await store.waits.approvals(now=now())] == ["run-1"]
        assert await store.waits.approval(answered.id) is None

    async def test_no_clock_says_which_approval_is_newest(self, place):
        """But the order in which they were asked for: of nodes whose clocks differ, and within one batch."""
        store = place.store
        for number in (2, 1, 3):
            run_id = f"run-{number}"
            await store.create_run(run(run_id, owner="node", status=Status.RUNNING))
            await store.write(RunStarted(now(), run_id, "report", 4))
            steps = [f"{number}{name}" for name in "bca"]
            await store.write_many([start(step, run_id=run_id) for step in steps])
            await store.write_many(
                [
                    StepWaiting(
                        now() - HOUR * number, run_id, step, None, 1, "go", "approval", id=f"{number}{step}"
                    )
                    for step in steps
                ]
            )
        asked = ["2b", "2c", "2a", "1b", "1c", "1a", "3b", "3c", "3a"]
        for _ in range(2):
            found = await store.waits.approvals(now=now())
            assert [wait.asset for wait in found] == asked[::-1]
            assert await store.waits.open(now=now()) == found
            page = await store.waits.approvals(["open"], now=now(), before=found[3], limit=2)
            assert [wait.asset for wait in page] == ["1c", "1b"]
            store = await place.reopen()

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
