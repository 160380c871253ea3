"""What every store promises of deliveries: mix `DeliveriesContract` into a class with the fixture `place`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.runs.automation import Definition, Move
from flowstone.runs.automation_events import AssetLate, AutomationFailed, AutomationPaused
from flowstone.runs.events import (
    RunCancelRequested,
    RunQueued,
    StepKept,
    StepRetried,
    StepWaiting,
)
from flowstone.runs.records import Failure, Status
from flowstone.store.deliveries import OF_ONE_LANE, Follower
from flowstone.store.protocol import StaleWrite
from tests.store.facts import FAILURE, at, begun, end, over, run, start

PIPELINE = "sales"


def follower(name="alert", *words, **options):
    """A follower of kinds as people write them."""
    return Follower(name, exact_kinds(words, recorded=True), **options)


async def told(store, name="alert", **options):
    """The events that are pending for a follower, in the order in which the store gives them."""
    options.setdefault("limit", 1000)
    return [each.event for each in await store.deliveries.pending(PIPELINE, name, **options)]


async def lanes(store, name="alert", **options):
    """The lanes of what is pending for a follower, in the order in which the store gives them."""
    options.setdefault("limit", 1000)
    return [each.lane for each in await store.deliveries.pending(PIPELINE, name, **options)]


async def deliver(store, name="alert", limit=1000):
    """Take what is pending, as one who delivers it."""
    found = await store.deliveries.pending(PIPELINE, name, limit=limit)
    await store.deliveries.done(PIPELINE, name, [each.key for each in found])
    return [each.event for each in found]


class DeliveriesContract:
    """The promises."""

    async def test_who_follows_is_told_from_then_on(self, place):
        """Not of what was before; and each gets what it wants."""
        store = place.store
        await store.create_run(run())
        await store.write(start("a"))
        await store.deliveries.follow(PIPELINE, [follower("all"), follower("ends", "step.succeeded")])
        await store.write(end("a"))
        await store.write(start("b"))
        assert [event.kind for event in await told(store, "all")] == ["step.succeeded", "step.started"]
        assert await told(store, "ends") == [end("a")]
        assert await told(store, "nobody") == []

    async def test_lanes_come_in_the_order_in_which_they_came_to_have_something(self, place):
        """Whatever their names are, and whatever happened in them since."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step", "run", "automation")])
        for run_id in ("run-3", "run-1", "run-2"):
            await store.create_run(run(run_id))
        await store.deliveries.add(PIPELINE, [AutomationPaused(at(1), "files")])
        await store.write(start(run_id="run-1"))
        assert await lanes(store) == ["run-3", "run-1", "run-1", "run-2", "automation:files"]
        assert await lanes(store, limit=2, but=["run-3"]) == ["run-1", "run-1"]
        assert await lanes(await place.reopen()) == ["run-3", "run-1", "run-1", "run-2", "automation:files"]

    async def test_a_lane_keeps_its_place_until_all_of_it_is_done(self, place):
        """Then it is a new one."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step", "asset")])
        for run_id in ("run-2", "run-1"):
            await store.create_run(run(run_id))
            await store.write_many([start("a", run_id=run_id), start("b", run_id=run_id)])
        first, second, *_ = await store.deliveries.pending(PIPELINE, "alert", limit=10)
        await store.deliveries.done(PIPELINE, "alert", [first.key])
        await store.write(end("a", run_id="run-2"))
        assert await lanes(await place.reopen()) == ["run-2", "run-2", "run-1", "run-1"]
        store = place.store
        late = AssetLate(at(1), "report", None, at(0), 3600.0)
        await store.deliveries.add(PIPELINE, [late])
        last = (await store.deliveries.pending(PIPELINE, "alert", limit=2))[1]
        await store.deliveries.done(PIPELINE, "alert", [second.key, last.key])
        await store.write(end("b", run_id="run-2"))
        assert await lanes(store) == ["run-1", "run-1", "asset:report:", "run-2"]
        (_, _, told_late, _) = await store.deliveries.pending(PIPELINE, "alert", limit=10)
        failed = AutomationFailed(at(2), "alert", FAILURE)
        await store.deliveries.give_up(PIPELINE, "alert", told_late.key, failed, tell=True)
        await store.deliveries.add(PIPELINE, [late])
        assert await lanes(await place.reopen()) == ["run-1", "run-1", "run-2", "asset:report:"]

    async def test_every_event_of_a_run_comes_as_it_was_recorded(self, place):
        """Whatever records it: the creation, single writes and batches; each once, in order."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower()])
        await store.create_run(run())
        await store.write(begun())
        await store.write_many([start("a", node="n1"), start("b", "one"), end("a")])
        await store.write(StepRetried(at(3), "run-1", "b", "one", 1, FAILURE, 0.5))
        await store.write(start("b", "one", attempt=2, node="n2"))
        await store.write(StepKept(at(4), "run-1", "b", "one", 2, "draft", {"x": 1}))
        await store.write_many(
            [
                end("b", "one", attempt=2, status=Status.FAILED),
                end("c", status=Status.SKIPPED, attempt=0),
            ]
        )
        await store.write(over(status=Status.FAILED))
        recorded = [event for _, event in await store.events("run-1")]
        assert await told(store) == recorded
        assert isinstance(recorded[0], RunQueued)
        assert len(recorded) == 11
        assert await deliver(await place.reopen()) == recorded
        assert await told(place.store) == []

    async def test_the_end_of_a_run_is_chosen_by_its_outcome(self, place):
        """`run.failed` is a run that has finished so."""
        store = place.store
        await store.deliveries.follow(
            PIPELINE, [follower("alert", "run.failed"), follower("any", "run.finished")]
        )
        for number, status in enumerate((Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)):
            await store.create_run(run(f"run-{number}"))
            await store.write(over(f"run-{number}", status))
        assert await told(store) == [over("run-1", Status.FAILED)]
        assert len(await told(store, "any")) == 3

    async def test_assets_and_pipelines_narrow_it(self, place):
        """Only events of these assets, of runs of its own pipeline, unless it follows all of them."""
        store = place.store
        await store.deliveries.follow(
            PIPELINE,
            [
                follower("some", "step", "run.queued", assets=frozenset({"b", "report"})),
                follower("everywhere", "step.succeeded", anywhere=True),
                follower("own", "step.succeeded", "run.queued"),
            ],
        )
        await store.create_run(run())
        await store.create_run(run("run-2", pipeline="other"))
        await store.write_many([start("a"), start("b"), end("a"), end("b")])
        await store.write(end("b", run_id="run-2"))
        assert [event.kind for event in await told(store, "some")] == [
            "run.queued",
            "step.started",
            "step.succeeded",
        ]
        assert [event.run_id for event in await told(store, "everywhere")] == ["run-1", "run-1", "run-2"]
        assert {event.run_id for event in await told(store, "own")} == {"run-1"}

    async def test_who_follows_an_asset_is_told_of_runs_of_it_and_others(self, place):
        """What happens to the run as a whole is told of each of its assets; what happens to a step, of its own."""
        store = place.store
        followers = [follower(name, assets=frozenset({name})) for name in ("raw", "note", "other")]
        await store.deliveries.follow(PIPELINE, followers)
        request = replace(run().request, beside={"raw": "same", "note": "once"})
        await store.create_run(run(request=request))
        await store.write(begun())
        await store.write_many([start("raw"), start("other"), end("raw")])
        store = await place.reopen()
        await store.write(over(status=Status.FAILED))
        of_run = ["run.queued", "run.started", "run.finished"]
        assert [event.kind for event in await told(store, "note")] == of_run
        of_raw = [*of_run[:2], "step.started", "step.succeeded", "run.finished"]
        assert [event.kind for event in await told(store, "raw")] == of_raw
        assert [event.kind for event in await told(store, "other")] == ["step.started"]

    async def test_nothing_is_delivered_that_was_not_recorded(self, place):
        """What a fence refuses reaches nobody."""
        store = place.store
        await store.create_run(run())
        await store.write(end("a"))
        await store.deliveries.follow(PIPELINE, [follower()])
        for refused in (end("a"), start("a")):
            with pytest.raises(StaleWrite):
                await store.write(refused)
        with pytest.raises(StaleWrite):
            await store.write_many([end("b"), end("a")])
        assert await told(store) == []

    async def test_what_is_pending_survives_until_it_is_done(self, place):
        """A process that dies between the two is told again: at least once."""
        await place.store.deliveries.follow(PIPELINE, [follower("alert", "step")])
        await place.store.create_run(run())
        await place.store.write_many([start("a"), end("a")])
        first, second = await place.store.deliveries.pending(PIPELINE, "alert", limit=10)
        store = await place.reopen()
        assert await told(store) == [start("a"), end("a")]
        await store.deliveries.done(PIPELINE, "alert", [first.key])
        store = await place.reopen()
        assert [each.key for each in await store.deliveries.pending(PIPELINE, "alert", limit=10)] == [
            second.key
        ]
        await store.deliveries.done(PIPELINE, "alert", [first.key, second.key])
        await store.write(start("b"))
        assert await told(await place.reopen()) == [start("b")]

    async def test_following_again_changes_nothing_but_what_is_wanted(self, place):
        """What is pending stays; one that is named no more loses it."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step"), follower("other", "step")])
        await store.deliveries.follow("elsewhere", [follower("alert", "step", anywhere=True)])
        await store.create_run(run())
        await store.write(start("a"))
        await store.deliveries.follow(PIPELINE, [follower("alert", "step.failed")])
        await store.write(start("b"))
        store = await place.reopen()
        assert await told(store) == [start("a")]
        assert [state.follower for state in await store.deliveries.followers(PIPELINE)] == [
            follower("alert", "step.failed")
        ]
        await store.deliveries.follow(PIPELINE, [follower("alert", "step.failed"), follower("other", "step")])
        assert await told(store, "other") == []
        assert len(await store.deliveries.pending("elsewhere", "alert", limit=10)) == 2
        await store.deliveries.follow(PIPELINE, [])
        assert await store.deliveries.followers(PIPELINE) == []
        assert await told(store) == []

    async def test_lanes_can_be_left_alone(self, place):
        """A run of which one event cannot be delivered holds up no other."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step.started")])
        for name in ("run-1", "run-2", "run-3"):
            await store.create_run(run(name))
            await store.write_many([start("a", run_id=name), start("b", run_id=name)])
        found = await store.deliveries.pending(PIPELINE, "alert", limit=10, but={"run-1", "run-3"})
        assert [(each.lane, each.event.asset) for each in found] == [("run-2", "a"), ("run-2", "b")]
        assert len(await store.deliveries.pending(PIPELINE, "alert", limit=3)) == 3
        assert await store.deliveries.pending(PIPELINE, "alert", limit=0) == []

    async def test_a_busy_run_leaves_room_for_others(self, place):
        """Of one lane no more than so many are given at a time, the first ones."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step.started")])
        await store.create_run(run("run-1"))
        await store.create_run(run("run-2"))
        many = [start("a", f"i:{number}") for number in range(OF_ONE_LANE + 50)]
        await store.write_many(many)
        await store.write(start("b", run_id="run-2"))
        found = await store.deliveries.pending(PIPELINE, "alert", limit=1000)
        assert [each.event for each in found if each.lane == "run-1"] == many[:OF_ONE_LANE]
        assert [each.event for each in found if each.lane == "run-2"] == [start("b", run_id="run-2")]
        await store.deliveries.done(PIPELINE, "alert", [each.key for each in found])
        assert await told(store) == many[OF_ONE_LANE:]

    async def test_attempts_are_counted(self, place):
        """Over restarts, so that what always fails is given up one day."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step.started")])
        await store.create_run(run())
        await store.write(start("a"))
        (delivery,) = await store.deliveries.pending(PIPELINE, "alert", limit=10)
        assert delivery.attempts == 0
        await store.deliveries.failed(PIPELINE, "alert", delivery.key)
        await store.deliveries.failed(PIPELINE, "alert", delivery.key)
        await store.deliveries.failed(PIPELINE, "alert", ("run-1", 999))
        (delivery,) = await (await place.reopen()).deliveries.pending(PIPELINE, "alert", limit=10)
        assert delivery.attempts == 2

    async def test_why_it_fails_is_known_until_it_succeeds(self, place):
        """Over restarts, with how often; what was given up is something else."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step.started")])
        await store.create_run(run())
        await store.write_many([start("a"), start("b")])
        first, second = await store.deliveries.pending(PIPELINE, "alert", limit=10)
        (calm,) = await store.deliveries.followers(PIPELINE)
        assert (calm.attempts, calm.failing) == (0, None)
        for message in ("timed out", "refus\x00ed"):
            await store.deliveries.failed(PIPELINE, "alert", first.key, Failure("error", message))
        await store.deliveries.failed(PIPELINE, "alert", second.key, Failure("error", "refused again"))
        await store.deliveries.failed(PIPELINE, "alert", second.key)
        store = await place.reopen()
        (failing,) = await store.deliveries.followers(PIPELINE)
        assert (failing.pending, failing.attempts, failing.failing.message) == (2, 2, "refused again")
        assert failing.failure is None
        await store.deliveries.done(PIPELINE, "alert", [first.key, second.key])
        (calm,) = await store.deliveries.followers(PIPELINE)
        assert (calm.pending, calm.attempts, calm.failing) == (0, 0, None)

    async def test_what_is_given_up_is_counted_and_told(self, place):
        """To others who follow, never to itself; and only once."""
        store = place.store
        await store.deliveries.follow(
            PIPELINE, [follower("alert", "step.started", "automation"), follower("other", "automation")]
        )
        await store.create_run(run())
        await store.write_many([start("a"), start("b")])
        first, second = await store.deliveries.pending(PIPELINE, "alert", limit=10)
        failed = AutomationFailed(at(9), "alert", Failure("error", "ValueError: no"), 10)
        await store.deliveries.give_up(PIPELINE, "alert", first.key, failed, tell=True)
        await store.deliveries.give_up(PIPELINE, "alert", first.key, failed, tell=True)
        await store.deliveries.give_up(PIPELINE, "alert", second.key, failed, tell=False)
        store = await place.reopen()
        alert, other = await store.deliveries.followers(PIPELINE)
        assert (alert.pending, alert.given_up, alert.failure.message) == (0, 2, "ValueError: no")
        assert alert.failed_at == at(9)
        assert (other.pending, other.given_up, other.failure) == (1, 0, None)
        assert await told(store, "other") == [failed]
        assert await told(store) == []

    async def test_events_of_no_run_are_delivered(self, place):
        """Each to the followers of their pipeline, in order with those of the same automation or asset."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "asset", "automation")])
        await store.deliveries.follow("elsewhere", [follower("alert", "asset")])
        late = AssetLate(at(1), "report", "d:2025-01-01", at(0), 3600.0)
        later = AssetLate(at(2), "report", "d:2025-01-01", at(1), 3600.0, at(0))
        failed = AutomationFailed(at(3), "nightly", Failure("error", "no"))
        await store.deliveries.add(PIPELINE, [late, failed])
        await store.deliveries.add(PIPELINE, [later])
        await store.deliveries.add(PIPELINE, [])
        store = await place.reopen()
        found = await store.deliveries.pending(PIPELINE, "alert", limit=10)
        lanes = {
            lane: [each.event for each in found if each.lane == lane]
            for lane in {each.lane for each in found}
        }
        assert sorted(lanes.values(), key=len) == [[failed], [late, later]]
        assert len({each.key for each in found}) == 3
        assert await store.deliveries.pending("elsewhere", "alert", limit=10) == []

    async def test_a_change_of_an_automation_takes_and_tells(self, place):
        """What was delivered to it is done, and its events are told, with the change or not at all."""
        store = place.store
        await store.deliveries.follow(
            PIPELINE, [follower("rule", "step.succeeded"), follower("alert", "automation")]
        )
        (known,) = await store.automations.define(
            {PIPELINE: [Definition("rule", "condition", "x")]}, now=at(0)
        )
        await store.create_run(run())
        await store.write_many([end("a"), end("b")])
        first, second = await store.deliveries.pending(PIPELINE, "rule", limit=10)
        failed = AutomationFailed(at(3), "rule", Failure("error", "no"))
        move = Move(known.key, known.version, delivered=[first.key], events=[failed])
        await store.automations.move(move)
        with pytest.raises(StaleWrite):
            await store.automations.move(
                Move(known.key, known.version, delivered=[second.key], events=[failed])
            )
        paused = AutomationPaused(at(4), "rule", "ada")
        assert (await store.automations.pause(known.key, True, events=[paused])).paused
        await store.automations.pause(known.key, True, events=[paused])
        store = await place.reopen()
        assert [each.key for each in await store.deliveries.pending(PIPELINE, "rule", limit=10)] == [
            second.key
        ]
        assert await told(store, "alert") == [failed, paused]

    async def test_a_change_consumes_what_was_delivered_to_another_name(self, place):
        """One follower may serve many automations."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("all", "step.succeeded")])
        (known,) = await store.automations.define(
            {PIPELINE: [Definition("rule", "freshness", "x")]}, now=at(0)
        )
        await store.create_run(run())
        await store.write_many([end("a"), end("b")])
        first, second = await store.deliveries.pending(PIPELINE, "all", limit=10)
        await store.automations.move(Move(known.key, known.version, delivered=[first.key], follower="all"))
        store = await place.reopen()
        assert [each.key for each in await store.deliveries.pending(PIPELINE, "all", limit=10)] == [
            second.key
        ]

    async def test_waiting_says_who_has_something(self, place):
        """One question for all followers."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step"), follower("idle", "run.failed")])
        assert list(await store.deliveries.waiting([PIPELINE])) == []
        await store.create_run(run())
        await store.write(start("a"))
        assert list(await store.deliveries.waiting([PIPELINE, "other"])) == [(PIPELINE, "alert")]
        assert list(await store.deliveries.waiting(["other"])) == []

    async def test_retention_takes_nothing_that_is_not_delivered(self, place):
        """A run that is forgotten, or whose value is replaced, was delivered whole."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "run.failed", "step.succeeded")])
        for name in ("run-1", "run-2"):
            await store.create_run(run(name))
            await store.write_many([start("a", run_id=name), end("a", run_id=name)])
            await store.write(over(name, Status.FAILED))
        await store.prune(keep_versions=0, keep_runs=0)
        store = await place.reopen()
        wanted = [end("a", run_id="run-1"), over("run-1", Status.FAILED)]
        found = await told(store)
        assert [event for event in found if event.run_id == "run-1"] == wanted
        assert len(found) == 4
        await deliver(store)
        await store.prune(keep_versions=0, keep_runs=0)
        assert await store.runs() == []

    async def test_what_becomes_of_waits_is_delivered(self, place):
        """An answer and a deadline are recorded by the store itself."""
        store = place.store
        await store.deliveries.follow(
            PIPELINE, [follower("alert", "step.woken", "step.failed", "step.waiting")]
        )
        await store.create_run(run())
        await store.write(begun(total=2))
        for name, waits_for in (("a", "signal"), ("b", "approval")):
            await store.write(start(name))
            await store.write(StepWaiting(at(2), "run-1", name, None, 1, "nap", waits_for, id=f"id-{name}"))
        now = at(3) + timedelta(days=365)
        await store.waits.answer("run-1", ("a", None), "nap", 1, now=now)
        decision = {"by": "ada", "reason": "no", "data": None}
        await store.waits.answer("run-1", ("b", None), "nap", decision, now=now, status="rejected")
        assert [event.kind for event in await told(store)] == [
            "step.waiting",
            "step.waiting",
            "step.woken",
            "step.failed",
        ]

    async def test_a_cancel_that_is_asked_for_is_delivered(self, place):
        """It is an event of the run like others."""
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "run.cancel_requested", "run.cancelled")])
        await store.create_run(run())
        asked = RunCancelRequested(at(5), "run-1", "report", "too slow")
        await store.write(asked)
        await store.write(over(status=Status.CANCELLED))
        assert await told(store) == [asked, over(status=Status.CANCELLED)]

    async def test_in_any_order_of_writes_and_deliveries_each_run_is_told_in_order(self, place):
        """Some are not acknowledged, and the store is opened again: in the end all were told."""
        random = Random(7)
        store = place.store
        await store.deliveries.follow(PIPELINE, [follower("alert", "step")])
        heard: dict[str, list[str]] = {}
        runs = ["run-1", "run-2", "run-3"]
        for name in runs:
            await store.create_run(run(name))
        for number in range(60):
            name = random.choice(runs)
            await store.write_many([start(f"a{number}", run_id=name), end(f"a{number}", run_id=name)])
            if random.random() < 0.3:
                found = await store.deliveries.pending(PIPELINE, "alert", limit=random.randrange(12))
                kept = random.randrange(len(found) + 1)  # Those behind are lost before they are done.
                for each in found[:kept]:
                    heard.setdefault(each.lane, []).append(each.event)
                await store.deliveries.done(PIPELINE, "alert", [each.key for each in found[:kept]])
            if random.random() < 0.1:
                store = await place.reopen()
        while found := await store.deliveries.pending(PIPELINE, "alert", limit=7):
            for each in found:
                heard.setdefault(each.lane, []).append(each.event)
            await store.deliveries.done(PIPELINE, "alert", [each.key for each in found])
        for name in runs:
            assert heard.get(name, []) == [
                event for _, event in await store.events(name) if event.kind != "run.queued"
            ]

    async def test_who_follows_for_many_stays_while_one_of_them_is_remembered(self, place):
        """Conditions, and the freshness of assets, have one follower each for all of a pipeline."""
        store = place.store
        there = [Definition("total", "condition", "x"), Definition("freshness:total", "freshness", "x")]
        await store.automations.define({PIPELINE: there}, now=at(0))
        shared = [follower("", "step"), follower("freshness:", "step")]
        await store.deliveries.follow(PIPELINE, [*shared, follower("other", "step")])
        await store.automations.define({PIPELINE: []}, now=at(1))
        await store.deliveries.follow(PIPELINE, [])
        assert [each.follower for each in await store.deliveries.followers(PIPELINE)] == shared
        await store.create_run(run())
        await store.write(start("a"))
        place_after = await place.reopen()
        assert await told(place_after, "") == await told(place_after, "freshness:") == [start("a")]

    async def test_a_listener_that_is_gone_is_told_of_nothing_new(self, place):
        """What was pending stays, and it goes on there when it comes back."""
        store = place.store
        there = {PIPELINE: [Definition("alert", "listener", "x")]}
        await store.automations.define(there, now=at(0))
        await store.deliveries.follow(PIPELINE, [follower("alert", "step")])
        await store.create_run(run())
        await store.write(start("a"))
        await store.deliveries.follow(PIPELINE, [])
        await store.automations.define({PIPELINE: []}, now=at(1))
        await store.write(end("a"))
        store = await place.reopen()
        await store.write(start("b"))
        assert await told(store) == [start("a")]
        await store.deliveries.follow(PIPELINE, [follower("alert", "step")])
        await store.automations.define(there, now=at(2))
        await store.write(end("b"))
        assert await told(store) == [start("a"), end("b")]
