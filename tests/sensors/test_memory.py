"""What was seen is remembered exactly: each state of each object is reported once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets.json_values import MOST_BYTES
from flowstone.sensors.found import FoundObject, digest_of
from flowstone.sensors.memory import MOST_AT_ONCE, MOST_OBJECTS, Memory, Seen, judge

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def seen(states, *, complete=True):
    """What a look has found: the state of each path."""
    return Seen(
        {digest_of(path, state): FoundObject(path, path, state, NOW) for path, state in states.items()},
        complete,
    )


def look(states, before, *, existing=False, settle=0.0, since=1.0, complete=True):
    """What a look reports, and what is remembered, which is JSON in between."""
    memory = None if before is None else Memory.read(json.loads(json.dumps(before.written())), "it")
    return judge(seen(states, complete=complete), memory, "it", existing=existing, settle=settle, since=since)


def told(reported):
    """Paths and states."""
    return [(found.path, found.size) for found in reported]


STATES = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2))


@given(STATES, st.lists(STATES), st.booleans())
def test_each_state_is_reported_once_when_it_appears(first, later, existing):
    """Whatever appears, changes, goes and comes back; and what was there before only if that is wanted."""
    reported, memory = look(first, None, existing=existing)
    assert sorted(told(reported)) == (sorted(first.items()) if existing else [])
    last = first
    for states in later:
        reported, memory = look(states, memory)
        assert sorted(told(reported)) == sorted(set(states.items()) - set(last.items()))
        last = states or last


@given(st.lists(st.tuples(STATES, st.one_of(st.none(), st.floats(0.0, 3.0)))), st.floats(0.1, 5.0))
def test_what_is_reported_was_quiet(history, settle):
    """In each look of so many seconds, and in two at least; seconds that are not known do not count."""
    _, memory = look({}, None)
    quiet = {}
    for states, since in history:
        quiet = {item: quiet[item] + (since or 0.0) if item in quiet else 0.0 for item in states.items()}
        reported, memory = look(states, memory, settle=settle, since=since)
        for item in told(reported):
            assert quiet[item] >= settle - 0.01


@given(STATES.filter(bool), st.floats(0.1, 5.0))
def test_what_is_quiet_is_reported(states, settle):
    """Once, at the first look at which it has been quiet for long enough."""
    _, memory = look({}, None)
    counts = []
    for _ in range(8):
        reported, memory = look(states, memory, settle=settle, since=1.0)
        counts.append(len(reported))
    assert sum(counts) == len(states)
    assert counts.index(len(states)) >= settle - 0.01


def test_those_changed_first_come_first():
    """Whatever their names."""
    found = {
        bytes([number] * 7): FoundObject(path, path, 1, NOW + timedelta(seconds=number))
        for number, path in enumerate("cab")
    }
    reported, _ = judge(Seen(found), None, "it", existing=True, settle=0.0, since=None)
    assert [each.path for each in reported] == ["c", "a", "b"]


def test_what_could_not_be_listed_is_not_gone():
    """Nor is all that there was, when there is nothing all of a sudden."""
    _, memory = look({"a": 1, "b": 1}, None)
    _, memory = look({"a": 1}, memory, complete=False)
    reported, memory = look({"a": 1, "b": 1}, memory)
    assert told(reported) == []
    _, memory = look({}, memory)
    reported, _ = look({"a": 1, "b": 1, "c": 1}, memory)
    assert told(reported) == [("c", 1)]


def test_of_something_else_nothing_is_known():
    """Its first look is a first look."""
    _, memory = look({"a": 1}, None)
    assert Memory.read(memory.written(), "other") is None
    assert Memory.read("garbage", "it") is None


def test_as_many_as_there_may_be_fit_into_a_cursor():
    """All known, or all new and not quiet yet; many are reported a part at a time."""
    states = {f"landing/some-longer-name-{number:06}.csv": 1 for number in range(MOST_OBJECTS)}
    _, known = look(states, None)
    _, empty = look({}, None)
    reported, waiting = look(states, empty, settle=1.0)
    assert reported == []
    for memory in (known, waiting):
        assert len(json.dumps(memory.written())) < MOST_BYTES
    reported, waiting = look(states, waiting, settle=1.0)
    assert len(reported) == MOST_AT_ONCE
    more, waiting = look(states, waiting, settle=1.0)
    assert len({*told(reported), *told(more)}) == 2 * MOST_AT_ONCE
    assert len(json.dumps(waiting.written())) < MOST_BYTES
