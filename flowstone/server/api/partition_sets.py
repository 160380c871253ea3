"""`/api/v1/partition-sets/{name}`: the keys of dynamic partition sets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from flowstone.assets.partition_labels import partition_argument
from flowstone.server.access.guard import Operator, Reader
from flowstone.server.api.paging import place_after
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.paging import Listed, Page
from flowstone.wire.partition_sets import ChangedKeysModel, KeyModel, KeysModel
from flowstone.wire.values import label

__all__ = ["router"]

Name = Annotated[
    str, Path(description="The name of the set, as in `DynamicPartitions(name)`.", examples=["regions"])
]


def router() -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/partition-sets", tags=["partitions"])

    @routes.get("/{name}", summary="The keys of a set, in the order they were added", responses=problems())
    async def keys(
        runtime: Served, _: Reader, name: Name, query: Annotated[Listed, Query()]
    ) -> Page[KeyModel]:
        found = await runtime.partitions(name)
        list_name = f"keys of {name}"
        start = place_after(found, query.after(list_name))
        page = query.page(list_name, found[start : start + query.limit + 1], lambda key: key)
        return Page(
            items=[KeyModel(partition=label(key) or "", partition_key=key) for key in page.items],
            next=page.next,
        )

    @routes.post("/{name}/add", summary="Add keys to a set", responses=problems(), dependencies=PLAIN)
    async def add(runtime: Served, identity: Operator, name: Name, body: KeysModel) -> ChangedKeysModel:
        by = identity.acting_for(body.by)
        return ChangedKeysModel(changed=await runtime.add_partitions(name, _read(body), by=by))

    @routes.post("/{name}/remove", summary="Remove keys from a set", responses=problems(), dependencies=PLAIN)
    async def remove(runtime: Served, identity: Operator, name: Name, body: KeysModel) -> ChangedKeysModel:
        by = identity.acting_for(body.by)
        return ChangedKeysModel(changed=await runtime.remove_partitions(name, _read(body), by=by))

    return routes


def _read(body: KeysModel) -> list[object]:
    return [partition_argument(key) for key in body.keys]
