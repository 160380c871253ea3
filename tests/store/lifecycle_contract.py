"""What every store makes of events of runs and waits, as `docs/lifecycle.md` lists it; mix it in as the others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowstone.runs.events import RunCancelRequested, RunStarted
from flowstone.runs.items import ENDED, ItemRow, item_of
from flowstone.runs.records import Failure, Status
from flowstone.runs.waits import Approval
from tests.lifecycle import Move, moves_of
from tests.store.facts import over, run
from tests.store.waits_contract import STEP, asks, now, waiting_run, waits

RUN, WAIT, ITEM = moves_of("A run"), moves_of("What a step waits for"), moves_of("An item")
ANSWER = {"by": "ada", "reason": "fine", "data": None}


async def status_of(store) -> str:
    return (await store.run("run-1")).status


async def told_since(store, before) -> list[str]:
    """The kinds of the events that are new."""
    return [event.kind for _, event in (await store.events("run-1"))[len(before) :]]


async def queued(store) -> None:
    await store.create_run(run(owner="node"))


async def running(store) -> None:
    await queued(store)
    await store.write(RunStarted(now(), "run-1", "report", 1))


async def parked(store, **wait) -> None:
    await waiting_run(store, **{"kind": "approval", "about": {"message": "go?"}, **wait})


BEGIN = {"queued": queued, "running": running, "waiting": parked}


async def move_run(store, move: Move) -> None:
    """Have happen what the page says moves it."""
    match move:
        case Move(after="running", told="run.started"):
            await store.write(RunStarted(now(), "run-1", "report", 1))
        case Move(told="run.waiting"):
            await store.write(asks())
            await store.write(waits())
        case Move(told="step.woken"):
            await store.waits.answer("run-1", STEP, "nap", ANSWER, now=now())
        case Move(told="step.failed"):
            await store.waits.answer("run-1", STEP, "nap", ANSWER, now=now(), status="rejected")
        case Move(told="run.cancel_requested"):
            if store.cluster is None:  # Whoever cancels it takes it up.
                await store.claim("run-1", "node", epoch=0)
                await store.write(RunStarted(now(), "run-1", "report", 1), 1)
                await store.write(RunCancelRequested(now(), "run-1", "report", "asked"), 1)
            else:
                await store.cluster.request_cancel("run-1", "asked")
        case Move(told="run.finished"):
            if move.before == "waiting":
                await store.claim("run-1", "node", epoch=0)
            await store.write(over(status=Status(move.after)), int(move.before == "waiting"))
        case _:
            pytest.fail(f"nothing is known to move a run from {move}")


async def approval_of(store) -> str:
    """The status of the only approval, as people see it."""
    (wait,) = await store.waits.approvals(now=now())
    return Approval.of(wait, None).status


class LifecycleContract:
    """Each move that the page lists is made by what it says, is told by that event, and lasts."""

    @pytest.mark.parametrize("move", RUN, ids=str)
    async def test_a_run_is_moved(self, place, move):
        """From a status to the next, by an event that is kept."""
        await BEGIN[move.before](place.store)
        assert await status_of(place.store) == move.before
        before = await place.store.events("run-1")
        await move_run(place.store, move)
        store = await place.reopen()
        assert await status_of(store) == move.after
        assert move.told in await told_since(store, before)

    @pytest.mark.parametrize("move", [each for each in WAIT if each.after != "expired"], ids=str)
    async def test_a_wait_is_moved(self, place, move):
        """As the approval shows it."""
        await parked(place.store)
        before = await place.store.events("run-1")
        assert await approval_of(place.store) == "pending"
        match move.after:
            case "pending":
                before = []
            case "approved":
                await place.store.waits.answer("run-1", STEP, "nap", ANSWER, now=now())
            case "rejected":
                await place.store.waits.answer("run-1", STEP, "nap", ANSWER, now=now(), status="rejected")
            case "cancelled":
                await place.store.write(RunCancelRequested(now(), "run-1", "report", "asked"))
            case _:
                pytest.fail(f"nothing is known to move a wait from {move}")
        store = await place.reopen()
        assert await approval_of(store) == move.after
        assert move.told in await told_since(store, before)

    @pytest.mark.parametrize(
        ("chosen", "status"), [("fail", "expired"), ("approve", "approved"), ("reject", "rejected")]
    )
    async def test_a_deadline_moves_a_wait(self, place, chosen, status):
        """To what the approval says."""
        await parked(place.store, deadline=now() - timedelta(hours=1), about={"on_timeout": chosen})
        before = await place.store.events("run-1")
        await place.store.waits.expire(now=now())
        store = await place.reopen()
        assert await approval_of(store) == status
        (move,) = [each for each in WAIT if each.after == status]
        assert move.told in await told_since(store, before)

    @pytest.mark.parametrize("move", ITEM, ids=str)
    async def test_an_item_ends_once(self, place, move):
        """What is recorded of it first is what it stays."""
        await running(place.store)
        failure = None if move.after == "succeeded" else Failure("error", "no")
        row = ItemRow(0, ENDED[Status(move.after)], 1, None, failure)
        assert await place.store.items.rows("run-1", STEP) == []
        await place.store.items.record("run-1", STEP, 0, [row])
        for other in ENDED.values():
            await place.store.items.record("run-1", STEP, 0, [ItemRow(0, other, 2)])
        store = await place.reopen()
        (found,) = await store.items.rows("run-1", STEP)
        assert (item_of(found).status, item_of(found).attempt) == (move.after, 1)
