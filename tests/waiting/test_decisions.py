"""Approvals and signals: asked for by a step, answered from outside, the same on every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from flowstone import (
    AlreadyDecided,
    ApprovalNotFound,
    AssetNotFound,
    Context,
    Decision,
    MaterializationFailed,
    Pipeline,
    Retry,
    RunCancelled,
    RunFailed,
    Runtime,
    StaticPartitions,
    TokenExpired,
    TokenUnknown,
    TokenUsed,
)
from flowstone.assets.waiting import token_hash
from flowstone.runtime.run import recovery


class Desk:
    """A pipeline whose asset waits for what a test gives it; what it saw."""

    def __init__(self, **approval):
        self.attempts = []
        self.decisions = []
        self.tokens = []
        self.pipeline = pipeline = Pipeline("desk")

        @pipeline.asset(retry=Retry(attempts=3))
        async def published(context: Context) -> str:
            self.attempts.append(context.attempt)
            decision = context.approval("publish", message="3 rows", data={"rows": [1, 2, 3]}, **approval)
            self.decisions.append(decision)
            return f"by {decision.by}"

        @pipeline.asset
        def sent(published: str) -> str:
            return published.upper()

        @pipeline.asset
        async def paid(context: Context) -> int:
            self.attempts.append(context.attempt)
            self.tokens.append(context.signal_token("bank"))
            await self.gate.wait()
            payload = context.signal("bank", **approval)
            return payload["id"]

        @pipeline.asset
        def paid_in_a_thread(context: Context) -> int:
            self.tokens.append(context.signal_token("bank"))
            self.tokens.append(context.signal_token("bank"))
            return context.signal("bank", **approval)["id"]

        self.gate = asyncio.Event()
        self.gate.set()


async def pending(runtime, count=1):
    """The approvals that are pending, once there are so many and their run is parked."""
    while len(found := await runtime.approvals()) < count or not await runtime.runs(status="waiting"):
        await asyncio.sleep(0.005)
    return found


async def parked(runtime):
    """Wait until a run is parked."""
    while not await runtime.runs(status="waiting"):
        await asyncio.sleep(0.005)


async def test_an_approved_step_goes_on(place, background):
    """What is asked, and what was said, goes both ways."""
    desk = Desk(timeout=3600.0)
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize_all("sent"))
        (asked,) = await pending(runtime)
        assert (asked.name, asked.asset, asked.partition) == ("publish", "published", None)
        assert (asked.message, asked.data, asked.status) == ("3 rows", {"rows": [1, 2, 3]}, "pending")
        assert (asked.by, asked.reason, asked.decided_at) == (None, None, None)
        assert 3500 < (asked.expires_at - asked.requested_at).total_seconds() <= 3601
        decided = await runtime.approve(asked.id, by="ada", reason="fine", data=[1, {"two": None}])
        assert (decided.status, decided.by, decided.reason) == ("approved", "ada", "fine")
        result = await waiting
        assert await result.value() == "BY ADA"
        (decision,) = desk.decisions
        assert isinstance(decision, Decision)
        assert (decision.by, decision.reason, decision.data) == ("ada", "fine", [1, {"two": None}])
        assert abs((datetime.now(UTC) - decision.at).total_seconds()) < 60
        assert desk.attempts == [1, 2]
        assert await runtime.approvals() == []
        (known,) = await runtime.approvals("approved")
        assert (known.id, known.decided_at) == (asked.id, decision.at)
        assert [event.kind async for event in (await runtime.run(asked.run_id)).events()].count(
            "step.woken"
        ) == 1


async def test_a_rejected_step_fails_and_is_not_run_again(place, background):
    """Nor tried again; what depends on it is skipped, and the message says who and why."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize_all("sent"))
        (asked,) = await pending(runtime)
        decided = await runtime.reject(asked.id, by="ada", reason="numbers look wrong")
        assert decided.status == "rejected"
        with pytest.raises(
            RunFailed, match="approval 'publish': rejected by ada: numbers look wrong"
        ) as failed:
            await waiting
        (failure,) = failed.value.failures
        assert (failure.failure.kind, failure.asset, failure.attempt) == ("rejected", "published", 1)
        assert [each.asset for each in failed.value.result.skipped] == ["sent"]
        assert desk.attempts == [1]


