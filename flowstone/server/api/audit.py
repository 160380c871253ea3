"""`/api/v1/audit`: who did what, when, and on what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.server.access.guard import Reader
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.server.audit_log import readable_by
from flowstone.wire.audit import AuditEntryModel, AuditQuery
from flowstone.wire.paging import Number, Page

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/audit", tags=["audit"])

    @routes.get(
        "",
        summary="Who did what, the newest first",
        description="What is about tokens and log-ins is left out for those who may not `admin`: a page may have "
        "fewer entries than its `limit` then, and a `next` all the same.",
        responses=problems(404),
    )
    async def audit(
        runtime: Served, identity: Reader, query: Annotated[AuditQuery, Query()]
    ) -> Page[AuditEntryModel]:
        found = await runtime.audit(
            query.asset,
            query.run_id,
            by=query.by,
            limit=query.limit + 1,
            before=query.after("audit", Number) or query.before,
        )
        page = query.page("audit", found, lambda entry: entry.id)
        return Page(
            items=[AuditEntryModel.of(entry) for entry in readable_by(identity, page.items)], next=page.next
        )

    return routes
