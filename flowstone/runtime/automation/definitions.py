"""The process that tells the store which automations there are, and has a process for each."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.asset_condition import Condition
from flowstone.assets.automation.doubts import doubts
from flowstone.assets.automation.freshness_policy import FreshnessPolicy
from flowstone.assets.automation.schedule import Schedule
from flowstone.backoff import Backoff
from flowstone.errors import CallCycle, StoreUnavailable
from flowstone.runs.asset_freshness import FreshnessRecord
from flowstone.runs.automation import Definition, subject_of
from flowstone.runtime.automation.following import follow
from flowstone.runtime.automation.problems import forget_problem, forget_problems_of_others
from flowstone.runtime.services.notifications import Wakeup
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from flowstone.actors import Child, Supervisor
    from flowstone.assets.asset import SourceLine
    from flowstone.assets.automation.definitions import DefinedAutomation
    from flowstone.assets.snapshot import Snapshot
    from flowstone.runs.automation import AutomationKey, AutomationRecord
    from flowstone.runtime.context import RuntimeContext

__all__ = ["Definitions", "define", "define_again", "with_conditions", "with_processes"]

_log = logging.getLogger("flowstone.schedules")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


class Definitions:
    """Defines what there is when it starts, and again whenever the pipelines are reloaded.

    Args:
        ctx: What the runtime offers.
        supervisor: Has a child for each automation.
        child_of: Makes the child of an automation.
        conditions_of: Makes the child of the conditions of a pipeline.
        running: Those that the supervisor has children of; it outlives this process.
        conditions: The pipelines whose conditions have a child, likewise.
    """

    def __init__(
        self,
        ctx: RuntimeContext,
        supervisor: Supervisor,
        child_of: Callable[[AutomationKey, DefinedAutomation], Child[Any]],
        conditions_of: Callable[[str], Child[Any]],
        running: dict[str, tuple[str, DefinedAutomation]],
        conditions: dict[str, None],
    ) -> None:
        self._ctx = ctx
        self._supervisor = supervisor
        self._child_of = child_of
        self._conditions_of = conditions_of
        self._wake = Wakeup()
        self._warned: set[SourceLine] = set()
        self._running = running
        self._conditions = conditions

    async def run(self, started: Callable[[], None]) -> None:
        started()
        with self._ctx.notifications.on(self._heard, "reloaded"):
            while True:
                await self._stop_what_is_gone()
                await self._define()
                await self._start_what_is_new()
                await self._wake.wait()

    def _heard(self, _: Notification) -> None:
        self._wake()

    async def _define(self) -> None:
        """Tell the store, however long that takes, and have those go on that have waited for it."""
        self._warn()
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._ctx.random)
        while True:
            try:
                before = {} if self._ctx.store.cluster is None else await self._versions()
                found = await define(self._ctx)
                break
            except StoreUnavailable as error:
                self._ctx.alarms.set("store", f"it does not take what is defined: {error}")
                await self._ctx.clock.sleep(backoff.pause())
        for record in found:
            self._ctx.notifications.heard(Notification("automation", subject_of(record.key)))
        await self._tell(before)

    async def _tell(self, before: Mapping[AutomationKey, int]) -> None:
        """Wake the nodes that drive what has changed: to leave it to others, or to define it again."""
        cluster = self._ctx.store.cluster
        if cluster is None:
            return
        try:
            for key, version in (await self._versions()).items():
                if before.get(key, version) != version:
                    await cluster.tell(Notification("automation", subject_of(key)))
        except StoreUnavailable as error:
            self._ctx.alarms.set("store", f"it does not say what is defined: {error}")

    async def _versions(self) -> Mapping[AutomationKey, int]:
        records = await self._ctx.store.automations.records(self._ctx.snapshot.names)
        return {record.key: record.version for record in records}

    def _warn(self) -> None:
        """Of what is surely not meant, once."""
        snapshot, now = self._ctx.snapshot, self._ctx.clock.now()
        for _, defined in snapshot.automations.values():
            if defined.source not in self._warned:
                for doubt in doubts(defined, snapshot.graph, now):
                    self._warned.add(defined.source)
                    _log.warning("%s", doubt)

    async def _stop_what_is_gone(self) -> None:
        """Or is defined otherwise."""
        now = with_processes(self._ctx.snapshot)
        for name, (_, defined) in tuple(self._running.items()):
            if now.get(name) != self._running[name]:
                child = f"{defined.kind}:{name}"
                await self._supervisor.stop_child(child)
                await self._supervisor.delete_child(child)
                forget_problem(self._ctx, defined.kind, name)
                del self._running[name]
        forget_problems_of_others(self._ctx)

    async def _start_what_is_new(self) -> None:
        for name, (pipeline, defined) in with_processes(self._ctx.snapshot).items():
            if name not in self._running:
                await self._start(self._child_of((pipeline, name), defined))
                self._running[name] = pipeline, defined
        for pipeline in with_conditions(self._ctx.snapshot):
            if pipeline not in self._conditions:  # Who has no conditions any more sleeps.
                self._conditions[pipeline] = None
                await self._start(self._conditions_of(pipeline))

    async def _start(self, child: Child[Any]) -> None:
        while True:
            try:
                await self._supervisor.start_child(child)
                return
            except CallCycle:  # It is itself being started, and has this process to wait for.
                await asyncio.sleep(0)


def with_processes(snapshot: Snapshot) -> dict[str, tuple[str, DefinedAutomation]]:
    """Those that have a process each; one does for the freshness of all assets, one for a pipeline's conditions."""
    return {
        name: (pipeline, defined)
        for name, (pipeline, defined) in snapshot.automations.items()
        if not isinstance(defined, FreshnessPolicy | Condition)
    }