async def test_a_password_in_a_reason_is_masked_in_the_failure(place, background, caplog):
    """The failure reaches logs, events and callers, as the message of an exception does."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize_all("sent"))
        (asked,) = await pending(runtime)
        await runtime.reject(asked.id, by="ada", reason="see postgresql://ada:hunter2@db/shop")
        with pytest.raises(RunFailed, match=r"see postgresql://ada:\*\*\*@db/shop") as failed:
            await waiting
    assert "hunter2" not in f"{failed.value} {failed.value.failures} {caplog.text}"


@pytest.mark.parametrize(
    ("chosen", "kind", "status"),
    [("fail", "expired", "expired"), ("reject", "rejected", "rejected"), ("approve", None, "approved")],
)
async def test_nobody_decides_in_time(place, chosen, kind, status):
    """The approval says what becomes of it; a late decision is refused."""
    desk = Desk(timeout=0.1, on_timeout=chosen)
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        if kind is None:
            await runtime.materialize("published")
            assert desk.decisions[0].by is None
        else:
            with pytest.raises(MaterializationFailed, match="nobody decided") as failed:
                await runtime.materialize("published")
            assert failed.value.failure.kind == kind
            assert desk.attempts == [1]
        (approval,) = await runtime.approvals(None)
        assert (approval.status, approval.by) == (status, None)
        with pytest.raises(AlreadyDecided) as refused:
            await runtime.approve(approval.id, by="late")
        assert refused.value.approval.status == status


async def test_the_first_decision_stands(place, background):
    """Whoever comes later is told what was decided, by whom and when."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize("published"))
        (asked,) = await pending(runtime)
        calls = [runtime.approve(asked.id, by="ada"), runtime.reject(asked.id, by="bob")]
        calls += [runtime.approve(asked.id, by="eve") for _ in range(5)]
        came = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(each, AlreadyDecided) for each in came].count(False) == 1
        (first,) = [each for each in came if not isinstance(each, Exception)]
        with pytest.raises(AlreadyDecided, match=f"was {first.status} by {first.by}.*first decision stands"):
            await runtime.reject(asked.id, by="bob")
        await asyncio.gather(waiting, return_exceptions=True)


async def test_bad_decisions_are_refused(place, background):
    """By nobody, of nothing, with what cannot be kept; nothing has changed."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize("published"))
        (asked,) = await pending(runtime)
        for by in ("", "  ", "\u200b", "\u3164 \u2060", None, 7, "x" * 10_001, "nu\x00l"):
            with pytest.raises(ValueError, match="by"):
                await runtime.approve(asked.id, by=by)
        for data in (object(), float("nan"), {1: 2}, "\ud800", "nu\x00l", ["x" * 1_000_001], {1, 2}):
            with pytest.raises(ValueError, match="data of a decision"):
                await runtime.approve(asked.id, by="ada", data=data)
        for unknown in ("", "nothing", None, asked.id + "0", "nu\x00l", "\ud800", "x" * 1_000_000):
            with pytest.raises(ApprovalNotFound):
                await runtime.reject(unknown, by="ada")
        for status in ("open", [], {}, 3):
            with pytest.raises(ValueError, match="pending, approved"):
                await runtime.approvals(status)
        with pytest.raises(ValueError, match="limit"):
            await runtime.approvals(limit=0)
        with pytest.raises(AssetNotFound):
            await runtime.approvals(asset="publishd")
        assert [each.status for each in await runtime.approvals(asset="published")] == ["pending"]
        await runtime.approve(asked.id, by="ada")
        await waiting


async def test_a_cancelled_run_cancels_its_approvals(place, background):
    """Nobody decides them any more."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize_all("sent"))
        (asked,) = await pending(runtime)
        await (await runtime.run(asked.run_id)).cancel()
        with pytest.raises(RunCancelled) as cancelled:
            await waiting
        assert {each.asset for each in cancelled.value.result.cancelled} == {"published", "sent"}
        assert await runtime.approvals() == []
        assert [each.status for each in await runtime.approvals("cancelled")] == ["cancelled"]
        with pytest.raises(AlreadyDecided, match="cancelled with its run"):
            await runtime.approve(asked.id, by="ada")
        assert desk.attempts == [1]


async def test_approvals_of_partitions_are_decided_one_by_one(place, background):
    """Each is its own; the ids do not change, and the newest is first."""
    pipeline = Pipeline("regions")

    @pipeline.asset(partitions=StaticPartitions(["north", "south", "west"]))
    async def region(context: Context) -> str:
        return context.approval("publish").by

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        waiting = background(runtime.backfill("region"))
        asked = await pending(runtime, 3)
        assert {each.partition for each in asked} == {"north", "south", "west"}
        assert len({each.id for each in asked}) == 3
        assert [each.requested_at for each in asked] == sorted(
            (each.requested_at for each in asked), reverse=True
        )
        assert len(await runtime.approvals(limit=2)) == 2
        for each in asked:
            if each.partition == "west":
                await runtime.reject(each.id, by="ada")
            else:
                await runtime.approve(each.id, by=each.partition)
        result = await waiting
        assert {each.partition for each in result.succeeded} == {"north", "south"}
        assert [each.failure.kind for each in result.failed] == ["rejected"]
        assert await runtime.load("region", partition="north") == "north"


async def test_an_approval_survives_a_restart(place):
    """It is decided where nothing of it lives, and the next runtime goes on."""
    if place.name == "memory":
        pytest.skip("a memory store is gone with its process")
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as first:
        run = await first.submit("sent")
        (asked,) = await pending(first)
    async with asyncio.timeout(200), place.runtime(desk.pipeline, worker=False) as second:
        assert [each.id for each in await second.approvals()] == [asked.id]
        await second.approve(asked.id, by="ada")
    async with asyncio.timeout(200), place.runtime(desk.pipeline, worker=False) as third:
        assert not (await (await third.run(run.id)).status()).terminal
        assert desk.attempts == [1]
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as last:
        assert (await (await last.run(run.id)).wait()).status == "succeeded"
        assert desk.attempts == [1, 2]


