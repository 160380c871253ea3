"""Group commit: many writers, one connection, one transaction after the other.

A writer leaves its entry and waits. While one batch commits, the next one gathers; so a batch is as large as the
database is slow, and acknowledged means committed. A journal that was idle begins with half of a large crowd,
so that from then on the two halves take turns: one computes while the other one's entries commit. Each writer gets
its own answer: fences are per entry. A batch of which one entry is refused is sent again without it, and one that
the database cannot take because of one entry is halved until that one is alone.

Nobody's cancel reaches a commit, because the journal's own task does it. When the connection breaks in the
middle, it cannot be known whether the batch was recorded. So batches are numbered, the number is stored in the
batch's transaction, and the same batch is sent again under the same number until there is an answer: if the first
one went through after all, the second records nothing and gets the first one's answers.

A store that is away makes writers wait, as long as it takes; what waits is bounded by who writes. Rejected:
failing them after a while. A step whose success cannot be recorded would have to be computed again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg

from flowstone.errors import StoreUnavailable
from flowstone.store.postgres.batch import Creation, Entry, Write, arguments, gather, refusal
from flowstone.store.postgres.large_payload import write_large
from flowstone.store.postgres.problems import ERRORS, is_everywhere, is_transient, unavailable
from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from random import Random

    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["Journal"]

# Seconds that entries which wait for a store that is away get when the journal closes.
_CLOSING: Final = 10.0
_ALONE: Final = 1_000_000  # A payload of more bytes is not held up by the others, nor they by it.


class _GaveUp(Exception):
    """The journal closes and the database is away."""


class Journal:
    """Writes to one database, for as long as `run` runs.

    Args:
        database: Where to; open.
        random: Names the journal.

    Attributes:
        writer: The node that writes, as owners of runs know it.
    """

    def __init__(self, database: Database, random: Random) -> None:
        self.writer = ""
        self._database = database
        self._id = UUID(int=random.getrandbits(128), version=4)
        self._number = 0
        self._waiting: deque[Entry] = deque()
        self._committing: Sequence[Entry] = ()
        self._woken: asyncio.Future[None] | None = None
        self._connection: Connection | None = None
        self._closing = False
        self._ended = asyncio.Event()

    # The writers' side --------------------------------------------------------------------------------------

    async def create(self, run: RunRecord) -> None:
        """Record a new run. Raises `StaleWrite` if another one has its id, `KeyTaken` if one has its key."""
        await self._enter(Creation(run.id, self._future(), run))

    def write(self, events: Sequence[Event], epoch: int, payload: bytes | None = None) -> Awaitable[None]:
        """Record events of one run, all or none; when that is done, what is returned ends. Raises `StaleWrite`."""
        entry = Write.of(events, epoch, self._future(), payload, self.writer)
        if payload is not None and len(payload) > _ALONE:
            self._check_open()
            return write_large(self._database, self.writer, entry)
        return self._enter(entry)

    def _enter(self, entry: Entry) -> asyncio.Future[None]:
        self._check_open()
        self._waiting.append(entry)
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
        return entry.done

    def _check_open(self) -> None:
        if self._closing:
            raise StoreUnavailable("the store is closed, so this was not recorded; open it again")

    @staticmethod
    def _future() -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    # Committing ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit what is written until `close`."""
        try:
            with suppress(_GaveUp):
                idle = False
                while self._waiting or not self._closing:
                    if self._waiting:
                        self._committing = gather(self._waiting, half=idle)
                        await self._commit(self._committing)
                        self._committing = ()
                        idle = False
                    else:
                        await self._sleep()
                        idle = True
        finally:
            self._fail_all()
            await self._disconnect()
            self._ended.set()

    async def closed(self) -> None:
        """Return when `run` has returned."""
        await self._ended.wait()

    async def _sleep(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        try:
            await self._woken
        finally:
            self._woken = None

    def close(self) -> None:
        """Take nothing more; `run` returns when all is recorded, or soon if the database is away."""
        if not self._closing:
            self._closing = True
            if self._woken is not None and not self._woken.done():
                self._woken.set_result(None)

    async def _commit(self, batch: Sequence[Entry]) -> None:
        self._number += 1
        try:
            given, creations, writes = arguments(batch)
            rows = await self._send((self.writer, self._id, self._number, *given))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TypeError, OverflowError) as error:
            await self._divide(batch, error)
            return
        left = _answer(creations, writes, {row["entry"]: row for row in rows})
        if left:
            await self._commit(left)

    async def _divide(self, batch: Sequence[Entry], error: Exception) -> None:
        """The database refuses the batch as it is: find the entry to blame, unless it would refuse any."""
        if len(batch) == 1 or is_everywhere(error):
            for entry in batch:
                if not entry.done.done():
                    entry.done.set_exception(unavailable(self._database.address, error))
            return
        middle = len(batch) // 2
        await self._commit(batch[:middle])
        await self._commit(batch[middle:])

    async def _send(self, given: Sequence[Any]) -> Sequence[Any]:
        """Send one batch until there is an answer; raises what is permanent."""
        with self._database.health.retrying("recording what runs write") as failed:
            return await self._persist(given, failed)

    async def _persist(self, given: Sequence[Any], failed: Callable[[BaseException], None]) -> Sequence[Any]:
        backoff = self._database.backoff()
        since: float | None = None
        while True:
            try:
                with self._database.health.asking():
                    rows = await self._try(given)
            except ERRORS as error:
                await self._disconnect()
                if not is_transient(error):
                    self._database.health.refused(error)
                    raise
                failed(error)
                since = since or asyncio.get_running_loop().time()
                if self._closing and asyncio.get_running_loop().time() > since + _CLOSING:
                    raise _GaveUp from error
            else:
                self._database.health.fine()
                return rows
            await self._database.pause(backoff)

    async def _try(self, given: Sequence[Any]) -> Sequence[Any]:
        if self._connection is None:
            self._connection = await self._database.connect()
        rows: Sequence[Any]
        if not self._database.pooled:
            rows = await self._connection.fetch(query("record"), *given)
            return rows
        async with self._connection.transaction():
            rows = await self._connection.fetch(query("record"), *given)
        return rows

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _fail_all(self) -> None:
        error = StoreUnavailable("the store was closed before this was recorded; it may or may not have been")
        for entry in (*self._committing, *self._waiting):
            if not entry.done.done():
                entry.done.set_exception(error)
        self._waiting.clear()


def _answer(
    creations: Sequence[Creation], writes: Sequence[Write], refused: Mapping[int, Any]
) -> Sequence[Entry]:
    """Tell the writers; returns those that are to be sent again, because others were refused."""
    for place, creation in enumerate(creations, 1):
        _resolve(creation, refused.get(-place))
    if any(entry > 0 for entry in refused):
        left = []
        for place, write in enumerate(writes, 1):
            if place in refused:
                _resolve(write, refused[place])
            else:
                left.append(write)
        return left
    for write in writes:
        _resolve(write, None)
    return ()


def _resolve(entry: Entry, row: Any) -> None:
    if entry.done.done():
        return  # Its writer was cancelled.
    if row is None:
        entry.done.set_result(None)
    else:
        entry.done.set_exception(refusal(row, entry))
