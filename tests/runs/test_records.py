"""What is remembered: statuses and records."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta

import pytest

from flowstone import Failure, Materialization, Status

START = datetime(2025, 1, 1, tzinfo=UTC)


def test_the_statuses_are_those_of_the_contract():
    """A `StrEnum`: each equals its name, and some are never left."""
    names = "never queued running waiting succeeded failed skipped reused cancelled"
    assert [str(status) for status in Status] == names.split()
    assert Status.SUCCEEDED == "succeeded"
    assert [status for status in Status if status.terminal] == [
        "succeeded",
        "failed",
        "skipped",
        "reused",
        "cancelled",
    ]


def test_a_materialization_has_the_fields_of_the_contract():
    """Users and checks rely on the names."""
    names = {field.name for field in fields(Materialization)} | {"duration"}
    assert names >= {
        "asset",
        "partition",
        "partition_key",
        "run_id",
        "status",
        "attempt",
        "started_at",
        "finished_at",
        "duration",
        "failure",
        "metadata",
        "code_version",
        "data_version",
        "location",
        "inputs",
    }
    assert {field.name for field in fields(Failure)} >= {"kind", "message", "traceback", "retryable"}


def test_a_materialization_is_frozen():
    """A record says what happened; nobody changes that."""
    record = Materialization("raw", None, None, "run", Status.SUCCEEDED)
    with pytest.raises(FrozenInstanceError):
        record.status = Status.FAILED


def test_the_duration_is_in_seconds():
    """None until the step has ended."""
    record = Materialization(
        "raw", None, None, "run", Status.SUCCEEDED, 1, START, START + timedelta(seconds=1.5)
    )
    assert record.duration == 1.5
    assert Materialization("raw", None, None, "run", Status.SKIPPED).duration is None


def test_a_record_is_named_as_people_write_it():
    """The asset, and its partition in brackets."""
    assert Materialization("raw", None, None, "run", Status.SUCCEEDED).name == "raw"
    day = Materialization("raw", None, "d:2025-01-01", "run", Status.SUCCEEDED)
    assert day.name == "raw[2025-01-01]"
