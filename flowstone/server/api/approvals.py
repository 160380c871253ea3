"""`/api/v1/approvals` and `/api/v1/signals`: what people and other systems say to steps that wait."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from flowstone.assets.partition_labels import partition_label
from flowstone.runs.waits import Approval
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.model import Given, Instant, Model, Text
from flowstone.server.api.paging import Listed, Page
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems

__all__ = ["ApprovalModel", "router"]

ApprovalId = Annotated[str, Path(description="The id of the approval.", examples=["0f3a5c1d2e4b6a798091"])]


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

    @classmethod
    def of(cls, approval: Approval) -> ApprovalModel:
        """As the API shows it."""
        return cls(
            id=approval.id,
            name=approval.name,
            asset=approval.asset,
            partition=None if approval.partition is None else partition_label(approval.partition),
            run_id=approval.run_id,
            message=approval.message,
            data=approval.data,
            status=approval.status,
            requested_at=approval.requested_at,
            expires_at=approval.expires_at,
            by=approval.by,
            reason=approval.reason,
            decided_at=approval.decided_at,
        )


class ApprovalsQuery(Listed):
    """Which approvals."""

    status: Literal["pending", "approved", "rejected", "expired", "cancelled", "all"] = "pending"
    """Only those that are so."""
    asset: Text | None = None
    """Only those of this asset."""


class RejectModel(Given):
    """Why it is rejected."""

    reason: Annotated[Text, Field(max_length=10_000)] | None = None
    """Why."""


class ApproveModel(RejectModel):
    """What the step is given."""

    data: Any = None
    """JSON that the step is given along, of at most a megabyte."""


class SignalModel(Given):
    """What the step is given."""

    payload: Any = None
    """JSON of at most a megabyte."""


class SignalledModel(Model):
    """The signal was taken."""

    status: Literal["taken"] = "taken"
    """It is kept, also if the step does not wait for it yet."""


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(tags=["waiting"])
    _add_approvals(routes)
    _add_signals(routes)
    return routes


def _add_approvals(routes: APIRouter) -> None:
    @routes.get("/approvals", summary="What is to be approved, newest first", responses=problems(404))
    async def approvals(
        runtime: Served, _: Reader, query: Annotated[ApprovalsQuery, Query()]
    ) -> Page[ApprovalModel]:
        found = await runtime.approvals(
            status=None if query.status == "all" else query.status,
            asset=query.asset,
            limit=query.limit + 1,
            before=query.after("approvals"),
        )
        page = query.page("approvals", found, lambda approval: approval.id)
        return Page(items=[ApprovalModel.of(each) for each in page.items], next=page.next)

    @routes.post(
        "/approvals/{approval_id}/approve",
        summary="Approve what a step waits for",
        responses=problems(404, 409),
        dependencies=PLAIN,
    )
    async def approve(
        runtime: Served, identity: Operator, approval_id: ApprovalId, body: ApproveModel | None = None
    ) -> ApprovalModel:
        said = body or ApproveModel()
        return ApprovalModel.of(
            await runtime.approve(approval_id, by=identity.name, reason=said.reason, data=said.data)
        )

    @routes.post(
        "/approvals/{approval_id}/reject",
        summary="Reject it: the step fails",
        responses=problems(404, 409),
        dependencies=PLAIN,
    )
    async def reject(
        runtime: Served, identity: Operator, approval_id: ApprovalId, body: RejectModel | None = None
    ) -> ApprovalModel:
        said = body or RejectModel()
        return ApprovalModel.of(await runtime.reject(approval_id, by=identity.name, reason=said.reason))


def _add_signals(routes: APIRouter) -> None:
    @routes.post(
        "/signals/{token}",
        summary="Send a step the signal that it waits for",
        description="What comes before the step waits for it is kept.",
        responses=problems(404, 409, 410),
        dependencies=PLAIN,
    )
    async def signal(
        runtime: Served,
        _: Operator,
        token: Annotated[str, Path(description="What `context.signal_token` gave.")],
        body: SignalModel | None = None,
    ) -> SignalledModel:
        await runtime.signal(token, None if body is None else body.payload)
        return SignalledModel()
