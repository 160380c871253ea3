"""What every cluster promises: subclass `ClusterContract` with a `place` fixture that gives a `ClusterPlace`.

Map of this file
    nodes           joining, beating, leaving, trees
    the queue       submitting, taking, releasing, keys, priorities
    ownership       orphans, what a node owns
    cancelling
    step leases     giving, cancelling, settling, what became of an attempt
    notifications
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

import pytest

from flowstone.runs.automation import Definition, Move, duty_of
from flowstone.runs.events import RunWaiting, StepRetried, StepStarted, StepWaiting
from flowstone.runs.queued_step import QueuedStep
from flowstone.runs.records import Status
from flowstone.runs.running_step import RunningStep
from flowstone.store.automations import GONE_FOR
from flowstone.store.cluster import Node, NodeReport, Notification, StepLease
from flowstone.store.deliveries import Follower
from flowstone.store.protocol import StaleWrite, Store
from tests.store.facts import FAILURE, at, begun, end, over, run, start

LEASE = 15.0


class ClusterPlace(Protocol):
    """Where nodes meet, and what a test may do to it."""

    store: Store
    """One node's store, open."""

    async def connect(self) -> Store:
        """The store of another process, open."""

    async def silence(self, node_id: str) -> None:
        """The node has stopped beating."""

    async def beat(self, node_id: str, *, late: bool = False) -> None:
        """The node beats, and again from now on; late: none of its beats was acknowledged for two leases."""

    async def step(self, seconds: float) -> None:
        """The store's clock is set forward, or back."""

    async def until(self, condition) -> None:
        """Return when `condition()` is true; fail if it does not become so within a few seconds."""


def node(name: str = "n1", **changes) -> Node:
    """A node that holds the pipeline of `facts.run`."""
    about = {"host": "h", "pid": 1, "version": "1", "pipelines": ("sales",), "capacity": 8, "lease": LEASE}
    return Node(name, **{**about, **changes})


def lease(asset: str = "a", key: str | None = None, *, attempt=1, epoch=1, to="n2", failed=0) -> StepLease:
    """A lease of a step of `facts.run`."""
    return StepLease("run-1", asset, key, attempt, epoch, to, failed)


def nothing() -> None:
    """Nobody cares for a lost lease."""


async def said(place: ClusterPlace, name: str) -> None:
    """A node has beaten since now: a beat that was under way does not count."""
    await place.beat(name)
    await place.beat(name)


async def beats(cluster, pipeline: str = "sales"):
    """By node."""
    return {each.node: each for each in await cluster.beats([pipeline])}


