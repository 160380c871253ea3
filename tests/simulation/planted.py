"""Bugs that are planted in the runtime or in its store, to see that the simulation finds them.

Each is one change that somebody could make by mistake. `BUGS` says within how many seeds it is found.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from unittest.mock import patch

from flowstone.io.manager import Stored
from flowstone.runs.records import Status
from flowstone.runtime.cluster.node_pools import NodePools
from flowstone.runtime.cluster.timekeeper import Timekeeper
from flowstone.runtime.observation import Observation
from flowstone.runtime.services.notifications import Notifications
from flowstone.runtime.services.peers import Peers
from flowstone.store.automation_ledger import AutomationLedger
from flowstone.store.ledger import Ledger
from flowstone.store.run_log import RunLog
from tests.simulation.shared_store import SimulatedStore
from tests.simulation.values import SimulatedIO
from tests.store.shared_callers import SharedCallers
from tests.store.shared_deliveries import SharedDeliveries
from tests.store.shared_history import SharedHistory
from tests.store.shared_memory import SharedMemoryStore

__all__ = ["BUGS", "planted"]


def _recorded_first():
    """A success is recorded before its value is stored."""
    store, numbers = SimulatedIO.store, count(1)

    async def early(self, target, value):
        location = f"{target.asset}/{target.partition_key}/{target.run_id}/{target.attempt}/{next(numbers)}"

        async def late():
            await store(self, target, value)

        self.writing = asyncio.create_task(late(), name="late")
        return Stored(location)

    return [(SimulatedIO, "store", early)]


def _not_fenced():
    """What an attempt records is not fenced: neither by the epoch of its run nor by what was recorded before."""

    def check(self, event, epoch):
        del event, epoch
        if self.finished:
            self.check_open(self._epoch)

    return [(RunLog, "check", check)]


def _appended_again():
    """A write whose answer was lost is sent as another one, and a step may have two records."""

    def anew(self, batch):
        async def commit():
            return [self._recorded(call) for call, _ in batch]

        return commit

    def check(self, event, epoch):
        step = getattr(event, "asset", None), event.partition_key
        before = self._steps.get(step[0], {}).pop(step[1], None)
        try:
            fenced(self, event, epoch)
        finally:
            if before is not None:
                self._steps[step[0]][step[1]] = before

    fenced = RunLog.check
    return [(SimulatedStore, "_numbered", anew), (RunLog, "check", check)]


def _slot_kept():
    """A slot is not given back where its step did not get as far as knowing that it has it."""
    withdraw = NodePools.withdraw

    def forgetful(self, user):
        asked = self._of.get(id(user))
        if asked is not None and not asked.holds:
            asked.sent = False
        withdraw(self, user)

    def grant(self, answer):
        known = {number: pools for number, pools in answer.claims.items() if number in self._asked}
        wanted(self, type(answer)(answer.fence, known))

    wanted = NodePools._grant
    return [(NodePools, "withdraw", forgetful), (NodePools, "_grant", grant)]


def _never_looks():
    """Nobody looks unless told to, and what tells is lost now and then."""
    heard = Notifications.heard

    def deaf(self, notification):
        if notification.kind != "look":
            heard(self, notification)

    return [(Notifications, "heard", deaf)]


def _by_the_wall_clock():
    """Who lives is judged by how old its last beat is by a wall clock, which somebody may set."""

    def gone(self, node_id):
        silence = self._silences.get(node_id)
        if silence is None or silence.seen.gone or silence.seen.age is None:
            return judged(self, node_id)
        return silence.seen.age >= silence.seen.lease

    judged = Peers.gone
    return [(Peers, "gone", gone)]


def _same_epoch():
    """Who adopts a run does not raise its epoch, so its former owner goes on writing."""

    def claim(self, owner, epoch):
        record = fenced(self, owner, epoch)
        self._epoch -= 1
        return self.head() if record else record

    fenced = RunLog.claim
    return [(RunLog, "claim", claim)]


def _taken_too_early():
    """A job leaves the queue before its run has an owner, and nobody looks for runs that the queue has lost."""

    async def take(self, node_id, pipelines, limit, *, but=()):
        async def first():
            heads = [head for head in self.inner._queued(pipelines) if head.id not in but][:limit]
            for head in heads:
                del self._world.shared.queue[head.id]
            return heads

        async def second(heads):
            return [self._world.shared.history.claim(head.id, node_id, head.epoch) for head in heads]

        heads = await self.patiently("take", first)
        return await self.patiently("take", lambda: second(heads)) if heads else []

    def orphaned(self, head, gone):
        del self
        return head.status is not Status.WAITING and head.owner is not None and head.owner in gone

    begin = SimulatedStore.__init__

    def __init__(self, world, random):  # noqa: N807 - it stands for one
        begin(self, world, random)
        self.take = take.__get__(self)

    return [(SimulatedStore, "__init__", __init__), (SharedMemoryStore, "_orphaned", orphaned)]


def _not_woken():
    """A deadline is told only to the node that was to keep it, once, and not looked for by the next keeper."""

    def vacant(self):
        return self._holder is None

    return [(Timekeeper, "_is_vacant", vacant)]


def _newest_by_clock():
    """What is current is what finished last, by the clock of whoever finished it."""

    def record(self, made):
        timeline = self._timeline((made.asset, made.partition_key))
        newest = None if timeline is None or not timeline.valid else timeline.newest
        filed(self, made)
        if made.status is Status.SUCCEEDED and newest is not None and newest.finished_at > made.finished_at:
            self._timeline((made.asset, made.partition_key)).newest = newest

    filed = Ledger.record
    return [(Ledger, "record", record)]


def _one_place():
    """Each value of an asset-partition is written over the one before."""

    async def store(self, target, value):
        location = f"{target.asset}/{target.partition_key}"
        self._values.whole[location] = None
        await asyncio.sleep(self._random.uniform(0.0, 0.02))
        self._values.whole[location] = (value,)
        return Stored(location)

    return [(SimulatedIO, "store", store)]


def _left_in_the_queue():
    """A step that was woken wakes its run only where somebody drives it."""

    def unpark(self, run):
        if run.unpark():
            self.waits.unpark(run.id)
            run.status = Status.WAITING

    return [(SharedHistory, "_unpark", unpark)]


def _pruned_too_early():
    """Retention does not know that an unfinished run needs a value."""
    return [(SharedHistory, "_is_unfinished", lambda _self, _run_id: False)]


def _moved_anyway():
    """Whoever decides for an automation does so, though somebody else has decided meanwhile."""

    def move(self, move, under_way, create):
        known = self.get(move.key)
        return moved(self, move if known is None else replace(move, version=known.version), under_way, create)

    moved = AutomationLedger.move
    return [(AutomationLedger, "move", move)]


def _tree_too_early():
    """A node does not show its tree before it has started, however soon others ask."""

    def shown(self):
        self._started()
        return now(self)

    now = Observation._shown_tree
    return [(Observation, "_shown_tree", shown)]


def _not_joined():
    """Whoever would join a run starts another one."""

    async def create(self, run, caller, *, join=True, but=()):
        del join
        return await created(self, run, caller, join=False, but=but)

    created = SharedCallers.create
    return [(SharedCallers, "create", create)]


def _told_once_at_most():
    """What is to be delivered is forgotten before the listener was called."""

    async def pending(self, pipeline, name, **named):
        found = await given(self, pipeline, name, **named)
        await self.done(pipeline, name, [each.key for each in found])
        return found

    given = SharedDeliveries.pending
    return [(SharedDeliveries, "pending", pending)]


BUGS = {
    "recorded-first": (_recorded_first, 10),
    "not-fenced": (_not_fenced, 150),
    "appended-again": (_appended_again, 100),
    "slot-kept": (_slot_kept, 400),
    "never-looks": (_never_looks, 40),
    "wall-clock": (_by_the_wall_clock, 400),
    "same-epoch": (_same_epoch, 150),
    "taken-too-early": (_taken_too_early, 80),
    "not-woken": (_not_woken, 60),
    "newest-by-clock": (_newest_by_clock, 100),
    "one-place": (_one_place, 40),
    "pruned-too-early": (_pruned_too_early, 100),
    "left-in-the-queue": (_left_in_the_queue, 20),
    "moved-anyway": (_moved_anyway, 100),
    "tree-too-early": (_tree_too_early, 20),
    "not-joined": (_not_joined, 40),
    "told-once-at-most": (_told_once_at_most, 40),
}
"""By name: the bug, and within how many seeds it is found."""


@contextmanager
def planted(name):
    """Have this bug while the block lasts; None: none."""
    with ExitStack() as stack:
        for owner, attribute, replacement in BUGS[name][0]() if name else ():
            stack.enter_context(patch.object(owner, attribute, replacement))
        yield
