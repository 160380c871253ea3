"""A wire between a node and Postgres that can be cut at any byte, or go dead without a word."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from random import Random

__all__ = ["Proxy"]

NAME = ".s.PGSQL.5432"
CHUNK = 65_536
CUT = 1 / 12
"""The chance of each piece, be it a statement, an answer or of a greeting, to be the last one."""


class Proxy:
    """A unix socket in front of another one.

    Args:
        target: The directory of Postgres's socket.
        place: The directory of this one.
        random: Where cuts fall.

    Attributes:
        cuts: Connections that were cut.
        cutting: Whether connections are cut after some bytes, in either direction.
    """

    def __init__(self, target: Path, place: Path, random: Random) -> None:
        self.target = target
        self.place = place
        self.cuts = 0
        self.cutting = False
        self._random = random
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self.place.mkdir()
        self.place.chmod(0o755)
        self._server = await asyncio.start_unix_server(self._serve, self.place / NAME)
        (self.place / NAME).chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Let nothing through, and say nothing."""
        self._flowing.clear()

    def let_go(self) -> None:
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there = await asyncio.open_unix_connection(self.target / NAME)
        except OSError:
            writer.transport.abort()
            self._tasks.discard(task)
            return
        one = asyncio.create_task(self._pass(reader, there[1]))
        two = asyncio.create_task(self._pass(there[0], writer))
        try:
            await asyncio.wait({one, two}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (one, two):
                each.cancel()
            for each in (writer, there[1]):
                each.transport.abort()
            await asyncio.gather(one, two, return_exceptions=True)
            self._tasks.discard(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._flowing.wait()
            if self.cutting and self._random.random() < CUT:
                sink.write(
                    data[: self._random.randint(0, len(data))]
                )  # All of it: the wire breaks behind it.
                await sink.drain()
                self.cuts += 1
                return
            sink.write(data)
            await sink.drain()
