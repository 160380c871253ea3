"""Who follows events: what the store is told of it, and the process that hears when there is something for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from flowstone.assets.automation.asset_condition import Condition
from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.assets.automation.freshness_policy import FRESHNESS
from flowstone.assets.automation.listener import Listener
from flowstone.errors import StoreUnavailable
from flowstone.runtime.automation.watched_assets import watched_assets
from flowstone.runtime.services.notifications import Wakeup
from flowstone.store.cluster import Notification
from flowstone.store.deliveries import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from flowstone.assets.snapshot import Snapshot
    from flowstone.runtime.context import RuntimeContext

__all__ = ["CONDITIONS", "KINDS", "DeliveryWatch", "follow", "followers_of"]

CONDITIONS: Final = ""
"""The name of who follows for the conditions of a pipeline; no automation can have it."""

KINDS: Final = frozenset(
    {
        "step.succeeded",
        "run.succeeded",
        "run.failed",
        "run.cancelled",
    }
)
"""The exact kinds of events that conditions are looked at for."""

_LOOKED_THROUGH: Final = 500
"""Assets that a database looks through at each success, 30 ns each; to deliver it costs as much as 500 of them."""


def followers_of(snapshot: Snapshot) -> Mapping[str, Sequence[Follower]]:
    """Who follows events, by pipeline; each of the pipelines, also those of which nobody does."""
    found: dict[str, list[Follower]] = {name: [] for name in snapshot.names}
    for name, (pipeline, defined) in snapshot.automations.items():
        if isinstance(defined, Listener):
            assets = None if defined.asset is None else frozenset({defined.asset})
            found[pipeline].append(Follower(name, defined.exact_kinds, assets))
    successes = exact_kinds(["step.succeeded"])
    for pipeline, watched in watched_assets(snapshot).items():
        # A run of another pipeline may compute them too.
        found[pipeline].append(Follower(FRESHNESS, successes, _few(watched), anywhere=True))
    for pipeline, follower in _of_conditions(snapshot).items():
        found[pipeline].append(follower)
    return found


def _few(assets: Collection[str]) -> frozenset[str] | None:
    """These assets; None, for all, where they are so many that it costs more to look through them."""
    return frozenset(assets) if len(assets) <= _LOOKED_THROUGH else None


def _of_conditions(snapshot: Snapshot) -> Mapping[str, Follower]:
    """Of each pipeline with conditions who follows for all of them, whatever pipeline is upstream."""
    assets: dict[str, set[str]] = {}
    for name, (pipeline, defined) in snapshot.automations.items():
        if isinstance(defined, Condition):
            upstream = (dependency.asset for dependency in snapshot.graph.dependencies(name))
            assets.setdefault(pipeline, set()).update((name, *upstream))
    return {
        pipeline: Follower(CONDITIONS, KINDS, _few(names), anywhere=True)
        for pipeline, names in assets.items()
    }


async def follow(ctx: RuntimeContext, snapshot: Snapshot, *, only: str | None = None) -> None:
    """Tell the store who follows events from now on, of all pipelines or of one. Raises `StoreUnavailable`."""
    for pipeline, followers in followers_of(snapshot).items():
        if only not in {None, pipeline}:
            continue
        await ctx.store.deliveries.follow(pipeline, followers)


class DeliveryWatch:
    """Passes on that followers have something new: to whoever has subscribed to `deliveries` in this process.

    Where several nodes share the store, that is told by the store itself, and may be lost: so at each look the
    store is asked once, for all followers there are here.
    """

    def __init__(self, ctx: RuntimeContext) -> None:
        self._ctx = ctx
        self._look = Wakeup()

    async def run(self, started: Callable[[], None]) -> None:
        notifications = self._ctx.notifications
        if self._ctx.store.cluster is None:
            with self._ctx.store.deliveries.watch(self._tell):
                started()
                await asyncio.get_running_loop().create_future()
        with notifications.on(self._look, "look"):
            started()
            while True:
                await self._look.wait()
                await self._ask()

    def _tell(self, pipeline: str) -> None:
        self._ctx.notifications.heard(Notification("deliveries", pipeline))

    async def _ask(self) -> None:
        pipelines = [name for name, followers in followers_of(self._ctx.snapshot).items() if followers]
        if not pipelines:
            return
        try:
            waiting = await self._ctx.store.deliveries.waiting(pipelines)
        except StoreUnavailable:
            return  # Whoever needs it says so, and the next look comes.
        for pipeline in dict.fromkeys(pipeline for pipeline, _ in waiting):
            self._tell(pipeline)
