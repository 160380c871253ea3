"""What is on record of all assets, read again as far as it may have changed.

To ask what has become of 300 assets at 365 partitions each takes a tenth of a second, and an open page may be
rendered ten times a second. What this process records names the assets that have to be asked for again. What others
do (other nodes, somebody who invalidates) is seen when all is read again, for a twentieth of the time.

Rejected: to work out from each event what it changes. Then a second place would have to know what a record means.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.server.stale_assets import StaleAssets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.asset_activity import AssetActivity
    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.partition_states import PartitionStates
    from flowstone.runs.reasons import Reason
    from flowstone.runtime.runtime import Runtime
    from flowstone.runtime.services.events import Subscription

__all__ = ["Known", "KnownAssets"]

_SHARE: Final = 20
"""What was read is good for so many times as long as it took to read."""

_LONGEST: Final = 5.0
_FIRES: Final = 24
_ENDS: Final = ("step.succeeded", "step.failed", "step.skipped", "step.cancelled", "step.reused")


@frozen
class Known:
    """What is on record.

    Attributes:
        states: What has become of the partitions of each asset, in the order of the graph.
        activity: When each was computed last, and how long that took lately.
        late: Those that are late or overdue, the longest first.
        automations: All automations, with their last fires.
        stale: By asset and encoded partition key, why a value is stale, as far as that has been looked at.
        not_looked_at: How many assets have yet to be looked at for that.
    """

    states: Mapping[str, PartitionStates]
    activity: Mapping[str, AssetActivity]
    late: Sequence[FreshnessStatus]
    automations: Sequence[AutomationStatus]
    stale: Mapping[str, Mapping[str | None, Reason]] = field(default_factory=dict)
    not_looked_at: int = 0


class KnownAssets:
    """What a runtime's store has on record of its assets."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock: asyncio.Lock | None = None
        self._watching = 0
        self._events: Subscription | None = None
        self._dropped = 0
        self._graph: AssetGraph | None = None
        self._known = Known({}, {}, (), ())
        self._stale = StaleAssets(runtime)
        self._read_at = self._good_for = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether there is more to be known than the last reading gave."""
        return self._stale.due > 0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Inside, what this process records is followed, so that a reading asks for what has changed alone."""
        events = self._events
        if events is None:
            self._events = events = await self._runtime.subscribe(*_ENDS).__aenter__()
            self._dropped, self._read_at = 0, float("-inf")  # What came before was not heard of.
        self._watching += 1
        try:
            yield
        finally:
            self._watching -= 1
            if not self._watching:
                self._events = None
                await events.__aexit__()

    async def read(self, *first: str) -> Known:
        """As it is now.

        Args:
            first: Assets whose stale values are to be looked at before those of others.
        """
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            await self._refresh()
            await self._stale.look(first)
            return replace(self._known, stale=self._stale.found, not_looked_at=self._stale.due)

    async def _refresh(self) -> None:
        missed, changed = self._heard()
        begun, graph = asyncio.get_running_loop().time(), self._runtime.graph
        if graph is not self._graph or missed or begun - self._read_at > self._good_for:
            before, self._known = self._known, await self._all()
            if graph is self._graph:
                self._stale.changed({*changed, *_differ(before, self._known)})
            else:
                self._stale.begin()
            self._graph, self._read_at = graph, begun
            took = asyncio.get_running_loop().time() - begun
            self._good_for = min(_LONGEST, _SHARE * took)
        elif changed := {asset for asset in changed if asset in graph.assets}:
            self._known = await self._with(changed)
            self._stale.changed(changed)

    def _heard(self) -> tuple[bool, set[str]]:
        """Whether something may have gone unheard since the last reading, and of which assets a step has ended."""
        if self._events is None:
            return True, set()
        before, self._dropped = self._dropped, self._events.dropped
        return self._dropped > before, {event.asset for event in self._events.taken()}

    async def _all(self) -> Known:
        runtime = self._runtime
        return Known(
            *await asyncio.gather(
                runtime.partition_states(),
                runtime.activity(),
                runtime.late(),
                runtime.automations(fires=_FIRES),
            )
        )

    async def _with(self, changed: Collection[str]) -> Known:
        """As it was, and these assets as they are now."""
        runtime, before = self._runtime, self._known
        states, activity, late = await asyncio.gather(
            runtime.partition_states(*changed), runtime.activity(*changed), runtime.late()
        )
        return Known({**before.states, **states}, {**before.activity, **activity}, late, before.automations)


def _differ(before: Known, now: Known) -> Iterator[str]:
    """The assets of which something was computed or invalidated, or whose partitions are others."""
    for asset, states in now.states.items():
        known = before.states.get(asset)
        if known is None or known.codes != states.codes or _newest(before, asset) != _newest(now, asset):
            yield asset


def _newest(known: Known, asset: str) -> datetime | None:
    activity = known.activity.get(asset)
    return None if activity is None else activity.finished_at
