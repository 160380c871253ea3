"""What the machine that compares the double with Postgres does with callers, and what is asked of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from flowstone.store.callers import Caller
from tests.store.facts import at, run
from tests.store.postgres.twins import NODES, PIPELINES, RUNS

nodes = st.sampled_from(NODES)
run_ids = st.sampled_from(RUNS)
few_runs = st.lists(run_ids, max_size=2, unique=True)
BESIDE = [{}, {}, {"a": "same", "b": "once"}, {"b": "once", "a": "same"}]


class CallerRules:
    """Rules of a machine that is `Twins`."""

    @rule(
        node=nodes,
        owned=st.booleans(),
        waits=st.booleans(),
        cancels=st.booleans(),
        join=st.sampled_from([True, True, True, False]),
        pipeline=st.sampled_from(["sales", *PIPELINES]),
        key=st.sampled_from([None, None, "k"]),
        beside=st.sampled_from(BESIDE),
        but=few_runs,
        waiting=few_runs,
    )
    def call(self, node, owned, waits, cancels, join, pipeline, key, beside, but, waiting):
        """Somebody wants a run, or a run to be there."""
        run_id = next(self.fresh_ids(), None)
        if run_id is None:
            return
        self.given.add(run_id)  # Made or not: it is what the caller is called, and a call is made once.
        owner, begins = (node, at(0)) if owned else (None, None)
        request = replace(run().request, beside=beside)
        new = run(run_id, pipeline=pipeline, key=key, owner=owner, started_at=begins, request=request)
        ahead = tuple(each for each in waiting if each != run_id)
        caller = Caller(run_id, node, cancels, ahead) if waits else None
        there = self.both(node, lambda store: store.callers.create(new, caller, join=join, but=but))
        if there in RUNS:
            self.calls.append((there, caller))

    @rule(node=nodes, run_id=run_ids, cancels=st.booleans(), waiting=few_runs)
    def attend(self, node, run_id, cancels, waiting):
        caller = Caller(f"c{next(self.marks)}", node, cancels, tuple(waiting))
        if (
            run_id in self.given
            and self.both(node, lambda store: store.callers.attend(run_id, caller)) is None
        ):
            self.calls.append((run_id, caller))

    @rule(node=nodes, run_id=run_ids)
    def keep(self, node, run_id):
        if run_id in self.given:
            self.both(node, lambda store: store.callers.keep(run_id))

    @rule(data=st.data())
    def leave(self, data):
        """One of those who called, once."""
        calls = [(run_id, caller) for run_id, caller in self.calls if caller is not None]
        if calls:
            run_id, caller = data.draw(st.sampled_from(calls))
            self.calls.remove((run_id, caller))
            self.both(caller.node, lambda store: store.callers.leave(run_id, caller))

    @rule(node=nodes, gone=nodes)
    def forget_callers(self, node, gone):
        self.calls = [(run_id, caller) for run_id, caller in self.calls if caller and caller.node != gone]
        self.both(node, lambda store: store.callers.forget(gone))


async def known_of_callers(store, run_ids):
    """Whatever a node can ask."""
    return {
        ("wanted", node): sorted(await store.callers.wanted(run_ids, node)) for node in [*NODES, "elsewhere"]
    }
