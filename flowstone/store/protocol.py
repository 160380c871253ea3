"""The port to run history: what every store promises, whatever it is made of.

Promises, each stated by the contract suite in `tests/store/contract.py`:

* A call that returned is remembered for as long as the store promises to remember anything (memory: the
  process; `file://`: the disk; Postgres: the database).
* A success record replaces what is current for its asset-partition; reused, skipped, failed and cancelled records
  never change what is current.
* Newest means recorded last, of runs and of records alike. The store counts what arrives; no clock and no id has
  a say in it.
* Within a run a step has one terminal record: a second one for the same step is refused and changes nothing.
* A write with an epoch older than the run's is refused (`StaleWrite`), as is a write to a finished run.
* At most one unfinished run has a given key: a second one is refused (`KeyTaken`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from flowstone.errors import FlowstoneError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

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
    from flowstone.store.tokens import AccessTokens
    from flowstone.store.waits import Waits

__all__ = ["NO_TAGS", "KeyTaken", "KeysByStatus", "NoSchema", "StaleWrite", "Store", "StoreRefused"]

NO_TAGS: Final[Mapping[str, str | None]] = MappingProxyType({})


KeysByStatus: TypeAlias = "Mapping[Status, Sequence[str | None]]"
"""Encoded partition keys of one asset, in no particular order."""


class StaleWrite(FlowstoneError):
    """A write came from a node or an attempt that no longer owns the step, or for a step already terminal."""


class KeyTaken(StaleWrite):
    """An unfinished run has the key already; `Store.run_with_key` finds it, unless it has finished since."""


class StoreRefused(StoreUnavailable):
    """The store answered, and refused for good what was asked: asking again gets the same answer.

    Any other `StoreUnavailable` may pass by itself, and whoever can waits for that.
    """


class NoSchema(StoreUnavailable):
    """The database is there, and has never been a store: nothing is remembered in it."""


class Store(Protocol):
    """Run history: runs, step records, events, and which materialization is current."""

    @property
    def cluster(self) -> Cluster | None:
        """What several nodes share through this store; None where only one process can hold it."""

    @property
    def waits(self) -> Waits:
        """What steps wait for; while the store is open."""

    @property
    def items(self) -> Items:
        """What became of items that steps go through; while the store is open."""

    @property
    def logs(self) -> Logs:
        """What the code of attempts logged and printed; while the store is open."""

    @property
    def pools(self) -> PoolSlots:
        """How many slots pools were given at run time; while the store is open."""

    @property
    def automations(self) -> Automations:
        """Schedules, sensors and the like; while the store is open."""

    @property
    def deliveries(self) -> Deliveries:
        """Events that are to be delivered to who follows them; while the store is open."""

    @property
    def feed(self) -> Feed:
        """All recorded events in one order; while the store is open."""

    @property
    def callers(self) -> Callers:
        """Who wants what runs compute; while the store is open."""

    @property
    def tokens(self) -> AccessTokens:
        """Who may do what at the HTTP server; while the store is open."""

    @property
    def audit(self) -> Audit:
        """Who did what; while the store is open."""

    @property
    def problem(self) -> str | None:
        """Why the store does not answer right now, or None."""

    @property
    def keeps_payloads(self) -> bool:
        """Whether `write` takes payloads."""

    @property
    def lasts(self) -> bool:
        """Whether it outlives the process, so that others can go on with what this one leaves unfinished."""

    async def open(self) -> None:
        """Connect. Raises `StoreUnavailable` with a remedy."""

    async def close(self) -> None:
        """Flush what was acknowledged and release every resource. Idempotent."""

    async def create_run(self, run: RunRecord) -> None:
        """Remember a new run; this is its first event, `RunQueued`, as well.

        The same record again changes nothing; another record of the same id raises `StaleWrite`, and one with
        the key of another unfinished run raises `KeyTaken`.
        """

    async def claim(self, run_id: str, owner: str, *, epoch: int) -> RunRecord:
        """Make `owner` the run's owner and raise its epoch by one, if its epoch still is `epoch`.

        Of several who try to adopt an orphan one succeeds; the former owner's writes are refused from then.
        Raises `StaleWrite` if the epoch has moved or the run has finished, `RunNotFound` if there is none.
        """

    async def run(self, run_id: str) -> RunRecord | None:
        """The run's head, or None."""

    async def run_with_key(self, key: str) -> RunRecord | None:
        """The head of the unfinished run that has this key, or None."""

    async def runs(
        self,
        *,
        statuses: Collection[Status] = (),
        asset: str | None = None,
        tags: Mapping[str, str | None] = NO_TAGS,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[RunRecord]:
        """Runs, newest first: in the reverse of the order in which they were created here.

        Args:
            statuses: Only runs in one of these; empty: in any.
            asset: Only runs that were asked for this asset.
            tags: Only runs that have all of these, each with this value, or with any where it is None.
            limit: How many at most.
            before: The id of the last run of the previous page.

        Raises:
            RunNotFound: There is no run `before` any more.
        """

    async def runs_beginning(self, prefix: str, *, limit: int = 2) -> Sequence[RunRecord]:
        """Runs whose ids begin so, in no particular order."""

    async def write(self, event: Event, epoch: int = 0, *, payload: bytes | None = None) -> None:
        """Record one event; returns once it is durable. Raises `StaleWrite`, also for a run it does not know.

        A `payload` is kept together with a `StepSucceeded`, both or neither, under the location that its
        record names. A store that keeps none, or none so large, raises `IOManagerError` and records nothing.

        A step event with a `materialization` becomes the step's record; `StepSucceeded` may make it current.
        `RunStarted`, `RunWaiting` and `RunFinished` change the run's head; what waits do, `Waits` says.
        `StepProgressed` is not recorded, and `RunQueued` adds nothing to what `create_run` said. An attempt that a
        later one overtook (a higher number has started) is refused, whatever its epoch.
        """

    async def write_many(self, events: Sequence[Event], epoch: int = 0) -> None:
        """As `write` for a batch of one run's events, in order, all or none."""

    async def payload(self, location: str) -> bytes | None:
        """The bytes that were written with the success at this location, or None."""

    async def has_payload(self, location: str) -> bool:
        """Whether `payload` would find something there; cheap, however large it is."""

    async def delete_payload(self, location: str) -> None:
        """Forget the bytes at a location, which may be forgotten already. The record stays."""

    async def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, Event]]:
        """A run's recorded events with their sequence numbers (from 1), in order, those after `after`.

        All of them while the run is unfinished; of a finished run at least the newest 10,000.
        """

    async def steps(
        self, run_id: str, *, status: Status | None = None, offset: int = 0, limit: int | None = None
    ) -> Sequence[Materialization]:
        """A run's terminal step records in the order they became terminal."""

    async def step(self, run_id: str, key: StepKey) -> Materialization | None:
        """One terminal step record of a run, or None."""

    async def steps_of(self, run_id: str, keys: Iterable[StepKey]) -> Mapping[StepKey, Materialization]:
        """The terminal step record of each of these steps of a run that has one."""
        found = {key: await self.step(run_id, key) for key in keys}
        return {key: record for key, record in found.items() if record is not None}

    async def attempt_event(self, run_id: str, key: StepKey) -> AttemptEvent | None:
        """What was recorded last of how the attempts of a step of a run go: a start, a retry or a wait; or None.

        That it has ended since, `step` says, and that it waits no more, `waits`. It is there while the run is
        unfinished, and may be for a while longer.
        """

    async def current(self, keys: Iterable[StepKey]) -> Mapping[StepKey, Materialization]:
        """The current materialization of each key that has one."""

    async def history(self, key: StepKey, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        """Terminal records of one asset-partition over all runs, the one recorded last first."""

    async def failures(self, asset: str, *, limit: int | None = None) -> Sequence[Materialization]:
        """Where the newest record of one of the asset's partitions is a failure: these, by their partition keys.

        Args:
            asset: The asset's name.
            limit: How many at most; None: all.
        """

    async def keys_by_status(self, assets: Collection[str]) -> Mapping[str, KeysByStatus]:
        """Of each of these assets that has records, its partition keys by how they stand.

        `succeeded` are those with a current value; `failed`, `skipped` and `cancelled` those whose newest record
        says so, whether or not an older value is current. Keys of which none of this is true are in no list.
        """

    async def count_by_status(self, assets: Collection[str]) -> Mapping[str, StatusCounts]:
        """The same, counted: of each status how many keys, and how many of these have a current value."""

    async def skipped(self, assets: Collection[str]) -> Mapping[str, Skips]:
        """Of each of these assets its partition keys without a current value that were skipped last, by the cause.

        The cause is the step whose failure did it, as `asset` or `asset[key]`; what was skipped by choice has None.
        """

    async def newest_successes(self, assets: Collection[str]) -> Mapping[str, NewestSuccess]:
        """Of each of these assets that has one, the success that was recorded last, at whatever partition.

        Also if it was invalidated since. That takes time in proportion to the partitions of the assets.
        """

    async def durations(self, assets: Collection[str]) -> Mapping[str, float]:
        """Of each of these assets that has successes, the median of the seconds that some of them took."""

    async def recent(self, asset: str, *, limit: int = 100, offset: int = 0) -> Sequence[Materialization]:
        """Terminal records of an asset at all its partitions and over all runs, who was recorded last first."""

    async def activity(self, assets: Collection[str], *, limit: int) -> Mapping[str, AssetActivity]:
        """Of each of these assets that has any, what is known of the attempts among its last `limit` records."""

    async def downstream(self, keys: Iterable[StepKey]) -> Mapping[StepKey, Sequence[StepKey]]:
        """For each key the asset-partitions whose current materialization has it as a direct input."""

    async def invalidate(self, keys: Iterable[StepKey], act: Act | None = None) -> int:
        """Make the current materialization of each key not current; returns how many were.

        Every success recorded before is invalid as well: nothing is current again until the next success. More than
        10,000 keys may be several changes, one after another: if it fails, some may have been made. Call it again.

        Args:
            keys: Which.
            act: Who does it, for the audit log, which has an entry for each asset of a change; None: it is not
                noted.
        """

    async def current_keys(self, asset: str) -> Sequence[str | None]:
        """Every partition key of the asset that has a current materialization, in no particular order."""

    async def add_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        """Add encoded keys to a dynamic partition set; returns how many were new. Many may be several changes.

        As with `invalidate`; they are added in their order.
        """

    async def remove_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        """Remove encoded keys from a dynamic partition set; returns how many were there.

        Many may be several changes, as with `invalidate`.
        """

    async def partitions(self, name: str) -> Sequence[str]:
        """The encoded keys of a dynamic partition set, in the order they were added."""

    async def prune(
        self, *, keep_versions: int, keep_runs: int, assets: Collection[str] | None = None
    ) -> Sequence[Materialization]:
        """Forget superseded successes and finished runs; returns the successes, whose values may be deleted.

        Payloads of these successes are forgotten with them: at no instant is there one without a record.

        Args:
            keep_versions: Successes that stay per asset-partition, the newest ones; the current one stays
                whatever the number, and so does what an unfinished run has computed or reuses.
            keep_runs: Finished runs that stay, those that finished last. With a run go its events, its step
                records and what it left in `history`, except successes, which `keep_versions` decides about.
                A run that stays goes on listing all its steps.
            assets: Successes of these assets alone are forgotten, because the caller can delete the values of no
                others. None: of all. Without meaning where one process holds the store, and so all values.
        """
