"""The calls of `Runtime` about automations: what there is, and to pause, resume and fire one by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.freshness_policy import FreshnessPolicy
from flowstone.assets.automation.listener import Listener
from flowstone.assets.automation.schedule import Schedule
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import AutomationNotFound, StoreUnavailable
from flowstone.remedies import Remedies
from flowstone.runs.automation_events import AutomationPaused, AutomationResumed
from flowstone.runs.automation_status import AutomationStatus, status_of
from flowstone.runtime.automation.by_hand import fire_schedule, fire_sensor
from flowstone.runtime.automation.definitions import define
from flowstone.runtime.automation.leadership import subject_of
from flowstone.runtime.automation.starting import start_runs
from flowstone.runtime.client.freshness import freshness
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.requests import bounded_count
from flowstone.runtime.computing import Computing
from flowstone.store.cluster import Notification
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.automation.definitions import DefinedAutomation
    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.automation import AutomationKey, AutomationRecord, Fire, Move
    from flowstone.runs.automation_events import AutomationEvent

__all__ = ["Automating"]

_TRIES = (
    10  # Times that a fire by hand is decided upon anew because somebody else has changed the automation.
)


class Automating(Computing):
    """The calls of `Runtime` about automations."""

    async def automations(self, *, fires: int = 10) -> Sequence[AutomationStatus]:
        """The automations of the runtime's pipelines, by name; those that have gone from the code for a day.

        Args:
            fires: How many of the last fires of each are shown, at most 100.

        Raises:
            ValueError: `fires` is no whole number of at least 0.
        """
        ctx = self._started()
        most = bounded_count("fires", fires, least=0)
        known = {record.key: record for record in await ctx.store.automations.records(ctx.snapshot.names)}
        defined = {(pipeline, name): each for name, (pipeline, each) in ctx.snapshot.automations.items()}
        shown = [
            await self._status(key, defined.get(key), known.get(key), most) for key in {**defined, **known}
        ]
        shown = [await self._with_deliveries(status) for status in shown]
        return sorted(shown, key=lambda status: (status.name, status.pipeline))

    async def pause(self, name: str, *, by: str | None = None, reason: str = "") -> AutomationStatus:
        """Keep an automation from doing anything, also over restarts, until it is resumed.

        Args:
            name: Its name.
            by: Who pauses it, for those who read it.
            reason: Why, likewise.

        Raises:
            AutomationNotFound: There is no such automation.
        """
        return await self._set_paused(name, paused=True, by=by, reason=reason)

    async def resume(self, name: str, *, by: str | None = None) -> AutomationStatus:
        """Have a paused automation go on; what it has missed meanwhile is treated as after a restart.

        Args:
            name: Its name.
            by: Who resumes it, for those who read it.

        Raises:
            AutomationNotFound: There is no such automation.
        """
        return await self._set_paused(name, paused=False, by=by)

    async def fire(self, name: str, *, by: str = "") -> list[Run]:
        """Have a schedule fire, or a sensor look, now, also while it is paused.

        A schedule fires for this instant, besides its ticks and whatever is under way.

        Args:
            name: Its name.
            by: Who asks for it, for those who read it.

        Returns:
            The runs that it asked for, in order.

        Raises:
            AutomationNotFound: There is no such schedule or sensor.
            AutomationError: Its function failed, or asked for what cannot be carried out.
        """
        ctx = self._started()
        self._runs.refuse_if_closed()
        key, defined = self._automation(name)
        for _ in range(_TRIES):
            record = await self._recorded(key)
            asked = await self._asked(defined, record, by)
            try:
                moved = await ctx.store.automations.move(asked)
            except StaleWrite:
                continue  # It has just done something by itself.
            await start_runs(ctx, self._runs, moved, asked.runs)
            await self._tell(key)
            return [
                Run(run.id, self._client, submitted=not run.joined) for run in moved.runs if run is not None
            ]
        raise StoreUnavailable(f"{name!r} changes too often to be fired now: fire it again.")

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
        ctx = self._started()
        return await freshness(ctx, await self._client.view(), asset, partition)

    # Inside -------------------------------------------------------------------------------------------------

    async def _asked(self, defined: DefinedAutomation, record: AutomationRecord, by: str) -> Move:
        ctx = self._started()
        if isinstance(defined, Schedule):
            return await fire_schedule(ctx, self._runs, defined, record, by)
        if isinstance(defined, Listener):
            raise AutomationNotFound(
                f"{defined.name!r} is a listener, which is called for events: there is nothing to fire."
            )
        if isinstance(defined, FreshnessPolicy):
            raise AutomationNotFound(
                f"{defined.name!r} watches how old a value becomes: there is nothing to fire."
            )
        return await fire_sensor(ctx, self._runs, defined, record, by)

    def _automation(self, name: str) -> tuple[AutomationKey, DefinedAutomation]:
        known = self._started().snapshot.automations
        given: object = name
        found = known.get(given) if isinstance(given, str) else None
        if found is None:
            raise AutomationNotFound(
                f"There is no automation {name!r:.200}.{did_you_mean(str(name), known)}",
                remedies=Remedies("runtime.automations() lists them.", "`flowstone automations` lists them."),
            )
        return (found[0], name), found[1]

    async def _recorded(self, key: AutomationKey) -> AutomationRecord:
        """What the store knows of it, which is told of it if nobody drives it yet."""
        ctx = self._started()
        record = await ctx.store.automations.record(key)
        if record is None or record.gone_at is not None:
            await define(ctx)
            record = await ctx.store.automations.record(key)
        assert record is not None, "it was defined just now"
        return record

    async def _set_paused(
        self, name: str, *, paused: bool, by: str | None, reason: str = ""
    ) -> AutomationStatus:
        ctx = self._started()
        key, defined = self._automation(name)
        before = await self._recorded(key)
        now = ctx.clock.now()
        event: AutomationEvent = (
            AutomationPaused(now, name, by, reason) if paused else AutomationResumed(now, name, by)
        )
        record = await ctx.store.automations.pause(key, paused, events=[event])
        if record is not None and record.version != before.version:
            ctx.stream.publish(event)
        await self._tell(key)
        return await self._with_deliveries(await self._status(key, defined, record, 10))

    async def _with_deliveries(self, status: AutomationStatus) -> AutomationStatus:
        """Of a listener, with what it is to be told and what was given up."""
        if status.kind != "listener":
            return status
        for state in await self._started().store.deliveries.followers(status.pipeline):
            if state.follower.name == status.name:
                return replace(status, pending=state.pending, given_up=state.given_up, failure=state.failure)
        return status

    async def _tell(self, key: AutomationKey) -> None:
        """Wake whoever drives it."""
        ctx = self._started()
        notification = Notification("automation", subject_of(key))
        ctx.notifications.heard(notification)
        if ctx.store.cluster is not None:
            await ctx.store.cluster.tell(notification)

    async def _status(
        self,
        key: AutomationKey,
        defined: DefinedAutomation | None,
        record: AutomationRecord | None,
        fires: int,
    ) -> AutomationStatus:
        ctx = self._started()
        if record is None:
            assert defined is not None, "one of the two is there"
            return AutomationStatus(key[1], defined.kind, key[0], defined.definition, defined.paused)
        fired: Sequence[Fire] = ()
        if fires and record.kind != "freshness":  # There may be many of these, and they fire nothing.
            fired = await ctx.store.automations.fires(key, limit=fires)
        return status_of(record, fired, ctx.clock.now())
