"""A node's beat: a thread of its own with a connection of its own, so that a blocked event loop costs no lease.

A beat raises a number in the database, and whoever watches it knows that the node lives. The node's own lease
is over when no beat was acknowledged for its length on this process's monotonic clock, counted from when the
last acknowledged one was sent: others may have seen it as early as then.

An asset that computes for a minute on the event loop by mistake is a mistake, not a death. But a loop that
never comes back must not keep its runs for ever: the loop shows that it lives by `touch`, and when it has not
done so for twenty leases, the thread stops beating.

Rejected: beating from the event loop (one synchronous call silences it, and others start the same steps), and a
process of its own (which would live on when the node's is killed).
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowstone.store.postgres.problems import sentence
from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.store.cluster import Node
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["Heartbeat", "joining"]


class OnWatched(Protocol):
    """Is told that somebody watches: the number, and whether trees as well."""

    def __call__(self, number: int, *, trees: bool) -> None: ...


_log = logging.getLogger(__name__)

_BEATS: Final = 4  # In the time of one lease.
_ANSWER: Final = 5.0  # Seconds for a beat: one that takes longer is tried on another connection.
_PATIENCE: Final = 20.0  # Leases that the event loop may be blocked.


class Heartbeat:
    """Beats for one node until it is stopped.

    Args:
        database: Where.
        node: Who.
        lost: Called, in the thread, when a beat is acknowledged after the lease had run out.
        watched: Called, in the thread, when somebody watches the nodes: it may be told in no other way.
        since: When the node was last known to live: when it asked to join.

    Attributes:
        report: What the node says of itself, as text of JSON; None: nothing.
        paused: Set it to hold the beat; for tests of what others make of that.
        resting: Set while no beat is under way.
    """

    def __init__(
        self, database: Database, node: Node, lost: Callable[[], None], watched: OnWatched, since: float
    ) -> None:
        self.node = node
        self._since = since
        self.report: str | None = None
        self.paused = Event()
        self.resting = Event()
        self._database = database
        self._lost = lost
        self._watched = watched
        self._told_of = 0
        self._touched = time.monotonic()
        self._thread = Thread(target=self._run, name=f"flowstone-heartbeat-{node.pid}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._stopping = False
        self._ended = Event()

    def start(self) -> None:
        """Begin to beat; the node has joined already."""
        self._thread.start()

    def touch(self) -> None:
        """The node's event loop lives."""
        self._touched = time.monotonic()

    def hurry(self) -> None:
        """Beat now."""
        if self._loop is not None and self._wake is not None:
            with suppress(RuntimeError):  # The thread has just ended.
                self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self) -> None:
        """Stop beating; the thread ends by itself."""
        self._stopping = True
        self.hurry()

    def _run(self) -> None:
        with suppress(Exception):  # A thread has nobody to tell; a node that does not beat is noticed by all.
            asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        connection: Connection | None = None
        pause = self.node.lease / _BEATS
        while not self._stopping:
            self.resting.clear()
            if not self._is_withheld():
                connection = await self._try(connection)
            self.resting.set()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if connection is not None else min(0.5, pause)):
                    await self._wake.wait()
        if connection is not None:
            connection.terminate()

    def _is_withheld(self) -> bool:
        blocked = time.monotonic() - self._touched
        return self.paused.is_set() or blocked > _PATIENCE * self.node.lease

    async def _try(self, connection: Connection | None) -> Connection | None:
        """Beat on this connection or a new one; returns the one that works."""
        try:
            async with asyncio.timeout(_ANSWER):
                if connection is None:
                    connection = await self._database.connect()
                await self._beat(connection)
        except Exception as error:
            _log.debug("A heartbeat failed: %s", sentence(self._database.address, error))
            if connection is not None:
                connection.terminate()
            return None
        return connection

    async def _beat(self, connection: Connection) -> None:
        sent = time.monotonic()
        async with connection.transaction():
            row = await connection.fetchrow(query("beat"), self.node.id, time.time(), self.report)
            gone: bool | None = None if row is None else row["gone"]
            if gone is None:  # Forgotten, after a day without a beat.
                await connection.execute(query("join"), *joining(self.node))
        late = time.monotonic() - self._since > self.node.lease
        self._since = sent
        if gone is None or (late and not gone):
            self._lost()
        if row is not None and row["number"] is not None and row["number"] != self._told_of:
            self._told_of = row["number"]
            self._watched(row["number"], trees=row["trees"])


def joining(node: Node) -> tuple[Any, ...]:
    """The arguments of the statement `join`."""
    about = (node.id, node.host, node.pid, node.version, list(node.pipelines), node.capacity, node.lease)
    return (*about, time.time())
