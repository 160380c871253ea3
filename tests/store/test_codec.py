"""Records and events survive being written down, exactly; what another release wrote is explained."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from math import inf, isnan, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.assets.partition_keys import encode_partition
from flowstone.runs import events
from flowstone.runs.records import Failure, Input, Materialization, RunRecord, RunSpec, Status
from flowstone.store.codec import (
    Unreadable,
    decode_event,
    decode_materialization,
    decode_request,
    decode_run,
    encode_event,
    encode_materialization,
    encode_request,
    encode_run,
)
from flowstone.store.json_safe import json_safe, safe_text
from flowstone.store.sanitise import sanitised, sanitised_run
from tests.store.facts import FAILURE, at, begun, end, ending, over, record, run, start

texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(["\ud800", "\0"])
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))])
instants = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(9000, 1, 1),  # noqa: DTZ001 - as above
    timezones=zones,
)
numbers = st.floats() | st.sampled_from([nan, inf, -inf])
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | numbers | texts
metadata = st.dictionaries(
    texts,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
)
configs = st.dictionaries(
    names, st.none() | st.booleans() | st.integers() | names | st.lists(names, max_size=2)
)
plain_keys = st.text(max_size=10) | st.integers() | st.dates() | instants
partitions = st.recursive(plain_keys, lambda inner: st.tuples(inner, inner), max_leaves=4)
failures = st.builds(
    Failure,
    kind=st.sampled_from(["error", "timeout", "lost"]),
    message=texts,
    traceback=texts,
    retryable=st.booleans(),
    after=st.none() | numbers,
    cause=st.none() | texts,
)
inputs = st.builds(Input, names, st.none() | names, names, st.integers(0, 9), st.none() | texts)


@st.composite
def materializations(draw):
    """Any record, its partition in agreement with its key."""
    partition = draw(st.none() | partitions)
    return draw(
        st.builds(
            Materialization,
            asset=names,
            partition=st.just(partition),
            partition_key=st.just(None if partition is None else encode_partition(partition)),
            run_id=names,
            status=st.sampled_from(Status),
            attempt=st.integers(0, 99),
            started_at=st.none() | instants,
            finished_at=st.none() | instants,
            failure=st.none() | failures,
            metadata=metadata,
            code_version=st.none() | texts,
            data_version=st.none() | texts,
            location=st.none() | texts,
            inputs=st.lists(inputs, max_size=3).map(tuple),
            io=names,
            size=st.none() | st.integers(0),
            config=st.none() | configs,
        )
    )


requests = st.builds(
    RunSpec,
    kind=st.sampled_from(["materialize", "materialize_all", "backfill"]),
    asset=names,
    keys=st.lists(st.none() | names, max_size=3).map(tuple),
    span=st.none() | st.tuples(names, names),
    upstream=st.booleans(),
    refresh=st.sampled_from(["all", "missing", "stale"]),
    max_parallel=st.none() | st.integers(1),
    timeout=st.none() | st.floats(allow_nan=False) | st.just(inf),
    tags=st.dictionaries(texts, texts, max_size=3),
    as_of=st.none() | names,
    config=st.dictionaries(names, configs, max_size=2),
    beside=st.dictionaries(names, st.sampled_from(["same", "once", "needed"]), max_size=3),
)
runs = st.builds(
    RunRecord,
    id=names,
    pipeline=names,
    request=requests,
    status=st.sampled_from(Status),
    created_at=instants,
    started_at=st.none() | instants,
    finished_at=st.none() | instants,
    owner=st.none() | names,
    epoch=st.integers(0),
    total=st.integers(0),
    counts=st.dictionaries(names, st.integers(0), max_size=3),
    key=st.none() | names,
    priority=st.integers(),
)
where = {"at": instants, "run_id": names, "asset": names, "partition_key": st.none() | names}
attempted = {**where, "attempt": st.integers(0, 99)}
any_event = st.one_of(
    st.builds(events.RunQueued, **where, request=requests),
    st.builds(events.RunStarted, **where, total=st.integers(0)),
    st.builds(events.RunWaiting, **where, steps=st.integers(1), timeout=st.none() | numbers),
    st.builds(events.RunCancelRequested, **where, reason=texts),
    st.builds(events.RunFinished, **where, status=st.sampled_from(Status)),
    st.builds(events.StepStarted, **attempted),
    st.builds(events.StepProgressed, **attempted, fraction=numbers, message=st.none() | names),
    st.builds(events.StepRetried, **attempted, failure=failures, delay=numbers),
    st.builds(
        events.StepWaiting,
        **attempted,
        name=texts,
        waits_for=st.sampled_from(["approval", "signal", "sleep"]),
        deadline=st.none() | instants,
        timeout=st.none() | numbers,
    ),
    st.builds(events.StepWoken, **attempted, name=texts),
    st.builds(events.StepSucceeded, **attempted, materialization=materializations()),
    st.builds(events.StepFailed, **attempted, materialization=materializations()),
    st.builds(events.StepCancelled, **attempted, materialization=materializations()),
    st.builds(events.StepReused, **where, materialization=materializations()),
    st.builds(events.StepSkipped, **where, materialization=materializations()),
)


def through_json(data):
    """As strict JSON text and back."""
    return json.loads(json.dumps(data, allow_nan=False))


def comparable(value):
    """The value with every NaN as a word, because NaN does not equal itself."""
    match value:
        case float() if isnan(value):
            return "NaN"
        case dict():
            return {key: comparable(item) for key, item in value.items()}
        case list() | tuple():
            return [type(value), *map(comparable, value)]
        case _ if is_dataclass(value):
            return {field.name: comparable(getattr(value, field.name)) for field in fields(value)}
    return value


@settings(deadline=None)
@given(any_event)
def test_events_round_trip(event):
    """Any event, made storable, comes back equal and of its own type."""
    event = sanitised(event)
    found = decode_event(through_json(encode_event(event)))
    assert type(found) is type(event)
    assert comparable(found) == comparable(event)


@settings(deadline=None)
@given(materializations())
def test_materializations_round_trip(made):
    """Any record comes back equal, its partition with its exact type."""
    made = replace(made, metadata=json_safe(made.metadata))
    found = decode_materialization(through_json(encode_materialization(made)))
    assert comparable(found) == comparable(made)
    assert type(found.partition) is type(made.partition)


@settings(deadline=None)
@given(runs)
def test_runs_round_trip(made):
    """Any run's head comes back equal, infinite timeouts included."""
    made = sanitised_run(made)
    assert comparable(decode_run(through_json(encode_run(made)))) == comparable(made)


