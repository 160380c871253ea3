"""What the memory store promises beyond the contract: it is immediate, bounded and leaves nothing behind."""

from __future__ import annotations

import inspect

import pytest

from flowstone.store import MemoryStore, Store
from flowstone.store.event_log import EVENTS_KEPT
from tests.store.facts import begun, end, over, run, start


@pytest.fixture
def store():
    """A store without anything."""
    return MemoryStore()


def at_once(call):
    """The answer of a coroutine that never suspends; fails if it does."""
    with pytest.raises(StopIteration) as stopped:
        call.send(None)
    return stopped.value.value


def test_no_call_suspends(store):
    """Every method answers within one step of its coroutine, so nothing can come in between."""
    calls = [
        store.open(),
        store.create_run(run()),
        store.claim("run-1", "node", epoch=0),
        store.write(begun(), 1),
        store.write_many([start("a"), end("a")], 1),
        store.run("run-1"),
        store.run_with_key("nightly"),
        store.payload("store:a"),
        store.has_payload("store:a"),
        store.delete_payload("store:a"),
        store.runs(),
        store.runs_beginning("r"),
        store.events("run-1"),
        store.steps("run-1"),
        store.step("run-1", ("a", None)),
        store.steps_of("run-1", [("a", None)]),
        store.current([("a", None)]),
        store.history(("a", None)),
        store.failures("a"),
        store.attempt_event("run-1", ("a", None)),
        store.keys_by_status(["a"]),
        store.count_by_status(["a"]),
        store.skipped(["a"]),
        store.newest_successes(["a"]),
        store.durations(["a"]),
        store.recent("a"),
        store.activity(["a"], limit=5),
        store.downstream([("a", None)]),
        store.current_keys("a"),
        store.invalidate([("a", None)]),
        store.add_partitions("s", ["x"]),
        store.remove_partitions("s", ["x"]),
        store.partitions("s"),
        store.prune(keep_versions=1, keep_runs=1),
        store.close(),
    ]
    for call in calls:
        at_once(call)
    methods = {name for name, made in vars(Store).items() if inspect.iscoroutinefunction(made)}
    assert {call.__name__ for call in calls} == methods


def test_a_finished_run_keeps_its_newest_events(store):
    """The events of a finished run are bounded, and those that stay keep their numbers."""
    at_once(store.create_run(run()))
    at_once(store.write_many([start("a", str(number)) for number in range(EVENTS_KEPT)]))
    at_once(store.write(over()))
    kept = at_once(store.events("run-1", limit=10**6))
    assert [number for number, _ in kept] == list(range(3, EVENTS_KEPT + 3))
    assert at_once(store.events("run-1", limit=1)) == kept[:1]
    assert at_once(store.events("run-1", after=EVENTS_KEPT)) == kept[-2:]


def test_what_is_forgotten_leaves_nothing_behind(store):
    """After retention took everything, no asset-partition is left to be walked through."""
    for number in range(3):
        name = f"run-{number}"
        at_once(store.create_run(run(name)))
        steps = [end("a", str(number), run_id=name), end("b", run_id=name, inputs=[("a", str(number))])]
        at_once(store.write_many([*steps, over(name)]))
    at_once(store.invalidate([("a", "0"), ("a", "1"), ("a", "2"), ("b", None)]))
    assert len(at_once(store.prune(keep_versions=0, keep_runs=0))) == 6
    assert list(store._history.ledger.timelines()) == []
    assert at_once(store.runs()) == []
    assert at_once(store.downstream([("a", "2")])) == {("a", "2"): []}
