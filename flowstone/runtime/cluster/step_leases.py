"""The steps of one run that other nodes execute, as the run's owner sees them.

The owner decides where a step runs and counts its leases: `max_parallel` is the run's, wherever its steps run. A
lease names one attempt. Its end is recorded by the node that executes it, and learned from the store; if the node
dies first, the attempt is lost, and the number of the next one keeps what is left of it from recording anything.

What is to be done with the store (give leases, cancel them, look how they ended, delete them) is done by one task
at a time, so that a cancel never overtakes its lease.

A lease may be of a range of the items of a step that is driven here. Its node records how each ended, and deletes
the lease when it is done with it, for whatever reason: that is how its end is known. What is not on record then is
to be done again.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from flowstone.actors import ActorDown
from flowstone.runs import endings
from flowstone.runs.commands import AttemptLost
from flowstone.runs.events import StepRetried, StepSkipped, StepSucceeded, StepWaiting
from flowstone.runtime.cluster.placement import Candidate, TurnaroundTimes, items_travel, place, travels
from flowstone.store.cluster import StepLease
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from flowstone.runs.commands import StartStep
    from flowstone.runs.endings import AttemptEnd
    from flowstone.runs.events import Event
    from flowstone.runs.item_range import ItemRange
    from flowstone.runs.records import StepKey
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.remote_steps import ItemsOver
    from flowstone.store.cluster import Cluster, Notification

__all__ = ["StepLeases"]

_COOLDOWN = 60.0  # Seconds in which a node that handed a step back is not given another one.
_GRACE = 5.0  # Seconds beyond `cancel_timeout` that another node has to stop an attempt.


class ItemsLease(NamedTuple):
    """A lease of a range of items, and who is told that it is over."""

    lease: StepLease
    items: ItemRange
    over: ItemsOver


class StepLeases:
    """What one coordinator has leased.

    Args:
        ctx: What the runtime offers.
        cluster: The port.
        run: The run.
        start: Starts a task beside the run's attempts.
        ended: Called with the events that ended attempts, and their steps.
        lost: Called with each attempt that went with its node.
        refused: Called if the store will not have the end of an attempt: then the run cannot go on.
    """

    def __init__(
        self,
        ctx: RuntimeContext,
        cluster: Cluster,
        run: LiveRun,
        *,
        start: Callable[[Coroutine[None, None, None]], None],
        ended: Callable[[Sequence[Event], Sequence[int]], None],
        lost: Callable[[AttemptLost], None],
        refused: Callable[[StoreRefused], None],
    ) -> None:
        self._ctx = ctx
        self._cluster = cluster
        self._run = run
        self._start = start
        self._ended = ended
        self._lost = lost
        self._refuse = refused
        self._leases: dict[StepKey, StepLease] = {}
        self._steps: dict[StepKey, int] = {}
        self._items: dict[StepKey, ItemsLease] = {}
        self._busy: dict[str, int] = {}  # Node -> leases.
        self._refused: dict[str, float] = {}  # Nodes that handed a step back -> when.
        self._travels: dict[str, bool] = {}
        self._items_travel: dict[str, bool] = {}
        self._of_backfill = run.record.request.kind == "backfill"
        self._times = TurnaroundTimes()
        self._since: dict[int, float] = {}  # Step -> when it was ordered to start, here or elsewhere.
        self._to_grant: list[StepLease] = []
        self._to_cancel: list[StepKey] = []
        self._to_delete: list[StepKey] = []
        self._stop_by: dict[StepKey, float] = {}  # Cancelled leases -> when they are given up.
        self._to_hold = False
        self._to_look = False
        self._to_ask = False  # Whether all ends can be recorded: seldom, for it is seldom otherwise.
        self._working = False
        self._listening = ExitStack()

    def __len__(self) -> int:
        return len(self._leases)

    # What the coordinator says ------------------------------------------------------------------------------

    def takes(self, order: StartStep, busy_here: int) -> bool:
        """Lease a step that is to start, if another node is the better place; it is granted with `flush`."""
        if not self._of_backfill:
            return False
        if self._ctx.peers.alone(self._ctx.node):
            return False
        asset, _, key = self._run.plan.step(order.step)
        self._since[order.step] = self._ctx.clock.monotonic()
        if order.exclusive or not self._may_travel(asset) or not self._times.worth_leasing(asset):
            return False
        node = self._place(asset, busy_here)
        if node == self._ctx.node:
            return False
        run = self._run.record
        lease = StepLease(run.id, asset, key, order.attempt, run.epoch, node, order.failed)
        self._note(lease, order.step)
        self._to_grant.append(lease)
        return True

    def keep(self, lease: StepLease, step: int) -> None:
        """Take over what a former owner leased, and has been granted again."""
        self._note(lease, step)
        self._to_look = True  # It may have ended before this owner listened.

    def stayed(self, step: int, asset: str) -> None:
        """A step that was not leased has ended."""
        since = self._since.pop(step, None)
        if since is not None:
            self._times.took_here(asset, self._ctx.clock.monotonic() - since)

    def cancels(self, step: int) -> bool:
        """Have a leased step stopped; False if it is not leased."""
        asset, _, key = self._run.plan.step(step)
        if (asset, key) not in self._leases:
            return False
        self._cancel((asset, key))
        return True

    def hold(self) -> None:
        """Have those stopped that have not begun; whether one has, its node has recorded."""
        if self._leases:
            self._to_hold = True
            self.flush()

    def wants_items(self, asset: str, busy_here: int) -> bool:
        """Whether another node is the better place for the next items of a step."""
        known = self._items_travel.get(asset)
        if known is None:
            known = self._items_travel[asset] = items_travel(self._run.plan.graph, asset, self._ctx.managers)
        return known and self._place(asset, busy_here) != self._ctx.node

    def takes_items(
        self,
        step: StepKey,
        attempt: int,
        items: ItemRange,
        busy_here: int,
        over: ItemsOver,
    ) -> bool:
        """Lease items of a step that is driven here, if another node is the better place for them."""
        node = self._place(step[0], busy_here)
        if node == self._ctx.node:
            return False
        run, key = self._run.record, (step[0], items.key(step[1]))
        lease = StepLease(run.id, *key, attempt, run.epoch, node)
        self._listen()
        self._items[key] = ItemsLease(lease, items, over)
        self._busy[node] = self._busy.get(node, 0) + 1
        self._to_grant.append(lease)
        self.flush()
        return True

    def shun(self, node: str) -> None:
        """Give a node nothing more for a while: it does nothing with what it is given."""
        self._refused[node] = self._ctx.clock.monotonic()

    def cancels_items(self, step: StepKey, items: ItemRange) -> None:
        """Have its node stop with these items."""
        self._cancel((step[0], items.key(step[1])))
        self.flush()

    def _cancel(self, key: StepKey) -> None:
        limit = self._ctx.settings.cancel_timeout + _GRACE
        self._stop_by[key] = self._ctx.clock.monotonic() + limit
        self._to_cancel.append(key)

    def flush(self) -> None:
        """Do what has come up, unless that is being done."""
        to_do = self._to_grant or self._to_cancel or self._to_delete or self._to_hold or self._to_look
        if to_do and not self._working:
            self._working = True
            self._start(self._work())

    async def clear(self) -> None:
        """Delete what is left of leases at the end of the run."""
        if self._busy:
            await self._cluster.delete_leases(self._run.record.id, None)

    def close(self) -> None:
        """Hear nothing more."""
        self._listening.close()

    # Deciding -----------------------------------------------------------------------------------------------

    def _may_travel(self, asset: str) -> bool:
        known = self._travels.get(asset)
        if known is None:
            known = travels(self._run.plan.graph, asset, self._ctx.managers)
            self._travels[asset] = known
        return known

    def _place(self, asset: str, busy_here: int) -> str:
        ctx = self._ctx
        own = Candidate(ctx.node, ctx.settings.max_concurrency * self._times.own_share, busy_here)
        ahead = self._times.ahead(asset)
        return place(
            own,
            [
                Candidate(watched.node.id, watched.node.capacity * ahead, self._busy.get(watched.node.id, 0))
                for watched in ctx.peers.all_alive()
                if watched.node.id != ctx.node
                and self._asks(watched.node.id)
                and self._run.record.pipeline in watched.node.pipelines
            ],
        )

    def _asks(self, node: str) -> bool:
        """Whether a node may be given steps: it has not handed one back, or that is a while ago."""
        refused = self._refused.get(node)
        return refused is None or self._ctx.clock.monotonic() - refused > _COOLDOWN

    def _heard(self, notification: Notification) -> None:
        if (self._leases or self._items) and (
            notification.kind == "look" or notification.subject == self._run.record.id
        ):
            self._to_look = True
            self._to_ask = self._to_ask or notification.kind == "look"
            with suppress(ActorDown):  # The run's tree is stopping.
                self.flush()

    def _listen(self) -> None:
        """Hear of the ends of what is leased; called before a lease is noted."""
        if not (self._leases or self._items):
            self._listening.enter_context(self._ctx.notifications.on(self._heard, "steps", "look"))

    def _note(self, lease: StepLease, step: int) -> None:
        self._listen()
        key = (lease.asset, lease.partition_key)
        self._leases[key] = lease
        self._steps[key] = step
        self._busy[lease.node] = self._busy.get(lease.node, 0) + 1

    # Doing --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        run_id = self._run.record.id
        while True:
            if self._to_grant:
                leases, self._to_grant = self._to_grant, []
                # A lease of the same step overwrites its last one; deleted after that, the new one would be gone.
                again = {(lease.asset, lease.partition_key) for lease in leases}
                self._to_delete = [key for key in self._to_delete if key not in again]
                await self._cluster.grant(leases)
            elif self._to_hold:
                self._to_hold = False
                attempts = {key: lease.attempt for key, lease in self._leases.items()}
                begun = await self._cluster.begun(run_id, attempts)
                for key in attempts.keys() - begun:
                    self._cancel(key)
            elif self._to_cancel:
                keys, self._to_cancel = self._to_cancel, []
                await self._cluster.cancel_leases(run_id, keys)
            elif self._to_look:
                self._to_look = False
                await self._look()
            elif self._to_delete:
                keys, self._to_delete = self._to_delete, []
                await self._cluster.delete_leases(run_id, keys)
            else:
                break
        self._working = False

    async def _look(self) -> None:
        """See how leased attempts ended. Who is dead is decided first: what it recorded before counts."""
        await self._look_at_items()
        if not self._leases:
            return
        leases = {key: lease for key, lease in self._leases.items() if lease not in self._to_grant}
        gone = [key for key, lease in leases.items() if self._gone(key, lease)]
        run_id = self._run.record.id
        ends = await self._ends_of(leases)
        for end in ends:
            leases.pop((end.asset, end.partition_key), None)
        dead = {key: leases[key].attempt for key in gone if key in leases}
        begun = await self._cluster.begun(run_id, dead) if dead else ()
        if ends:
            self._take_ends(ends)
        if self._to_ask:
            self._to_ask = False
            await self._ask()
        for key, attempt in dead.items():
            step = self._steps[key]
            self._since.pop(step, None)
            self._forget(key)
            self._lost(AttemptLost(step, attempt, key in begun))

    async def _ends_of(self, leases: Mapping[StepKey, StepLease]) -> Sequence[Event]:
        """The ends on record, and how long it takes to hear of them."""
        attempts = {key: lease.attempt for key, lease in leases.items()}
        now = self._ctx.clock.monotonic
        asked = now()
        ends = await self._cluster.endings(self._run.record.id, attempts)
        answered = now()
        await asyncio.sleep(0)
        self._times.heard(answered - asked, now() - answered)
        return [_as_end_of(attempts[end.asset, end.partition_key], end) for end in ends]

    async def _look_at_items(self) -> None:
        """See which leases of items are over: those that their nodes have deleted, and those of dead nodes."""
        granted = {key: held for key, held in self._items.items() if held.lease not in self._to_grant}
        if not granted:
            return
        left = {
            (lease.asset, lease.partition_key)
            for lease in await self._cluster.outstanding(self._run.record.id)
        }
        for key, (lease, items, over) in granted.items():
            lost = key in left
            if lost and not self._gone(key, lease):
                continue
            del self._items[key]
            self._forget_lease(key, lease)
            over(items, lease.node, lost)

    async def _ask(self) -> None:
        """Learn of ends that nobody can record. The run would wait for them as long as their nodes live."""
        for key, (attempt, why) in (await self._cluster.refused(self._run.record.id)).items():
            lease = self._leases.get(key)
            if lease is not None and lease.attempt == attempt:
                self._refuse(StoreRefused(why))
                return

    def _gone(self, key: StepKey, lease: StepLease) -> bool:
        """Whether nobody will record the end of this attempt."""
        overdue = self._stop_by.get(key, float("inf")) <= self._ctx.clock.monotonic()
        return overdue or self._ctx.peers.gone(lease.node)

    def _take_ends(self, ends: Sequence[Event]) -> None:
        steps, news = [], []
        for end in ends:
            key = (end.asset, end.partition_key)
            step = self._steps.get(key)
            if step is None:
                continue  # It said twice that it is retried: interrupted while it said so, it said it again.
            steps.append(step)
            news.append(end)
            if (since := self._since.pop(step, None)) is not None:
                self._times.took_elsewhere(end.asset, self._ctx.clock.monotonic() - since)
            if isinstance(end, StepSucceeded) and (executed := end.materialization.duration) is not None:
                self._times.executed(end.asset, executed)
            if isinstance(end, StepRetried) and end.failure.kind == "lost":
                self.shun(self._leases[key].node)
            self._forget(key)
        self._ctx.learn(news)
        self._ended(news, steps)

    def _forget(self, key: StepKey) -> None:
        lease = self._leases.pop(key)
        del self._steps[key]
        self._forget_lease(key, lease)

    def _forget_lease(self, key: StepKey, lease: StepLease) -> None:
        self._stop_by.pop(key, None)
        self._busy[lease.node] -= 1
        self._to_delete.append(key)
        if not (self._leases or self._items):
            self._listening.close()


def _as_end_of(attempt: int, end: AttemptEnd) -> Event:
    """The end of a lease's attempt. The record may be that of an attempt before, which was taken for lost."""
    if isinstance(end, StepSkipped | StepRetried | StepWaiting) or end.attempt == attempt:
        return end
    return endings.as_recorded(end.materialization, attempt) or end
