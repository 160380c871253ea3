"""The process that goes on with what a node left unfinished, where several nodes share a store.

It is the one that watches the beats of the others. Orphans are the runs of nodes that are gone: whoever raises
a run's epoch first has it, and everybody else's writes are refused from then on. Runs of this very node that it
had to give up, because the store was away for too long, are orphans as well, though nobody else may take them
while this node lives.

Who is gone is asked once a second, and once more when the lease of a silent node ends, so that adoption follows
at once. Which runs are orphans is asked only if the answer tells of any, and once a lease because the queue
might have lost some.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from flowstone.counting import count
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.records import Failure
from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.run.closing import close_run, given_up
from flowstone.runtime.run.takeover import take_up
from flowstone.store.protocol import StaleWrite, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.runs.records import RunRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Cluster

__all__ = ["Adoption"]

_log = logging.getLogger(__name__)

_MOST_ADOPTIONS = 3  # That led nowhere: what drives it there may be what ends the nodes.
_NAMED = 3  # Silent nodes that are named.
_JITTER = 0.1  # Seconds over which nodes that see the same orphan spread.
_MARGIN = 0.02  # Seconds after the end of a lease, as it is known here.


class Adoption(Poller):
    """Looks for orphans at every look, when a node has left, and when the lease of a silent one ends.

    Args:
        ctx: What the runtime offers.
        runs: Where adopted runs are driven.
        cluster: The port.
        adopt: Whether to take over what others left; what this node itself gave up is resumed in any case, and so
            is what callers here wait for.
    """

    kinds = ("nodes", "look")
    unanswered = "it does not say which runs were left unfinished"

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster, *, adopt: bool) -> None:
        super().__init__(ctx)
        self._runs = runs
        self._cluster = cluster
        self._adopt = adopt
        self._searched_at = ctx.clock.monotonic()
        self._untracked: set[str] = set()
        self._silent: set[str] = set()  # Nodes of which it was said that they are.
        self._cannot_end: set[str] = set()  # Runs of this node whose end the store refuses.

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await self._runs.resume_interrupted()
        self._wake()
        await self._keep_polling()

    def _patience(self) -> float | None:
        """Until the end of a lease, which need not wait for the next look."""
        end = self._ctx.peers.next_end()
        return None if end is None else end + _MARGIN

    async def _poll(self) -> None:
        await self._watch()
        self._say_who_is_silent()
        await self._free_slots()
        await self._let_go()
        search = self._is_due()
        if search:
            await self._find_untracked()
        await self._resume_given_up()
        adopts = self._runs.open and (self._adopt or bool(self._runs.parked.resumes))
        if adopts and (search or self._orphaned()) and await self._orphans():
            await self._adopt_orphans()

    async def _watch(self) -> None:
        await self._ctx.peers.look(self._cluster, self._ctx.snapshot.names)

    def _say_who_is_silent(self) -> None:
        """Say once of each node that may be dead until when what it drives waits: nothing happens until then.

        That is what a node meets that is started again after `kill -9`: its former self may be alive.
        """
        if not self._adopt:
            return
        ctx = self._ctx
        silent = [each for each in ctx.peers.silent(ctx.snapshot.names) if each.node != ctx.node]
        news = [each for each in silent if each.node not in self._silent]
        self._silent = {each.node for each in silent}
        for each in news[:_NAMED]:
            until = ctx.clock.now() + timedelta(seconds=each.left)
            what = f"its {count(each.runs, 'run')} and automations" if each.runs else "its automations"
            _log.warning(
                "The node %s has sent no heartbeat for %.0f s. In case it lives, %s are left to it until %s; "
                "then they go on here, or on another node.",
                each.node,
                each.silent,
                what,
                f"{until:%H:%M:%S %Z}",
            )
        if len(news) > _NAMED:
            _log.warning("So it is with %s.", count(len(news) - _NAMED, "more node"))

    async def _free_slots(self) -> None:
        """Free the slots of pools that nodes held which are gone, whether they own runs or not."""
        for node in self._ctx.peers.claimants_gone():
            if node != self._ctx.node:
                await self._cluster.pools.forget(node)

    async def _let_go(self) -> None:
        """Callers on nodes that are gone wait for no run any more."""
        for node in self._ctx.peers.callers_gone():
            if node != self._ctx.node:
                await self._ctx.store.callers.forget(node)

    def _is_due(self) -> bool:
        """Whether it is time for what is looked for once a lease."""
        now = self._ctx.clock.monotonic()
        if now - self._searched_at < self._ctx.settings.lease:
            return False
        self._searched_at = now
        return True

    async def _find_untracked(self) -> None:
        """Look for runs that this node owns without knowing it.

        A connection that breaks while the database commits does not tell what this node has just taken. A run
        that is not driven here at two looks in a row is one, and not on its way between the store and its tree.
        """
        owned = await self._cluster.owned(self._ctx.node)
        untracked = set(owned) - set(self._runs.live) - set(self._runs.to_resume) - self._cannot_end
        self._cannot_end &= set(owned)
        for run_id in sorted(untracked & self._untracked):
            self._runs.to_resume[run_id] = None
        self._untracked = untracked

    async def _resume_given_up(self) -> None:
        """Go on with runs that this node gave up though it still owns them; close those that crash ever again."""
        for run_id, error in tuple(self._runs.to_resume.items()):
            record = await self._ctx.store.run(run_id)
            if record is not None and not record.status.terminal and record.owner == self._ctx.node:
                await self._resume(record, error)
            self._runs.to_resume.pop(run_id, None)

    async def _resume(self, record: RunRecord, error: BaseException | None) -> None:
        try:
            if error is None or isinstance(error, StaleWrite) or _passes(error):
                await self._take_over(record, error)
            else:
                await close_run(self._ctx, record, given_up(error))
        except StoreRefused as refusal:
            self._cannot_end.add(record.id)
            _log.error("Run %s is left as it is: the store does not let it end: %s", record.id, refusal)
        except StoreUnavailable:
            raise
        except FlowstoneError as problem:
            self._ctx.alarms.set(f"run {record.id}", f"it could not be resumed: {problem}")

    def _orphaned(self) -> list[str]:
        return [owner for owner in self._ctx.peers.orphaned() if owner != self._ctx.node]

    async def _take_over(self, run: RunRecord, why: BaseException | None) -> None:
        """Drive a run that somebody left, unless that was tried too often and nothing came of it."""
        record, times = await self._cluster.adopt(
            run.id, self._ctx.node, epoch=run.epoch, given_up=why is not None
        )
        if run.owner != self._ctx.node:
            _log.warning("Run %s of %s is taken over", run.id, run.owner)
        if times <= _MOST_ADOPTIONS:
            await take_up(self._ctx, self._runs, self._cluster, record)
            return
        alone = "each time its node was gone before a step of it began"
        reason = f"the last time because: {why}" if why else alone
        message = f"The run was taken over {_MOST_ADOPTIONS} times and nothing came of it, {reason}."
        await close_run(self._ctx, record, Failure("lost", message))

    async def _orphans(self) -> Sequence[RunRecord]:
        names = self._ctx.snapshot.names
        return await self._ctx.peers.asked(self._cluster.orphans(names, self._orphaned()))

    async def _adopt_orphans(self) -> None:
        """Not all nodes at once; and whoever has beaten meanwhile is no more dead than this node."""
        await self._ctx.clock.sleep(self._ctx.random.uniform(0.0, _JITTER))
        await self._watch()
        for orphan in await self._orphans():
            if not self._adopt and orphan.id not in self._runs.parked.resumes:
                continue
            try:
                await self._take_over(orphan, None)
            except StaleWrite:
                continue  # Another node was faster.
            except StoreUnavailable as error:
                self._runs.to_resume[orphan.id] = error
                raise
            except FlowstoneError as error:
                self._ctx.alarms.set(f"run {orphan.id}", f"it could not be adopted: {error}")


def _passes(error: BaseException) -> bool:
    return isinstance(error, StoreUnavailable) and not isinstance(error, StoreRefused)
