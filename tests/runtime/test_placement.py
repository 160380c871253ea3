"""Which node executes a step, and which steps may leave their node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowstone import FileIO, MemoryIO, Pipeline
from flowstone.runtime.cluster.placement import Candidate, place, travels


def node(name: str, busy: int, capacity: float = 4) -> Candidate:
    return Candidate(name, capacity, busy)


def test_the_own_node_is_chosen_where_it_is_as_good_as_any():
    """A step that stays costs nothing."""
    assert place(node("own", 0), []) == "own"
    assert place(node("own", 0), [node("a", 0)]) == "own"
    assert place(node("own", 2), [node("a", 2), node("b", 3)]) == "own"


def test_the_least_busy_node_for_its_size_is_chosen():
    """Four steps on a node of sixteen are less than two on one of four."""
    assert place(node("own", 1), [node("a", 0), node("b", 0)]) == "a"
    assert place(node("own", 2), [node("a", 1), node("b", 0)]) == "b"
    assert place(node("own", 2), [node("big", 4, capacity=16)]) == "big"
    assert place(node("own", 1, capacity=1), [node("a", 2, capacity=4)]) == "a"


def test_a_full_peer_is_given_nothing():
    """What no node has room for waits on the own one."""
    assert place(node("own", 9), [node("a", 4), node("b", 4)]) == "own"


@given(st.lists(st.integers(1, 8), max_size=5), st.integers(1, 8), st.integers(0, 60))
def test_steps_are_spread_evenly(capacities, own_capacity, steps):
    """Placed one after another, no peer has more than it can run, and no two loads differ by more than a step."""
    busy = dict.fromkeys(["own", *(f"n{number}" for number in range(len(capacities)))], 0)
    sizes = dict(zip(busy, [own_capacity, *capacities], strict=True))
    for _ in range(steps):
        own, *peers = [Candidate(name, sizes[name], count) for name, count in busy.items()]
        busy[place(own, peers)] += 1
    assert all(busy[name] <= sizes[name] for name in busy if name != "own")
    if sum(busy.values()) <= sum(sizes.values()):
        loads = {name: busy[name] / sizes[name] for name in busy}
        assert all((busy[name] - 1) / sizes[name] <= min(loads.values()) for name in busy if busy[name])


def test_values_in_memory_do_not_travel(tmp_path):
    """Neither a step whose value would stay in another process's memory, nor one whose input is in this one's."""
    pipeline = Pipeline()

    @pipeline.asset(io="files")
    def kept() -> int: ...

    @pipeline.asset(io="memory")
    def near() -> int: ...

    @pipeline.asset(io="files")
    def from_near(near: int) -> int: ...

    @pipeline.asset(io="files")
    def from_kept(kept: int, config: int) -> int: ...

    pipeline.value("config", 1)
    managers = {"files": FileIO(tmp_path), "memory": MemoryIO(), "default": MemoryIO()}
    found = {name: travels(pipeline.graph, name, managers) for name in pipeline.assets}
    assert found["kept"]
    assert found["from_kept"]
    assert not found["near"]
    assert not found["from_near"]


def test_room_need_not_be_whole():
    """A node that hears late is given half a step more for each that it runs at a time, the own one less."""
    busy = {"own": 0, "a": 0}
    for _ in range(32):
        busy[place(node("own", busy["own"], 16 * 0.5), [node("a", busy["a"], 16 * 1.5)])] += 1
    assert busy == {"own": 8, "a": 24}
