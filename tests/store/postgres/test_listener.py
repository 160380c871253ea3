"""What the listener does with its connection when nobody wants to hear any more."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.store.postgres.listener import Listener


class Connection:
    """One that begins to listen when it is let, and remembers that it was closed."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.asked = asyncio.Event()
        self.terminated = False
        self._error = error

    def add_termination_listener(self, _heard) -> None:
        pass

    async def add_listener(self, _channel, _heard) -> None:
        self.asked.set()
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()

    def terminate(self) -> None:
        self.terminated = True


class Database:
    """Gives that connection."""

    pooled = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def connect(self) -> Connection:
        return self._connection


@pytest.mark.parametrize("error", [None, OSError("the cable was cut")])
async def test_a_connection_that_never_listened_is_closed(error):
    """Cancelled, or refused, while it begins to listen: nothing stays connected, and nothing holds up the loop."""
    connection = Connection(error)
    begun: list[asyncio.Task[None]] = []

    def start(work):
        begun.append(asyncio.get_running_loop().create_task(work))
        return begun[-1]

    listener = Listener(Database(connection), start, lambda: None)
    with listener.watch(lambda _notice: None):
        await connection.asked.wait()
    await asyncio.gather(*begun, return_exceptions=True)
    assert connection.terminated
