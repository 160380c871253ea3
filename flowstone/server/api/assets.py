"""`/api/v1/assets`: what the runtime's pipelines define, and what has become of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from flowstone.assets.partition_labels import partition_argument
from flowstone.runs.records import Status
from flowstone.runtime.runtime import Runtime
from flowstone.server.access.guard import Admin, Reader
from flowstone.server.api.paging import after_entry, place_after
from flowstone.server.api.path_parameters import AssetName
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.server.views.partition_shapes import overlaid, under_way
from flowstone.wire.assets import (
    AssetDetailsModel,
    AssetsQuery,
    HistoryQuery,
    InvalidatedModel,
    InvalidateModel,
    PartitionModel,
    PartitionsQuery,
)
from flowstone.wire.definitions import AssetModel
from flowstone.wire.freshness import FreshnessModel
from flowstone.wire.materializations import MaterializationModel
from flowstone.wire.model import Text
from flowstone.wire.paging import Page
from flowstone.wire.values import label

__all__ = ["router"]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/assets", tags=["assets"])
    _add_assets(routes)
    _add_partitions(routes)
    _add_history(routes)
    return routes


def _add_assets(routes: APIRouter) -> None:
    @routes.get("", summary="The assets, each after those it depends on", responses=problems())
    async def assets(runtime: Served, _: Reader, query: Annotated[AssetsQuery, Query()]) -> Page[AssetModel]:
        graph = runtime.graph
        found = runtime.assets(query.select)
        start = place_after([each.name for each in found], query.after("assets"))
        shown = [
            AssetModel.of(each, graph.dependents(each.name))
            for each in found[start : start + query.limit + 1]
        ]
        return query.page("assets", shown, lambda each: each.name)

    @routes.get("/{asset}", summary="An asset", responses=problems(404), dependencies=PLAIN)
    async def asset(runtime: Served, _: Reader, asset: AssetName) -> AssetDetailsModel:
        return await _details(runtime, asset)


def _add_partitions(routes: APIRouter) -> None:
    @routes.get("/{asset}/partitions", summary="What has become of its partitions", responses=problems(404))
    async def partitions(
        runtime: Served, _: Reader, asset: AssetName, query: Annotated[PartitionsQuery, Query()]
    ) -> Page[PartitionModel]:
        name = runtime.graph[asset].name
        recorded = (await runtime.partition_states(name))[name]
        states = overlaid(recorded, (await under_way(runtime)).get(name, {}))
        place = place_after(states.keys, query.after(f"partitions of {name}", Text | None))
        wanted = frozenset(query.status)
        causes = {key: cause for cause, keys in recorded.skips.items() for key in keys}
        found: list[tuple[str | None, Status, Status]] = []
        for number in range(place, len(states)):
            if not wanted or states[number] in wanted:
                found.append((states.keys[number], states[number], recorded[number]))
                if len(found) > query.limit:
                    break
        page = query.page(f"partitions of {name}", found, lambda each: each[0])
        return Page(
            items=[
                PartitionModel(
                    partition=label(key),
                    partition_key=key,
                    status=status,
                    recorded=known,
                    cause=causes.get(key),
                )
                for key, status, known in page.items
            ],
            next=page.next,
        )


def _add_history(routes: APIRouter) -> None:
    @routes.get(
        "/{asset}/history",
        summary="What became of it in all runs, newest first",
        responses=problems(404),
    )
    async def history(
        runtime: Served, _: Reader, asset: AssetName, query: Annotated[HistoryQuery, Query()]
    ) -> Page[MaterializationModel]:
        partition = partition_argument(query.partition)
        list_name = f"history of {asset}"

        async def read(limit: int, offset: int) -> Any:
            return await runtime.history(asset, partition=partition, limit=limit, offset=offset)

        found = await after_entry(read, lambda record: record.run_id, query.after(list_name), query.limit + 1)
        page = query.page(list_name, found, lambda record: record.run_id)
        return Page(
            items=[MaterializationModel.of(record, traceback=query.traceback) for record in page.items],
            next=page.next,
        )

    @routes.post(
        "/{asset}/invalidate",
        summary="Make values no longer current",
        responses=problems(404),
        dependencies=PLAIN,
    )
    async def invalidate(
        runtime: Served, identity: Admin, asset: AssetName, body: InvalidateModel | None = None
    ) -> InvalidatedModel:
        what = body or InvalidateModel()
        number = await runtime.invalidate(
            asset,
            partition=partition_argument(what.partition),
            downstream=what.downstream,
            by=identity.acting_for(what.by),
            reason=what.reason,
        )
        return InvalidatedModel(invalidated=number)


async def _details(runtime: Runtime, name: str) -> AssetDetailsModel:
    asset = runtime.graph[name]
    described = next(each for each in runtime.assets() if each.name == asset.name)
    counts = (await runtime.partition_counts(name))[name]
    shown = counts.counts
    if overlay := (await under_way(runtime)).get(asset.name):
        shown = overlaid((await runtime.partition_states(name))[asset.name], overlay).counts
    freshness = None
    if asset.freshness is not None:
        freshness = FreshnessModel.of(await runtime.freshness(name))
    return AssetDetailsModel.of(
        described,
        runtime.graph.dependents(asset.name),
        partition_count=counts.total,
        have=counts.have,
        counts=dict(shown),
        recorded=dict(counts.counts),
        freshness=freshness,
    )
