"""A store in memory that several runtimes of one process share: the double of a database.

`SharedMemory` is the database, each `SharedMemoryStore` one node's connection to it. Time passes by the clock
that it is given, so that a test lets a node die by cutting its connection and moving a virtual clock; the
database's own wall clock may be stepped (`ahead`). A connection that is cut (`cut`) refuses every call, one
that is frozen (`freeze`) keeps every call waiting, as a stopped process does; either way the node beats no more
and hears nothing, until `mend`.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count

from flowstone.errors import StoreUnavailable
from flowstone.runs.events import (
    RunFinished,
    RunQueued,
    StepCancelled,
    StepFailed,
    StepProgressed,
    StepRetried,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from flowstone.runs.records import Status
from flowstone.store.cluster import Beats, NodeReport, Notification, WatchedNode
from flowstone.store.memory import MemoryStore, retention
from flowstone.store.protocol import StaleWrite
from flowstone.store.sanitise import sanitised_run
from tests.store.shared_automations import SharedAutomations
from tests.store.shared_callers import SharedCallers, callers_of_all
from tests.store.shared_deliveries import SharedDeliveries
from tests.store.shared_history import SharedHistory
from tests.store.shared_logs import SharedLogs, logs_of_all
from tests.store.shared_slots import SharedSlots, SharedTurns
from tests.store.shared_waits import SharedItems, SharedWaits

__all__ = ["SharedMemory", "SharedMemoryStore"]

_ENDS = (StepSucceeded, StepFailed, StepSkipped, StepCancelled, StepRetried, StepWaiting)
_LOOK = 1.0
_FORGOTTEN = timedelta(days=1)  # After which a node that did not beat is known no more.


@dataclass
class _Row:
    """One node."""

    node: object
    joined_at: object
    beat_at: object
    beaten: float
    beats: int = 1
    left: bool = False
    tree: object = None
    tree_at: object = None
    report: object = field(default_factory=NodeReport)


class SharedMemory:
    """What a database would hold.

    Attributes:
        clock: Whose time passes for all.
        ahead: Seconds its own wall clock is ahead of that; a test steps it.
        leases: Every step lease, by run, asset and partition key.
        most_leases: The largest number of leases there was.
    """

    def __init__(self, clock):
        self.clock = clock
        self.ahead = 0.0
        self.spent = {}
        self.history = SharedHistory(self)
        self.adoptions = {}
        self.payloads = {}
        self.nodes = {}
        self.queue = {}  # Run ids, who came first.
        self.duties = {}
        self.leases = {}  # In the order in which they were given.
        self.refused = {}  # As leases: attempt, why.
        self.most_leases = 0
        self.pools = {}
        self.fences = {}  # Node -> how often it was forgotten.
        self.definitions = {}  # Node -> pools with their slots.
        self.claims = []  # Of all nodes, who is to be served first in front.
        self.arrivals = count()
        self.watches = 0
        self.turns = {}  # Rate -> the next turn that nobody has.
        self.connections = []
        self.callers = callers_of_all(self)
        self.logs = logs_of_all(self)

    def connect(self):
        """Another node's store."""
        return SharedMemoryStore(self)

    def tell(self, notification):
        """Send a notification to every connection that works."""
        for connection in self.connections:
            connection.hear(notification)

    def enqueue(self, run_id, pipeline):
        """Put a run in the queue; one that is in it keeps its place."""
        self.queue.setdefault(run_id)
        self.tell(Notification("queued", pipeline))

    def now(self):
        """Its wall clock."""
        return self.clock.now() + timedelta(seconds=self.ahead)

    def alive(self, node_id):
        """Whether a node has not left and has beaten within a lease, in truth."""
        row = self.nodes.get(node_id)
        return row is not None and not row.left and self.clock.monotonic() - row.beaten < row.node.lease

    def unfinished(self):
        """The logs of all unfinished runs, oldest first."""
        return [log for log in self.history._order if not log.finished]

    def log(self, run_id):
        """The log of an unfinished run, or None."""
        log = self.history.find(run_id)
        return None if log is None or log.finished else log


