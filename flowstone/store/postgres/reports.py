"""What a node says of itself, as the JSON of a column, and back, whatever a newer release may have added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.exact_dates import REAL
from flowstone.runs.queued_step import QueuedStep
from flowstone.runs.running_step import RunningStep
from flowstone.store.cluster import NodeReport
from flowstone.store.postgres.texts import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["report_of", "report_text"]


def report_text(report: NodeReport) -> str:
    """The text of the column."""
    return to_json(
        {
            "store": report.store,
            "retried": dict(report.retried),
            "unfit": dict(report.unfit),
            "running": [
                {
                    "run_id": step.run_id,
                    "asset": step.asset,
                    "partition_key": step.partition_key,
                    "attempt": step.attempt,
                    "started_at": step.started_at.isoformat(),
                    "fraction": step.fraction,
                    "message": step.message,
                    "alone": step.alone,
                }
                for step in report.running
            ],
            "queued": [
                {
                    "run_id": step.run_id,
                    "asset": step.asset,
                    "partition_key": step.partition_key,
                    "attempt": step.attempt,
                    "waits_for": step.waits_for,
                    "names": list(step.names),
                }
                for step in report.queued
            ],
            "resumes": list(report.resumes),
            "automates": list(report.automates),
            "running_count": report.running_count,
            "queued_count": report.queued_count,
            "heard": report.heard,
            "memory": report.memory,
            "load": report.load,
        }
    )


def report_of(text: str | None, node: str) -> NodeReport:
    """The report of this node; an empty one where it has said nothing."""
    said = {} if text is None else from_json(text)
    running = tuple(_running(step, node) for step in said.get("running", ()))
    queued = tuple(_queued(step, node) for step in said.get("queued", ()))
    resumes = tuple(said.get("resumes", ()))
    automates = tuple(said.get("automates", ()))
    return NodeReport(
        said.get("store"),
        said.get("retried", {}),
        said.get("unfit", {}),
        running,
        queued,
        resumes,
        automates,
        said.get("running_count", len(running)),
        said.get("queued_count", len(queued)),
        said.get("heard", 0),
        said.get("memory"),
        said.get("load"),
    )


def _queued(said: Mapping[str, Any], node: str) -> QueuedStep:
    step = said["run_id"], said["asset"], said["partition_key"], said["attempt"]
    return QueuedStep(*step, node, said["waits_for"], tuple(said["names"]))


def _running(said: Mapping[str, Any], node: str) -> RunningStep:
    return RunningStep(
        said["run_id"],
        said["asset"],
        said["partition_key"],
        said["attempt"],
        node,
        REAL.datetime.fromisoformat(said["started_at"]),
        said.get("fraction"),
        said.get("message"),
        said.get("alone", False),
    )
