"""Planted bugs: each one takes away what keeps a promise. A harness that does not find them proves nothing."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowstone.io.files import FileIO
from flowstone.runs.events import StepStarted
from flowstone.store.postgres import PostgresStore
from flowstone.store.postgres.cluster import PostgresCluster
from flowstone.store.postgres.items import PostgresItems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["IN_DATABASE", "IN_WORKERS", "MUTANTS"]

IN_DATABASE: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        # Name: what is replaced in the function that records.
        "attempts are not fenced": (("where later.attempt > stepped.attempt", "where false"),),
        "epochs are not fenced": (("or asked.epoch < runs.epoch", ""),),
        "neither epochs nor attempts are fenced": (
            ("where later.attempt > stepped.attempt", "where false"),
            ("or asked.epoch < runs.epoch", ""),
        ),
        "batches are not numbered": (("where known.batch < excluded.batch", ""),),
    }
)


def starts_are_not_awaited() -> None:
    """The function runs before its start is known to be recorded."""
    write = PostgresStore.write

    async def hasty(self: PostgresStore, event: Any, epoch: int = 0, *, payload: bytes | None = None) -> None:
        if isinstance(event, StepStarted):
            task = asyncio.get_running_loop().create_task(write(self, event, epoch))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(0)
            return
        await write(self, event, epoch, payload=payload)

    PostgresStore.write = hasty  # type: ignore[method-assign] # that is what a mutant is


def values_come_after_records() -> None:
    """The record of success is made while the value is still on its way."""
    store = FileIO.store

    async def hasty(self: FileIO, target: Any, value: object) -> Any:
        stored = await store(self, target, value)
        await self.delete(stored.location)

        async def late() -> None:
            await asyncio.sleep(0.3)
            await store(self, target, value)

        BEHIND.append(asyncio.get_running_loop().create_task(late()))
        return stored

    FileIO.store = hasty  # type: ignore[method-assign] # as above


def orphans_are_not_adopted() -> None:
    """A run whose owner died stays as it is."""

    async def none(self: PostgresCluster, *args: Any, **kwargs: Any) -> list[Any]:
        return []

    PostgresCluster.orphans = none  # type: ignore[method-assign] # as above


def items_are_forgotten() -> None:
    """Whoever goes on with a step goes through all of its items again."""

    async def none(self: PostgresItems, *args: Any, **kwargs: Any) -> bytearray:
        return bytearray()

    PostgresItems.states = none  # type: ignore[method-assign] # as above


BEHIND: list[asyncio.Task[None]] = []
IN_WORKERS: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "starts are not awaited": starts_are_not_awaited,
        "values come after records": values_come_after_records,
        "orphans are not adopted": orphans_are_not_adopted,
        "items are forgotten": items_are_forgotten,
    }
)
MUTANTS = (*IN_DATABASE, *IN_WORKERS)
