"""Tells of assets whose newest value has become too old, and of those that have a new one again: each change once.

One process for all assets that are to be fresh. It has one timer, for the next of them that comes of age, and is
told of successes as listeners are: by what the store has put into the outbox of its follower. A change of state is
one change of the asset's record, with its events and the deliveries that led to it, so it is told once, whoever
dies when.

The store is asked for the newest success as well: when the process begins, because nobody may have followed for a
while, and before somebody is told that an asset is late. What the store says is taken for new if it was finished
later; what is delivered always is, whatever the clock was set to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.automation.freshness_policy import FRESHNESS
from flowstone.errors import StoreUnavailable
from flowstone.runs.asset_freshness import NewestSuccess
from flowstone.runs.automation import Move, subject_of
from flowstone.runs.automation_events import AssetFresh, AssetLate, AssetOverdue
from flowstone.runs.events import StepSucceeded
from flowstone.runtime.automation.definitions import define_again
from flowstone.runtime.automation.leadership import Leadership
from flowstone.runtime.automation.problems import forget_problem
from flowstone.runtime.automation.watched_assets import WatchedAsset, WatchedAssets, watched_assets
from flowstone.runtime.services.notifications import Wakeup
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowstone.runs.asset_freshness import Aged, FreshnessName
    from flowstone.runs.automation import AutomationRecord
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Notification
    from flowstone.store.deliveries import DeliveryKey

__all__ = ["FreshnessWatch"]

_PAUSE: Final = 1.0  # Seconds before the next try when the store is away, and before a restart does anything.
_BATCH: Final = 1_000  # Deliveries that are taken at a time.


class FreshnessWatch:
    """The process.

    Args:
        ctx: What the runtime offers.
        runs: Say whether this node drains.
        restarted: Whether this is not its first incarnation.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, *, restarted: bool) -> None:
        self._ctx = ctx
        self._runs = runs
        self._restarted = restarted
        self._wake = Wakeup()
        self._parts: dict[str, _PipelineWatch] = {}

    async def run(self, started: Callable[[], None]) -> None:
        started()
        kinds = ("automation", "deliveries", "reloaded", "nodes", "look", "draining")
        with self._ctx.notifications.on(self._heard, *kinds):  # type: ignore[arg-type] # each is a kind
            if self._restarted:
                await self._ctx.clock.sleep(_PAUSE)
            self._follow_definitions()
            while True:
                waits = [await part.turn() for part in tuple(self._parts.values())]
                forget_problem(self._ctx, "freshness")  # It goes on after a crash.
                await self._wake.wait_or(
                    self._ctx.clock, min((each for each in waits if each is not None), default=None)
                )

    def _follow_definitions(self) -> None:
        known = self._parts
        self._parts = {}
        for pipeline, assets in watched_assets(self._ctx.snapshot).items():
            part = known.get(pipeline) or _PipelineWatch(self._ctx, self._runs, pipeline)
            part.watch(assets)
            self._parts[pipeline] = part

    def _heard(self, notification: Notification) -> None:
        if notification.kind == "reloaded":
            self._follow_definitions()
            self._wake()
        elif notification.kind == "draining":
            self._wake()
        elif notification.kind == "deliveries":
            if notification.subject in self._parts:
                self._parts[notification.subject].has_news = True
                self._wake()
        else:
            for part in self._parts.values():
                if part.heard(notification):
                    self._wake()


