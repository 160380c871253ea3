"""The process that executes steps for other nodes: attempts of runs that this node does not own.

It is given leases, each for one attempt, and decides nothing: the attempt records its own start and end, and the
run's owner learns of it from the store. A lease that has vanished means that the attempt is nobody's any more: it
is stopped without a word. One that comes again under a higher epoch has a new owner, and goes on. What cannot be
executed here, or not any more, is handed back, so that it is nobody's failure. A lease of items of a step is
deleted when nothing more is done for it, for whatever reason: its owner reads what became of the items.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flowstone.actors import Crashed, Shutdown
from flowstone.assets.partition_keys import decode_partition
from flowstone.errors import StoreUnavailable
from flowstone.runs import endings
from flowstone.runs.endings import PlannedStep
from flowstone.runs.item_range import ItemRange
from flowstone.runtime.cluster.leased_items import LeasedItems
from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.attempt import Attempt
from flowstone.runtime.run.takeover import plan_again
from flowstone.store.cluster import Notification
from flowstone.store.protocol import StaleWrite, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.actors import Exit, TaskSupervisor
    from flowstone.runs.endings import AttemptEnd, AttemptResult
    from flowstone.runs.plan import RunPlan
    from flowstone.runtime.cluster.leased_items import Loaded
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.runtime.run.recorded_attempt import AttemptIdentity
    from flowstone.store.cluster import Cluster, StepLease

__all__ = ["StepExecutor"]

_log = logging.getLogger(__name__)

_MOST_PLANS = 16


class StepExecutor(Poller):
    """Executes what was leased to this node.

    Args:
        ctx: What the runtime offers.
        runs: Where attempts are counted among what runs here.
        cluster: The port.
        steps: Where attempts run: a sibling, stopped and restarted together with this.
    """

    kinds = ("leases", "look")
    unanswered = "it does not say which steps this node is to execute"

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster, steps: TaskSupervisor) -> None:
        super().__init__(ctx)
        self._runs = runs
        self._cluster = cluster
        self._steps = steps
        self._begun_before = True  # Leases of the first look may have been begun by an earlier incarnation.
        self._known = runs.granted  # None: there is nothing more to do for it.
        self._known.clear()
        self._refused: dict[AttemptIdentity, int] = {}  # Ends that a former epoch was too old for.
        self._unrecorded: list[tuple[AttemptEnd, int]] = []  # Ends to be recorded, with their epochs.
        self._plans: dict[str, RunPlan] = {}
        self._done_with: list[StepLease] = []  # Leases of items that are to be deleted.
        self._loaded: Loaded = {}
        self._wake()

    def stop(self) -> None:
        """Hand back what has not begun, and return from `run`."""
        self._stopping = True
        self._wake()

    def _heard(self, notification: Notification) -> None:
        if notification.kind == "look" or notification.subject == self._ctx.node:
            self._wake()

    async def _poll(self) -> None:
        await self._record()
        held = {_key(lease): lease for lease in await self._cluster.leases(self._ctx.node)}
        for key in [key for key in self._known if key not in held]:
            self._drop(key)
        for key, lease in held.items():
            of_items = ItemRange.read(lease.partition_key) is not None
            await (self._see_items if of_items else self._see)(key, lease)
        self._begun_before = False
        self._forget_loaded(held.values())
        await self._record()

    def _forget_loaded(self, held: Iterable[StepLease]) -> None:
        """Keep what was loaded for items as long as there are leases of their step."""
        if self._loaded:
            steps = {(lease.run_id, lease.asset, _step_key(lease)) for lease in held}
            self._loaded = {step: loaded for step, loaded in self._loaded.items() if step in steps}

    async def _record(self) -> None:
        """Record the ends of attempts that could not do so themselves."""
        while self._unrecorded:
            event, epoch = self._unrecorded[0]
            try:
                await self._ctx.record(event, epoch)
            except StoreRefused as error:
                if not endings.is_refused(event):
                    self._unrecorded[0] = endings.refused(event, str(error)), epoch
                    continue
                if not await self._report(event, str(error)):
                    return  # Nor can that: the store is wrong as a whole, and asked again at the next look.
            except StaleWrite:
                # Nobody waits for it; or the run has another owner, which is about to grant the attempt again.
                self._refused[event.run_id, event.asset, event.partition_key, event.attempt] = epoch
            self._unrecorded.pop(0)
        while self._done_with:
            lease = self._done_with[0]
            await self._cluster.delete_leases(lease.run_id, [(lease.asset, lease.partition_key)])
            await self._cluster.tell(Notification("steps", lease.run_id))
            self._done_with.pop(0)

    async def _report(self, event: AttemptEnd, why: str) -> bool:
        """Tell the owner of a run that the end of an attempt cannot be recorded; False if that cannot be said."""
        key = (event.asset, event.partition_key)
        try:
            await self._cluster.refuse(event.run_id, key, event.attempt, why)
        except StoreRefused as error:
            self._ctx.alarms.set("store", f"it takes nothing from this node: {error}")
            return False
        _log.error("The end of a step of run %s cannot be recorded: %s", event.run_id, why)
        return True

    # Leases -------------------------------------------------------------------------------------------------

    async def _see(self, key: AttemptIdentity, lease: StepLease) -> None:
        attempt = self._known.get(key)
        if key not in self._known:
            attempt = self._known[key] = await self._attempt(lease)
            if attempt is None:
                self._hand_back(lease, "this node cannot run it now")
                return
            if not lease.cancelled:
                self._ctx.admission.admit(attempt, self._launch)
        if attempt is None:
            if self._refused.get(key, lease.epoch) < lease.epoch:
                del self._refused[key]
                self._hand_back(lease, "it ended while the run changed its owner")
            return
        attempt.epoch = lease.epoch
        waits = attempt.handle is None
        if lease.cancelled and waits:
            self._known[key] = None
            self._ctx.admission.withdraw(attempt)
            self._unrecorded.append((attempt.withdrawn(), lease.epoch))
        elif lease.cancelled:
            attempt.stop("cancelled")
        elif waits and not self._runs.open:
            self._known[key] = None
            self._ctx.admission.withdraw(attempt)
            self._hand_back(lease, "the node is being shut down")

    async def _see_items(self, key: AttemptIdentity, lease: StepLease) -> None:
        """As `_see`, of a lease of items: they take slots themselves, and nobody waits for a record of an end."""
        attempt = self._known.get(key)
        if key not in self._known and not lease.cancelled:
            attempt = await self._attempt(lease)
            if attempt is not None:
                self._known[key] = attempt
                attempt = attempt if self._launch(attempt) else None
        if attempt is None:
            self._known[key] = None
            self._done_with.append(lease)
            return
        attempt.epoch = lease.epoch
        if lease.cancelled:
            attempt.stop("cancelled")

    def _drop(self, key: AttemptIdentity) -> None:
        """Its lease is gone: whoever gave it has given it up, or its end is recorded."""
        attempt = self._known.pop(key)
        self._refused.pop(key, None)
        if attempt is None:
            return
        if attempt.handle is None:
            self._ctx.admission.withdraw(attempt)
        else:
            attempt.handle.cancel()

    async def _attempt(self, lease: StepLease) -> Attempt | None:
        """The attempt, or None if this node should not make it."""
        items = ItemRange.read(lease.partition_key)
        begun_before = self._begun_before and items is None
        if not self._runs.open or (begun_before and await self._was_begun(lease)):
            return None
        plan = await self._plan(lease.run_id)
        step = None if plan is None else plan.number(lease.asset, _step_key(lease))
        if plan is None or step is None or not self._equipped(plan, lease.asset):
            return None
        if items is not None:
            made = LeasedItems(self._ctx, plan, lease.run_id, lease.epoch, step, lease.attempt)
            return made.goes_through(items[0], self._steps, self._loaded)
        return Attempt(self._ctx, plan, lease.run_id, lease.epoch, step, lease.attempt, failed=lease.failed)

    async def _was_begun(self, lease: StepLease) -> bool:
        key = (lease.asset, lease.partition_key)
        return bool(await self._cluster.begun(lease.run_id, {key: lease.attempt}))

    async def _plan(self, run_id: str) -> RunPlan | None:
        plan = self._plans.get(run_id)
        if plan is None or plan.graph is not self._ctx.snapshot.graph:
            record = await self._ctx.store.run(run_id)
            known = self._ctx.snapshot.graph.assets.keys()
            if record is None or not known >= set(record.request.targets):
                return None
            try:
                plan = await plan_again(self._ctx, record)
            except StoreUnavailable:
                raise
            except Exception as error:
                # Its owner could plan it, so this node holds another release of the pipeline.
                why = describe(error, None).message
                self._ctx.alarms.set(f"run {run_id}", f"it cannot be planned here: {why}")
                return None
            if len(self._plans) >= _MOST_PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[run_id] = plan
        return plan

    def _equipped(self, plan: RunPlan, name: str) -> bool:
        asset = plan.graph[name]
        return asset.io in self._ctx.managers and all(
            resource in self._ctx.resources for resource in asset.requires
        )

    def _hand_back(self, lease: StepLease, why: str) -> None:
        event = endings.handed_back(_step(lease), self._ctx.clock.now(), why)
        self._unrecorded.append((event, lease.epoch))

    # Attempts -----------------------------------------------------------------------------------------------

    def _launch(self, attempt: Attempt) -> bool:
        """A slot is free. False if the attempt is not wanted any more."""
        if self._known.get(attempt.identity) is not attempt or not self._runs.open or self._stopping:
            return False
        attempt.on_over = self._over
        attempt.handle = self._steps.start(attempt.name, attempt.run(), attempt.task_over)
        self._runs.leased[attempt.identity] = attempt
        return True

    def _over(self, attempt: Attempt, end: AttemptResult | None, how: Exit) -> None:
        self._ctx.admission.leave(attempt)
        attempt.caught = None  # Whoever is raised the failure is in another process.
        self._runs.leased.pop(attempt.identity, None)
        self._runs.gone()
        if self._known.get(attempt.identity) is attempt:
            self._known[attempt.identity] = None
            if isinstance(attempt, LeasedItems):
                self._wake()  # Its lease is deleted at the next look.
                return
            ending = None if end is not None else _ending(attempt, how)
            if ending is not None:
                self._unrecorded.append((ending, attempt.epoch))
                self._wake()


def _ending(attempt: Attempt, how: Exit) -> AttemptEnd | None:
    """What is to be recorded of an attempt that recorded nothing, if anything is."""
    if isinstance(how, Shutdown):
        return None
    if isinstance(how, Crashed) and isinstance(how.error, StoreRefused):
        return attempt.refused(how.error)
    if isinstance(how, Crashed) and isinstance(how.error, StaleWrite | StoreUnavailable):
        return attempt.handed_over()  # Refused again, unless the run has just changed its owner.
    return attempt.killed(how)


def _step(lease: StepLease) -> PlannedStep:
    key = lease.partition_key
    partition = None if key is None else decode_partition(key)
    return PlannedStep(lease.run_id, lease.asset, partition, key, lease.attempt)


def _step_key(lease: StepLease) -> str | None:
    """The key of the step that the lease is of, or of whose items."""
    items = ItemRange.read(lease.partition_key)
    return lease.partition_key if items is None else items[1]


def _key(lease: StepLease) -> AttemptIdentity:
    return lease.run_id, lease.asset, lease.partition_key, lease.attempt