@pytest.mark.parametrize("worker", [True, False])
async def test_an_answer_while_a_run_is_taken_up_again_is_not_lost(monkeypatch, background, worker):
    """Whoever takes it up has not returned when it is parked for the second time, and answered."""
    pipeline, taken_up = Pipeline("desk"), recovery.resume

    @pipeline.asset
    async def twice(context: Context) -> list[str]:
        return [context.approval("first").by, context.approval("second").by]

    async def resume(ctx, runs, record):
        await taken_up(ctx, runs, record)
        if (asked := {each.name: each.id for each in await pending(runtime)}).keys() == {"second"}:
            await runtime.approve(asked["second"], by="grace")

    monkeypatch.setattr(recovery, "resume", resume)
    async with asyncio.timeout(200), Runtime(pipeline, worker=worker) as runtime:
        waiting = background(runtime.materialize("twice"))
        (first,) = await pending(runtime)
        await runtime.approve(first.id, by="ada")
        await waiting
        assert await runtime.load("twice") == ["ada", "grace"]


# Signals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", ["paid", "paid_in_a_thread"])
async def test_a_signal_wakes_its_step(place, background, asset):
    """With its payload; the token is good for one, whichever attempt handed it out."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize(asset))
        await parked(runtime)
        token = desk.tokens[0]
        assert set(desk.tokens) == {token}
        assert len(token.split(".")[1]) == 43
        await runtime.signal(token, {"id": 42, "Ä": [None, 1.5]})
        await waiting
        assert await runtime.load(asset) == 42
        for used in desk.tokens:
            with pytest.raises(TokenUsed, match="has come before"):
                await runtime.signal(used, {"id": 43})


async def test_a_signal_that_comes_early_is_kept(place, background):
    """The step goes on as soon as it comes to wait for it."""
    desk = Desk()
    desk.gate.clear()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize("paid"))
        while not desk.tokens:
            await asyncio.sleep(0.005)
        await runtime.signal(desk.tokens[0], {"id": 42})
        with pytest.raises(TokenUsed):
            await runtime.signal(desk.tokens[0], {"id": 43})
        desk.gate.set()
        await waiting
        assert await runtime.load("paid") == 42
        assert desk.attempts == [1, 2]


async def test_bad_signals_are_refused(place, background):
    """A token that nobody handed out, and a payload that cannot be kept; the good one still counts."""
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize("paid"))
        await parked(runtime)
        token = desk.tokens[0]
        run_id = token.split(".")[0]
        for forged in ("", None, "x", "x" * 10_000, run_id, f"{'0' * 28}.{'A' * 43}", token + "A", "\ud800"):
            with pytest.raises(TokenUnknown):
                await runtime.signal(forged, {"id": 1})
        with pytest.raises(TokenUnknown, match="mistyped or forged"):
            await runtime.signal(f"{run_id}.{'A' * 43}", {"id": 1})
        for payload in (object(), float("inf"), {1: 2}, "\ud800", "x" * 1_000_001):
            with pytest.raises(ValueError, match="payload of a signal"):
                await runtime.signal(token, payload)
        await runtime.signal(token, {"id": 42, "big": "x" * 900_000})
        await waiting
        assert await runtime.load("paid") == 42


async def test_a_signal_comes_too_late(place, background):
    """The step has failed without it, or its run was cancelled."""
    desk = Desk(timeout=0.1)
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="no signal came") as failed:
            await runtime.materialize("paid")
        assert failed.value.failure.kind == "expired"
        with pytest.raises(TokenExpired, match="not waited for any more"):
            await runtime.signal(desk.tokens[0], {"id": 1})
    desk = Desk()
    async with asyncio.timeout(200), place.runtime(desk.pipeline) as runtime:
        waiting = background(runtime.materialize("paid"))
        await parked(runtime)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(TokenExpired, match="cancelled"):
            await runtime.signal(desk.tokens[0], {"id": 1})


async def test_a_token_is_on_record_before_once_hands_it_out(place, background):
    """So whoever has it can use it, whatever dies then; a new attempt does not hand out another one."""
    pipeline = Pipeline("bank")
    known, handed = [], []

    @pipeline.asset
    async def paid(context: Context) -> int:
        async def ask(token):
            handed.append(token)
            wait = await runtime._ctx.store.waits.of_token(token_hash(token))
            known.append(wait.status)

        await context.once("ask", ask, context.signal_token("bank"))
        return context.signal("bank")

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        waiting = background(runtime.materialize("paid"))
        await parked(runtime)
        await runtime.signal(handed[0], 42)
        await waiting
        assert await runtime.load("paid") == 42
    assert known == ["early"]
