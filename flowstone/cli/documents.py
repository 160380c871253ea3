"""The shapes of `--json`: records as plain JSON values, the same in every command."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from flowstone.cli.labels import key_label
from flowstone.masking import masked, without_secrets

if TYPE_CHECKING:
    from flowstone.runs.records import Failure, Materialization, RunRecord

__all__ = ["failure_document", "json_value", "record_document", "run_document"]

_MAX_DEPTH = 50


def record_document(record: Materialization, *, debug: bool = False) -> dict[str, Any]:
    """A step's record; `partition` is readable, `partition_key` exact; the traceback only with `debug`."""
    return {
        "asset": record.asset,
        "partition": None if record.partition_key is None else key_label(record.partition_key),
        "partition_key": record.partition_key,
        "run_id": record.run_id,
        "status": str(record.status),
        "attempt": record.attempt,
        "started_at": json_value(record.started_at),
        "finished_at": json_value(record.finished_at),
        "duration": record.duration,
        "failure": None if record.failure is None else failure_document(record.failure, debug=debug),
        "metadata": json_value(record.metadata),
        "code_version": record.code_version,
        "data_version": record.data_version,
        "io": record.io,
        "location": record.location,
        "size": record.size,
        "config": None if record.config is None else without_secrets(json_value(record.config)),
    }


def failure_document(failure: Failure, *, debug: bool) -> dict[str, Any]:
    """Why a step or an item failed; the traceback only with `debug`."""
    document: dict[str, Any] = {
        "kind": failure.kind,
        "message": masked(failure.message),
        "retryable": failure.retryable,
        "cause": failure.cause,
        "where": failure.where or None,
    }
    if debug:
        document["traceback"] = masked(failure.traceback)
    return document


def run_document(run: RunRecord) -> dict[str, Any]:
    """The head of a run."""
    request = run.request
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "status": str(run.status),
        "kind": request.kind,
        "asset": request.asset,
        "assets": list(request.targets),
        "partition_keys": list(request.keys) if request.span is None else None,
        "span": list(request.span) if request.span is not None else None,
        "upstream": request.upstream,
        "refresh": request.refresh,
        "retry_of": request.retry_of,
        "by": request.by,
        "tags": dict(request.tags),
        "key": run.key,
        "priority": run.priority,
        "config": without_secrets(json_value(request.config)),
        "created_at": json_value(run.created_at),
        "started_at": json_value(run.started_at),
        "finished_at": json_value(run.finished_at),
        "owner": run.owner,
        "total": run.total,
        "counts": {str(status): number for status, number in run.counts.items()},
    }


def json_value(value: Any, depth: int = 0) -> Any:
    """The nearest JSON has: NaN and infinity are null, instants ISO 8601, what it cannot say its `str`."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case date():
            return value.isoformat()
        case Mapping() if depth < _MAX_DEPTH:
            return {str(key): json_value(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
            return [json_value(item, depth + 1) for item in value]
        case _:
            return str(value)
