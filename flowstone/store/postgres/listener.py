"""Notifications: a connection that listens, and a look at everything once a second in case it does not.

A notification is lost when the connection is, and never arrives through a pooler. So a notification is only ever a
reason to look, and `look` is the notification that says: look at everything.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, get_args

from flowstone.store.cluster import Notification, NotificationKind

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from flowstone.store.postgres.database import Connection, Database

__all__ = ["Listener"]

_CHANNEL: Final = "flowstone"
_LOOK: Final = 1.0
_LOOK_POOLED: Final = 0.5
_PING: Final = 10  # Looks between two questions whether the connection still lives.
_ANSWER: Final = 5.0
_LOOKING: Final = Notification("look")


class Listener:
    """Hands notifications to whoever watches; listens only while somebody does.

    Args:
        database: Where to listen.
        start: Starts a task.
        tick: Called with each look.
    """

    def __init__(
        self,
        database: Database,
        start: Callable[[Coroutine[Any, Any, None]], Any],
        tick: Callable[[], None],
    ) -> None:
        self._database = database
        self._start = start
        self._tick = tick
        self._watchers: dict[object, Callable[[Notification], None]] = {}
        self._task: Any = None
        self._broken = asyncio.Event()
        self._listening = asyncio.Event()

    @contextmanager
    def watch(self, heard: Callable[[Notification], None]) -> Iterator[None]:
        """See `Cluster.watch`."""
        mark = object()
        self._watchers[mark] = heard
        if self._task is None:
            self._task = self._start(self._run())
        try:
            yield
        finally:
            del self._watchers[mark]
            if not self._watchers and self._task is not None:
                task, self._task = self._task, None
                task.cancel()

    async def keep(self) -> None:
        """Listen from now on, watched or not; returns when it does, or cannot at present."""
        self._watchers.setdefault(self, _nobody)
        if self._task is None:
            self._task = self._start(self._run())
        await self._listening.wait()

    async def _run(self) -> None:
        while True:
            connection = None if self._database.pooled else await self._connect()
            self._listening.set()
            self.hand_out(_LOOKING)
            try:
                await self._look_until_broken(connection)
            finally:
                if connection is not None:
                    connection.terminate()

    async def _connect(self) -> Connection | None:
        self._broken.clear()
        connection: Connection | None = None
        try:
            async with asyncio.timeout(_ANSWER):
                connection = await self._database.connect()
                connection.add_termination_listener(self._on_termination)
                await connection.add_listener(_CHANNEL, self._on_notification)
        except BaseException as error:
            if connection is not None:
                connection.terminate()
            if isinstance(error, Exception):
                return None  # The next look is the next try.
            raise
        return connection

    async def _look_until_broken(self, connection: Connection | None) -> None:
        looks = 0
        while not self._broken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_POOLED if self._database.pooled else _LOOK):
                    await self._broken.wait()
            looks += 1
            self.hand_out(_LOOKING)
            if connection is None and not self._database.pooled:
                return
            if connection is not None and looks % _PING == 0 and not await _answers(connection):
                return

    def _on_termination(self, _connection: object) -> None:
        self._broken.set()

    def _on_notification(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        kind, _, subject = payload.partition(":")
        for known in get_args(NotificationKind):
            if kind == known:
                self.hand_out(Notification(known, subject))

    def hand_out(self, notification: Notification) -> None:
        """Tell whoever watches."""
        if notification is _LOOKING:
            self._tick()
        for heard in tuple(self._watchers.values()):
            heard(notification)


def _nobody(_notice: Notification) -> None:
    """Hears nothing; it keeps the connection open."""


async def _answers(connection: Connection) -> bool:
    """Whether a connection still lives: a cut cable says nothing by itself."""
    try:
        async with asyncio.timeout(_ANSWER):
            await connection.execute("select 1")
    except Exception:
        return False
    return True
