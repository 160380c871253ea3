"""The calls of `Runtime` about automations: what there is, and to pause, resume and fire one by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.runtime.client.requests import bounded_count
from flowstone.runtime.computing import Computing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runtime.automation.by_hand import ByHand
    from flowstone.runtime.client.handle import Run

__all__ = ["Automating"]


class Automating(Computing):
    """The calls of `Runtime` about automations."""

    async def automations(self, *, fires: int = 10) -> Sequence[AutomationStatus]:
        """The automations of the runtime's pipelines, by name; those that have gone from the code for a day.

        Args:
            fires: How many of the last fires of each are shown, at most 100.

        Raises:
            ValueError: `fires` is no whole number of at least 0.
        """
        return await self._by_hand().all(bounded_count("fires", fires, least=0))

    async def pause(self, name: str, *, by: str | None = None, reason: str = "") -> AutomationStatus:
        """Keep an automation from doing anything, also over restarts, until it is resumed.

        Args:
            name: Its name.
            by: Who pauses it. Default: whoever the runtime acts for (`actor=`).
            reason: Why, likewise.

        Raises:
            AutomationNotFound: There is no such automation.
            ArgumentError: `by` or `reason` is no text.
        """
        return await self._by_hand().set_paused(name, paused=True, by=by, reason=reason)

    async def resume(self, name: str, *, by: str | None = None) -> AutomationStatus:
        """Have a paused automation go on; what it has missed meanwhile is treated as after a restart.

        Args:
            name: Its name.
            by: Who resumes it. Default: whoever the runtime acts for (`actor=`).

        Raises:
            AutomationNotFound: There is no such automation.
            ArgumentError: `by` is no text.
        """
        return await self._by_hand().set_paused(name, paused=False, by=by)

    async def fire(self, name: str, *, by: str | None = None) -> list[Run]:
        """Have a schedule fire, a sensor look, or a condition compute its asset, now, also while it is paused.

        A schedule fires for this instant, besides its ticks and whatever is under way. An asset is computed
        whatever its condition says: its latest partition, if it is partitioned by time, else all of them.

        Args:
            name: Its name.
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).

        Returns:
            The runs that it asked for, in order.

        Raises:
            AutomationNotFound: There is no such schedule or sensor.
            AutomationError: Its function failed, or asked for what cannot be carried out.
            ArgumentError: `by` is no text.
        """
        return await self._by_hand().fire(name, by)

    async def freshness(self, asset: Any, partition: Any = None) -> FreshnessStatus:
        """How fresh an asset is at this instant, by the `Freshness` it is defined with.

        An asset with partitions is as fresh as the newest success of any of them. It is asked about a single one
        with `partition`; that is `unknown` as long as it has no value.

        Args:
            asset: Name, `Asset` or decorated function.
            partition: Which partition; default: the asset as a whole.

        Raises:
            AssetNotFound: There is no such asset.
            ArgumentError: It is defined without `freshness=`.
            PartitionError: The partition is foreign.
        """
        from flowstone.runtime.client.freshness import freshness  # noqa: PLC0415 - few runtimes have any

        ctx = self._started()
        return await freshness(ctx, await self._client.view(), asset, partition)

    async def late(self) -> Sequence[FreshnessStatus]:
        """The assets that are late or overdue at this instant, by the `Freshness` they are defined with.

        The overdue ones come first, and of these the one that has been so for longest. Each is what `freshness`
        says of it; it needs nobody who watches.
        """
        from flowstone.runtime.client.freshness import late  # noqa: PLC0415 - few runtimes have any

        return await late(self._started())

    def _by_hand(self) -> ByHand:
        from flowstone.runtime.automation.by_hand import ByHand  # noqa: PLC0415 - few runtimes have any

        return ByHand(self._started(), self._runs, self._client)
