"""What follows from the age of a value: each change once, and nothing younger without a success."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.asset_freshness import (
    FreshnessRecord,
    NewestSuccess,
    aged,
    known_too,
    least_age,
    never_seen,
    of_one_value,
    renewed,
    shown,
)

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
NEVER = FreshnessRecord(60.0, 120.0, NOW)


def after(seconds):
    """An instant."""
    return NOW + timedelta(seconds=seconds)


def success(seconds, run_id="run-1", *, valid=True):
    """A success that was finished then."""
    return NewestSuccess("orders", run_id, after(seconds), valid)


FRESH = aged(renewed(NEVER, success(0), NOW, 0.0), 0.0).record


@pytest.mark.parametrize(
    ("record", "age", "status", "news"),
    [
        (NEVER, 59.9, "unknown", ()),
        (NEVER, 60, "late", ("late",)),
        (NEVER, 120, "overdue", ("late", "overdue")),
        (FRESH, 59.9, "fresh", ()),
        (FRESH, 60, "late", ("late",)),
        (replace(FRESH, status="late"), 119, "late", ()),
        (replace(FRESH, status="late"), 120, "overdue", ("overdue",)),
        (replace(FRESH, status="overdue"), 500, "overdue", ()),
        (replace(FRESH, status="overdue"), 0, "overdue", ()),
        (replace(FRESH, status="late", is_renewed=True), 0, "fresh", ("fresh",)),
        (replace(FRESH, status="overdue", is_renewed=True), 70, "late", ("late",)),
        (replace(FRESH, status="late", is_renewed=True), 70, "late", ()),
    ],
)
def test_what_is_announced_at_an_age(record, age, status, news):
    """On the way up each state once; down only after a success."""
    outcome = aged(record, age)
    assert (outcome.record.status, outcome.news) == (status, news)
    assert aged(outcome.record, age) == (outcome.record, ())


def test_a_success_of_the_future_was_finished_just_now():
    """By the clock of whoever hears of it."""
    record = renewed(NEVER, success(3600), NOW, 0.0)
    assert (record.begins, record.materialized_at, record.finished_at) == (NOW, NOW, after(3600))


def test_an_earlier_success_that_is_heard_of_later_makes_nothing_older():
    """Nor does the same one make it younger again."""
    now = after(100)
    record = renewed(FRESH, success(50, "run-2"), now, 100.0)
    assert record.begins == after(50)
    assert renewed(record, success(20, "run-3"), now, 50.0) is record
    assert renewed(record, success(50, "run-2"), now, 50.0) is record


def test_a_success_after_the_clock_was_set_back_counts():
    """It is the youngest all the same, and finished before the one of before."""
    late = aged(FRESH, 70).record
    record = renewed(late, success(-3600, "run-2"), after(-3599), least_age(late))
    assert aged(record, 1.0).news == ("fresh",)


def test_what_the_store_has_is_new_if_it_was_finished_later():
    """More cannot be told from the record of a success."""
    assert not known_too(NEVER, success(-100))
    assert known_too(FRESH, success(0))
    assert known_too(FRESH, success(-1, "run-2"))
    assert not known_too(FRESH, success(1, "run-2"))


@given(st.builds(FreshnessRecord, st.floats(0.1, 10), st.floats(10, 20), st.just(NOW)), st.booleans())
def test_what_is_written_is_read(record, is_renewed):
    """As JSON has it, at whatever state."""
    for each in (record, renewed(record, success(3), after(4), 4.0), aged(record, 15.0).record):
        changed = replace(each, is_renewed=is_renewed)
        assert FreshnessRecord.read(changed.written()) == changed


class TestShown:
    """What people see at an instant."""

    def test_a_value_is_as_old_as_its_success(self):
        """Since when is the instant at which that began."""
        for seconds, status, since in [(59, "fresh", 0), (60, "late", 60), (150, "overdue", 120)]:
            found = shown("orders", FRESH, success(0), after(seconds))
            assert (found.status, found.since, found.materialized_at) == (status, after(since), NOW)
            assert (found.within, found.overdue) == (60, 120)

    def test_without_a_value_it_counts_from_when_it_was_first_watched(self):
        """Unknown at first, then late as any other; if nobody ever watched, it is not late."""
        found = shown("orders", NEVER, None, after(10))
        assert (found.status, found.since, found.materialized_at) == ("unknown", NOW, None)
        assert shown("orders", NEVER, None, after(60)).status == "late"
        found = never_seen("orders", (60, 120), None, after(1000))
        assert (found.status, found.since) == ("unknown", None)

    def test_a_success_that_nobody_has_taken_notice_of_counts(self):
        """Of the store's word, whatever was told before."""
        late = aged(FRESH, 70).record
        found = shown("orders", late, success(100, "run-2"), after(110))
        assert (found.status, found.since) == ("fresh", after(100))
        assert never_seen("orders", (60, 120), success(0), after(70)).status == "late"

    def test_an_invalidated_value_keeps_its_age(self):
        """It is not fresh, for it is wrong; it is late when it would have been."""
        found = shown("orders", FRESH, success(0, valid=False), after(10))
        assert (found.status, found.since, found.materialized_at) == ("unknown", None, NOW)
        assert shown("orders", FRESH, success(0, valid=False), after(60)).status == "late"

    def test_what_was_announced_stays_when_the_clock_is_set_back(self):
        """Nothing became younger by that."""
        late = aged(FRESH, 70).record
        assert shown("orders", late, success(0), after(-5000)).status == "late"

    def test_one_partition_is_as_old_as_its_value(self):
        """Without one nothing is known of it."""
        found = of_one_value("orders", "x", (60, 120), NOW, after(61))
        assert (found.partition, found.status, found.since) == ("x", "late", after(60))
        assert of_one_value("orders", "x", (60, 120), None, after(61)).status == "unknown"
