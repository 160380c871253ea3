"""When a value is stale, and the sentence that says why."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.freshness import stale_reason
from flowstone.runs.reasons import Reason
from flowstone.runs.records import Input, Materialization, Status


def made(asset="raw", key=None, run="r1", attempt=1, **options):
    """A success of an asset."""
    return Materialization(asset, key, key, run, Status.SUCCEEDED, attempt, **options)


def used(record):
    """The input that a value computed from it records."""
    return Input(record.asset, record.partition_key, record.run_id, record.attempt, record.data_version)


def of(*records):
    """What is current now, by key."""
    return {(record.asset, record.partition_key): record for record in records}


def test_a_value_computed_from_what_is_current_is_fresh():
    """The same code version and the very same inputs."""
    raw = made()
    report = made("report", inputs=(used(raw),), code_version="1")
    assert stale_reason(report, "1", of(raw)) is None


def test_a_value_without_inputs_is_fresh_for_ever():
    """Unless its code version changes."""
    assert stale_reason(made(code_version="1"), "1", {}) is None
    assert stale_reason(made(), None, {}) is None


def test_a_new_code_version_makes_stale():
    """Also from none to one, and back."""
    assert stale_reason(made(code_version="1"), "2", {}) == Reason(
        "code", "the code version of raw changed from 1 to 2"
    )
    assert stale_reason(made(), "1", {}) is not None
    assert stale_reason(made(code_version="1"), None, {}) is not None


def test_an_upstream_that_was_computed_again_makes_stale():
    """Another run, or another attempt of the same, is another value."""
    raw = made()
    report = made("report", inputs=(used(raw),))
    for again in (made(run="r2"), made(attempt=2)):
        assert stale_reason(report, None, of(again)) == Reason("upstream", "raw changed", ("raw", None))


def test_data_versions_decide_where_both_have_one():
    """The same version is the same value, whoever computed it; one alone says nothing."""
    raw = made(data_version="v1")
    report = made("report", inputs=(used(raw),))
    assert stale_reason(report, None, of(made(run="r2", data_version="v1"))) is None
    assert stale_reason(report, None, of(made(run="r2", data_version="v2"))) is not None
    assert stale_reason(report, None, of(made(run="r2"))) is not None


def test_an_upstream_that_appeared_makes_stale():
    """An optional input that had no value then, or a new partition."""
    report = made("report")
    key = ("raw", "d:2025-01-01")
    reason = Reason("upstream", "raw[2025-01-01] is new upstream", key)
    assert stale_reason(report, None, of(made(*key))) == reason


def test_an_upstream_that_is_gone_makes_stale():
    """It was used, and has no current value any more; one that never had a value changes nothing."""
    raw = made()
    report = made("report", inputs=(used(raw),))
    assert "no current value" in stale_reason(report, None, {("raw", None): None}).because
    assert stale_reason(made("report"), None, {("raw", None): None}) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), unique=True, max_size=6), st.data())
def test_fresh_means_that_nothing_differs(keys, data):
    """With any inputs: unchanged they are fresh, with any one of them changed they are not."""
    records = [made(asset, f"k{number}") for asset, number in keys]
    report = made("report", inputs=tuple(used(record) for record in records))
    assert stale_reason(report, None, of(*records)) is None
    if records:
        changed = data.draw(st.integers(0, len(records) - 1))
        records[changed] = replace(records[changed], run_id="other")
        assert stale_reason(report, None, of(*records)) is not None
