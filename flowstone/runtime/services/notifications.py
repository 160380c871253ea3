"""The process that receives what other nodes say, and wakes whoever waits for it.

One subscription for the whole runtime, however many runs and callers wait. What is heard carries no facts: who is
woken looks at the store. On a store without a cluster nothing is ever heard, and nothing of this is in the tree.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.actors import Clock
    from flowstone.store.cluster import Cluster, Notification, NotificationKind

__all__ = ["Notifications", "Wakeup"]


class Wakeup:
    """Remembers that something happened until somebody has waited for it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __call__(self, _: Notification | None = None) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Return once it was called since the last wait."""
        await self._event.wait()
        self._event.clear()

    async def wait_or(self, clock: Clock, seconds: float | None) -> None:
        """As `wait`, but for no longer than `seconds`, if that is a number."""
        if seconds is None:
            await self.wait()
            return
        timer = clock.call_later(seconds, self)
        try:
            await self.wait()
        finally:
            timer.cancel()


class Notifications:
    """Who wants to be woken by what. Outlives the process that receives, so nobody has to subscribe again."""

    def __init__(self) -> None:
        self._listeners: dict[NotificationKind, dict[Callable[[Notification], None], None]] = {}
        self._ends: dict[str, dict[Wakeup, None]] = {}
        self.closed = False

    @contextmanager
    def on(self, heard: Callable[[Notification], None], *kinds: NotificationKind) -> Iterator[None]:
        """Have `heard` called for each notification of these kinds, until the block ends."""
        for kind in kinds:
            self._listeners.setdefault(kind, {})[heard] = None
        try:
            yield
        finally:
            for kind in kinds:
                self._listeners[kind].pop(heard, None)

    def heard(self, notification: Notification) -> None:
        """Wake those who wait for this."""
        if notification.kind in {"finished", "woken"}:
            for waker in tuple(self._ends.get(notification.subject, ())):
                waker()
        for heard in tuple(self._listeners.get(notification.kind, ())):
            heard(notification)

    @contextmanager
    def end_of(self, run_id: str) -> Iterator[Wakeup]:
        """Something to wait for: called when the run is said to have finished or to go on, and by `close`."""
        waker = Wakeup()
        waiting = self._ends.setdefault(run_id, {})
        waiting[waker] = None
        try:
            yield waker
        finally:
            del waiting[waker]
            if not waiting:
                del self._ends[run_id]

    def close(self) -> None:
        """Nothing will be heard any more: wake everybody."""
        self.closed = True
        for waiting in tuple(self._ends.values()):
            for waker in tuple(waiting):
                waker()


class NotificationListener:
    """The process: it listens as long as it runs."""

    def __init__(self, cluster: Cluster, notifications: Notifications) -> None:
        self._cluster = cluster
        self._notifications = notifications

    async def run(self, started: Callable[[], None]) -> None:
        with self._cluster.watch(self._notifications.heard):
            started()
            await asyncio.get_running_loop().create_future()