UNTIDY = "a\ud800"
TIDY = "a\ufffd"


@pytest.mark.parametrize(
    ("given_event", "storable"),
    [
        (end(metadata={UNTIDY: [inf]}), end(metadata={TIDY: ["inf"]})),
        (end(location=UNTIDY, data_version=UNTIDY), end(location=UNTIDY, data_version=UNTIDY)),
        (
            ending(
                replace(record(status=Status.FAILED), failure=Failure("io", UNTIDY, UNTIDY, cause=UNTIDY))
            ),
            ending(replace(record(status=Status.FAILED), failure=Failure("io", TIDY, TIDY, cause=TIDY))),
        ),
        (
            events.StepRetried(at(0), "r", "a", None, 1, Failure("io", UNTIDY, after=inf), inf),
            events.StepRetried(at(0), "r", "a", None, 1, Failure("io", TIDY, after=inf), inf),
        ),
        (
            events.StepWaiting(at(0), "r", "a", None, 1, UNTIDY, "sleep", at(9)),
            events.StepWaiting(at(0), "r", "a", None, 1, TIDY, "sleep", at(9)),
        ),
        (
            events.StepWoken(at(0), "r", "a", None, 1, UNTIDY),
            events.StepWoken(at(0), "r", "a", None, 1, TIDY),
        ),
        (
            events.RunCancelRequested(at(0), "r", "a", UNTIDY),
            events.RunCancelRequested(at(0), "r", "a", TIDY),
        ),
        (
            events.RunQueued(at(0), "r", "a", RunSpec("backfill", "a", timeout=inf, tags={UNTIDY: UNTIDY})),
            events.RunQueued(at(0), "r", "a", RunSpec("backfill", "a", timeout=inf, tags={TIDY: TIDY})),
        ),
        (
            events.StepProgressed(at(0), "r", "a", None, 1, -inf),
            events.StepProgressed(at(0), "r", "a", None, 1, -inf),
        ),
    ],
)
def test_free_text_is_tidied_and_names_are_kept(given_event, storable):
    """What people write is made storable; locations and versions, which must lead back, stay exact."""
    assert sanitised(given_event) == storable
    assert decode_event(through_json(encode_event(storable))) == storable


