"""`/api/v1/assets/{asset}/status`, `/current` and `/recent`: how an asset stands, and what is on record of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from flowstone.assets.partition_labels import partition_argument
from flowstone.runs.records import Materialization
from flowstone.server.access.guard import Reader
from flowstone.server.api.paging import after_entry
from flowstone.server.api.path_parameters import AssetName
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.wire.assets import CurrentQuery, PartitionQuery, RecentQuery, StatusModel
from flowstone.wire.freshness import FreshnessModel
from flowstone.wire.materializations import MaterializationModel
from flowstone.wire.model import Text
from flowstone.wire.paging import Count, Page
from flowstone.wire.values import label

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/assets/{asset}", tags=["assets"])
    _add_status(routes)
    _add_records(routes)
    return routes


def _add_status(routes: APIRouter) -> None:
    @routes.get("/status", summary="How it stands at this instant", responses=problems(404))
    async def status(
        runtime: Served, _: Reader, asset: AssetName, query: Annotated[PartitionQuery, Query()]
    ) -> StatusModel:
        partition = partition_argument(query.partition)
        key = await runtime.partition_key(asset, partition)
        watched = runtime.graph[asset].freshness is not None
        return StatusModel(
            asset=asset,
            partition=label(key),
            partition_key=key,
            status=await runtime.status(asset, partition=partition),
            exists=await runtime.exists(asset, partition=partition),
            freshness=FreshnessModel.of(await runtime.freshness(asset, partition)) if watched else None,
        )


def _add_records(routes: APIRouter) -> None:
    @routes.get("/current", summary="The records of its current values", responses=problems(404))
    async def current(
        runtime: Served, _: Reader, asset: AssetName, query: Annotated[CurrentQuery, Query()]
    ) -> Page[MaterializationModel]:
        # A value that comes or goes meanwhile moves those behind it by one.
        name = f"current of {asset}"
        place = query.after(name, Count) or 0
        found = await runtime.current(
            asset, partition=partition_argument(query.partition), limit=query.limit + 1, offset=place
        )
        page = query.page(name, found, lambda _: place + query.limit)
        return Page(
            items=[MaterializationModel.of(record, traceback=query.traceback) for record in page.items],
            next=page.next,
        )

    @routes.get(
        "/recent",
        summary="What became of it at all its partitions, newest first",
        responses=problems(404),
    )
    async def recent(
        runtime: Served, _: Reader, asset: AssetName, query: Annotated[RecentQuery, Query()]
    ) -> Page[MaterializationModel]:
        list_name = f"recent of {asset}"

        async def read(limit: int, offset: int) -> Any:
            return await runtime.recent(asset, limit=limit, offset=offset)

        def place(record: Materialization) -> Any:
            return [record.run_id, record.partition_key]

        found = await after_entry(read, place, query.after(list_name, list[Text | None]), query.limit + 1)
        page = query.page(list_name, found, place)
        return Page(
            items=[MaterializationModel.of(record, traceback=query.traceback) for record in page.items],
            next=page.next,
        )
