"""What is recorded of a step that ends does not depend on who says that it has."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowstone.runs import endings
from flowstone.runs.endings import PlannedStep
from flowstone.runs.events import (
    StepCancelled,
    StepFailed,
    StepRetried,
    StepSucceeded,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Failure, Status
from flowstone.runs.waits import Wait, wait_id

AT = datetime(2026, 1, 2, tzinfo=UTC)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = PlannedStep("run-1", "raw", "a", "a", 3, BEGAN, "v2", "files", (), {"rows": 1})
FAILURE = Failure("error", "ValueError: no")


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (endings.succeeded(STEP, AT, data_version="d", location="l", size=4), Status.SUCCEEDED),
        (endings.failed(STEP, AT, FAILURE), Status.FAILED),
        (endings.cancelled(STEP, AT), Status.CANCELLED),
        (endings.skipped(STEP, AT, "up"), Status.SKIPPED),
        (endings.lost_too_often(STEP, AT), Status.FAILED),
        (endings.refused(endings.failed(STEP, AT, FAILURE), "no"), Status.FAILED),
    ],
)
def test_event_and_record_name_the_same_step_and_instant(event, status):
    """Whoever reads either learns the same."""
    record = event.materialization
    assert record.status is status
    assert (record.asset, record.partition_key, record.run_id) == ("raw", "a", "run-1")
    assert (event.asset, event.partition_key, event.run_id) == ("raw", "a", "run-1")
    assert record.finished_at == event.at == AT
    assert record.partition == "a"


@pytest.mark.parametrize(
    "event",
    [
        endings.retried(STEP, AT, FAILURE, 2.0),
        endings.handed_over(STEP, AT),
        endings.handed_back(STEP, AT, "it is full"),
    ],
)
def test_an_attempt_that_another_one_follows_has_no_record(event):
    """The step goes on."""
    assert isinstance(event, StepRetried)
    assert (event.attempt, event.delay) == (3, 2.0 if event.failure is FAILURE else 0.0)


def test_a_wait_and_its_end_name_the_same_attempt():
    """The step goes on afterwards."""
    wait = endings.waiting(STEP, BEGAN, "publish", "signal", AT)
    assert wait == StepWaiting(BEGAN, "run-1", "raw", "a", 3, "publish", "signal", AT)
    assert endings.woken(wait, AT) == StepWoken(AT, "run-1", "raw", "a", 3, "publish")


def test_a_refused_end_keeps_nothing_that_could_be_to_blame():
    """What the store would not have may be the metadata, or an input's key."""
    record = endings.refused(endings.failed(STEP, AT, FAILURE), "no").materialization
    assert (record.metadata, record.inputs, record.failure) == ({}, (), Failure("store", "no"))
    assert endings.is_refused(endings.failed(STEP, AT, Failure("store", "no")))
    assert not endings.is_refused(endings.failed(STEP, AT, FAILURE))
    assert not endings.is_refused(endings.cancelled(STEP, AT))


@pytest.mark.parametrize("kind", [StepSucceeded, StepFailed, StepCancelled])
def test_an_end_is_read_back_from_its_record(kind):
    """The record of a step says how its attempt ended."""
    made = {
        StepSucceeded: endings.succeeded(STEP, AT, data_version=None, location="l", size=None),
        StepFailed: endings.failed(STEP, AT, FAILURE),
        StepCancelled: endings.cancelled(STEP, AT),
    }[kind]
    assert endings.as_recorded(made.materialization, 3) == made


def test_a_step_under_way_has_no_end():
    """Its record has no instant at which it ended."""
    running = endings.failed(STEP, None, FAILURE).materialization
    assert endings.as_recorded(running, 3) is None


def test_an_approval_is_known_by_the_same_id_wherever_it_is_asked_for():
    """Another step, name or run has another one."""
    known = endings.waiting(STEP, BEGAN, "publish", "approval", AT, about={"message": "?"})
    assert known.id == wait_id("run-1", "raw", "a", "publish")
    assert (
        len({known.id, *(wait_id("run-1", "raw", *each) for each in [(None, "a"), ("a", "b"), ("", "a")])})
        == 4
    )


@pytest.mark.parametrize(
    ("status", "answer", "kind", "words"),
    [
        ("rejected", {"by": "ada", "reason": "no"}, "rejected", "approval 'publish': rejected by ada: no"),
        ("rejected", {"by": "ada", "reason": None}, "rejected", "approval 'publish': rejected by ada"),
        ("rejected", None, "rejected", "approval 'publish': nobody decided in time"),
        ("expired", None, "expired", "approval 'publish': nobody decided until 2026-01-02 00:00:00 UTC"),
    ],
)
def test_a_step_that_is_denied_what_it_waits_for_says_by_whom(status, answer, kind, words):
    """Or that nobody did."""
    wait = Wait("run-1", "raw", "s:a", "publish", "approval", 2, BEGAN, AT, status, answer, AT)
    event = endings.denied(wait, AT)
    failure = event.materialization.failure
    assert (event.attempt, failure.kind, failure.message, failure.retryable) == (2, kind, words, False)
