"""`/api/v1/why`: why an asset is as it is, down to the root."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from flowstone.assets.partition_labels import partition_argument
from flowstone.server.access.guard import Reader
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.wire.explanations import ExplanationModel, WhyQuery

__all__ = ["router"]


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/why", tags=["assets"])

    @routes.get("", summary="Why an asset is as it is", responses=problems(404))
    async def why(runtime: Served, _: Reader, query: Annotated[WhyQuery, Query()]) -> ExplanationModel:
        return ExplanationModel.of(await runtime.why(query.asset, partition_argument(query.partition)))

    return routes
