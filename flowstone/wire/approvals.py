"""What somebody is to approve, what they say to it, and signals."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import partition_label
from flowstone.runs.waits import Approval
from flowstone.wire.model import ByModel, Instant, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import partition_of

__all__ = ["ApprovalModel", "ApprovalsQuery", "ApproveModel", "RejectModel", "SignalModel", "SignalledModel"]


class ApprovalModel(Model):
    """What somebody is, or was, to approve."""

    id: str
    """What it is decided by."""
    name: str
    """What the asset calls it."""
    asset: str
    """The asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    run_id: str
    """The run."""
    message: str
    """What is to be approved, for people."""
    data: Any
    """More about it."""
    status: Literal["pending", "approved", "rejected", "expired", "cancelled"]
    """What has become of it."""
    requested_at: Instant
    """When it was asked for."""
    expires_at: Instant | None
    """When it expires."""
    by: str | None
    """Who decided."""
    reason: str | None
    """Why, as they said."""
    decided_at: Instant | None
    """When."""
    on_timeout: Literal["fail", "approve", "reject"] = "fail"
    """What becomes of it if nobody decides until it expires."""

    @classmethod
    def of(cls, approval: Approval) -> ApprovalModel:
        """As the API shows it."""
        return cls(
            id=approval.id,
            name=approval.name,
            asset=approval.asset,
            partition=None if approval.partition is None else partition_label(approval.partition),
            partition_key=None if approval.partition is None else encode_partition(approval.partition),
            run_id=approval.run_id,
            message=approval.message,
            data=approval.data,
            status=approval.status,
            requested_at=approval.requested_at,
            expires_at=approval.expires_at,
            by=approval.by,
            reason=approval.reason,
            decided_at=approval.decided_at,
            on_timeout=approval.on_timeout,
        )

    def as_record(self) -> Approval:
        """What it shows."""
        return Approval(
            self.id,
            self.name,
            self.asset,
            partition_of(self.partition_key),
            self.run_id,
            self.message,
            self.data,
            self.status,
            self.requested_at,
            self.expires_at,
            self.by,
            self.reason,
            self.decided_at,
            self.on_timeout,
        )


class ApprovalsQuery(Listed):
    """Which approvals."""

    status: Literal["pending", "approved", "rejected", "expired", "cancelled", "all"] = "pending"
    """Only those that are so."""
    asset: Text | None = None
    """Only those of this asset."""
    before: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    """Only those asked for before the one of this id; with a cursor, which has its place, of no use."""


class RejectModel(ByModel):
    """Why it is rejected."""

    reason: Annotated[Text, Field(max_length=10_000)] | None = None
    """Why."""


class ApproveModel(RejectModel):
    """What the step is given."""

    data: Any = None
    """JSON that the step is given along, of at most a megabyte."""


class SignalModel(ByModel):
    """What the step is given."""

    payload: Any = None
    """JSON of at most a megabyte."""


class SignalledModel(Model):
    """The signal was taken."""

    status: Literal["taken"] = "taken"
    """It is kept, also if the step does not wait for it yet."""
