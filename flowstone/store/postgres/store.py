"""Run history in a Postgres database, for any number of processes at once.

Map of this file
    Life        opening, migrating, closing
    Writing     through the journal, or a statement of its own
    Reading     through the history
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowstone.actors import TaskSupervisor
from flowstone.errors import RunNotFound, StoreUnavailable
from flowstone.runs.events import RunFinished, RunQueued, StepProgressed, StepStarted
from flowstone.store import refusals
from flowstone.store.event_log import ENDINGS
from flowstone.store.memory import location_of_payload, of_one_run, retention
from flowstone.store.postgres.address import Address
from flowstone.store.postgres.audit import PostgresAudit, act_columns
from flowstone.store.postgres.automations import PostgresAutomations
from flowstone.store.postgres.callers import PostgresCallers
from flowstone.store.postgres.cluster import PostgresCluster
from flowstone.store.postgres.columns import run_of
from flowstone.store.postgres.database import Database
from flowstone.store.postgres.deliveries import PostgresDeliveries
from flowstone.store.postgres.diagnosis import diagnose
from flowstone.store.postgres.feed import PostgresFeed
from flowstone.store.postgres.history import History
from flowstone.store.postgres.items import PostgresItems
from flowstone.store.postgres.journal import Journal
from flowstone.store.postgres.logs import PostgresLogs
from flowstone.store.postgres.pools import PostgresPools
from flowstone.store.postgres.retention import Retention
from flowstone.store.postgres.schema import migrate, require, require_writable
from flowstone.store.postgres.texts import key_columns
from flowstone.store.postgres.tokens import PostgresTokens
from flowstone.store.postgres.waits import PostgresWaits
from flowstone.store.protocol import NO_TAGS, StaleWrite, Store
from flowstone.store.run_log import check_together, dated
from flowstone.store.sanitise import sanitised, sanitised_run

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Coroutine,
        Iterable,
        Mapping,
        Sequence,
    )

    from flowstone.runs.asset_activity import AssetActivity
    from flowstone.runs.asset_freshness import NewestSuccess
    from flowstone.runs.audit import Act
    from flowstone.runs.events import AttemptEvent, Event
    from flowstone.runs.partition_states import Skips, StatusCounts
    from flowstone.runs.records import Materialization, RunRecord, Status, StepKey
    from flowstone.store.audit import Audit
    from flowstone.store.automations import Automations
    from flowstone.store.callers import Callers
    from flowstone.store.cluster import Cluster
    from flowstone.store.deliveries import Deliveries
    from flowstone.store.feed import Feed
    from flowstone.store.items import Items
    from flowstone.store.logs import Logs
    from flowstone.store.pools import PoolSlots
    from flowstone.store.postgres.diagnosis import Diagnosis
    from flowstone.store.protocol import KeysByStatus
    from flowstone.store.tokens import AccessTokens
    from flowstone.store.waits import Waits

__all__ = ["PostgresStore"]

T = TypeVar("T")

_CLOSING: Final = 15.0
_KEYS: Final = 10_000  # Of one statement.
_UNRECORDED: Final = frozenset(
    {StepProgressed, RunQueued}
)  # What the creation of a run says, and what only listeners receive.


class PostgresStore(Store):
    """A store behind a `postgresql://` URL.

    Args:
        dsn: The URL, as libpq understands it.
        auto_migrate: Whether `open` brings an empty or older database up to date; otherwise it refuses it.
        random: Names what must be unique, and jitters. Default: one of its own.

    Attributes:
        read_only: Set it before `open` to look only: then a database that takes no writes will do as well.

    Raises:
        StoreUnavailable: The URL cannot be read.
    """

    def __init__(self, dsn: str, *, auto_migrate: bool = True, random: Random | None = None) -> None:
        self._random = random or Random()  # noqa: S311 - names and jitter, not secrets
        self.auto_migrate = auto_migrate
        self.read_only = False
        self._use(dsn)

    def _use(self, dsn: str, repair: Callable[[], Awaitable[object]] | None = None) -> None:
        self._database = Database(Address.of(dsn), self._random, repair)
        self._tasks: TaskSupervisor | None = None
        self._journal = Journal(self._database, self._random)
        self._history = History(self._database, self._start)
        self._retention = Retention(self._database)
        self._waits = PostgresWaits(self._database, self._random)
        self._items = PostgresItems(self._database)
        self._logs = PostgresLogs(self._database)
        self._pools = PostgresPools(self._database)
        self._automations = PostgresAutomations(self._database, self._random)
        self._deliveries = PostgresDeliveries(self._database, lambda: self._cluster)
        self._callers = PostgresCallers(self._database)
        self._tokens = PostgresTokens(self._database)
        self._audit = PostgresAudit(self._database)
        self._feed = PostgresFeed(self._database, self._start)
        self._cluster: PostgresCluster | None = None

    keeps_payloads = True
    lasts = True

    @property
    def address(self) -> Address:
        """Where it is, to be shown."""
        return self._database.address

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""
        return self._tasks is not None

    @property
    def problem(self) -> str | None:
        """Why the database does not answer at present, what is tried again and since when; or None."""
        return self._database.health.problem

    @property
    def waits(self) -> Waits:
        """What steps wait for."""
        return self._waits

    @property
    def items(self) -> Items:
        """What became of items."""
        return self._items

    @property
    def logs(self) -> Logs:
        """What the code of attempts logged and printed."""
        return self._logs

    @property
    def pools(self) -> PoolSlots:
        """How many slots pools were given at run time."""
        return self._pools

    @property
    def automations(self) -> Automations:
        """Schedules, sensors and the like."""
        return self._automations

    @property
    def deliveries(self) -> Deliveries:
        """What is to be delivered to who follows events."""
        return self._deliveries

    @property
    def callers(self) -> Callers:
        """Who wants what runs compute."""
        return self._callers

    @property
    def feed(self) -> Feed:
        """All recorded events in one order."""
        return self._feed

    @property
    def tokens(self) -> AccessTokens:
        """Who may do what at the HTTP server."""
        return self._tokens

    @property
    def audit(self) -> Audit:
        """Who did what."""
        return self._audit

    @property
    def cluster(self) -> Cluster | None:
        """What nodes share; there while the store is open."""
        return self._cluster

    # Life ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        if self.is_open:
            return
        await self._database.open()
        try:
            await (migrate(self._database) if self.auto_migrate else require(self._database))
            if not self.read_only:
                await require_writable(self._database)
        except BaseException:
            await self._database.close()
            raise
        self._journal = Journal(self._database, self._random)
        self._feed = PostgresFeed(self._database, self._start)
        self._tasks = tasks = TaskSupervisor(name="postgres", shutdown=_CLOSING)
        await tasks.__aenter__()
        tasks.start("journal", self._journal.run())
        self._cluster = PostgresCluster(self._database, self._journal, self._pools, self._start)

    async def migrate(self, *, connect_timeout: float | None = None) -> list[str]:
        """Bring the database up to date, open or not; returns the names of the migrations that were applied.

        Args:
            connect_timeout: Seconds until it must be reached; what it does then takes as long as it takes.

        Raises:
            StoreUnavailable: It cannot be reached, or its schema not be changed.
            TimeoutError: It was not reached in time.
        """
        async with self._reached(connect_timeout) as database:
            return await migrate(database)

    async def diagnose(self, *, connect_timeout: float | None = None) -> Diagnosis:
        """What can be known of the database, open or not, whatever its schema. Raises as `migrate`."""
        async with self._reached(connect_timeout) as database:
            return await diagnose(database)

    @asynccontextmanager
    async def _reached(self, connect_timeout: float | None) -> AsyncIterator[Database]:
        """The database, connected to at least while the block lasts."""
        was_open = self._database.is_open
        async with asyncio.timeout(connect_timeout):
            await self._database.open()
        try:
            yield self._database
        finally:
            if not was_open:
                await self._database.close()

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        if self._cluster is not None:
            self._cluster.stop_beating()
            self._cluster = None
        self._journal.close()
        try:
            async with asyncio.timeout(_CLOSING):
                await self._journal.closed()
        except TimeoutError:
            pass  # What waits is told so when its task is stopped.
        await tasks.__aexit__(None, None, None)
        await self._database.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> object:
        if self._tasks is None:
            work.close()
            raise StoreUnavailable("the store is not open; use it between open() and close()")
        return self._tasks.start("ask", work)

    # Writing ------------------------------------------------------------------------------------------------

    async def create_run(self, run: RunRecord) -> None:
        await self._journal.create(sanitised_run(run))

    async def claim(self, run_id: str, owner: str, *, epoch: int) -> RunRecord:
        rows, tries = await self._database.fetch_counting("claim", run_id, owner, epoch)
        found = run_of(rows[0]) if rows else await self.run(run_id)
        if found is None:
            raise RunNotFound(f"no run {run_id}: its id is mistyped, or retention removed it")
        if rows or (tries > 1 and (found.owner, found.epoch) == (owner, epoch + 1)):
            return found  # If not now, then by a try whose answer was lost.
        moved = "has finished" if found.status.terminal else f"is at epoch {found.epoch}, not {epoch}"
        raise StaleWrite(refusals.claim_refused(owner, run_id, moved))

    async def write(self, event: Event, epoch: int = 0, *, payload: bytes | None = None) -> None:
        kind = type(event)
        if kind is not StepStarted:  # Which is storable as it is.
            if kind in _UNRECORDED:
                return
            event = _storable(event)
            if kind is RunFinished:
                check_together([event])
        await self._journal.write([event], epoch, payload)
        if payload is not None:
            self._history.recent.add(location_of_payload(event), payload)

    async def write_many(self, events: Sequence[Event], epoch: int = 0) -> None:
        told = [_storable(event) for event in of_one_run(events) if type(event) not in _UNRECORDED]
        check_together(told)
        if told:
            await self._journal.write(told, epoch)

    async def invalidate(self, keys: Iterable[StepKey], act: Act | None = None) -> int:
        parts = [key_columns(part) for part in _parts(list(keys))]
        by = act_columns(act)
        return sum([await self._count("invalidate", *columns, *by) for columns in parts])

    async def add_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        by = act_columns(act)
        return sum([await self._count("add_partitions", name, part, *by) for part in _parts(list(keys))])

    async def remove_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        by = act_columns(act)
        return sum([await self._count("remove_partitions", name, part, *by) for part in _parts(list(keys))])

    async def delete_payload(self, location: str) -> None:
        self._history.recent.clear()
        await self._database.fetch("delete_payload", location)

    async def prune(
        self, *, keep_versions: int, keep_runs: int, assets: Collection[str] | None = None
    ) -> Sequence[Materialization]:
        self._history.recent.clear()
        return await self._retention.prune(*retention(keep_versions, keep_runs), assets)

    async def _count(self, name: str, *arguments: Any) -> int:
        rows = await self._database.fetch(name, *arguments)
        count: int = rows[0]["count"]
        return count

    # Reading ------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> RunRecord | None:
        return await self._history.run(run_id)

    async def run_with_key(self, key: str) -> RunRecord | None:
        return await self._history.run_with_key(key)

    async def runs(
        self,
        *,
        statuses: Collection[Status] = (),
        asset: str | None = None,
        tags: Mapping[str, str | None] = NO_TAGS,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[RunRecord]:
        return await self._history.runs(statuses, asset, tags, limit, before)

    async def runs_beginning(self, prefix: str, *, limit: int = 2) -> Sequence[RunRecord]:
        return await self._history.beginning(prefix, limit)

    async def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, Event]]:
        return await self._history.events(run_id, after, limit)

    async def steps(
        self, run_id: str, *, status: Status | None = None, offset: int = 0, limit: int | None = None
    ) -> Sequence[Materialization]:
        return await self._history.steps(run_id, status, offset, limit)

    async def step(self, run_id: str, key: StepKey) -> Materialization | None:
        return await self._history.step(run_id, key)

    async def steps_of(self, run_id: str, keys: Iterable[StepKey]) -> Mapping[StepKey, Materialization]:
        return await self._history.steps_of(run_id, keys)

    async def attempt_event(self, run_id: str, key: StepKey) -> AttemptEvent | None:
        return await self._history.attempt_event(run_id, key)

    async def current(self, keys: Iterable[StepKey]) -> Mapping[StepKey, Materialization]:
        return await self._history.current(keys)

    async def history(self, key: StepKey, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        return await self._history.history(key, limit, offset)

    async def failures(self, asset: str, *, limit: int | None = None) -> Sequence[Materialization]:
        return await self._history.failures(asset, limit)

    async def keys_by_status(self, assets: Collection[str]) -> Mapping[str, KeysByStatus]:
        return await self._history.keys_by_status(assets)

    async def count_by_status(self, assets: Collection[str]) -> Mapping[str, StatusCounts]:
        return await self._history.count_by_status(assets)

    async def skipped(self, assets: Collection[str]) -> Mapping[str, Skips]:
        return await self._history.skipped(assets)

    async def recent(self, asset: str, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        return await self._history.records(asset, limit, offset)

    async def activity(self, assets: Collection[str], *, limit: int) -> Mapping[str, AssetActivity]:
        return await self._history.activity(assets, limit)

    async def newest_successes(self, assets: Collection[str]) -> Mapping[str, NewestSuccess]:
        return await self._history.newest_successes(assets)

    async def durations(self, assets: Collection[str]) -> Mapping[str, float]:
        return await self._history.durations(assets)

    async def downstream(self, keys: Iterable[StepKey]) -> Mapping[StepKey, Sequence[StepKey]]:
        return await self._history.downstream(keys)

    async def current_keys(self, asset: str) -> Sequence[str | None]:
        return await self._history.current_keys(asset)

    async def partitions(self, name: str) -> Sequence[str]:
        return [row["key"] for row in await self._database.fetch("partitions", name)]

    async def payload(self, location: str) -> bytes | None:
        return await self._history.payload(location)

    async def has_payload(self, location: str) -> bool:
        return bool(await self._database.fetch("payload_exists", location))


def _parts(keys: list[T]) -> list[list[T]]:
    """As many as one statement is given: of a million it would have no answer in time."""
    return [keys[start : start + _KEYS] for start in range(0, len(keys), _KEYS)]


def _storable(event: Event) -> Event:
    if isinstance(event, ENDINGS):
        record = event.materialization
        if record.finished_at is None or record.finished_at.tzinfo is None:
            event = dated(event)
    return sanitised(event)