class _PipelineWatch:
    """The assets of one pipeline.

    Attributes:
        has_news: Whether something may have been delivered.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, pipeline: str) -> None:
        self._ctx = ctx
        self._runs = runs
        self._pipeline = pipeline
        self._prefix = subject_of((pipeline, FRESHNESS))
        self._leadership = Leadership(ctx, (pipeline, FRESHNESS))
        self._assets: frozenset[str] = frozenset()
        self._watched: WatchedAssets | None = None
        self._is_outdated = False  # Whether the records are to be read again.
        self._has_changed = False  # Whether that is because one of them was changed.
        self._has_paused = False
        self.has_news = True

    def watch(self, assets: frozenset[str]) -> None:
        """These are to be fresh from now on, and no others."""
        self._assets = assets
        self._is_outdated = True

    def heard(self, notification: Notification) -> bool:
        """Whether there is something to do for it."""
        if notification.kind == "automation":
            if not notification.subject.startswith(self._prefix):
                return False
            if notification.subject == self._prefix:  # Whoever had it has handed it over.
                self._leadership.ask_again()
            else:
                self._is_outdated = self._has_changed = True  # Defined, paused or resumed.
            return True
        return self._leadership.concerns(notification)

    async def turn(self) -> float | None:
        """Do what is due; seconds after which to look again, None: when something is heard."""
        try:
            held = self._leadership.held
            if not await self._drives():
                self._watched = None
                return None
            watched = None if self._is_outdated else self._watched
            watched = watched or await self._load(takes_over=not held)
            if watched is None:
                return self._patience()
            await self._take_news(watched)
            await self._tell_due(watched)
        except StaleWrite:
            self._watched = None  # Somebody else has changed one.
            self._has_changed = True
            return 0.0
        except StoreUnavailable as error:
            self._ctx.alarms.set("store", f"it does not say which assets are fresh: {error}")
            self._watched = None
            self.has_news = True
            return _PAUSE
        next_due = watched.next_due
        if self._has_paused:
            return self._patience() if next_due is None else min(next_due, self._ctx.settings.lease)
        # A clock that was set meanwhile is noticed soon.
        return None if next_due is None else min(next_due, self._ctx.settings.lease)

    async def _drives(self) -> bool:
        """Whether this node does so. While it ends its work, another one goes on."""
        if self._runs.open or self._ctx.store.cluster is None:
            return await self._leadership.take_back()
        await self._leadership.hand_over()
        return False

    def _patience(self) -> float | None:
        """How long to wait for somebody who says that something has changed: that may be lost between nodes."""
        if self._ctx.store.cluster is None:
            return None
        self._is_outdated = True
        return self._ctx.settings.lease

    async def _load(self, *, takes_over: bool) -> WatchedAssets | None:
        """What is on record, and what was missed since; None as long as some are not, or others drive it."""
        self._watched, self._is_outdated = None, False
        there, lost, foreign = await self._records()
        if lost or (foreign and takes_over):
            # A node with other code has been here: they are defined again, and looked at at the next turn.
            await define_again(self._ctx, self._pipeline, lost | (foreign if takes_over else set()))
            there, _, foreign = await self._records()
        has_changed, self._has_changed = self._has_changed, False
        if foreign and has_changed and self._ctx.store.cluster is not None:
            await self._leadership.stand_back()
            return None
        watched = WatchedAssets(self._ctx.clock)
        for asset in sorted(self._assets):
            record = there.get(FRESHNESS + asset)
            if record is None:
                return None
            watched.add(WatchedAsset(asset, record, self._ctx.clock))
        self._has_paused = any(there[FRESHNESS + asset].paused for asset in self._assets)
        self._watched = watched
        self.has_news = True
        await self._compare(watched, self._assets)
        self._ctx.alarms.clear("store")
        return watched

    async def _records(self) -> tuple[dict[str, AutomationRecord], set[str], set[str]]:
        """What is on record; of the assets here, those that are gone, and those that are defined otherwise."""
        records = await self._ctx.store.automations.records([self._pipeline])
        there = {record.name: record for record in records if record.gone_at is None}
        known = self._ctx.snapshot.automations
        own = {FRESHNESS + asset for asset in self._assets} & known.keys()
        lost = own.intersection(record.name for record in records if record.gone_at is not None)
        foreign = {name for name in own & there.keys() if there[name].text != known[name][1].definition}
        return there, lost, foreign

    async def _compare(self, watched: WatchedAssets, assets: Iterable[str]) -> None:
        """Look whether the store has newer successes of these than are known, and tell what that changes."""
        newest = await self._ctx.store.newest_successes(sorted(assets))
        for asset in sorted(assets):
            each = watched.get(asset)
            if each is not None:
                each.compare(newest.get(asset))
                await self._look(watched, each)

    async def _take_news(self, watched: WatchedAssets) -> None:
        """Take what was delivered, each success once."""
        deliveries = self._ctx.store.deliveries
        while self.has_news:
            self.has_news = False
            found = await deliveries.pending(self._pipeline, FRESHNESS, limit=_BATCH)
            if found:
                self.has_news = True  # There may be more.
            others: list[DeliveryKey] = []
            by_asset: dict[WatchedAsset, list[DeliveryKey]] = {}
            for delivery in found:
                each = watched.get(delivery.event.asset)
                if each is None or not isinstance(delivery.event, StepSucceeded):
                    others.append(delivery.key)
                    continue
                each.succeeded(_success(delivery.event))
                by_asset.setdefault(each, []).append(delivery.key)
            for each, keys in by_asset.items():
                await self._look(watched, each, keys)
            await deliveries.done(self._pipeline, FRESHNESS, others)

    async def _tell_due(self, watched: WatchedAssets) -> None:
        watched.notice_clock()
        due = {each.asset for each in watched.take_due()}
        if due:
            await self._compare(watched, due)

    async def _look(
        self, watched: WatchedAssets, each: WatchedAsset, delivered: Sequence[DeliveryKey] = ()
    ) -> None:
        """Write down and tell what has changed of an asset, and what was delivered; plan its next change."""
        outcome = each.look()
        paused = each.record.paused
        if delivered or each.is_corrected or (outcome.news and not paused):
            freshness = each.freshness if paused else outcome.record
            events = () if paused else _events(each, outcome, self._ctx)
            moved = await self._ctx.store.automations.move(
                Move(
                    each.record.key,
                    each.record.version,
                    freshness.written(),
                    events=events,
                    delivered=delivered,
                    follower=FRESHNESS,
                )
            )
            each.recorded(moved.record)
            for event in events:
                self._ctx.stream.publish(event)
        watched.plan(each)


def _success(event: StepSucceeded) -> NewestSuccess:
    finished_at = event.materialization.finished_at or event.at
    return NewestSuccess(event.asset, event.run_id, finished_at)


def _events(each: WatchedAsset, outcome: Aged, ctx: RuntimeContext) -> list[AutomationEvent]:
    record, now = outcome.record, ctx.clock.now()

    def event(status: FreshnessName) -> Any:
        kind: Any = {"late": AssetLate, "overdue": AssetOverdue}.get(status, AssetFresh)
        return kind(now, each.asset, None, record.since(status), record.within, record.materialized_at)

    return [event(status) for status in outcome.news]
