"""A node's connection to the database of a world: calls take time, break off and lose their answers.

What is sent is done by the world and not by the process that sends it, so that a statement may still be done when
its sender is dead. As with Postgres, whoever asks is patient: what breaks off is sent again, for a minute. What
runs record goes through a journal, in order, each batch once however often it is sent.

The state and its rules are those of `SharedMemory`, which a test compares with Postgres.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, partial

from flowstone.backoff import Backoff
from flowstone.errors import RunNotFound, StoreUnavailable
from flowstone.store.audit import Audit
from flowstone.store.automations import Automations
from flowstone.store.callers import Callers
from flowstone.store.cluster import Cluster, NodeReport, Notification
from flowstone.store.deliveries import Deliveries
from flowstone.store.items import Items
from flowstone.store.logs import Logs
from flowstone.store.memory import of_one_run
from flowstone.store.pools import PoolSlots, SharedPools
from flowstone.store.protocol import StaleWrite, Store
from flowstone.store.rates import SharedRates
from flowstone.store.waits import Waits
from tests.store.shared_memory import SharedMemoryStore

__all__ = ["SimulatedStore"]

_PATIENCE = 60.0
_BEATS = 4  # In the time of one lease.
_LOOK = 1.0
_ANSWER = 5.0
_BATCH = 50
_REFUSALS = (StaleWrite, RunNotFound)
_OWN = frozenset({"claim", "adopt"})  # Refused when they are sent again, because they were done.

_ONCE = frozenset({"answer", "move"})  # Each is known by a token: sent again, it has the answer that it had.


class _Broken(Exception):
    """A call broke off: whether it was done is not known."""


class _Port:
    """Some ports of the store; every call goes through the wire, but for those that are made otherwise."""

    def __init__(self, store, double, *ports):
        for port in ports:
            for call in _calls_of(port):
                if not hasattr(self, call):
                    setattr(self, call, _through(store, call, getattr(double, call)))


@cache
def _calls_of(port):
    """The names of the calls that a port has: all that somebody has to wait for."""
    return [name for name, member in inspect.getmembers(port) if inspect.iscoroutinefunction(member)]


def _through(store, name, call):
    async def sent(*arguments, **named):
        return await store.patiently(name, lambda: call(*arguments, **named))

    return sent


def _now(coroutine):
    """What a call of the database answers, which never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as answer:
        return answer.value
    raise AssertionError("the double of the database waited for something")


def _tell(answer, outcome):
    """The answer arrives: the refusal, if any, and the result; None: the call broke off."""
    if answer.done():
        return
    refused, result = outcome or (_Broken(), None)
    if refused is None:
        answer.set_result(result)
    else:
        answer.set_exception(refused)


