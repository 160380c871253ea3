"""What the machine that compares the double with Postgres does with deliveries, and what is asked of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from flowstone.runs.automation_events import AssetLate, AutomationFailed
from flowstone.store.deliveries import Follower
from tests.store.facts import FAILURE, at
from tests.store.postgres.twins import NODES, PIPELINES

NAMES = ["alert", "files", "", "freshness:"]
EVENT_KINDS = [
    "run.queued",
    "run.started",
    "run.cancel_requested",
    "run.succeeded",
    "run.failed",
    "run.cancelled",
    "step.started",
    "step.retried",
    "step.succeeded",
    "step.failed",
    "step.cancelled",
    "step.reused",
    "step.waiting",
    "step.woken",
    "automation.failed",
    "automation.paused",
    "automation.resumed",
    "asset.late",
]

ALL_KINDS = frozenset(EVENT_KINDS)

nodes = st.sampled_from(NODES)
pipelines = st.sampled_from(["sales", *PIPELINES])
names = st.sampled_from(["alert", *NAMES])
wanted = st.sampled_from([EVENT_KINDS, EVENT_KINDS[::2], EVENT_KINDS[1::2]]).map(frozenset)
assets = st.sampled_from([None, None, frozenset({"a"}), frozenset({"report", ""})])
followers = st.builds(Follower, names, wanted, assets, st.booleans())
told = st.sampled_from(
    [
        AutomationFailed(at(1), "files", FAILURE, 2),
        AutomationFailed(at(2), "alert", FAILURE),
        AssetLate(at(3), "a", None, at(0), 60.0),
        AssetLate(at(4), "report", "s:x", at(0), 60.0, at(1)),
    ]
)


class DeliveryRules:
    """Rules of a machine that is `Twins`."""

    @rule(
        node=nodes,
        pipeline=pipelines,
        some=st.lists(followers, min_size=1, max_size=3, unique_by=lambda each: each.name) | st.just([]),
    )
    def follow(self, node, pipeline, some):
        self.both(node, lambda store: store.deliveries.follow(pipeline, some))

    @rule(node=nodes, pipeline=pipelines, name=names, places=st.lists(st.integers(0, 5), max_size=4))
    def deliver(self, node, pipeline, name, places):
        """Some of what is pending, in any order."""

        async def call(store):
            pending = await store.deliveries.pending(pipeline, name, limit=6)
            await store.deliveries.done(
                pipeline, name, [pending[place].key for place in places if place < len(pending)]
            )

        self.both(node, call)

    @rule(
        node=nodes,
        pipeline=pipelines,
        name=names,
        place=st.integers(0, 2),
        why=st.sampled_from([None, FAILURE]),
    )
    def deliver_in_vain(self, node, pipeline, name, place, why):
        async def call(store):
            pending = await store.deliveries.pending(pipeline, name, limit=9)
            key = pending[place].key if place < len(pending) else ("run-1", 99)
            await store.deliveries.failed(pipeline, name, key, why)

        self.both(node, call)

    @rule(node=nodes, pipeline=pipelines, name=names, place=st.integers(0, 2), tell=st.booleans())
    def give_up_delivery(self, node, pipeline, name, place, tell):
        failed = AutomationFailed(at(5), name, replace(FAILURE, message="given up"))

        async def call(store):
            pending = await store.deliveries.pending(pipeline, name, limit=9)
            key = pending[place].key if place < len(pending) else ("run-1", 99)
            await store.deliveries.give_up(pipeline, name, key, failed, tell=tell)

        self.both(node, call)

    @rule(node=nodes, pipeline=pipelines, some=st.lists(told, max_size=3))
    def tell_events(self, node, pipeline, some):
        self.both(node, lambda store: store.deliveries.add(pipeline, some))


async def known_of_deliveries(store):
    """Whatever a node can ask."""
    deliveries, known = store.deliveries, {}
    for pipeline in PIPELINES:
        known[pipeline, "followers"] = there = await deliveries.followers(pipeline)
        for name in (each.follower.name for each in there):
            whole = await deliveries.pending(pipeline, name, limit=1000)
            but = {each.lane for each in whole[:1]}
            known[pipeline, name, "pending"] = _placed(whole)
            for limit in (1, 3):
                first = await deliveries.pending(pipeline, name, limit=limit, but=but)
                known[pipeline, name, limit] = [(each.lane, each.event) for each in first]
    known["followers waiting"] = sorted(await deliveries.waiting(PIPELINES))
    return known


def _placed(pending):
    """With places in their lanes for numbers of events of no run, which no store promises."""
    places = {}
    placed = []
    for each in pending:
        place = places[each.lane] = places.get(each.lane, 0) + 1
        placed.append(replace(each, number=place) if ":" in each.lane else each)
    return placed
