"""Any order of calls: the memory store and the file store answer as the model does, and as each other."""

from __future__ import annotations

import asyncio
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flowstone import errors
from flowstone.runs.events import StepRetried, StepWaiting, StepWoken
from flowstone.runs.records import Status
from flowstone.store import FileStore, MemoryStore, StaleWrite, summary
from flowstone.store import file as file_module
from tests.store.facts import FAILURE, at, begun, end, over, run, start
from tests.store.model import Model, Refused

RUNS = ["run-1", "run-2", "run-3", "run-4"]
KEYS = [("a", None), ("a", "x"), ("b", "x"), ("c", None)]

run_ids = st.sampled_from(RUNS)
keys = st.sampled_from(KEYS)
seconds = st.integers(2, 6)
epochs = st.integers(0, 2)
attempts = st.integers(1, 3)
endings = st.sampled_from(
    [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.REUSED, Status.SKIPPED]
)


@st.composite
def run_events(draw, run_id):
    """One event of a run, from a world small enough that events meet."""
    asset, key = draw(keys)
    where = {"run_id": run_id, "second": draw(seconds), "attempt": draw(attempts)}
    match draw(st.sampled_from(["start", "pause", "end", "end", "end", "begin", "finish"])):
        case "start":
            return start(asset, key, node=draw(st.sampled_from([None, "n1"])), **where)
        case "pause":
            said = (at(where["second"]), run_id, asset, key, where["attempt"])
            retried = StepRetried(*said, FAILURE, 0.5)
            waits = StepWaiting(*said, "publish", "approval", at(9))
            return draw(st.sampled_from([retried, waits, StepWoken(*said, "publish")]))
        case "begin":
            return begun(run_id, total=draw(attempts))
        case "finish":
            return over(run_id, draw(endings))
    inputs = draw(st.lists(keys, max_size=3))
    return end(asset, key, status=draw(endings), inputs=inputs, **where)


