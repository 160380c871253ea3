"""The JSON shapes."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from flowstone.cli.documents import json_value, record_document, run_document
from flowstone.runs.records import Failure, Materialization, RunRecord, RunSpec, Status

AT = datetime(2025, 1, 1, 12, tzinfo=UTC)


def test_record_document():
    """A record has the readable and the exact partition, and no traceback unless asked for one."""
    record = Materialization(
        asset="raw",
        partition=date(2025, 1, 15),
        partition_key="d:2025-01-15",
        run_id="r1",
        status=Status.FAILED,
        attempt=2,
        started_at=AT,
        finished_at=AT,
        failure=Failure("error", "ValueError: no", "Traceback ...", retryable=True),
        metadata={"rows": 3, "bad": math.nan},
    )
    document = record_document(record)
    assert document["partition"] == "2025-01-15"
    assert document["partition_key"] == "d:2025-01-15"
    assert document["duration"] == 0.0
    assert document["started_at"] == "2025-01-01T12:00:00+00:00"
    assert document["failure"] == {
        "kind": "error",
        "message": "ValueError: no",
        "retryable": True,
        "cause": None,
        "where": None,
    }
    assert document["metadata"] == {"rows": 3, "bad": None}
    assert record_document(record, debug=True)["failure"]["traceback"] == "Traceback ..."


def test_run_document():
    """A run's head is told as data, a range by its ends."""
    request = RunSpec(kind="backfill", asset="raw", keys=(), span=("d:2025-01-01", "d:2025-01-31"))
    document = run_document(RunRecord("r1", "sales", request, Status.RUNNING, AT, counts={"succeeded": 2}))
    assert document["span"] == ["d:2025-01-01", "d:2025-01-31"]
    assert document["partition_keys"] is None
    assert document["counts"] == {"succeeded": 2}
    assert json.loads(json.dumps(document)) == document


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner) | st.tuples(inner),
    max_leaves=10,
)


@given(_anything)
def test_json_value_is_always_json(value):
    """Whatever a pipeline records becomes strict JSON."""
    json.dumps(json_value(value), allow_nan=False)


def test_json_value_survives_a_cycle():
    """A structure that contains itself is cut off, not followed for ever."""
    loop: list = []
    loop.append(loop)
    json.dumps(json_value(loop))
