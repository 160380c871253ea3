"""`/api/v1/approvals` and `/api/v1/signals`: what people and other systems say to steps that wait."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.paging import place_after
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.approvals import (
    ApprovalModel,
    ApprovalsQuery,
    ApproveModel,
    RejectModel,
    SignalledModel,
    SignalModel,
)
from flowstone.wire.paging import Page
from flowstone.wire.waits import WaitModel, WaitsQuery

__all__ = ["router"]

_MOST_WAITS = 100_000

ApprovalId = Annotated[str, Path(description="The id of the approval.", examples=["0f3a5c1d2e4b6a798091"])]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(tags=["waiting"])
    _add_approvals(routes)
    _add_decisions(routes)
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
            before=query.after("approvals") or query.before,
        )
        page = query.page("approvals", found, lambda approval: approval.id)
        return Page(items=[ApprovalModel.of(each) for each in page.items], next=page.next)

    @routes.get(
        "/approvals/{approval_id}",
        summary="One approval, whatever has become of it",
        responses=problems(404),
        dependencies=PLAIN,
    )
    async def approval(runtime: Served, _: Reader, approval_id: ApprovalId) -> ApprovalModel:
        return ApprovalModel.of(await runtime.approval(approval_id))


def _add_decisions(routes: APIRouter) -> None:
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
            await runtime.approve(
                approval_id, by=identity.acting_for(said.by), reason=said.reason, data=said.data
            )
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
        return ApprovalModel.of(
            await runtime.reject(approval_id, by=identity.acting_for(said.by), reason=said.reason)
        )


def _add_signals(routes: APIRouter) -> None:
    @routes.get("/waits", summary="What steps wait for, what is over first in front", responses=problems(404))
    async def waits(runtime: Served, _: Reader, query: Annotated[WaitsQuery, Query()]) -> Page[WaitModel]:
        found = await runtime.waits(query.asset, limit=_MOST_WAITS)
        start = place_after([each.id for each in found], query.after("waits"))
        page = query.page("waits", found[start : start + query.limit + 1], lambda each: each.id)
        return Page(items=[WaitModel.of(each) for each in page.items], next=page.next)

    @routes.post(
        "/signals/{token}",
        summary="Send a step the signal that it waits for",
        description="What comes before the step waits for it is kept.",
        responses=problems(404, 409, 410),
        dependencies=PLAIN,
    )
    async def signal(
        runtime: Served,
        identity: Operator,
        token: Annotated[str, Path(description="What `context.signal_token` gave.")],
        body: SignalModel | None = None,
    ) -> SignalledModel:
        said = body or SignalModel()
        await runtime.signal(token, said.payload, by=identity.acting_for(said.by))
        return SignalledModel()
