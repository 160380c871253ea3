"""`runtime.audit`: everything that somebody does is there once, with who did it."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import (
    AccessTokenNotFound,
    AssetNotFound,
    AutomationNotFound,
    Context,
    DailyPartitions,
    DynamicPartitions,
    Pipeline,
    Runtime,
)
from flowstone.cli.commands.cancel import _cancel
from flowstone.cli.screen import Screen
from flowstone.errors import ArgumentError
from flowstone.runtime.run.control import Cancel
from tests.runtime.doubles import Gate

WEEK = DailyPartitions("2025-01-01", "2025-01-07")


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request, tmp_path):
    """The URL of a store."""
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return "memory://" if request.param == "memory" else f"file://{tmp_path}/runs"


def shop():
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=WEEK)
    async def visits(context: Context) -> int:
        return 1

    @pipeline.asset
    async def report() -> int:
        return 2

    @pipeline.asset
    async def broken() -> int:
        raise ValueError("no")

    @pipeline.asset
    async def asks(context: Context) -> int:
        context.approval("publish")
        return 1

    @pipeline.asset
    async def hears(context: Context) -> int:
        print(context.signal_token("bank"))
        return context.signal("bank")

    @pipeline.asset(partitions=DynamicPartitions("region"))
    async def region() -> int:
        return 1

    pipeline.pool("warehouse", slots=4)
    pipeline.schedule("nightly", cron="0 6 * * *", asset="report", refresh="all")
    return pipeline


def told(entries):
    """Who did what to what, the oldest first."""
    return [(entry.by, entry.action, entry.target) for entry in reversed(entries)]


async def parked(runtime, asset):
    """A run of which nothing is left but a step that waits."""
    run = await runtime.submit(asset, by="ada")
    async for event in run.events():
        if event.kind == "run.waiting":
            break
    return run


@pytest.mark.both_loops
async def test_every_call_that_starts_a_run_says_who(store):
    """By its name, or that of the runtime; in the record of the run as well."""
    async with Runtime(shop(), store=store, actor="nina") as runtime:
        await runtime.materialize("report", by="ada")
        await runtime.materialize_all("report", tags={"reason": "monthly"})
        await runtime.backfill("visits", start="2025-01-02", end="2025-01-04", by="bob")
        await (await runtime.submit("visits", partition="2025-01-05", by="")).wait()
        await (
            await runtime.submit_backfill("visits", partitions=["2025-01-01", "2025-01-07"], by="cy")
        ).wait()
        run = await runtime.run_plan(await runtime.plan("report"), by="dora")
        await run.wait()
        entries = await runtime.audit()
        assert told(entries) == [
            ("ada", "run.queued", "report"),
            ("nina", "run.queued", "report"),
            ("bob", "run.queued", "visits"),
            ("nina", "run.queued", "visits[2025-01-05]"),
            ("cy", "run.queued", "visits"),
            ("dora", "run.queued", "report"),
        ]
        assert [entry.reason for entry in entries].count("monthly") == 1
        assert entries[3].details["span"]
        assert entries[1].details == {"kind": "backfill", "partitions": 2}
        assert (await run.record()).request.by == "dora"
        assert [entry.id for entry in await runtime.audit(run_id=run.id)] == [entries[0].id]
        assert len(await runtime.audit("visits")) == 3
        assert len(await runtime.audit(by="nina")) == 2
        assert told(await runtime.audit(limit=1, before=entries[0].id)) == [("cy", "run.queued", "visits")]


async def test_who_asks_makes_no_other_run(store):
    """Who asks for the same joins the run that is under way, and is no second time in the log."""
    gate = Gate()
    pipeline = Pipeline("p")

    @pipeline.asset
    async def slow() -> int:
        await gate.wait()
        return 1

    async with Runtime(pipeline, store=store) as runtime:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(runtime.materialize("slow", by="ada", join=True))
            await gate.entered.wait()
            second = await runtime.submit("slow", upstream=False, by="bob", join=True)
            gate.open()
        assert first.result().run_id == second.id
        once = [await runtime.submit("slow", once="k", by=by) for by in ("ada", "bob")]
        assert once[0] == once[1]
        assert [entry.by for entry in await runtime.audit()] == ["ada", "ada"]


async def test_what_nobody_says_is_nobodys(store):
    """A runtime without a name of its own."""
    async with Runtime(shop(), store=store) as runtime:
        await runtime.materialize("report")
        assert told(await runtime.audit()) == [(None, "run.queued", "report")]


async def test_a_cancel_says_who_and_why(store):
    """Of a run that runs, and of one that waits; a retry of it is a run of whoever asks for that."""
    async with Runtime(shop(), store=store, actor="nina") as runtime:
        waiting = await parked(runtime, "asks")
        await waiting.cancel(by="bob", reason="not this week")
        await waiting.cancel(by="eve")
        assert told(await runtime.audit(run_id=waiting.id))[1:] == [("bob", "run.cancel_requested", "asks")]
        assert (await runtime.audit(run_id=waiting.id))[0].reason == "not this week"
        again = await runtime.retry(waiting.id, by="cy")
        await again.drain(by="dora")
        await again.cancel()
        assert told(await runtime.audit(run_id=again.id)) == [
            ("cy", "run.queued", "asks"),
            ("dora", "run.cancel_requested", "asks"),
        ]
        assert (await runtime.audit(run_id=again.id))[-1].details["retry_of"] == waiting.id


async def test_a_timeout_is_nobodys_doing(store):
    """What brought it about is said."""
    pipeline = Pipeline("p")

    @pipeline.asset
    async def slow() -> int:
        await asyncio.sleep(60)
        return 1

    async with Runtime(pipeline, store=store, actor="nina") as runtime:
        with pytest.raises(TimeoutError):
            await runtime.materialize("slow", timeout=0.05)
        assert [(each.by, each.reason) for each in await runtime.audit()] == [(None, "timeout"), ("nina", "")]


async def test_answers_say_who_gave_them(store, capsys):
    """Decisions always did; a signal is of its sender, and nothing of what was sent is there."""
    async with Runtime(shop(), store=store, actor="nina") as runtime:
        run = await parked(runtime, "asks")
        (approval,) = await runtime.approvals()
        await runtime.approve(approval.id, by="ada", reason="looks fine", data={"secret": "s3cret"})
        await run.wait()
        heard = await parked(runtime, "hears")
        token = capsys.readouterr().out.strip()
        await runtime.signal(token, {"by": "eve", "secret": "s3cret"}, by="bank")
        await heard.wait()
        entries = await runtime.audit()
        assert told(entries) == [
            ("ada", "run.queued", "asks"),
            ("ada", "approval.approved", "asks"),
            ("ada", "run.queued", "hears"),
            ("bank", "signal.sent", "hears"),
        ]
        said = [(each.name, each.reason) for each in entries[:3]]
        assert said == [("bank", ""), ("", ""), ("publish", "looks fine")]
        assert "s3cret" not in repr(entries)
        assert token not in repr(entries)


async def test_automations_are_somebodys_where_a_hand_moves_them(store):
    """Their runs name the automation, and whoever fired it."""
    async with Runtime(shop(), store=store, actor="nina") as runtime:
        (run,) = await runtime.fire("nightly", by="ada")
        await run.wait()
        await runtime.pause("nightly", by="bob", reason="moving")
        await runtime.resume("nightly")
        with pytest.raises(AutomationNotFound):
            await runtime.fire("nightlies")
        entries = await runtime.audit()
        assert told(entries) == [
            ("ada", "automation.fired", "nightly"),
            ("ada", "run.queued", "report"),
            ("bob", "automation.paused", "nightly"),
            ("nina", "automation.resumed", "nightly"),
        ]
        assert entries[2].name == "nightly"


async def test_changes_without_a_run_say_who_made_them(store):
    """What changed nothing is not there."""
    async with Runtime(shop(), store=store, actor="nina") as runtime:
        await runtime.backfill("visits", partitions=["2025-01-01", "2025-01-02"])
        await runtime.invalidate("visits", partition="2025-01-01", by="ada", reason="wrong")
        await runtime.invalidate("visits")
        assert await runtime.invalidate("visits") == 0
        await runtime.add_partitions("region", ["eu", "us"], by="bob")
        await runtime.remove_partitions("region", ["eu", "xx"])
        await runtime.set_pool("warehouse", slots=8, by="cy")
        await runtime.set_pool("warehouse", slots=8)
        assert told(await runtime.audit())[1:] == [
            ("ada", "asset.invalidated", "visits[2025-01-01]"),
            ("nina", "asset.invalidated", "visits[2025-01-02]"),
            ("bob", "partitions.added", "region"),
            ("nina", "partitions.removed", "region"),
            ("cy", "pool.changed", "warehouse"),
        ]


async def test_access_is_told_without_secrets(store):
    """Who made and revoked a token, and who logged in with it."""
    async with Runtime(shop(), store=store, actor="nina") as runtime:
        token = await runtime.create_token("ada", "operate")
        session = await runtime.log_in(token)
        assert await runtime.log_in(f"{token[:-1]}x") is None
        await runtime.log_out(session)
        await runtime.revoke_token("ada", by="bob")
        with pytest.raises(AccessTokenNotFound):
            await runtime.revoke_token("ada")
        entries = await runtime.audit()
        assert told(entries) == [
            ("nina", "token.created", "ada"),
            ("ada", "session.begun", "ada"),
            ("ada", "session.ended", "ada"),
            ("bob", "token.revoked", "ada"),
        ]
        assert token not in repr(entries)
        assert session not in repr(entries)


async def test_the_log_is_kept_for_as_many_entries_as_it_is_told(store):
    """Also of runs that retention has forgotten."""
    async with Runtime(shop(), store=store, keep_audit=3, keep_runs=1) as runtime:
        ids = [(await runtime.materialize("report")).run_id for _ in range(5)]
        keeper = runtime._tree.child("store").instance
        await keeper._prune()
        assert [entry.run_id for entry in await runtime.audit()] == ids[:1:-1]
        assert [run.id for run in await runtime.runs()] == ids[-1:]


async def test_bad_arguments_are_refused_before_anything_is_done(store):
    """Nothing is on record of them."""
    async with Runtime(shop(), store=store) as runtime:
        for call in (
            lambda: runtime.materialize("report", by=3),
            lambda: runtime.submit("report", by=b"ada"),
            lambda: runtime.backfill("visits", by=["ada"]),
            lambda: runtime.invalidate("visits", by=3),
            lambda: runtime.invalidate("visits", reason=3),
            lambda: runtime.set_pool("warehouse", slots=2, by=3),
            lambda: runtime.add_partitions("region", ["eu"], by="x" * 10_001),
            lambda: runtime.remove_partitions("region", ["eu"], by=3),
            lambda: runtime.signal("x", by=3),
            lambda: runtime.create_token("ada", "read", by=3),
            lambda: runtime.revoke_token("ada", by=3),
        ):
            with pytest.raises(ArgumentError, match="takes text"):
                await call()
        run = await runtime.submit("report", by="ada")
        with pytest.raises(ArgumentError, match="reason=3"):
            await run.cancel(reason=3)
        await run.wait()
        with pytest.raises(AssetNotFound):
            await runtime.audit("reports")
        for wrong in ({"limit": 0}, {"limit": True}, {"before": -1}, {"before": "1"}):
            with pytest.raises(ValueError, match="whole number"):
                await runtime.audit(**wrong)
        assert told(await runtime.audit()) == [("ada", "run.queued", "report")]
    with pytest.raises(TypeError, match="actor"):
        Runtime(shop(), actor=3)


async def test_a_run_that_nobody_drives_is_cancelled_by_a_command(tmp_path):
    """In a directory, where the command ends it itself: who did is on record."""
    url = f"file://{tmp_path}/runs"
    async with Runtime(shop(), store=url) as runtime:
        run = await parked(runtime, "asks")
    with Screen(json=False, debug=False) as screen:
        why = Cancel("asked", by="ada", comment="gone")
        _, ended = await _cancel(screen, url, run.id, why, wait=True)
    assert ended.status == "cancelled"
    async with Runtime(shop(), store=url) as runtime:
        assert [(each.by, each.reason) for each in await runtime.audit()] == [("ada", "gone"), ("ada", "")]
