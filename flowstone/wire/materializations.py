"""What became of one asset at one partition in one run."""

from __future__ import annotations

from typing import Any

from flowstone.masking import without_secrets
from flowstone.runs.records import Input, Materialization, Status
from flowstone.wire.model import Instant, Model
from flowstone.wire.values import FailureModel, label, partition_of

__all__ = ["InputModel", "MaterializationModel"]


class InputModel(Model):
    """A value that another one was computed from."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    run_id: str
    """The run that computed it."""
    attempt: int
    """The attempt that did."""
    data_version: str | None
    """The version of the value."""

    @classmethod
    def of(cls, given: Input) -> InputModel:
        """As the API shows it."""
        return cls(
            asset=given.asset,
            partition=label(given.partition_key),
            partition_key=given.partition_key,
            run_id=given.run_id,
            attempt=given.attempt,
            data_version=given.data_version,
        )

    def as_record(self) -> Input:
        """What it shows."""
        return Input(self.asset, self.partition_key, self.run_id, self.attempt, self.data_version)


class MaterializationModel(Model):
    """What became of one asset at one partition in one run."""

    asset: str
    """The asset."""
    partition: str | None
    """The partition; null where there is none."""
    partition_key: str | None = None
    """The same as machines write it."""
    run_id: str
    """The run."""
    status: Status
    """How it ended."""
    attempt: int
    """The last attempt; 0 if it never started."""
    started_at: Instant | None
    """When the last attempt started."""
    finished_at: Instant | None
    """When it ended."""
    duration: float | None
    """Seconds that the last attempt took."""
    failure: FailureModel | None
    """Why it failed or was skipped."""
    metadata: dict[str, Any]
    """What the asset recorded."""
    config: dict[str, Any] | None
    """The config that it was computed with, without passwords."""
    code_version: str | None
    """The version of the code."""
    data_version: str | None
    """The version of the value."""
    io: str
    """The IO manager that keeps the value."""
    location: str | None
    """Where it keeps it."""
    size: int | None
    """Bytes of the value, where they are known."""
    inputs: list[InputModel]
    """The values that it was computed from."""

    @classmethod
    def of(cls, record: Materialization, *, traceback: bool = False) -> MaterializationModel:
        """As the API shows it."""
        return cls(
            asset=record.asset,
            partition=label(record.partition_key),
            partition_key=record.partition_key,
            run_id=record.run_id,
            status=record.status,
            attempt=record.attempt,
            started_at=record.started_at,
            finished_at=record.finished_at,
            duration=record.duration,
            failure=FailureModel.of(record.failure, traceback=traceback),
            metadata=dict(record.metadata),
            config=None if record.config is None else without_secrets(dict(record.config)),
            code_version=record.code_version,
            data_version=record.data_version,
            io=record.io,
            location=record.location,
            size=record.size,
            inputs=[InputModel.of(each) for each in record.inputs],
        )

    def as_record(self) -> Materialization:
        """What it shows."""
        return Materialization(
            self.asset,
            partition_of(self.partition_key),
            self.partition_key,
            self.run_id,
            self.status,
            self.attempt,
            self.started_at,
            self.finished_at,
            None if self.failure is None else self.failure.as_record(),
            self.metadata,
            self.code_version,
            self.data_version,
            self.location,
            tuple(each.as_record() for each in self.inputs),
            self.io,
            self.size,
            self.config,
        )
