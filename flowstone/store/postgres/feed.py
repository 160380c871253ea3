"""The feed of a database. See `flowstone.store.feed` for what each call promises.

A row of the table `feed` (migration 0032) says which events of a run were recorded together. An id is the number of
a row and the place of the event in it.

**Numbers are not committed in their order.** One that is missing may come yet, or never if its transaction failed.
So when a number is missing, it is asked which transactions hold the lock of those that write to the table: they had
it before they took their numbers. When the last of these has ended, whatever is missing still will not come, and
the feed is *settled* up to there. So nothing is lost, nothing comes twice, and what else happens on the server
holds up nobody. Rejected: to wait until a number is below the oldest transaction of the server
(`pg_snapshot_xmin`), which anybody's long query holds back; and a lock under which numbers are taken and committed:
all runs would wait for it.

One task looks, five times a second, while anybody watches; what it reads is there for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import FeedExpired, StoreUnavailable
from flowstone.frozen import frozen
from flowstone.runs.events import RunQueued
from flowstone.store.codec import decode_event, decode_request
from flowstone.store.feed import Feed, FeedEntry, expired
from flowstone.store.postgres.columns import event_of, events_of
from flowstone.store.postgres.texts import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from flowstone.runs.automation_events import Event
    from flowstone.store.postgres.database import Database

__all__ = ["PostgresFeed"]

_LOOK: Final = 0.2  # Seconds between two looks.
_LOOK_AGAIN: Final = 0.02  # The same, while a number is missing.
_ROWS: Final = 500  # Of one look.
_EVENTS: Final = 2_000  # Of one question, or of one row.
_PLACES: Final = 1_024  # In a row.
_READ: Final = 10_000  # Events that are kept for those who read.


@frozen
class _Missing:
    """Some numbers are missing.

    Attributes:
        up_to: The newest number that was there.
        writers: The transactions that may have taken one of those before it.
    """

    up_to: int
    writers: frozenset[str]


class PostgresFeed(Feed):
    """The feed of one database, as one process reads it.

    Args:
        database: Where.
        start: Starts a task.
    """

    def __init__(self, database: Database, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self._database = database
        self._start = start
        self._watchers: dict[object, Callable[[], None]] = {}
        self._looking = asyncio.Lock()
        self._runs = False
        self._forget()

    def _forget(self) -> None:
        """Begin anew: since nobody read, it may be far behind."""
        self._settled: int | None = None  # Up to this row everything is committed, or will never be.
        self._top = 0  # The id of the last event of that row.
        self._missing: _Missing | None = None
        self._problem: StoreUnavailable | None = None
        self._after = 0  # `_entries` are all there are after this id.
        self._entries: deque[FeedEntry] = deque()

    async def position(self) -> int:
        async with self._looking:
            await self._ready()
            newest, _ = await self._newest()
        while True:
            async with self._looking:
                await self._ready()
                if self._settled is None or self._settled >= newest:
                    return self._top
                again = await self._look()
            if not again:
                await asyncio.sleep(_LOOK_AGAIN)

    async def read(self, after: int) -> Sequence[FeedEntry]:
        async with self._looking:
            await self._ready()
        if after > self._top and after > await self.position():  # Another process may have read further.
            raise FeedExpired(expired(after))
        if after < self._after:
            return await self._older(after)
        if self._problem is not None and after == self._top:
            raise self._problem
        return self._newer(after)

    @contextmanager
    def watch(self, heard: Callable[[], None]) -> Iterator[None]:
        mark = object()
        self._watchers[mark] = heard
        if not self._runs:
            self._runs = True
            self._start(self._run())
        try:
            yield
        finally:
            self._watchers.pop(mark, None)

    # Looking ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self._watchers:
                pause = _LOOK
                try:
                    async with self._looking:
                        await self._ready()
                        if await self._look():
                            pause = 0.0
                        elif self._missing is not None:
                            pause = _LOOK_AGAIN
                except StoreUnavailable as error:
                    self._problem = error
                    self._tell()  # Whoever reads is told why.
                await asyncio.sleep(pause)
        finally:
            self._runs = False
            self._forget()

    def _tell(self) -> None:
        for heard in tuple(self._watchers.values()):
            heard()

    async def _ready(self) -> None:
        """Begin with what is newest now, once nothing before it is under way; if nobody watched, anew."""
        if not self._runs:
            self._forget()
        if self._settled is not None:
            return
        number, top = await self._newest()
        writers = await self._writers()
        while writers:
            await asyncio.sleep(_LOOK_AGAIN)
            writers &= await self._writers()
        self._settled, self._top, self._after, self._problem = number, top, top, None

    async def _newest(self) -> tuple[int, int]:
        """The newest number that can be seen, and the id of the last event of its row."""
        (row,) = await self._database.fetch("feed_top")
        return row["id"], row["id"] * _PLACES + row["more"]

    async def _writers(self) -> frozenset[str]:
        return frozenset(row["writer"] for row in await self._database.fetch("feed_writers"))

    async def _passed(self) -> int:
        """Up to which number nothing is under way any more; asked before the rows are."""
        missing = self._missing
        if missing is None:
            return -1
        left = missing.writers and missing.writers & await self._writers()
        self._missing = _Missing(missing.up_to, left) if left else None
        return -1 if left else missing.up_to

    async def _look(self) -> bool:
        """Read on; whether there may be more at once."""
        if self._settled is None:
            return False
        passed = await self._passed()
        found = await self._database.fetch("feed_rows", self._settled + 1, _ROWS)
        settled, rows = self._settled, []
        for row in found:
            if row["id"] > max(passed, settled + 1):
                break
            settled = row["id"]
            rows.append(row)
        if len(rows) < len(found) and self._missing is None:
            self._missing = _Missing(found[-1]["id"], await self._writers())
        if rows:
            try:
                entries = await self._entries_of(rows)
            except FeedExpired:  # Nobody can have these any more; who reads on is told so.
                self._forget()
                self._tell()
                return True
            self._settled, self._top = settled, _last_id(rows[-1])
            self._keep(entries)
            self._tell()
        self._problem = None
        return len(rows) == _ROWS or (self._missing is not None and not self._missing.writers)

    def _keep(self, entries: Sequence[FeedEntry]) -> None:
        self._entries.extend(entries)
        while len(self._entries) > _READ:
            self._after = self._entries.popleft().id

    # Reading ------------------------------------------------------------------------------------------------

    def _newer(self, after: int) -> list[FeedEntry]:
        """From what this process has read already."""
        found = []
        for entry in reversed(self._entries):
            if entry.id <= after:
                break
            found.append(entry)
        found.reverse()
        return found

    async def _older(self, after: int) -> list[FeedEntry]:
        """From the database: the rest of the row of this id, which has to be there still, and the next ones."""
        number = after // _PLACES
        while True:
            rows = await self._database.fetch("feed_rows", number, _ROWS)
            if not rows or (rows[0]["id"] != number and number == after // _PLACES):
                raise FeedExpired(expired(after))
            settled = self._settled
            known = [row for row in rows if settled is not None and row["id"] <= settled]
            entries = [each for each in await self._entries_of(known) if each.id > after]
            if entries or len(known) < _ROWS:
                return entries
            number = known[-1]["id"] + 1

    async def _entries_of(self, rows: Sequence[Any]) -> list[FeedEntry]:
        """The events of rows of the feed, in order. Raises `FeedExpired` if retention has taken some of them."""
        told: dict[int, list[FeedEntry]] = {row["id"]: [] for row in rows}
        wanted: list[Any] = []
        events = 0
        for row in rows:
            if row["event"] is not None:
                told[row["id"]] = [_of_no_run(row)]
            elif row["run_id"]:
                wanted.append(row)
                events += row["last"] - row["first"] + 1
                if events >= _EVENTS:
                    await self._fetch(wanted, told)
                    wanted, events = [], 0
        if wanted:
            await self._fetch(wanted, told)
        return [entry for entries in told.values() for entry in entries]

    async def _fetch(self, wanted: Sequence[Any], told: dict[int, list[FeedEntry]]) -> None:
        columns = [[row[name] for row in wanted] for name in ("id", "run_id", "first", "last")]
        by_number = {row["id"]: row for row in wanted}
        for row in await self._database.fetch("feed_events", *columns):
            told[row["id"]] += _of_run(row, by_number[row["id"]])
        for row in wanted:
            if len(told[row["id"]]) != row["last"] - row["first"] + 1:
                raise FeedExpired(expired(row["id"] * _PLACES))


def _last_id(row: Any) -> int:
    last: int = row["id"] * _PLACES + max(0, row["last"] - row["first"])
    return last


def _of_no_run(row: Any) -> FeedEntry:
    event = decode_event(from_json(row["event"]))
    return FeedEntry(row["id"] * _PLACES, event.exact_kind, "", event.asset, lambda: event)


def _of_run(told: Any, row: Any) -> Iterator[FeedEntry]:
    """What a row of a run's log says, as far as it belongs to this row of the feed."""
    base = row["id"] * _PLACES - row["first"]
    run_id = row["run_id"]
    if told["starts_asset"] is None:
        make = partial(_created if told["kind"] == "run.queued" else event_of, told)
        yield FeedEntry(base + told["number"], _kind(told), run_id, told["asset"], make, told["beside"] or ())
        return
    for number, event in events_of(told):
        if row["first"] <= number <= row["last"]:
            yield FeedEntry(base + number, event.kind, run_id, event.asset, partial(_same, event))


def _kind(told: Any) -> str:
    kind: str | None = told["kind"]
    if kind is None:
        return f"step.{told['status']}" if told["event"] is None else from_json(told["event"])["kind"]
    return f"run.{from_json(told['details'])['status']}" if kind == "run.finished" else kind


def _created(told: Any) -> RunQueued:
    request = decode_request(from_json(told["details"]))
    key = request.keys[0] if len(request.keys) == 1 else None
    return RunQueued(told["at"], told["run_id"], told["asset"], request, partition_key=key)


def _same(event: Event) -> Event:
    return event