class SimulatedStore(_Port):
    """One node's store, of both ports.

    Args:
        world: Its loop, its database and its faults.
        random: Jitter.
    """

    keeps_payloads = True
    lasts = True
    listens = True
    problem = None

    def __init__(self, world, random):
        self._world = world
        self._random = random
        self.inner = SharedMemoryStore(world.shared)
        world.shared.connections.remove(self.inner)
        self._journal = deque()
        self._written = asyncio.Event()
        self._tasks = []
        self._watchers = []
        self._report = NodeReport()
        self._hurry = asyncio.Event()
        self._beating = None
        self.away = 0.0  # Until when the database is, for this node.
        self.waits = _Port(self, self.inner.waits, Waits)
        self.items = _Port(self, self.inner.items, Items)
        self.logs = _Port(self, self.inner.logs, Logs)
        self.pools = _Port(self, self.inner._pools, PoolSlots, SharedPools)
        self.automations = _Port(self, self.inner.automations, Automations)
        self.deliveries = _Port(self, self.inner.deliveries, Deliveries)
        self.deliveries.watch = self._watch_deliveries
        self.callers = _Port(self, self.inner.callers, Callers)
        self.audit = _Port(self, self.inner.audit, Audit)
        self.feed = self.inner.feed
        self.rates = _Port(self, self.inner.rates, SharedRates)
        super().__init__(self, self.inner, Store, Cluster)

    @property
    def cluster(self):
        return self

    # The wire -----------------------------------------------------------------------------------------------

    async def once(self, name, call):
        """Send one statement. Raises `_Broken` if there is no answer."""
        world = self._world
        answer = world.loop.create_future()
        if world.faults.strikes("before"):
            world.later(self._latency(), partial(_tell, answer, None))
        else:
            world.later(self._latency(), partial(self._done, answer, call))
        return await answer

    def _done(self, answer, call):
        """The database does it, whether its sender lives or not."""
        world = self._world
        if world.loop.time() < max(self.away, world.away):
            outcome = None
        else:
            try:
                outcome = (None, _now(call()))
            except _REFUSALS as refusal:
                outcome = (refusal, None)
            except AssertionError as violation:
                world.violated(violation)
                return
        if outcome is None or world.faults.strikes("after"):
            _tell(answer, None)
        else:
            world.later(self._latency(), partial(_tell, answer, outcome))

    def _latency(self):
        if self._world.faults.strikes("slow"):
            return self._random.uniform(0.2, 1.5)
        return self._random.uniform(0.0002, 0.004)

    async def patiently(self, name, call):
        """Send a statement until there is an answer, or there was none for a minute."""
        until = asyncio.get_running_loop().time() + _PATIENCE
        backoff = Backoff(0.05, 1.0, self._random)
        done = []  # What came of it when it was done, though nobody heard.

        async def noted():
            if name in _ONCE and done:
                return done[0]
            answer = await call()
            done.append(answer)
            return answer

        while True:
            try:
                return await self.once(name, noted)
            except _Broken as error:
                if asyncio.get_running_loop().time() > until:
                    raise StoreUnavailable(f"the database does not answer ({name})") from error
            except StaleWrite:
                if name in _OWN and done and self._still_has(done[0]):
                    return done[0]
                raise
            await asyncio.sleep(backoff.pause())

    def _still_has(self, answer):
        record = answer[0] if isinstance(answer, tuple) else answer
        log = self._world.shared.log(record.id)
        return log is not None and (log.head().owner, log.head().epoch) == (record.owner, record.epoch)

    # Life and the journal -----------------------------------------------------------------------------------

    async def open(self):
        await self.patiently("open", self.inner.open)
        self._tasks.append(asyncio.create_task(self._keep_journal(), name="journal"))

    async def close(self):
        self._stop_beating()
        while self._journal:
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def create_run(self, run):
        await self._enter(lambda: self.inner.create_run(run))

    def write(self, event, epoch=0, *, payload=None):
        return self._enter(lambda: self.inner.write(event, epoch, payload=payload))

    async def write_many(self, events, epoch=0):
        events = of_one_run(events)
        if events:
            await self._enter(lambda: self.inner.write_many(events, epoch))

    def _enter(self, call):
        entry = (call, asyncio.get_running_loop().create_future())
        self._journal.append(entry)
        self._written.set()
        return entry[1]

    async def _keep_journal(self):
        backoff = Backoff(0.05, 1.0, self._random)
        while True:
            while not self._journal:
                self._written.clear()
                await self._written.wait()
            batch = [self._journal[place] for place in range(min(_BATCH, len(self._journal)))]
            commit = self._numbered(batch)
            while True:
                try:
                    outcomes = await self.once("record", commit)
                    break
                except _Broken:
                    await asyncio.sleep(backoff.pause())
            backoff.reset()
            for (_, told), refusal in zip(batch, outcomes, strict=True):
                self._journal.popleft()
                if told.done():
                    continue
                if refusal is None:
                    told.set_result(None)
                else:
                    told.set_exception(refusal)

    def _numbered(self, batch):
        """A batch has a number: sent again, it gets the answer that was lost."""
        done = []

        async def commit():
            if not done:
                done.append([self._recorded(call) for call, _ in batch])
            return done[0]

        return commit

    def _recorded(self, call):
        """How the store refuses it, or None."""
        self._world.writer = self.inner.node
        try:
            _now(call())
        except _REFUSALS as refusal:
            return refusal
        finally:
            self._world.writer = None
        return None

    # Nodes --------------------------------------------------------------------------------------------------

    async def join(self, node, lost):
        asked = self._world.loop.time()
        await self.patiently("join", lambda: self._joined(node))
        self._stop_beating()
        self._beating = asyncio.create_task(self._beat(node, lost, asked), name="heartbeat")

    async def _joined(self, node):
        await self.inner.join(node, None)
        self.inner._stop_beating()

    def _stop_beating(self):
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()

    async def _beat(self, node, lost, since):
        loop = self._world.loop
        while True:
            pause = node.lease / _BEATS
            sent = loop.time()
            try:
                async with asyncio.timeout(_ANSWER):
                    known = await self.once("beat", self._raised)
                    if not known:
                        await self.once("join", lambda: self._joined(node))
            except (_Broken, TimeoutError):
                pause = min(0.5, pause)
            else:
                late, since = sent - since > node.lease, sent
                if not known or late:
                    lost()
            self._hurry.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    async def _raised(self):
        shared = self._world.shared
        row = shared.nodes.get(self.inner.node)
        if row is None:
            return False
        if not row.left:
            row.beaten, row.beats, row.beat_at = shared.clock.monotonic(), row.beats + 1, shared.now()
            row.report = self._report
        return True

    def report(self, report, *, at_once=True):
        self._report = report
        if at_once:
            self._hurry.set()

    async def leave(self, node_id):
        self._stop_beating()
        await self.pools.forget(node_id)
        await self.patiently("leave", lambda: self.inner.leave(node_id))

    # Notifications ------------------------------------------------------------------------------------------

    @contextmanager
    def watch(self, heard):
        watcher = (heard, copy_context())
        if not self._watchers:
            self._world.shared.connections.append(self)
        self._watchers.append(watcher)
        looking = asyncio.create_task(self._look(heard), name="look")
        try:
            yield
        finally:
            looking.cancel()
            self._watchers.remove(watcher)
            if not self._watchers:
                self._world.shared.connections.remove(self)

    @contextmanager
    def _watch_deliveries(self, heard):
        def told(notification):
            if notification.kind == "deliveries":
                heard(notification.subject)

        with self.watch(told):
            yield

    async def _look(self, heard):
        while True:
            heard(Notification("look"))
            await asyncio.sleep(_LOOK)

    def hear(self, notification):
        """A notification was sent: it arrives after a while, twice, or never."""
        faults, loop = self._world.faults, self._world.loop
        if loop.time() < max(self.away, self._world.away) or faults.strikes("deaf"):
            return
        for heard, context in self._watchers:
            for _ in range(2 if faults.strikes("echo") else 1):
                loop.call_later(self._random.uniform(0.0001, 0.003), heard, notification, context=context)