class Heard:
    """Notes what a node hears: `with heard.of(store)`."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []

    def __contains__(self, notification: Notification) -> bool:
        return notification in self.notifications

    def of(self, store):
        return store.cluster.watch(self.notifications.append)


class ClusterContract:
    """The promises. Each test gets an empty, open place."""

    @pytest.fixture
    async def two(self, place):
        """The clusters of two nodes that have joined, `n1` and `n2`."""
        other = await place.connect()
        await place.store.cluster.join(node("n1"), nothing)
        await other.cluster.join(node("n2"), nothing)
        return place.store.cluster, other.cluster

    @pytest.fixture
    async def owned(self, place, two):
        """Two nodes; `n1` has taken run-1, which is at epoch 1 and has begun."""
        first, second = two
        await first.submit(run())
        (taken,) = await first.take("n1", ["sales"], 1)
        await place.store.write(begun(), taken.epoch)
        return first, second

    # Nodes --------------------------------------------------------------------------------------------------

    async def test_nodes_that_joined_are_alive(self, two):
        """Each node sees all, oldest first, with what they said of themselves."""
        for cluster in two:
            watched = await cluster.nodes()
            assert [each.node for each in watched] == [node("n1"), node("n2")]
            assert all(each.seems_alive and 0 <= each.age < LEASE for each in watched)
            assert [each.runs for each in watched] == [0, 0]

    async def test_a_start_says_on_which_node(self, place, owned):
        """Whoever writes it; in the log of the run, in the feed, and of an attempt."""
        store = place.store
        position = await store.feed.position()
        one = start("a", node="n1")
        said = [start("b", node="n1"), start("c", node="n2"), start("d"), start("e", attempt=2, node="n1")]
        await store.write(one, 1)
        for event in said:
            await store.write(event, 1)
        await store.write_many([end("a"), start("f", node="n1")], 1)
        starts = [one, *said, start("f", node="n1")]
        assert [event for _, event in await store.events("run-1") if isinstance(event, StepStarted)] == starts
        fed = [entry.event for entry in await store.feed.read(position)]
        assert [event for event in fed if isinstance(event, StepStarted)] == starts
        for event in [*said, starts[-1]]:
            assert await store.attempt_event("run-1", (event.asset, None)) == event

    async def test_joining_twice_is_joining_once(self, two):
        """A node that says it again, after a restart of a part of it, is the same node."""
        await two[0].join(node("n1"), nothing)
        assert [each.node.id for each in await two[1].nodes()] == ["n1", "n2"]

    async def test_a_node_that_beats_is_seen_to(self, place, two):
        """Each beat raises its number; while it is silent the number stands, and only grows older."""
        before = await beats(two[0])
        await place.silence("n2")
        silent = await beats(two[1])
        await place.beat("n1")
        after = await beats(two[1])
        assert (after["n2"].count, after["n1"].count > before["n1"].count) == (silent["n2"].count, True)
        assert after["n2"].age >= silent["n2"].age >= 0
        await place.beat("n2")
        assert (await beats(two[0]))["n2"].count > silent["n2"].count
        assert {(each.lease, each.gone, each.runs) for each in after.values()} == {(LEASE, False, 0)}

    @pytest.mark.parametrize("step", [3600.0, -3600.0])
    async def test_a_step_of_the_stores_clock_raises_no_beat(self, place, two, step):
        """Only what is shown to people differs, until the next beat."""
        for name in ("n1", "n2"):
            await place.silence(name)
        before = await beats(two[0])
        await place.step(step)
        after = await beats(two[0])
        assert {name: each.count for name, each in after.items()} == {
            name: each.count for name, each in before.items()
        }
        assert [each.seems_alive for each in await two[0].nodes()] == [False, False]
        await place.beat("n2")
        assert [each.seems_alive for each in await two[0].nodes()] == [False, True]

    async def test_owners_that_are_no_nodes_are_seen_as_silent(self, place, owned):
        """Whoever owns an unfinished run is listed, with how many it owns of the pipelines asked for."""
        first, _ = owned
        await place.store.create_run(run("run-2", owner="nobody"))
        found = await beats(first)
        assert (found["nobody"].count, found["nobody"].lease, found["nobody"].age) == (0, None, None)
        assert {name: each.runs for name, each in found.items()} == {"n1": 1, "n2": 0, "nobody": 1}
        found = await beats(first, "other")
        assert {name: each.runs for name, each in found.items()} == {"n1": 0, "n2": 0}

    async def test_a_node_that_leaves_is_gone_at_once(self, two):
        """Nobody has to wait for its lease; when it joins again, it is there again."""
        await two[1].leave("n2")
        assert {name: each.gone for name, each in (await beats(two[0])).items()} == {"n1": False, "n2": True}
        assert [each.seems_alive for each in await two[0].nodes()] == [True, False]
        before = (await beats(two[0]))["n2"].count
        await two[1].join(node("n2"), nothing)
        again = (await beats(two[0]))["n2"]
        assert (again.gone, again.count > before) == (False, True)

    @pytest.mark.parametrize("step", [0.0, 3600.0, -3600.0])
    async def test_a_late_beat_tells_that_the_lease_was_lost(self, place, step):
        """The node lives on, and hears that others may have taken what it owned; a stepped clock is not late."""
        told = []
        await place.store.cluster.join(node("n1"), lambda: told.append(1))
        await place.step(step)
        await place.beat("n1")
        assert told == []
        await place.beat("n1", late=True)
        await place.until(lambda: told)
        assert [each.seems_alive for each in await place.store.cluster.nodes()] == [True]

    async def test_a_node_may_come_to_hold_other_pipelines(self, place, two):
        """The others see which, also after a beat; nothing else of it changes."""
        before = (await two[1].nodes())[0].node
        await two[0].hold("n1", ["shop", "stock"])
        await place.beat("n1")
        after = (await two[1].nodes())[0].node
        assert after == replace(before, pipelines=("shop", "stock"))
        await two[0].hold("nobody", ["shop"])
        assert len(await two[1].nodes()) == 2

    async def test_a_tree_is_seen_by_others(self, two):
        """What one publishes the other reads, as data."""
        assert (await two[1].nodes())[0].tree is None
        await two[0].publish_tree("n1", {"name": "runtime", "children": [{"name": "store"}]})
        seen = (await two[1].nodes())[0]
        assert seen.tree == {"name": "runtime", "children": [{"name": "store"}]}
        assert seen.tree_at is not None

    async def test_what_a_node_says_of_itself_goes_with_its_beats(self, place, two):
        """Others read the last that it said; at first it has said nothing."""
        assert (await two[1].nodes())[0].report == NodeReport()
        running = (
            RunningStep("run-3", "a", None, 1, "n1", at(3)),
            RunningStep("run-3", "b", "d:2025-01-01", 2, "n1", at(4), 0.25, "a qu\u00e4rter", True),
        )
        queued = (
            QueuedStep("run-3", "c", None, 1, "n1", "pool", ("gpu", "warehouse")),
            QueuedStep("run-3", "c", "d:2025-01-01", 2, "n1", "place"),
            QueuedStep("run-3", "d", None, 1, "n1", "alone", ("b[2025-01-01]",)),
        )
        unfit = {"run-2": "no such \u00e4sset"}
        report = NodeReport(
            "it is tried again", {"run-1": "no"}, unfit, running, queued, ("run-4",), ("sales",)
        )
        two[0].report(report, at_once=False)
        await said(place, "n1")
        assert [each.report for each in await two[1].nodes()] == [report, NodeReport()]
        two[0].report(NodeReport())
        await said(place, "n1")
        assert (await two[1].nodes())[0].report == NodeReport()

    async def test_nodes_are_read_without_their_trees(self, two):
        """Which may be large, and change less often than what they say."""
        await two[0].publish_tree("n1", {"name": "runtime"})
        assert (await two[1].nodes(trees=False))[0].tree is None

    async def test_who_watches_is_heard_of_by_every_node(self, two):
        """Each who comes has a larger number; it says whether trees are watched as well."""
        heard, all_heard = [], asyncio.Event()

        def hear(notification):
            if notification.kind == "watch":
                heard.append(notification.subject)
                if len(set(heard)) == 2:
                    all_heard.set()

        with two[0].watch(hear):
            await asyncio.sleep(0)
            first = await two[1].watch_nodes(10.0, trees=False)
            second = await two[1].watch_nodes(10.0, trees=True)
            async with asyncio.timeout(60):
                await all_heard.wait()
        assert second > first
        assert list(dict.fromkeys(heard)) == [f"{first}", f"{second} trees"]

    # The queue ----------------------------------------------------------------------------------------------

    async def test_what_waits_is_seen_in_its_order(self, two):
        """Of these pipelines, and no more than are wanted."""
        for name, priority in (("run-1", 0), ("run-2", 5), ("run-3", 0)):
            await two[0].submit(run(name, priority=priority))
        assert [each.id for each in await two[1].queued(["sales"], 2)] == ["run-2", "run-1"]
        await two[0].take("n1", ["sales"], 1)
        assert [each.id for each in await two[1].queued(["sales"], 9)] == ["run-1", "run-3"]
        assert list(await two[1].queued(["other"], 9)) == []

    async def test_a_submitted_run_is_taken_once(self, place, two):
        """One node gets it, as its owner, at the next epoch."""
        first, second = two
        assert await first.submit(run()) == run()
        assert (await place.store.run("run-1")).owner is None
        (taken,) = await second.take("n2", ["sales"], 10)
        assert (taken.id, taken.owner, taken.epoch, taken.status) == ("run-1", "n2", 1, Status.QUEUED)
        assert list(await first.take("n1", ["sales"], 10)) == []
        assert await place.store.run("run-1") == taken

    async def test_the_urgent_are_taken_first_then_the_old(self, two):
        """Priority, then the order of submission, whatever ids and clocks say; no more than asked for."""
        for place, (number, priority) in enumerate([(4, 0), (3, 5), (2, 0), (1, -1), (0, 5)]):
            await two[0].submit(run(f"run-{number}", created_at=at(-place), priority=priority))
        first = await two[1].take("n2", ["sales"], 3)
        rest = await two[1].take("n2", ["sales"], 3)
        assert [each.id for each in first] == ["run-3", "run-0", "run-4"]
        assert [each.id for each in rest] == ["run-2", "run-1"]

    async def test_a_node_takes_only_what_it_knows(self, two):
        """Runs of other pipelines wait for a node that holds them."""
        await two[0].submit(run(pipeline="other"))
        assert list(await two[1].take("n2", ["sales"], 10)) == []
        assert list(await two[1].take("n2", [], 10)) == []
        assert len(await two[1].take("n2", ["sales", "other"], 10)) == 1

    async def test_a_key_is_for_one_unfinished_run(self, place, two):
        """Who submits it again is given the run that has it; when that has finished, the key is free."""
        first, second = two
        await first.submit(run("run-1", key="k"))
        assert (await second.submit(run("run-2", key="k"))).id == "run-1"
        (taken,) = await second.take("n2", ["sales"], 10)
        assert (await first.submit(run("run-3", key="k"))).id == "run-1"
        await place.store.write_many([begun(), over()], taken.epoch)
        assert (await first.submit(run("run-4", key="k"))).id == "run-4"
        assert [each.id for each in await second.take("n2", ["sales"], 10)] == ["run-4"]

    async def test_who_wants_to_leaves_runs_alone(self, two):
        """They are left to others."""
        first, second = two
        for number in range(3):
            await first.submit(run(f"run-{number}"))
        taken = await second.take("n2", ["sales"], 10, but=["run-0", "run-2", "run-9"])
        assert [each.id for each in taken] == ["run-1"]
        assert [each.id for each in await first.take("n1", ["sales"], 10)] == ["run-0", "run-2"]

    @pytest.mark.parametrize("step", [3600.0, -3600.0])
    async def test_a_step_of_the_stores_clock_hides_no_run(self, place, two, step):
        """Neither one that was submitted before, nor one that was handed back, nor one that comes after."""
        first, second = two
        await first.submit(run("run-1"))
        await place.step(step)
        await first.submit(run("run-2"))
        taken = await second.take("n2", ["sales"], 10)
        assert [each.id for each in taken] == ["run-1", "run-2"]
        await second.release("run-1", "n2")
        await place.step(-step)
        assert [each.id for each in await first.take("n1", ["sales"], 10)] == ["run-1"]

    async def test_a_released_run_waits_again(self, place, owned):
        """Nobody owns it; the next node goes on with it at a higher epoch."""
        first, second = owned
        await first.release("run-1", "n1")
        released = await place.store.run("run-1")
        assert (released.owner, released.status) == (None, Status.RUNNING)
        (taken,) = await second.take("n2", ["sales"], 10)
        assert (taken.owner, taken.epoch, taken.status) == ("n2", 2, Status.RUNNING)

    async def test_only_its_owner_releases_a_run(self, place, owned):
        """The word of a former owner changes nothing, nor does a release of what is over."""
        await owned[0].release("run-1", "n2")
        assert (await place.store.run("run-1")).owner == "n1"
        await place.store.write(over(), 1)
        await owned[0].release("run-1", "n1")
        assert list(await owned[1].take("n2", ["sales"], 10)) == []

    # Ownership ----------------------------------------------------------------------------------------------

    async def test_runs_of_a_dead_node_are_orphans(self, place, owned):
        """Whoever thinks that its owner is gone finds them, if it holds the pipeline."""
        _, second = owned
        for gone in ([], ["n2", "n3"]):
            assert list(await second.orphans(["sales"], gone)) == []
        (orphan,) = await second.orphans(["sales"], ["n1", "n2"])
        assert (orphan.id, orphan.owner, orphan.epoch) == ("run-1", "n1", 1)
        assert list(await second.orphans(["other"], ["n1"])) == []
        assert list(await second.orphans(["sales"], ["n1"], 0)) == []

    async def test_the_urgent_orphans_come_first_then_the_old(self, place, two):
        """Priority, then the order in which they were submitted, whatever their ids say."""
        first, second = two
        for number, priority in [(3, 0), (1, 0), (2, 5), (0, 0)]:
            await first.submit(run(f"run-{number}", priority=priority))
        await first.take("n1", ["sales"], 9)
        found = await second.orphans(["sales"], ["n1"], 3)
        assert [each.id for each in found] == ["run-2", "run-3", "run-1"]

    async def test_finished_and_queued_runs_are_no_orphans(self, place, owned):
        """What waits in the queue is not lost."""
        first, second = owned
        await place.store.write(over(), 1)
        await first.submit(run("run-2"))
        assert list(await second.orphans(["sales"], ["n1"])) == []

    async def test_a_dead_owner_that_had_begun_is_not_held_against_the_run(self, place, owned):
        """The run may only have waited there; one whose owner never came to begin it is counted."""
        _, second = owned
        for epoch in range(1, 6):
            assert (await second.adopt("run-1", "n2", epoch=epoch))[1] == 1
            await place.store.write(begun(), epoch + 1)
        assert (await second.adopt("run-1", "n2", epoch=6))[1] == 1
        assert (await second.adopt("run-1", "n2", epoch=7))[1] == 2

    async def test_adoptions_without_a_step_in_between_are_counted(self, place, owned):
        """A step's record begins the count again; a run that has moved on is refused, as by a claim."""
        _, second = owned
        adopted, times = await second.adopt("run-1", "n2", epoch=1, given_up=True)
        assert (adopted.owner, adopted.epoch, times) == ("n2", 2, 1)
        await place.store.write(begun(), 2)
        for epoch, count in ((2, 2), (3, 3)):
            adopted, times = await second.adopt("run-1", "n2", epoch=epoch, given_up=True)
            assert (adopted.epoch, times) == (epoch + 1, count)
        await place.store.write(start("a"), 4)
        assert (await second.adopt("run-1", "n1", epoch=4))[1] == 1
        assert (await second.adopt("run-1", "n1", epoch=5))[1] == 2
        await place.store.write(end("a"), 6)
        assert (await second.adopt("run-1", "n2", epoch=6))[1] == 1
        with pytest.raises(StaleWrite):
            await second.adopt("run-1", "n2", epoch=6)

    async def test_nothing_is_left_of_a_run_that_is_forgotten(self, place, owned):
        """Neither the time it took nor how often it was adopted."""
        first, second = owned
        await first.spend("n1", {"run-1": 7.0})
        await second.adopt("run-1", "n2", epoch=1, given_up=True)
        await second.adopt("run-1", "n2", epoch=2, given_up=True)
        await place.store.write(over(), 3)
        await place.store.prune(keep_versions=1, keep_runs=0)
        assert await first.spent("run-1") == 0.0
        await first.submit(run())
        assert (await second.adopt("run-1", "n2", epoch=0, given_up=True))[1] == 1

    async def test_a_run_is_not_forgotten_while_it_is_to_be_delivered(self, place, owned):
        """To one who follows it."""
        store = place.store
        await store.deliveries.follow("sales", [Follower("ends", frozenset({"run.succeeded"}))])
        await store.write(over(), 1)
        await store.prune(keep_versions=1, keep_runs=0)
        assert await store.run("run-1") is not None
        (waiting,) = await store.deliveries.pending("sales", "ends", limit=9)
        await store.deliveries.done("sales", "ends", [waiting.key])
        await store.prune(keep_versions=1, keep_runs=0)
        assert await store.run("run-1") is None

    async def test_an_automation_that_comes_back_after_a_day_begins_anew(self, place, two):
        """Whoever drove it does so no more, and everybody may."""
        first, second = two
        automations, key = place.store.automations, ("sales", "in/box é")
        inbox = Definition(key[1], "sensor", "every 30 s", cursor=["new"])
        (known,) = await automations.define({"sales": [inbox]}, now=at(0))
        await automations.move(Move(key, known.version, ["old"], paused=True, failures=2))
        await first.take_duty(duty_of(key), "n1", None)
        await first.take_duty("timekeeper", "n1", None)
        await automations.define({"sales": []}, now=at(0))
        assert await second.take_duty(duty_of(key), "n2", None) == "n1"
        await place.step(2 * GONE_FOR)
        (anew,) = await automations.define({"sales": [inbox]}, now=at(2 * GONE_FOR))
        assert (anew.version, anew.cursor, anew.paused, anew.failures) == (1, ["new"], False, 0)
        assert anew.since > known.since
        assert await second.take_duty(duty_of(key), "n2", None) == "n2"
        assert await second.take_duty("timekeeper", "n2", None) == "n1"

    async def test_what_its_last_owner_has_lent_is_progress(self, place, owned):
        """Its owner got so far; one that died before it gave the leases of its predecessor again did not."""
        first, second = owned
        await first.grant([lease(to="n2")])
        assert (await second.adopt("run-1", "n2", epoch=1))[1] == 1
        assert (await second.adopt("run-1", "n2", epoch=2))[1] == 2
        await second.grant([lease(to="n2", epoch=3)])
        assert (await second.adopt("run-1", "n2", epoch=3))[1] == 1

    async def test_what_a_run_has_spent_is_said_by_its_owner(self, place, owned):
        """In total, so that saying it again, or late, changes nothing; a former owner's word counts no more."""
        first, second = owned
        assert await second.spent("run-1") == 0.0
        await first.spend("n1", {"run-1": 12.5, "run-0": 1.0})
        await first.spend("n1", {"run-1": 10.0})
        await first.spend("n1", {})
        assert await second.spent("run-1") == 12.5
        await place.store.claim("run-1", "n2", epoch=1)
        await first.spend("n1", {"run-1": 99.0})
        assert await second.spent("run-1") == 12.5

    async def test_a_former_owner_records_nothing(self, place, owned):
        """Once adopted, the run refuses its writes, also when it beats again."""
        adopted = await place.store.claim("run-1", "n2", epoch=1)
        with pytest.raises(StaleWrite):
            await place.store.claim("run-1", "n1", epoch=1)
        await place.beat("n1")
        with pytest.raises(StaleWrite):
            await place.store.write(end("a"), 1)
        await place.store.write(end("a"), adopted.epoch)

    async def test_a_node_learns_what_it_owns(self, place, owned):
        """Its unfinished runs, with their epochs."""
        first, second = owned
        assert await first.owned("n1") == {"run-1": 1}
        assert await first.owned("n2") == {}
        await place.store.claim("run-1", "n2", epoch=1)
        assert await first.owned("n1") == {}
        assert await second.owned("n2") == {"run-1": 2}
        assert [each.runs for each in await first.nodes()] == [0, 1]
        await place.store.write(over(), 2)
        assert await second.owned("n2") == {}

    async def test_what_is_under_way_is_known(self, place, owned):
        """A step that has begun and not ended; whether it is part of other unfinished runs is not said."""
        first, second = owned
        await first.submit(run("run-0"))
        assert [(each.id, begun_) for each, begun_ in await second.under_way(("a", "k"))] == [
            ("run-0", False),
            ("run-1", False),
        ]
        await place.store.write(start("a", "k"), 1)
        assert [begun_ for _, begun_ in await second.under_way(("a", "k"))] == [False, True]
        assert [begun_ for _, begun_ in await second.under_way(("a", None))] == [False, False]
        await place.store.write(end("a", "k"), 1)
        assert [each.id for each, _ in await second.under_way(("a", "k"))] == ["run-0"]
        await place.store.write(over(), 1)
        assert [each.id for each, _ in await second.under_way(("a", None))] == ["run-0"]

    # Cancelling ---------------------------------------------------------------------------------------------

    async def test_a_queued_run_is_cancelled_at_once(self, place, two):
        """Nobody has to take it for that."""
        await two[0].submit(run())
        await two[1].request_cancel("run-1", "asked")
        assert (await place.store.run("run-1")).status is Status.CANCELLED
        assert list(await two[0].take("n1", ["sales"], 10)) == []
        await two[1].request_cancel("run-1", "asked")

    async def test_the_owner_learns_of_a_cancel(self, owned):
        """It sees which of its runs are to be cancelled."""
        first, second = owned
        assert list(await first.cancelling("n1")) == []
        await second.request_cancel("run-1", "asked")
        assert list(await first.cancelling("n1")) == ["run-1"]
        assert list(await first.cancelling("n2")) == []

    async def test_a_cancel_waits_for_the_next_owner(self, place, owned):
        """It outlives whoever owned the run, and ends with the run."""
        first, second = owned
        await second.request_cancel("run-1", "asked")
        await first.release("run-1", "n1")
        (taken,) = await second.take("n2", ["sales"], 1)
        assert list(await second.cancelling("n2")) == ["run-1"]
        await place.store.write(over(status=Status.CANCELLED), taken.epoch)
        assert list(await second.cancelling("n2")) == []
        await second.request_cancel("run-1", "asked")

    # Parking ------------------------------------------------------------------------------------------------

    async def test_a_batch_parks_a_run_for_all_waits_in_it(self, two, place):
        """Whatever their order in it: waits that begin are looked at before what parks the run."""
        await place.store.cluster.submit(run())
        await two[0].take("n1", ["sales"], 1)
        waits = StepWaiting(at(2), "run-1", "a", None, 1, "go", "signal")
        await place.store.write_many([RunWaiting(at(3), "run-1", "report", 1), waits], 1)
        record = await place.store.run("run-1")
        assert (record.status, record.owner) == (Status.WAITING, None)

    async def test_a_parked_run_that_was_claimed_is_not_queued_when_it_is_woken(self, two, place):
        """Whoever has claimed it goes on with it."""
        heard = Heard()
        await place.store.create_run(run(owner="n1"))
        waits = StepWaiting(at(2), "run-1", "a", None, 1, "go", "signal", at(2))
        await place.store.write_many([waits, RunWaiting(at(3), "run-1", "report", 1)])
        await place.store.claim("run-1", "n2", epoch=0)
        with heard.of(place.store):
            await place.store.waits.expire(now=at(4))
            await two[0].tell(Notification("tree", "after"))
            await place.until(lambda: Notification("tree", "after") in heard)
        assert Notification("woken", "run-1") in heard
        assert Notification("queued", "sales") not in heard
        assert (await place.store.run("run-1")).owner == "n2"

    # Step leases --------------------------------------------------------------------------------------------

    async def test_an_end_that_cannot_be_recorded_is_said(self, owned):
        """Of the attempt that holds the lease, as long as it does."""
        first, second = owned
        await first.grant([lease("a"), lease("b", "k")])
        assert await first.refused("run-1") == {}
        await second.refuse("run-1", ("a", None), 1, "too long: \ud800")
        await second.refuse("run-1", ("b", "k"), 2, "of another attempt")
        assert list(await first.refused("run-1")) == [("a", None)]
        assert (await first.refused("run-1"))["a", None][0] == 1
        await first.grant([lease("a", attempt=2)])
        assert await first.refused("run-1") == {}
        await second.refuse("run-1", ("a", None), 2, "too long")
        await first.delete_leases("run-1", [("a", None)])
        assert await first.refused("run-1") == {}

    async def test_a_node_sees_its_leases(self, owned):
        """Those given to it, oldest first, until they are deleted."""
        first, second = owned
        await first.grant([lease("a"), lease("b", "k"), lease("c", to="n1")])
        await first.grant([lease("d")])
        assert list(await second.leases("n2")) == [lease("a"), lease("b", "k"), lease("d")]
        assert list(await second.leases("n1")) == [lease("c", to="n1")]
        await first.delete_leases("run-1", [("b", "k"), ("d", None), ("unknown", None)])
        assert list(await second.leases("n2")) == [lease("a")]
        assert {each.asset for each in await second.outstanding("run-1")} == {"a", "c"}
        await first.delete_leases("run-1", None)
        assert list(await second.outstanding("run-1")) == []

    async def test_granting_again_replaces(self, owned):
        """The next attempt of a step, on another node."""
        first, second = owned
        await first.grant([lease("a")])
        await first.grant([lease("a", attempt=2, to="n1", failed=1)])
        assert list(await second.leases("n2")) == []
        assert list(await first.leases("n1")) == [lease("a", attempt=2, to="n1", failed=1)]

    async def test_only_the_owner_grants(self, place, owned):
        """Under an epoch that has moved nothing is granted, nor for a run that is over."""
        first, second = owned
        await place.store.claim("run-1", "n2", epoch=1)
        with pytest.raises(StaleWrite):
            await first.grant([lease("a"), lease("b")])
        assert list(await second.leases("n2")) == []
        await second.grant([lease("a", epoch=2, to="n1")])
        await place.store.write(over(), 2)
        with pytest.raises(StaleWrite):
            await second.grant([lease("b", epoch=2, to="n1")])

    async def test_a_lease_is_cancelled(self, owned):
        """It stays, marked, until its attempt has ended and it is deleted."""
        first, second = owned
        await first.grant([lease("a"), lease("b")])
        await first.cancel_leases("run-1", [("a", None), ("unknown", None)])
        assert [(each.asset, each.cancelled) for each in await second.leases("n2")] == [
            ("a", True),
            ("b", False),
        ]

    async def test_the_owner_learns_how_attempts_ended(self, place, owned):
        """Success, failure, retry, cancel, wait and choice to be skipped of just these attempts, and no others."""
        first, _ = owned
        retried = StepRetried(at(5), "run-1", "c", None, 1, FAILURE, 2.5)
        waits = StepWaiting(at(5), "run-1", "f", None, 1, "publish", "approval")
        ends = [
            end("a"),
            end("b", "k", status=Status.FAILED),
            retried,
            end("d", status=Status.CANCELLED),
            waits,
            end("g", status=Status.SKIPPED),
        ]
        for event in ends:
            await place.store.write(start(event.asset, event.partition_key), 1)
            await place.store.write(event, 1)
        await place.store.write(start("e"), 1)
        asked = {
            ("a", None): 1,
            ("b", "k"): 1,
            ("c", None): 1,
            ("d", None): 1,
            ("e", None): 1,
            ("f", None): 1,
            ("g", None): 1,
        }
        assert sorted(await first.endings("run-1", asked), key=lambda event: event.asset) == ends
        assert list(await first.endings("run-1", {("c", None): 2, ("a", "k"): 1})) == []
        assert list(await first.endings("run-1", {})) == []

    async def test_the_end_of_a_step_is_that_of_whichever_attempt_recorded_it(self, place, owned):
        """An attempt that was taken for lost may still record it, as long as no later one has begun."""
        first, _ = owned
        await place.store.write(start("a"), 1)
        await first.grant([lease(attempt=2)])
        await place.store.write(end("a"), 1)
        await place.store.write(StepRetried(at(5), "run-1", "b", "k", 1, FAILURE, 2.5), 1)
        assert list(await first.endings("run-1", {("a", None): 2, ("b", "k"): 2})) == [end("a")]
        assert list(await first.endings("run-1", {("a", None): 1})) == [end("a")]

    async def test_the_owner_learns_which_attempts_began(self, place, owned):
        """Those with a recorded start."""
        first, _ = owned
        await place.store.write(start("a", "k"), 1)
        await place.store.write(start("b", attempt=2), 1)
        asked = {("a", "k"): 1, ("b", None): 1, ("c", None): 1}
        assert set(await first.begun("run-1", asked)) == {("a", "k")}
        assert set(await first.begun("run-1", {("b", None): 2})) == {("b", None)}

    # Notifications ------------------------------------------------------------------------------------------

    async def test_a_queued_run_is_heard_of(self, place, two):
        """Everybody hears which pipeline has a run to be taken."""
        heard = Heard()
        with heard.of(place.store):
            await two[1].submit(run())
            await place.until(lambda: Notification("queued", "sales") in heard)

    async def test_a_cancel_a_lease_and_an_end_are_heard_of(self, place, owned):
        """The owner hears of the cancel, the other node of its lease, both of the end."""
        first, second = owned
        other = await place.connect()
        ours, theirs = Heard(), Heard()
        with ours.of(place.store), theirs.of(other):
            await second.request_cancel("run-1", "asked")
            await place.until(lambda: Notification("cancel", "run-1") in ours)
            await first.grant([lease("a")])
            await place.until(lambda: Notification("leases", "n2") in theirs)
            theirs.notifications.clear()
            await first.cancel_leases("run-1", [("a", None)])
            await place.until(lambda: Notification("leases", "n2") in theirs)
            await place.store.write(over(), 1)
            await place.until(
                lambda: (
                    Notification("finished", "run-1") in theirs and Notification("finished", "run-1") in ours
                )
            )

    async def test_the_owner_hears_of_what_another_node_recorded(self, place, two):
        """The store says so by itself, and not of what the owner recorded."""
        first, second = two
        await first.submit(run())
        (taken,) = await second.take("n2", ["sales"], 1)
        heard = Heard()
        with heard.of(place.store):
            await place.store.write(begun(), taken.epoch)  # By n1, which is not the owner.
            await place.until(lambda: Notification("steps", "run-1") in heard)

    async def test_what_is_told_is_heard_by_all(self, place, two):
        """A node that joins or leaves, and what somebody wants to say."""
        heard = Heard()
        with heard.of(place.store):
            await two[1].tell(Notification("tree", "n1"))
            await place.until(lambda: Notification("tree", "n1") in heard)
            await two[1].leave("n2")
            await place.until(
                lambda: any(notification.kind == "nodes" for notification in heard.notifications)
            )

    async def test_after_the_block_nothing_is_heard(self, place, two):
        """`watch` ends with its block."""
        early, late = Heard(), Heard()
        with late.of(place.store):
            with early.of(place.store):
                pass
            await two[1].tell(Notification("tree"))
            await place.until(lambda: Notification("tree") in late)
        assert early.notifications == []
