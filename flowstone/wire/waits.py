"""What steps wait for at this instant."""

from __future__ import annotations

from flowstone.assets.partition_keys import encode_partition
from flowstone.runs.records import WaitKind
from flowstone.runs.waits import WaitingStep
from flowstone.wire.model import Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import label, partition_of

__all__ = ["WaitModel", "WaitsQuery"]


class WaitModel(Model):
    """A step that waits, and for what."""

    id: str
    """What the wait is known by; of an approval what it is decided by."""
    kind: WaitKind
    """`approval`, `signal` or `sleep`."""
    name: str
    """What the asset calls it."""
    asset: str
    """The asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None
    """The same as machines write it."""
    run_id: str
    """The run."""
    message: str
    """What is to be approved, for people; of others empty."""
    since: Instant
    """When it was asked for."""
    until: Instant | None
    """When it is over without an answer; null: never."""

    @classmethod
    def of(cls, step: WaitingStep) -> WaitModel:
        """As the API shows it."""
        key = None if step.partition is None else encode_partition(step.partition)
        return cls(
            id=step.id,
            kind=step.kind,
            name=step.name,
            asset=step.asset,
            partition=label(key),
            partition_key=key,
            run_id=step.run_id,
            message=step.message,
            since=step.since,
            until=step.until,
        )

    def as_record(self) -> WaitingStep:
        """What it shows."""
        return WaitingStep(
            self.id,
            self.kind,
            self.name,
            self.asset,
            partition_of(self.partition_key),
            self.run_id,
            self.message,
            self.since,
            self.until,
        )


class WaitsQuery(Listed):
    """Which waits."""

    asset: Text | None = None
    """Only steps of this asset."""