def test_every_event_has_a_shape():
    """An event added to the runtime cannot be forgotten here."""
    kinds = {made.kind for made in vars(events).values() if hasattr(made, "kind")}
    made = [begun(), start(), over(), end(status=Status.REUSED), end(status=Status.SKIPPED)]
    made += [end(status=Status.CANCELLED), end(status=Status.FAILED), end()]
    made += [
        events.RunQueued(at(0), "r", "a", run().request),
        events.RunWaiting(at(0), "r", "a", 2, 0.5),
        events.RunCancelRequested(at(0), "r", "a"),
        events.StepProgressed(at(0), "r", "a", None, 1, 0.5),
        events.StepRetried(at(0), "r", "a", None, 1, FAILURE, 0.5),
        events.StepWaiting(at(0), "r", "a", None, 1, "publish", "approval"),
        events.StepWoken(at(0), "r", "a", None, 1, "publish"),
        events.StepKept(at(0), "r", "a", None, 1, "draft", {"n": [1, None]}),
        events.StepTokenIssued(at(0), "r", "a", None, 1, "bank", "ab" * 32),
    ]
    assert {encode_event(event)["kind"] for event in made} == kinds


def test_defaults_are_left_out():
    """A record says only what is not its default, which keeps a journal small."""
    bare = Materialization("a", None, None, "r", Status.REUSED)
    assert encode_materialization(bare) == {
        "asset": "a",
        "partition_key": None,
        "run_id": "r",
        "status": "reused",
    }


def test_a_request_of_one_asset_is_as_older_releases_wrote_it():
    """What they stored is read as one of one asset, and they read what is stored of one asset now."""
    stored = {"kind": "backfill", "asset": "a", "keys": [], "span": ["d:2025-01-01", "d:2025-01-31"]}
    request = decode_request(stored)
    assert request == RunSpec("backfill", "a", (), ("d:2025-01-01", "d:2025-01-31"))
    assert request.targets == ("a",)
    assert encode_request(request) == stored
    assert encode_request(replace(request, beside={"b": "once"})) == {**stored, "beside": {"b": "once"}}


def test_partitions_are_read_from_their_keys():
    """The Python value of a partition is not stored beside its key."""
    made = replace(record(), partition=date(2025, 1, 15), partition_key="d:2025-01-15")
    assert "partition" not in encode_materialization(made)
    assert decode_materialization(encode_materialization(made)) == made


def test_a_key_of_another_making_stands_for_itself():
    """A key that cannot be decoded does not make a whole store unreadable."""
    made = replace(record(), partition="2025-01-15", partition_key="2025-01-15")
    assert decode_materialization(encode_materialization(made)) == made


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"kind": "step.dreamt", "at": "2025-01-15"}, "unknown kind 'step.dreamt'.*upgrade"),
        ({}, "unknown kind None"),
        ([], "unknown kind None"),
        ({"kind": "run.started", "dream": 1}, "RunStarted with the unknown field dream.*upgrade"),
        ({"kind": "run.started"}, "damaged data for a RunStarted"),
        ({"kind": "run.finished", "at": "noon", "run_id": "r", "asset": "a", "status": "failed"}, "damaged"),
        ({"kind": "run.finished", "at": "2025-01-15", "run_id": "r", "asset": "a", "status": "x"}, "damaged"),
        ({"kind": "step.failed", "materialization": 7}, "damaged data for a Materialization"),
    ],
)
def test_what_cannot_be_read_is_explained(data, says):
    """Damage and data of newer releases raise `Unreadable`, which tells them apart."""
    with pytest.raises(Unreadable, match=says):
        decode_event(data)


@settings(deadline=None)
@given(texts)
def test_safe_text_is_storable(text):
    """Every text becomes one that UTF-8 can write, and storable text stays as it is."""
    safe = safe_text(text)
    assert safe.encode().decode() == safe
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "\ufffd" in safe or len(safe) < len(text)
    else:
        assert safe == text
