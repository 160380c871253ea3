"""`/api/v1/assets`: what the runtime's pipelines define."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

from flowstone.assets.asset import Asset
from flowstone.server.access.guard import Reader

__all__ = ["AssetModel", "router"]


class AssetModel(BaseModel):
    """An asset.

    Attributes:
        name: Its name.
        description: What it is, for people.
        dependencies: The assets it is computed from.
        partitions: The kind of its partition set; None if it has none.
        tags: Free labels.
    """

    name: str
    description: str | None
    dependencies: list[str]
    partitions: str | None
    tags: dict[str, str]

    @classmethod
    def of(cls, asset: Asset[Any, Any]) -> AssetModel:
        """As the API shows it."""
        return cls(
            name=asset.name,
            description=asset.description,
            dependencies=[each.asset for each in asset.dependencies],
            partitions=None if asset.partitions is None else type(asset.partitions).__name__,
            tags=dict(asset.tags),
        )


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/assets", tags=["assets"])

    @routes.get("", summary="The assets, each after those it depends on")
    async def assets(request: Request, _: Reader) -> list[AssetModel]:
        graph = request.app.state.runtime.graph
        return [AssetModel.of(graph[name]) for name in graph.order()]

    return routes
