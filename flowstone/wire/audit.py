"""The audit log: who did what."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from flowstone.runs.audit import AuditAction, AuditEntry
from flowstone.wire.model import Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import label

__all__ = ["AuditEntryModel", "AuditQuery"]


class AuditEntryModel(Model):
    """Something that somebody did."""

    id: int
    """Its number: that of what was recorded later is higher."""
    at: Instant
    """When it was recorded."""
    action: AuditAction
    """What was done."""
    by: str | None
    """Who did it: the name of a token, of a user or of a service; null: nobody said, or it happened by itself."""
    asset: str | None
    """The asset that it was done to."""
    partition: str | None
    """Its partition, where it was a single one."""
    partition_key: str | None
    """The same as machines write it."""
    run_id: str | None
    """The run that it was done to, or that it began."""
    name: str
    """The wait, automation, pool, partition set or token that it was done to; of a run the automation that asked
    for it; or empty."""
    reason: str
    """Why, in the words of who did it; or empty."""
    details: dict[str, Any]
    """What else there is to say: of a run its `kind`, how many `partitions` or which `span`, `retry_of`, and the
    assets `beside` this one; of values how many `partitions`; of an automation its `pipeline`; `keys` of a
    partition set, `slots` of a pool, and the `role` of a token."""

    span_keys: list[str] | None
    """Of a run of a range of partitions its ends as machines write them."""

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditEntryModel:
        """As the API shows it."""
        details = dict(entry.details)
        if "span" in details:
            details["span"] = [label(end) for end in details["span"]]
        return cls(
            id=entry.id,
            at=entry.at,
            action=entry.action,
            by=entry.by,
            asset=entry.asset,
            partition=label(entry.partition_key),
            partition_key=entry.partition_key,
            run_id=entry.run_id,
            name=entry.name,
            reason=entry.reason,
            details=details,
            span_keys=list(entry.details["span"]) if "span" in entry.details else None,
        )

    def as_record(self) -> AuditEntry:
        """What it shows."""
        return AuditEntry(
            id=self.id,
            at=self.at,
            action=self.action,
            by=self.by,
            asset=self.asset,
            partition_key=self.partition_key,
            run_id=self.run_id,
            name=self.name,
            reason=self.reason,
            details=self.details if self.span_keys is None else {**self.details, "span": self.span_keys},
        )


class AuditQuery(Listed):
    """Which entries."""

    asset: Text | None = None
    """Only what was done to this asset."""
    run_id: Text | None = None
    """Only what was done to this run, also if it is forgotten."""
    by: Text | None = None
    """Only what was done by them."""
    before: Annotated[int, Field(ge=0, le=2**62)] | None = None
    """Only what came before the entry of this `id`; with a cursor, which has its place, of no use."""