class SharedMemoryStore(MemoryStore):
    """One node's connection.

    Attributes:
        shared: The database.
        cluster: The store itself: it is both ports.
        listens: Whether notifications arrive at once.
        calls: How often each call was made.
        trouble: What its health says is wrong.
    """

    def __init__(self, shared):
        super().__init__()
        self.shared = shared
        self._history = shared.history
        self._waits = SharedWaits(self)
        self._items = SharedItems(self)
        self._logs = SharedLogs(self)
        self._deliveries = SharedDeliveries(self)
        self._automations = SharedAutomations(self)
        self._payloads = shared.payloads
        self.cluster = self
        self.listens = True
        self.node = self._said = None
        self.calls = {}
        self.trouble = None
        self._broken = None
        self._mended = asyncio.Event()
        self._watchers = []
        self._lost = None
        self._beat_timer = None
        self._report = NodeReport()
        self._callers = SharedCallers(self)
        self._pools = SharedSlots(self)
        self.rates = SharedTurns(self)
        shared.connections.append(self)

    # Trouble ------------------------------------------------------------------------------------------------

    def cut(self):
        """Refuse every call from now on."""
        self._broken = "cut"

    def freeze(self):
        """Keep every call waiting from now on."""
        self._broken = "frozen"

    def mend(self):
        """Work again; what waited goes on, and the next beat comes at once."""
        self._broken = None
        self._mended.set()
        self._mended.clear()
        if self._beat_timer is not None:
            self._beat_timer.cancel()
            self._beat()

    async def _pass(self, call):
        self.calls[call] = self.calls.get(call, 0) + 1
        while self._broken is not None:
            if self._broken == "cut":
                raise StoreUnavailable(f"the database does not answer ({call})")
            await self._mended.wait()

    @property
    def problem(self):
        return self.trouble

    # The store ----------------------------------------------------------------------------------------------

    async def create_run(self, run):
        await self._pass("create_run")
        await super().create_run(run)

    async def claim(self, run_id, owner, *, epoch):
        await self._pass("claim")
        return await super().claim(run_id, owner, epoch=epoch)

    async def run(self, run_id):
        await self._pass("run")
        return await super().run(run_id)

    async def events(self, run_id, *, after=0, limit=1000):
        await self._pass("events")
        return await super().events(run_id, after=after, limit=limit)

    async def write(self, event, epoch=0, *, payload=None):
        await self._pass(event.kind)
        log = self.shared.log(event.run_id)
        owner = None if log is None else log.head().owner
        await super().write(event, epoch, payload=payload)
        self._written([event], owner)

    async def write_many(self, events, epoch=0):
        await self._pass("write_many")
        log = self.shared.log(events[0].run_id) if events else None
        owner = None if log is None else log.head().owner
        await super().write_many(events, epoch)
        self._written(events, owner)

    def _written(self, events, owner):
        """The owner of a run is told of what others recorded, and whoever may wait for it of its end."""
        told = [event for event in events if not isinstance(event, (StepProgressed, RunQueued))]
        if not told:
            return
        run_id = told[0].run_id
        if any(isinstance(event, RunFinished) for event in told):
            if run_id in self.shared.history.submitted:
                self.shared.tell(Notification("finished", run_id))
        elif owner is not None and self.node is not None and owner != self.node:
            self.shared.tell(Notification("steps", run_id))

    async def prune(self, *, keep_versions, keep_runs, assets=None):
        await self._pass("prune")
        gone, forgotten = self.shared.history.prune(*retention(keep_versions, keep_runs), assets)
        for record in gone:
            self.shared.payloads.pop(record.location or "", None)
        for at in [at for at in self.shared.leases if at[0] in forgotten]:
            del self.shared.leases[at]
            self.shared.refused.pop(at, None)
        now = self.shared.now()
        for node_id in [name for name, row in self.shared.nodes.items() if row.beat_at < now - _FORGOTTEN]:
            self._pools.free(node_id)
            del self.shared.nodes[node_id]
            self.shared.fences.pop(node_id, None)
        return gone

    async def close(self):
        self._stop_beating()

    # Nodes --------------------------------------------------------------------------------------------------

    async def join(self, node, lost):
        await self._pass("join")
        now, beaten = self.shared.now(), self.shared.clock.monotonic()
        known = self.shared.nodes.get(node.id)
        joined, beats = (now, 1) if known is None else (known.joined_at, known.beats + 1)
        self.shared.nodes[node.id] = _Row(node, joined, now, beaten, beats)
        self.node, self._said = node.id, node
        self._lost = lost
        self._stop_beating()
        self._schedule_beat(node.lease)
        self.shared.tell(Notification("nodes"))

    async def hold(self, node_id, pipelines):
        await self._pass("hold")
        row = self.shared.nodes.get(node_id)
        if row is not None:
            row.node = replace(row.node, pipelines=tuple(pipelines))
            self.shared.tell(Notification("nodes"))

    def report(self, report, *, at_once=True):
        self._report = report
        if self.node is not None and self._broken is None:
            self.shared.nodes[self.node].report = report

    async def leave(self, node_id):
        self._stop_beating()
        await self._pools.forget(node_id)
        await self._pass("leave")
        row = self.shared.nodes.get(node_id)
        if row is not None:
            row.left = True
            self.shared.tell(Notification("nodes"))

    async def watch_nodes(self, seconds, *, trees):
        await self._pass("watch_nodes")
        self.shared.watches += 1
        said = f"{self.shared.watches} trees" if trees else f"{self.shared.watches}"
        self.shared.tell(Notification("watch", said))
        return self.shared.watches

    async def nodes(self, *, trees=True):
        await self._pass("nodes")
        now = self.shared.now()
        owners = [log.head().owner for log in self.shared.unfinished()]
        return [
            WatchedNode(
                row.node,
                row.joined_at,
                row.beat_at,
                (now - row.beat_at).total_seconds(),
                row.left,
                owners.count(node_id),
                0.0,
                row.tree if trees else None,
                row.tree_at,
                row.report,
            )
            for node_id, row in self.shared.nodes.items()
        ]

    async def beats(self, pipelines):
        await self._pass("beats")
        heads = [log.head() for log in self.shared.unfinished()]
        owners = [head.owner for head in heads if head.owner and head.pipeline in pipelines]
        return [self._beats(node_id, owners) for node_id in dict.fromkeys([*self.shared.nodes, *owners])]

    def _beats(self, node_id, owners):
        row, runs = self.shared.nodes.get(node_id), owners.count(node_id)
        if row is None:
            return Beats(node_id, 0, None, False, None, runs)
        age = (self.shared.now() - row.beat_at).total_seconds()
        claims = node_id in self.shared.definitions or any(
            each.node == node_id for each in self.shared.claims
        )
        calls = self._callers.any_of(node_id)
        return Beats(node_id, row.beats, row.node.lease, row.left, age, runs, claims, calls)

    async def publish_tree(self, node_id, tree):
        await self._pass("publish_tree")
        row = self.shared.nodes.get(node_id)
        if row is not None:
            row.tree, row.tree_at = tree, self.shared.now()

    def _schedule_beat(self, lease):
        self._beat_timer = self.shared.clock.call_later(lease / 3, self._beat)

    def _stop_beating(self):
        if self._beat_timer is not None:
            self._beat_timer.cancel()
            self._beat_timer = None

    def _beat(self):
        if self._broken is None:
            now = self.shared.clock.monotonic()
            row = self.shared.nodes.get(self.node)
            known = row is not None
            if not known:  # Forgotten, after a day without a beat.
                row = self.shared.nodes[self.node] = _Row(
                    self._said, self.shared.now(), self.shared.now(), now, 0
                )
                self.shared.tell(Notification("nodes"))
            if not row.left:
                if not known or now - row.beaten >= row.node.lease:
                    asyncio.get_running_loop().call_soon(self._lost)
                row.beaten, row.beats, row.beat_at = now, row.beats + 1, self.shared.now()
                row.report = self._report
        self._schedule_beat(self._said.lease)

    # Runs ---------------------------------------------------------------------------------------------------

    async def submit(self, run):
        await self._pass("submit")
        run = sanitised_run(run)
        known = self._history.find(run.id)
        if known is not None:
            return known.head()
        holder = None if run.key is None else self._history.with_key(run.key)
        if holder is not None:
            return holder
        fresh = {"status": Status.QUEUED, "finished_at": None, "owner": None, "epoch": 0, "counts": {}}
        self._history.create_run(replace(run, **fresh))
        self.shared.history.submitted.add(run.id)
        self.shared.enqueue(run.id, run.pipeline)
        return run

    async def take(self, node_id, pipelines, limit, *, but=()):
        await self._pass("take")
        heads = [head for head in self._queued(pipelines) if head.id not in but][: max(0, limit)]
        for head in heads:
            del self.shared.queue[head.id]
        return [self._history.claim(head.id, node_id, head.epoch) for head in heads]

    def _queued(self, pipelines):
        logs = [self.shared.log(run_id) for run_id in self.shared.queue]
        heads = [log.head() for log in logs if log is not None]
        fitting = [head for head in heads if head.pipeline in pipelines and head.owner is None]
        return sorted(fitting, key=lambda head: -head.priority)

    async def queued(self, pipelines, limit):
        await self._pass("queued")
        return self._queued(pipelines)[:limit]

    async def orphans(self, pipelines, gone, limit=100):
        await self._pass("orphans")
        heads = [log.head() for log in self.shared.unfinished()]
        found = [head for head in heads if head.pipeline in pipelines and self._orphaned(head, gone)]
        return sorted(found, key=lambda head: -head.priority)[:limit]

    def _orphaned(self, head, gone):
        if head.status is Status.WAITING:
            return False
        return head.id not in self.shared.queue if head.owner is None else head.owner in gone

    async def adopt(self, run_id, node_id, *, epoch, given_up=False):
        await self._pass("adopt")
        record = self._history.claim(run_id, node_id, epoch)
        told = [event for _, event in self._history.find(run_id).log.page(0, 1_000_000)]
        before, count = self.shared.adoptions.get(run_id, (0, 0))
        news = [event.kind for event in told[before:]]
        steps = any(kind.startswith("step.") for kind in news)
        leased = any(at[0] == run_id and held.epoch == epoch for at, held in self.shared.leases.items())
        count = 1 if steps or leased or (not given_up and "run.started" in news) else count + 1
        self.shared.adoptions[run_id] = (len(told), count)
        return record, count

    async def owned(self, node_id):
        await self._pass("owned")
        heads = [log.head() for log in self.shared.unfinished()]
        return {head.id: head.epoch for head in heads if head.owner == node_id}

    async def spend(self, node_id, spent):
        await self._pass("spend")
        for run_id, seconds in spent.items():
            log = self.shared.log(run_id)
            if log is not None and log.head().owner == node_id:
                self.shared.spent[run_id] = max(seconds, self.shared.spent.get(run_id, 0.0))

    async def spent(self, run_id):
        await self._pass("spent")
        return self.shared.spent.get(run_id, 0.0)

    async def release(self, run_id, node_id):
        await self._pass("release")
        log = self.shared.log(run_id)
        if log is not None and log.head().owner == node_id:
            log._owner = None
            self.shared.enqueue(run_id, log.head().pipeline)

    async def take_back(self, run_id, node_id):
        await self._pass("take_back")
        log = self.shared.log(run_id)
        if log is None or log.head().owner is not None or log.status is not Status.RUNNING:
            return None
        self.shared.queue.pop(run_id, None)
        return self._history.claim(run_id, node_id, log.head().epoch)

    async def take_duty(self, duty, node_id, gone):
        await self._pass("take_duty")
        if self.shared.duties.get(duty) in (None, gone):
            self.shared.duties[duty] = node_id
        return self.shared.duties[duty]

    async def give_up_duty(self, duty, node_id):
        await self._pass("give_up_duty")
        if self.shared.duties.get(duty) == node_id:
            del self.shared.duties[duty]

    async def request_cancel(self, run_id, reason, *, by=None, comment=""):
        await self._pass("request_cancel")
        self.shared.history.cancel(run_id, reason, by, comment)

    async def cancelling(self, node_id):
        await self._pass("cancelling")
        found = [log.head() for log in self.shared.unfinished() if log.id in self.shared.history.cancelling]
        return sorted(head.id for head in found if head.owner == node_id)

    # Step leases --------------------------------------------------------------------------------------------

    async def grant(self, leases):
        await self._pass("grant")
        for lease in leases:
            log = self.shared.log(lease.run_id)
            if log is None or log.head().epoch != lease.epoch:
                raise StaleWrite(f"run {lease.run_id} is not at epoch {lease.epoch} any more")
        for lease in leases:
            at = lease.run_id, lease.asset, lease.partition_key
            self.shared.leases.pop(at, None)  # It is the last one now.
            self.shared.leases[at] = replace(lease, cancelled=False)
            self.shared.refused.pop(at, None)
        self.shared.most_leases = max(self.shared.most_leases, len(self.shared.leases))
        for node_id in {lease.node: None for lease in leases}:
            self.shared.tell(Notification("leases", node_id))

    async def leases(self, node_id):
        await self._pass("leases")
        return [lease for lease in self.shared.leases.values() if lease.node == node_id]

    async def outstanding(self, run_id):
        await self._pass("outstanding")
        return [lease for lease in self.shared.leases.values() if lease.run_id == run_id]

    async def cancel_leases(self, run_id, keys):
        await self._pass("cancel_leases")
        for asset, partition_key in keys:
            lease = self.shared.leases.get((run_id, asset, partition_key))
            if lease is not None:
                self.shared.leases[run_id, asset, partition_key] = replace(lease, cancelled=True)
                self.shared.tell(Notification("leases", lease.node))

    async def delete_leases(self, run_id, keys):
        await self._pass("delete_leases")
        for at in tuple(self.shared.leases):
            if at[0] == run_id and (keys is None or at[1:] in keys):
                del self.shared.leases[at]
                self.shared.refused.pop(at, None)

    async def endings(self, run_id, attempts):
        await self._pass("endings")
        return [event for event in self._of(run_id, attempts, before=True) if isinstance(event, _ENDS)]

    async def under_way(self, key):
        await self._pass("under_way")
        found = []
        for run in self._history.all_runs():
            if not run.finished and run.step(key) is None:
                events = [event for _, event in run.log.page(0, 1_000_000)]
                begun = any(
                    isinstance(event, StepStarted) and (event.asset, event.partition_key) == key
                    for event in events
                )
                found.append((run.head(), begun))
        return found[::-1]

    async def refuse(self, run_id, key, attempt, why):
        await self._pass("refuse")
        lease = self.shared.leases.get((run_id, *key))
        if lease is not None and lease.attempt == attempt:
            self.shared.refused[run_id, *key] = (attempt, why)

    async def refused(self, run_id):
        await self._pass("refused")
        return {at[1:]: said for at, said in self.shared.refused.items() if at[0] == run_id}

    async def begun(self, run_id, attempts):
        await self._pass("begun")
        events = self._of(run_id, attempts)
        return {(event.asset, event.partition_key) for event in events if isinstance(event, StepStarted)}

    def _of(self, run_id, attempts, *, before=False):
        """What was said of these attempts; with the records of steps by attempts before."""
        log = self._history.find(run_id)
        events = [] if log is None else [event for _, event in log.log.page(0, 1_000_000)]
        return [
            event
            for event in events
            if getattr(event, "attempt", None) is not None
            and (wanted := attempts.get((event.asset, event.partition_key))) is not None
            and (
                wanted == event.attempt
                or (before and hasattr(event, "materialization") and 1 <= event.attempt < wanted)
            )
        ]

    # Notifications ------------------------------------------------------------------------------------------

    @contextmanager
    def watch(self, heard):
        watcher = (heard, copy_context())  # Of the process that listens, whoever tells it.
        self._watchers.append(watcher)
        timer = [None]

        def look():
            timer[0] = self.shared.clock.call_later(_LOOK if self.listens else _LOOK / 2, look)
            if self._broken is None:
                heard(Notification("look"))

        timer[0] = self.shared.clock.call_later(_LOOK, look)
        try:
            yield
        finally:
            timer[0].cancel()
            self._watchers.remove(watcher)

    async def tell(self, notification):
        await self._pass("tell")
        self.shared.tell(notification)

    def hear(self, notification):
        """Pass a notification on, in the loop's next turn."""
        if self._broken is None and self.listens:
            for heard, context in tuple(self._watchers):
                asyncio.get_running_loop().call_soon(heard, notification, context=context)
