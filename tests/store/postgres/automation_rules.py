"""What the machine that compares the double with Postgres does with automations, and what is asked of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from hypothesis import strategies as st
from hypothesis.stateful import rule

from flowstone.errors import FlowstoneError
from flowstone.runs.audit import Act
from flowstone.runs.automation import Definition, Fire, Move, NewRun
from flowstone.runs.automation_events import AutomationFailed, AutomationPaused, AutomationResumed
from flowstone.store.automations import GONE_FOR
from flowstone.store.deliveries import Follower
from tests.store.facts import FAILURE, at, run
from tests.store.postgres.delivery_rules import ALL_KINDS
from tests.store.postgres.twins import NODES, PIPELINES

KINDS = {
    "files": ["sensor", "schedule"],
    "alert": ["listener"],
    "total": ["condition"],
    "other": ["condition"],
    "report": ["freshness"],
}
KEYS = [(pipeline, name) for pipeline in PIPELINES for name in KINDS]

nodes = st.sampled_from(NODES)
keys = st.sampled_from([("sales", "files"), *KEYS])
cursors = st.sampled_from([None, "far", ["x"]])


@st.composite
def definitions(draw, name):
    """What a pipeline may say of the automation of this name."""
    kind, text = draw(st.sampled_from(KINDS[name])), draw(st.sampled_from(["slow", "fast"]))
    return Definition(name, kind, text, draw(st.booleans()), draw(cursors))


@st.composite
def defined(draw):
    """What some pipelines define."""
    some = draw(st.sampled_from([["sales"], PIPELINES]))
    return {
        pipeline: [draw(definitions(name)) for name in KINDS if draw(st.integers(0, 3))] for pipeline in some
    }


@st.composite
def new_runs(draw, run_id, pipeline):
    """A run that a change asks for."""
    once, join = draw(st.sampled_from([None, None, "once"])), draw(st.booleans())
    return NewRun(run(run_id, pipeline=pipeline, priority=draw(st.integers(0, 1))), once, join)


def told_of(name):
    """What is told of an automation."""
    return st.sampled_from(
        [
            AutomationFailed(at(1), name, FAILURE, 2),
            AutomationPaused(at(2), name, "ann", "enough"),
            AutomationResumed(at(3), name),
        ]
    )


class AutomationRules:
    """Rules of a machine that is `Twins`."""

    def automate(self):
        """There are automations, and one who listens."""
        said = {"sales": [Definition(name, kinds[0], "slow") for name, kinds in KINDS.items()]}
        self.both("n1", lambda store: store.automations.define(said, now=datetime.now(UTC)))
        self.both("n1", lambda store: store.deliveries.follow("sales", [Follower("alert", ALL_KINDS)]))

    @rule(node=nodes, said=defined(), whole=st.sampled_from([True, True, False]))
    def define_automations(self, node, said, whole):
        now = datetime.now(UTC)
        self.both(node, lambda store: store.automations.define(said, now=now, whole=whole))

    @rule()
    def a_day_passes(self):
        """What is gone, is so for long."""
        past = timedelta(seconds=2 * GONE_FOR)
        self.sql("update flowstone.automations set gone_at = gone_at - $1::interval", past)
        for known in self.shared.history.automations.all():
            if known.record.gone_at is not None:
                known.record = replace(known.record, gone_at=known.record.gone_at - past)

    @rule(data=st.data(), node=nodes, key=keys, paused=st.booleans())
    def pause(self, data, node, key, paused):
        told = data.draw(st.lists(told_of(key[1]), max_size=2))
        self.both(node, lambda store: store.automations.pause(key, paused, events=told))

    @rule(data=st.data(), node=nodes, key=keys, taken=st.integers(0, 2))
    def move(self, data, node, key, taken):
        """With what was delivered, on each side what it calls the first of that."""
        change = self._change(data.draw, key, self.fresh_ids())

        async def call(store):
            follower = change.follower or key[1]
            pending = await store.deliveries.pending(key[0], follower, limit=taken)
            return await store.automations.move(replace(change, delivered=[each.key for each in pending]))

        self.both(node, call)

    @rule(data=st.data(), node=nodes, some=st.lists(keys, min_size=1, max_size=3, unique=True))
    def move_each(self, data, node, some):
        fresh = self.fresh_ids()
        changes = [self._change(data.draw, key, fresh) for key in some]
        # In which order lanes come of what one call records is not promised: nothing is told after runs began.
        quiet = [any(before.runs for before in changes[:place]) for place in range(len(changes))]
        changes = [
            replace(each, events=[]) if still else each for each, still in zip(changes, quiet, strict=True)
        ]

        async def call(store):
            made = await store.automations.move_each(changes)
            return [type(each).__name__ if isinstance(each, FlowstoneError) else each for each in made]

        self.both(node, call)

    def _change(self, draw, key, fresh):
        """A change, mostly of the version that there is."""
        record = self.shared.history.automations.get(key)
        version = 1 if record is None else record.version - (draw(st.integers(0, 5)) == 0)
        by, status = draw(st.sampled_from(["", "ann"])), draw(st.sampled_from(["started", "skipped"]))
        fire = draw(st.sampled_from([Fire(at(4), status, by=by), Fire(at(4), status, at(3)), None]))
        act = draw(st.sampled_from([None, None, Act(at(4)), Act(at(4), "ada", "why")]))
        return Move(
            key,
            version,
            draw(cursors),
            tuple(draw(st.lists(st.integers(0, 2), max_size=2))),
            runs=[draw(new_runs(run_id, key[0])) for run_id in islice(fresh, draw(st.integers(0, 2)))],
            fire=fire,
            paused=draw(st.sampled_from([None, None, True, False])),
            failures=draw(st.integers(0, 2)),
            failure=draw(st.sampled_from([None, FAILURE])),
            events=draw(st.lists(told_of(key[1]), max_size=2)),
            follower=draw(st.sampled_from(["", "alert"])),
            act=act,
        )


async def known_of_automations(store):
    """Whatever a node can ask."""
    automations = store.automations
    known = {"automations": await automations.records(), "of sales": await automations.records(["sales"])}
    for record in known["automations"]:
        key = record.key
        known[key] = await automations.record(key)
        known[key, "fires"] = await automations.fires(key)
        known[key, "newest fire"] = await automations.fires(key, limit=1)
        known[key, "under way"] = sorted(set(await automations.under_way(key)))
    return known
