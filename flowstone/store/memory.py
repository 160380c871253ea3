"""The store that remembers for as long as the process lives: the default of `Runtime()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowstone.runs.asset_activity import activity_of
from flowstone.runs.asset_freshness import NewestSuccess
from flowstone.runs.events import StepSucceeded
from flowstone.store.history import History
from flowstone.store.memory_audit import MemoryAudit
from flowstone.store.memory_automations import MemoryAutomations
from flowstone.store.memory_callers import MemoryCallers
from flowstone.store.memory_deliveries import MemoryDeliveries
from flowstone.store.memory_feed import MemoryFeed
from flowstone.store.memory_items import MemoryItems
from flowstone.store.memory_logs import MemoryLogs
from flowstone.store.memory_pools import MemoryPools
from flowstone.store.memory_tokens import MemoryTokens
from flowstone.store.memory_waits import MemoryWaits
from flowstone.store.protocol import NO_TAGS, Store
from flowstone.store.sanitise import sanitised, sanitised_act, sanitised_run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from flowstone.runs.asset_activity import AssetActivity
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
    from flowstone.store.protocol import KeysByStatus
    from flowstone.store.tokens import AccessTokens
    from flowstone.store.waits import Waits

__all__ = ["MemoryStore"]

T = TypeVar("T")


class MemoryStore(Store):
    """Run history in this process's memory.

    No call ever suspends, so no lock is needed: whatever a method does happens at once, for every task of the
    loop. `close` forgets nothing; the same store object may be opened again by another runtime.
    """

    cluster: Final[Cluster | None] = None  # Nobody else sees this memory.
    keeps_payloads: bool = True
    lasts: bool = False

    def __init__(self) -> None:
        self._history = History()
        self._payloads: dict[str, bytes] = {}
        self._waits = MemoryWaits(lambda: self._history, self._change)
        self._items = MemoryItems(lambda: self._history, self._change, lambda: self._payloads)
        self._logs: Logs = MemoryLogs(lambda: self._history)
        self._pools = MemoryPools(lambda: self._history, self._change)
        self._automations = MemoryAutomations(lambda: self._history, self._change, self._keep, self._ending)
        self._deliveries = MemoryDeliveries(lambda: self._history, self._change)
        self._feed = MemoryFeed(lambda: self._history)
        self._callers = MemoryCallers(lambda: self._history, self._change, self._settled)
        self._tokens = MemoryTokens(lambda: self._history, self._change)
        self._audit = MemoryAudit(lambda: self._history, self._change)

    @property
    def waits(self) -> Waits:
        return self._waits

    @property
    def items(self) -> Items:
        return self._items

    @property
    def logs(self) -> Logs:
        return self._logs

    @property
    def pools(self) -> PoolSlots:
        return self._pools

    @property
    def automations(self) -> Automations:
        return self._automations

    @property
    def deliveries(self) -> Deliveries:
        return self._deliveries

    @property
    def feed(self) -> Feed:
        return self._feed

    @property
    def callers(self) -> Callers:
        return self._callers

    @property
    def tokens(self) -> AccessTokens:
        return self._tokens

    @property
    def audit(self) -> Audit:
        return self._audit

    @property
    def problem(self) -> str | None:
        return None

    @property
    def state(self) -> History:
        """What it remembers: for those in this process who need not wait for anything."""
        return self._history

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def create_run(self, run: RunRecord) -> None:
        self._history.create_run(sanitised_run(run))

    async def claim(self, run_id: str, owner: str, *, epoch: int) -> RunRecord:
        return self._history.claim(run_id, owner, epoch)

    async def run(self, run_id: str) -> RunRecord | None:
        found = self._history.find(run_id)
        return None if found is None else found.head()

    async def run_with_key(self, key: str) -> RunRecord | None:
        return self._history.with_key(key)

    async def runs(
        self,
        *,
        statuses: Collection[Status] = (),
        asset: str | None = None,
        tags: Mapping[str, str | None] = NO_TAGS,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[RunRecord]:
        return self._history.runs(statuses, asset, tags, limit, before)

    async def runs_beginning(self, prefix: str, *, limit: int = 2) -> Sequence[RunRecord]:
        return self._history.beginning(prefix, limit)

    async def write(self, event: Event, epoch: int = 0, *, payload: bytes | None = None) -> None:
        event = sanitised(event)
        if payload is None:
            self._history.write(event, epoch)
            return
        location = location_of_payload(event)
        self._history.write(event, epoch)
        self._payloads[location] = payload

    async def write_many(self, events: Sequence[Event], epoch: int = 0) -> None:
        self._history.write_many(of_one_run([sanitised(event) for event in events]), epoch)

    async def payload(self, location: str) -> bytes | None:
        return self._payloads.get(location)

    async def has_payload(self, location: str) -> bool:
        return location in self._payloads

    async def delete_payload(self, location: str) -> None:
        self._payloads.pop(location, None)

    async def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, Event]]:
        found = self._history.find(run_id)
        return [] if found is None else found.log.page(after, limit)

    async def steps(
        self, run_id: str, *, status: Status | None = None, offset: int = 0, limit: int | None = None
    ) -> Sequence[Materialization]:
        found = self._history.find(run_id)
        return [] if found is None else found.steps(status, offset, limit)

    async def step(self, run_id: str, key: StepKey) -> Materialization | None:
        found = self._history.find(run_id)
        return None if found is None else found.step(key)

    async def attempt_event(self, run_id: str, key: StepKey) -> AttemptEvent | None:
        found = self._history.find(run_id)
        return None if found is None else found.log.attempt_event(key)

    async def current(self, keys: Iterable[StepKey]) -> Mapping[StepKey, Materialization]:
        return self._history.ledger.current(keys)

    async def history(self, key: StepKey, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        return self._history.ledger.history(key, limit, offset)

    async def failures(self, asset: str, *, limit: int | None = None) -> Sequence[Materialization]:
        return self._history.ledger.failures(asset, limit)

    async def keys_by_status(self, assets: Collection[str]) -> Mapping[str, KeysByStatus]:
        return self._history.ledger.keys_by_status(assets)

    async def count_by_status(self, assets: Collection[str]) -> Mapping[str, StatusCounts]:
        return self._history.ledger.count_by_status(assets)

    async def skipped(self, assets: Collection[str]) -> Mapping[str, Skips]:
        return self._history.ledger.skipped(assets)

    async def recent(self, asset: str, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        return self._history.ledger.recent(asset, limit, offset)

    async def activity(self, assets: Collection[str], *, limit: int) -> Mapping[str, AssetActivity]:
        ledger = self._history.ledger
        found = {asset: activity_of(asset, ledger.recent(asset, limit, 0)) for asset in assets}
        return {asset: known for asset, known in found.items() if known is not None}

    async def newest_successes(self, assets: Collection[str]) -> Mapping[str, NewestSuccess]:
        found: dict[str, NewestSuccess] = {}
        for asset in assets:
            last = self._history.ledger.last_success(asset)
            record = None if last is None else last.newest
            if last is not None and record is not None and record.finished_at is not None:
                found[asset] = NewestSuccess(asset, record.run_id, record.finished_at, last.valid)
        return found

    async def durations(self, assets: Collection[str]) -> Mapping[str, float]:
        return self._history.ledger.durations(assets)

    async def downstream(self, keys: Iterable[StepKey]) -> Mapping[StepKey, Sequence[StepKey]]:
        return self._history.ledger.downstream(keys)

    async def invalidate(self, keys: Iterable[StepKey], act: Act | None = None) -> int:
        return self._history.invalidate(list(keys), act and sanitised_act(act))

    async def current_keys(self, asset: str) -> Sequence[str | None]:
        return self._history.ledger.current_keys(asset)

    async def add_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        return self._history.add_partitions(name, keys, act and sanitised_act(act))

    async def remove_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        return self._history.remove_partitions(name, keys, act and sanitised_act(act))

    async def partitions(self, name: str) -> Sequence[str]:
        return list(self._history.partitions.get(name, ()))

    async def prune(
        self,
        *,
        keep_versions: int,
        keep_runs: int,
        assets: Collection[str] | None = None,  # noqa: ARG002 - it holds all values
    ) -> Sequence[Materialization]:
        gone = self._history.prune(*retention(keep_versions, keep_runs))
        for record in gone:
            self._payloads.pop(record.location or "", None)
        return gone

    def _keep(self, run_id: str) -> None:
        self._callers.keep_now(run_id)

    def _ending(self) -> list[str]:
        return self._callers.ending()

    async def _settled(self) -> None:
        """Return when all that is on its way to be recorded is done."""

    async def _change(self, operation: list[Any], apply: Callable[[], T]) -> T:  # noqa: ARG002 - for a journal
        return apply()


def of_one_run(events: Sequence[Event]) -> Sequence[Event]:
    """The batch itself; raises ValueError if it mixes runs, because then nothing says what "stale" means."""
    runs = {event.run_id for event in events}
    if len(runs) > 1:
        raise ValueError(
            f"write_many takes the events of one run, not of {len(runs)}: write each run's on its own"
        )
    return events


def location_of_payload(event: Event) -> str:
    """Where the payload of an event is found again; raises ValueError if the event names no such place."""
    location = event.materialization.location if isinstance(event, StepSucceeded) else None
    if location is None:
        raise ValueError(f"a payload comes with a success that has a location, not with {event.kind}")
    return location


def retention(keep_versions: int, keep_runs: int) -> tuple[int, int]:
    """The two limits; raises ValueError if one is negative."""
    if keep_versions < 0 or keep_runs < 0:
        raise ValueError("keep_versions and keep_runs count what stays: give 0 or more")
    return keep_versions, keep_runs