class Stores(RuleBasedStateMachine):
    """Both stores and the model get every call; the file store is reopened and compacted at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.model = Model()
        self.memory = MemoryStore()
        self.file = FileStore(self.directory.name)
        self.patch = pytest.MonkeyPatch()
        # What little is written here is always compacted, and is not worth a process.
        self.patch.setattr(summary, "_MOST", 100.0)
        self.patch.setattr(sys, "frozen", True, raising=False)
        self.do(self.file.open())

    def teardown(self) -> None:
        self.patch.undo()
        self.do(self.file.close())
        self.loop.close()
        self.directory.cleanup()

    @property
    def stores(self):
        return (self.memory, self.file)

    def do(self, call):
        return self.loop.run_until_complete(call)

    def both(self, expected, call):
        """The stores do what the model did: give its answer, or refuse."""
        try:
            answer = expected()
        except Refused:
            for store in self.stores:
                with pytest.raises((StaleWrite, errors.RunNotFound)):
                    self.do(call(store))
            return
        for store in self.stores:
            assert comparable(self.do(call(store))) == comparable(answer)

    @initialize()
    def first_run(self):
        """Most worlds begin with a run."""
        self.both(lambda: self.model.create_run(run("run-1")), lambda store: store.create_run(run("run-1")))

    @rule(run_id=run_ids, other=st.booleans(), key=st.sampled_from([None, "k", "l"]))
    def create(self, run_id, other, key):
        new = run(run_id, pipeline="other" if other else "sales", key=key)
        self.both(lambda: self.model.create_run(new), lambda store: store.create_run(new))

    @rule(run_id=run_ids, epoch=epochs)
    def claim(self, run_id, epoch):
        def expected():
            self.model.claim(run_id, "node", epoch)
            return self.model.head(run_id)

        self.both(expected, lambda store: store.claim(run_id, "node", epoch=epoch))

    @rule(data=st.data(), run_id=run_ids, epoch=epochs)
    def write(self, data, run_id, epoch):
        event = data.draw(run_events(run_id))
        self.both(lambda: self.model.write_many([event], epoch), lambda store: store.write(event, epoch))

    @rule(data=st.data(), run_id=run_ids, epoch=epochs)
    def write_many(self, data, run_id, epoch):
        events = data.draw(st.lists(run_events(run_id), min_size=1, max_size=5))
        self.both(lambda: self.model.write_many(events, epoch), lambda store: store.write_many(events, epoch))

    @rule(some=st.lists(keys, max_size=3))
    def invalidate(self, some):
        self.both(lambda: self.model.invalidate(some), lambda store: store.invalidate(some))

    @rule(versions=st.integers(0, 3), runs=st.integers(0, 4))
    def prune(self, versions, runs):
        self.both(
            lambda: self.model.prune(versions, runs),
            lambda store: store.prune(keep_versions=versions, keep_runs=runs),
        )

    @rule(some=st.lists(st.sampled_from("xyz"), max_size=4), name=st.sampled_from("pq"))
    def add(self, some, name):
        self.both(lambda: self.model.add(name, some), lambda store: store.add_partitions(name, some))

    @rule(some=st.lists(st.sampled_from("xyz"), max_size=4), name=st.sampled_from("pq"))
    def remove(self, some, name):
        self.both(lambda: self.model.remove(name, some), lambda store: store.remove_partitions(name, some))

    @rule(waiting=st.booleans())
    def compact(self, waiting):
        """The journal is compacted while further calls come, or while nothing happens."""
        self.do(self.compact_journal(waiting))

    async def compact_journal(self, waiting) -> None:
        self.file._compactor._due = 0
        self.file._compactor.look()
        if waiting:
            await self.file._compactor.idle()
            assert self.file.problem is None

    @rule(compacting=st.booleans())
    def reopen(self, compacting):
        self.take_over(compacting)

    def take_over(self, compacting) -> None:
        """A new process takes over, and may find that the journal has too many dead lines."""
        self.do(self.file.close())
        self.file = FileStore(self.directory.name)
        with pytest.MonkeyPatch.context() as patch:
            if compacting:
                patch.setattr(file_module, "_FEW", -1)
                patch.setattr(file_module, "_MUCH", 0)
                self.do(self.file.open())
                self.do(self.file.close())  # The next opening reads what compaction wrote.
            self.do(self.file.open())

    @invariant()
    def all_answers_are_the_models(self):
        for store in self.stores:
            self.do(self.compare(store))

    async def compare(self, store) -> None:
        model = self.model
        newest_first = list(reversed(model.runs))
        assert [head.id for head in await store.runs()] == newest_first
        for place, run_id in enumerate(newest_first):
            older = [head.id for head in await store.runs(before=run_id)]
            assert older == newest_first[place + 1 :]
        for run_id in RUNS:
            assert await store.run(run_id) == model.head(run_id)
        for key in ("k", "l"):
            holder = await store.run_with_key(key)
            assert (holder.id if holder else None) == model.with_key(key)
        for run_id in RUNS:
            known = model.runs.get(run_id)
            assert await store.steps(run_id) == (known.records if known else [])
            assert await store.events(run_id) == list(enumerate(known.events if known else [], 1))
        current = {key: model.current_of(key) for key in KEYS if model.current_of(key) is not None}
        assert await store.current(KEYS) == current
        for asset in "abc":
            keys_of_asset = {key for name, key in current if name == asset}
            assert set(await store.current_keys(asset)) == keys_of_asset
        for key in KEYS:
            assert await store.history(key) == model.history(key)
        edges = await store.downstream(KEYS)
        assert {key: set(consumers) for key, consumers in edges.items()} == {
            key: model.downstream(key) for key in KEYS
        }
        assert all(len(set(consumers)) == len(consumers) for consumers in edges.values())
        for name in "pq":
            assert await store.partitions(name) == model.sets.get(name, [])


def comparable(answer):
    """What `prune` forgets comes in no particular order."""
    if isinstance(answer, list):
        return sorted(answer, key=lambda record: (record.asset, str(record.partition_key), record.run_id))
    return answer


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
