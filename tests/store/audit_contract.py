"""What every store promises of its audit log: mix `AuditContract` into a class with the fixture `place`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowstone.runs.access import AccessToken, Role
from flowstone.runs.audit import Act
from flowstone.runs.automation import Fire, NewRun
from flowstone.runs.automation_events import AutomationPaused, AutomationResumed
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import RunSpec, Status
from flowstone.store.protocol import StaleWrite
from tests.store.automations_contract import KEY, defined, move
from tests.store.facts import at, begun, end, over, run, start
from tests.store.waits_contract import STEP, asks, now, waiting_run

ADA = Act(at(5), "ada", "it was wrong")


def shown(entry):
    """An entry without its number and time."""
    said = [entry.action, entry.by, entry.target, entry.run_id, entry.reason, dict(entry.details)]
    return tuple(said)


async def log(store, **wanted):
    """What a store says, the oldest first."""
    return [shown(entry) for entry in reversed(await store.audit.entries(**wanted))]


def asked(run_id="run-1", *, by="ada", asset="report", **request):
    """A run that somebody asks for."""
    return run(run_id, request=RunSpec(kind="materialize_all", asset=asset, by=by, **request))


async def cancel(store, run_id="run-1", by="bob", comment="too slow", epoch=0):
    """Ask for the end of a run as a runtime does: one that others may drive through the cluster."""
    if store.cluster is not None:
        await store.cluster.request_cancel(run_id, "asked", by=by, comment=comment)
    else:
        await store.write(RunCancelRequested(at(3), run_id, "report", "asked", by, comment), epoch)


class AuditContract:
    """There is one entry for everything that somebody did, and none for what nobody did."""

    async def test_a_run_says_who_asked_for_it(self, place):
        """And for what: once, however often it is written; and of a range or a list only how much that is."""
        for _ in range(2):
            await place.store.create_run(asked(keys=("s:eu",), partitioned=True))
        await place.store.create_run(asked("run-2", by=None, span=("d:1", "d:9"), keys=()))
        await place.store.create_run(asked("run-3", keys=("s:a", "s:b"), retry_of="run-1"))
        tags = {"reason": "it was late", "automation": "nightly"}
        await place.store.create_run(asked("run-4", by=None, tags=tags))
        await place.store.create_run(asked("run-5", keys=(), beside={"z": "same", "a": "once"}))
        kind = {"kind": "materialize_all"}
        assert await log(await place.reopen()) == [
            ("run.queued", "ada", "report[s:eu]", "run-1", "", kind),
            ("run.queued", None, "report", "run-2", "", kind | {"span": ["d:1", "d:9"]}),
            ("run.queued", "ada", "report", "run-3", "", kind | {"partitions": 2, "retry_of": "run-1"}),
            ("run.queued", None, "report", "run-4", "it was late", kind),
            ("run.queued", "ada", "report", "run-5", "", kind | {"partitions": 0, "beside": ["z", "a"]}),
        ]
        for asset in ("z", "a"):
            assert [entry.run_id for entry in await place.store.audit.entries(asset=asset)] == ["run-5"]
        assert await place.store.audit.entries(asset="z", run_id="run-4") == []
        assert (await place.store.audit.entries(run_id="run-4"))[0].name == "nightly"

    async def test_what_was_refused_is_not_there(self, place):
        """Another run of an id, or of a key that is taken."""
        await place.store.create_run(replace(asked(), key="k"))
        for other in (asked(asset="other"), replace(asked("run-2"), key="k")):
            with pytest.raises(StaleWrite):
                await place.store.create_run(other)
        assert len(await place.store.audit.entries()) == 1

    async def test_a_submitted_run_says_it_too(self, place):
        """Where nodes share the store."""
        if place.store.cluster is None:
            return
        for _ in range(2):
            await place.store.cluster.submit(asked())
        assert [entry[:4] for entry in await log(place.store)] == [("run.queued", "ada", "report", "run-1")]

    async def test_a_cancel_says_who_asked_for_it_first(self, place):
        """And why; of one that nobody asked for, what brought it about."""
        await place.store.create_run(asked())
        await place.store.create_run(asked("run-2"))
        for run_id in ("run-1", "run-2"):
            await place.store.claim(run_id, "node", epoch=0)
            await place.store.write(begun(run_id), 1)
        await cancel(place.store, epoch=1)
        await cancel(place.store, by="eve", comment="me too", epoch=1)
        await place.store.write(RunCancelRequested(at(4), "run-1", "report", "shutdown"), 1)
        await place.store.write(RunCancelRequested(at(4), "run-2", "report", "timeout"), 1)
        await place.store.write(over("run-1", Status.CANCELLED), 1)
        store = await place.reopen()
        assert [entry for entry in await log(store) if entry[0] == "run.cancel_requested"] == [
            ("run.cancel_requested", "bob", "report", "run-1", "too slow", {}),
            ("run.cancel_requested", None, "report", "run-2", "timeout", {}),
        ]

    async def test_a_decision_says_who_made_it(self, place):
        """Each of the two, with the reason; whoever came too late did nothing."""
        await waiting_run(place.store, name="ok", kind="approval")
        await waiting_run(place.store, "run-2", name="ok", kind="approval")
        yes = {"by": "ada", "reason": None, "data": {"by": "eve"}}
        await place.store.waits.answer("run-1", STEP, "ok", yes, now=now())
        no = {"by": "bob", "reason": "three rows", "data": None}
        await place.store.waits.answer("run-2", STEP, "ok", no, now=now(), status="rejected")
        with pytest.raises(StaleWrite):
            await place.store.waits.answer("run-1", STEP, "ok", no, now=now())
        store = await place.reopen()
        assert [entry for entry in await log(store) if entry[0].startswith("approval")] == [
            ("approval.approved", "ada", "report", "run-1", "", {}),
            ("approval.rejected", "bob", "report", "run-2", "three rows", {}),
        ]
        assert (await store.audit.entries(run_id="run-2"))[0].name == "ok"

    async def test_a_signal_says_who_sent_it_and_not_what(self, place):
        """Its payload is the sender's, whatever that claims."""
        await waiting_run(place.store, name="bank", kind="signal")
        payload = {"by": "eve", "reason": "mine", "secret": "s3cret"}
        await place.store.waits.answer("run-1", STEP, "bank", payload, now=now(), by="ada")
        sent = (await (await place.reopen()).audit.entries())[0]
        assert (shown(sent), sent.name) == (("signal.sent", "ada", "report", "run-1", "", {}), "bank")

    async def test_a_time_that_has_come_is_nobodys_doing(self, place):
        """Nor is a deadline that has passed."""
        await waiting_run(place.store, name="nap", kind="sleep", deadline=at(0))
        await waiting_run(place.store, "run-2", name="ok", kind="approval", deadline=at(0))
        await place.store.waits.expire(now=now())
        assert {entry[0] for entry in await log(place.store)} == {"run.queued"}

    async def test_pausing_says_who_did_it(self, place):
        """What changes nothing is not there; what paused itself says why."""
        store = place.store
        (record,) = await defined(store)
        for _ in range(2):
            await store.automations.pause(
                KEY, True, events=[AutomationPaused(now(), KEY[1], "ada", "moving")]
            )
        await store.automations.pause(KEY, False, events=[AutomationResumed(now(), KEY[1], "bob")])
        record = await store.automations.record(KEY)
        too_often = AutomationPaused(now(), KEY[1], reason="It failed 10 times.")
        await store.automations.move(move(record, paused=True, events=[too_often]))
        of = {"pipeline": "sales"}
        assert await log(await place.reopen()) == [
            ("automation.paused", "ada", "nightly", None, "moving", of),
            ("automation.resumed", "bob", "nightly", None, "", of),
            ("automation.paused", None, "nightly", None, "It failed 10 times.", of),
        ]

    async def test_firing_by_hand_says_who_did_it(self, place):
        """What an automation does by itself is not somebody's; its runs are there all the same."""
        store = place.store
        (record,) = await defined(store)
        by_itself = move(record, runs=[NewRun(asked(by=None, tags={"automation": "nightly"}))])
        moved = await store.automations.move(replace(by_itself, fire=Fire(now(), "started")))
        by_hand = move(moved.record, runs=[NewRun(asked("run-2"))], fire=Fire(now(), "started", by="ada"))
        with pytest.raises(StaleWrite):
            await store.automations.move(replace(by_hand, version=99, act=Act(now(), "eve")))
        await store.automations.move(replace(by_hand, act=Act(now(), "ada")))
        found = await (await place.reopen()).audit.entries()
        assert {(each.action, each.by, each.name) for each in found} == {
            ("run.queued", None, "nightly"),
            ("run.queued", "ada", ""),
            ("automation.fired", "ada", "nightly"),
        }

    async def test_invalidating_says_who_did_it_and_what_was_current(self, place):
        """An entry for each asset; nothing, if nothing was; and none if it is nobody's doing."""
        store = place.store
        await store.create_run(run())
        for step in (("a", None), ("b", "s:x"), ("b", "s:y"), ("c", "s:z")):
            await store.write(end(*step))
        await store.invalidate([("b", "s:x"), ("a", None), ("b", "s:y"), ("d", None)], ADA)
        await store.invalidate([("a", None)], ADA)
        await store.invalidate([("c", "s:z")])
        assert (await log(await place.reopen()))[1:] == [
            ("asset.invalidated", "ada", "a", None, "it was wrong", {}),
            ("asset.invalidated", "ada", "b", None, "it was wrong", {"partitions": 2}),
        ]

    async def test_changing_a_partition_set_says_who_did_it(self, place):
        """And how many keys that were; nothing if there were none."""
        store = place.store
        for _ in range(2):
            await store.add_partitions("region", ["s:eu", "s:us"], ADA)
        await store.remove_partitions("region", ["s:eu", "s:xx"], replace(ADA, by="bob", reason=""))
        await store.remove_partitions("region", ["s:xx"], ADA)
        await store.add_partitions("region", ["s:as"])
        assert await log(await place.reopen()) == [
            ("partitions.added", "ada", "region", None, "it was wrong", {"keys": 2}),
            ("partitions.removed", "bob", "region", None, "", {"keys": 1}),
        ]

    async def test_changing_a_pool_says_who_did_it(self, place):
        """And what it has now; what it had already is no change."""
        for slots in (8, 8, None, None):
            await place.store.pools.set("warehouse", slots, defined=4, act=ADA)
        await place.store.pools.set("warehouse", 9, defined=4)
        assert await log(await place.reopen()) == [
            ("pool.changed", "ada", "warehouse", None, "it was wrong", {"slots": 8}),
            ("pool.changed", "ada", "warehouse", None, "it was wrong", {"slots": None}),
        ]

    async def test_access_says_who_gave_and_used_it(self, place):
        """Each once, and no digest."""
        tokens = place.store.tokens
        for _ in range(2):
            await tokens.add(AccessToken("ci", Role.OPERATE, at(0), "ada"), "d1")
            await tokens.begin_session("s1", "d1", at(99_999_999), now=at(1))
        assert not await tokens.add(AccessToken("ci", Role.ADMIN, at(0), "eve"), "d2")
        for _ in range(2):
            await tokens.end_session("s1", now=at(2))
        await tokens.begin_session("s2", "d1", at(99_999_999), now=at(3))
        await tokens.revoke("ci", at(4), "bob")
        await tokens.revoke("ci", at(5), "eve")
        assert await log(await place.reopen()) == [
            ("token.created", "ada", "ci", None, "", {"role": "operate"}),
            ("session.begun", "ci", "ci", None, "", {}),
            ("session.ended", "ci", "ci", None, "", {}),
            ("session.begun", "ci", "ci", None, "", {}),
            ("token.revoked", "bob", "ci", None, "", {}),
        ]

    async def test_the_log_is_read_page_by_page(self, place):
        """Newest first by its numbers, of an asset, a run or somebody alone; they rise, also over a restart."""
        for number in range(1, 4):
            await place.store.create_run(asked(f"run-{number}", by="ada" if number == 2 else "bob"))
        store = await place.reopen()
        await store.create_run(asked("run-4", asset="other"))
        found = await store.audit.entries()
        assert [entry.run_id for entry in found] == ["run-4", "run-3", "run-2", "run-1"]
        numbers = [entry.id for entry in found]
        assert numbers == sorted(set(numbers), reverse=True)
        page = await store.audit.entries(limit=2)
        assert [*page, *await store.audit.entries(limit=2, before=page[-1].id)] == list(found)
        assert await store.audit.entries(before=numbers[-1]) == []
        assert [entry.run_id for entry in await store.audit.entries(asset="report")] == [
            "run-3",
            "run-2",
            "run-1",
        ]
        assert [entry.run_id for entry in await store.audit.entries(run_id="run-3")] == ["run-3"]
        assert [entry.run_id for entry in await store.audit.entries(by="ada", asset="report")] == ["run-2"]
        assert [len(await store.audit.entries(limit=limit)) for limit in (0, 1)] == [0, 1]
        assert await store.audit.entries(asset="") == await store.audit.entries(run_id="n\x00o") == []
        assert len(await store.audit.entries(before=1 << 70)) == 4

    async def test_it_is_remembered_longer_than_the_run(self, place):
        """Until it is as much as is to be kept; the oldest go first, and numbers are not given again."""
        for number in range(1, 4):
            await place.store.create_run(run(f"run-{number}"))
            await place.store.write(start(run_id=f"run-{number}"))
            await place.store.write(end(run_id=f"run-{number}"))
            await place.store.write(over(f"run-{number}"))
        await place.store.prune(keep_versions=0, keep_runs=0)
        assert await place.store.run("run-1") is None
        before = await place.store.audit.entries()
        assert len(before) == 3
        assert not await place.store.audit.prune(3)
        assert await place.store.audit.prune(1)
        assert not await place.store.audit.prune(1)
        store = await place.reopen()
        assert await store.audit.entries() == before[:1]
        await store.create_run(run("run-9"))
        assert [entry.run_id for entry in await store.audit.entries()] == ["run-9", "run-3"]
        assert (await store.audit.entries())[0].id > before[0].id

    async def test_what_people_say_is_made_storable(self, place):
        """A name with a NUL does not fail what it is about."""
        strange = "a\x00d\ud800a"
        await place.store.create_run(asked(by=strange, tags={"reason": strange}))
        await cancel(place.store, by=strange, comment=strange)
        await place.store.add_partitions("p", ["s:x"], Act(at(1), strange, strange))
        found = await (await place.reopen()).audit.entries()
        assert {entry.action for entry in found} == {"run.queued", "run.cancel_requested", "partitions.added"}
        assert all(entry.by.startswith("a") and entry.reason.startswith("a") for entry in found)

    async def test_a_step_that_comes_to_wait_again_is_no_act(self, place):
        """Only answers are."""
        await waiting_run(place.store, name="ok", kind="approval")
        await place.store.write(asks("ok", kind="approval"))
        assert [entry[0] for entry in await log(place.store)] == ["run.queued"]