def with_conditions(snapshot: Snapshot) -> dict[str, None]:
    """The pipelines that have conditions."""
    automations = snapshot.automations.values()
    return dict.fromkeys(pipeline for pipeline, each in automations if isinstance(each, Condition))


async def define(ctx: RuntimeContext, *, only: str | None = None) -> Sequence[AutomationRecord]:
    """Tell the store which automations the pipelines of now define, or of `only` one. Raises `StoreUnavailable`."""
    now = ctx.clock.now()
    found = _definitions(ctx.snapshot, now)
    if only is None:
        return await ctx.store.automations.define(found, now=now)
    pipeline = ctx.snapshot.automations[only][0]
    one = [each for each in found[pipeline] if each.name == only]
    return await ctx.store.automations.define({pipeline: one}, now=now, whole=False)


async def define_again(ctx: RuntimeContext, pipeline: str, names: Collection[str]) -> None:
    """Define those again that a node without them has taken away, and who follows. Raises `StoreUnavailable`."""
    now = ctx.clock.now()
    found = [each for each in _definitions(ctx.snapshot, now).get(pipeline, ()) if each.name in names]
    if not found:
        return  # This node has other definitions by now.
    await follow(ctx, ctx.snapshot, only=pipeline)  # Before they are there, so that they miss nothing then.
    await ctx.store.automations.define({pipeline: found}, now=now, whole=False)


def _definitions(snapshot: Snapshot, now: datetime) -> Mapping[str, Sequence[Definition]]:
    found: dict[str, list[Definition]] = {name: [] for name in snapshot.names}
    for name, (pipeline, defined) in snapshot.automations.items():
        cursor = _beginning(defined, now)
        found[pipeline].append(Definition(name, defined.kind, defined.definition, defined.paused, cursor))
    return found


def _beginning(defined: DefinedAutomation, now: datetime) -> Any:
    """The cursor of one that is new: it begins now."""
    if isinstance(defined, Schedule | Condition):
        return {"at": now.isoformat()}  # Ticks before it was there are not missed.
    if isinstance(defined, FreshnessPolicy):
        return FreshnessRecord(*defined.freshness.bounds, now).written()
    return None
