"""The state of every asset-partition: its timeline, its current value, and who was computed from it.

Map of this file
    Timeline     the records of one asset-partition
    Consumers    who was computed from what
    Ledger       all timelines: filed, asked for, invalidated, pruned
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from flowstone.runs.records import Status
from flowstone.store.recorded_order import RecordedOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowstone.runs.records import Input, Materialization, StepKey

__all__ = ["Consumers", "Ledger", "Timeline"]


_WITHOUT_VALUE: Final = (Status.FAILED, Status.SKIPPED, Status.CANCELLED)
_SUCCEEDED: Final = Status.SUCCEEDED  # To look it up in the enum takes 90 ns, in a step's way.

_KEYS_TIMED: Final = 20  # Keys of an asset whose successes say how long it takes.
_TIMED: Final = 5  # Successes of each.


class Timeline:
    """The terminal records of one asset-partition in the order they were recorded.

    Attributes:
        records: Successes and all other outcomes, oldest first.
        newest: The newest success, or None.
        valid: Whether `newest` is current; False once it was invalidated.
    """

    __slots__ = ("newest", "records", "valid")

    def __init__(self) -> None:
        self.records: list[Materialization] = []
        self.newest: Materialization | None = None
        self.valid = False

    @property
    def current(self) -> Materialization | None:
        """The current materialization, or None."""
        return self.newest if self.valid else None

    def discard(self, record: Materialization) -> bool:
        """Forget one record that is not a success; whether it was there."""
        for index, candidate in enumerate(self.records):
            if candidate is record:
                del self.records[index]
                return True
        return False

    def prune(
        self, keep: int, unfinished: Callable[[str], bool]
    ) -> tuple[list[Materialization], list[Materialization]]:
        """Forget the successes beyond the newest `keep`, except for the current one and those that are needed.

        Args:
            keep: How many stay.
            unfinished: Whether a run has not finished: what it computed, or reuses, it may still need.

        Returns:
            Those that were forgotten, and those beyond `keep` that are needed.
        """
        successes = [record for record in self.records if record.status is _SUCCEEDED]
        current = self.current
        surplus = [record for record in successes[: max(0, len(successes) - keep)] if record is not current]
        if not surplus:
            return [], []
        reused = {record.location for record in self.records if unfinished(record.run_id)} - {None}
        needed = [one for one in surplus if one.location in reused or unfinished(one.run_id)]
        forgotten = [one for one in surplus if one not in needed] if needed else surplus
        if forgotten:
            gone = {id(record) for record in forgotten}
            self.records = [record for record in self.records if id(record) not in gone]
            if id(self.newest) in gone:
                self.newest = None
        return forgotten, needed


class Consumers:
    """For each input, the asset-partitions whose current materialization was computed from it."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[StepKey, StepKey | dict[StepKey, None]] = {}

    def of(self, key: StepKey) -> list[StepKey]:
        """The direct consumers of one asset-partition, in the order they were added."""
        known = self._of.get(key)
        if known is None:
            return []
        return list(known) if isinstance(known, dict) else [known]

    def replace(self, consumer: StepKey, before: tuple[Input, ...], after: tuple[Input, ...]) -> None:
        """The consumer's current inputs change from `before` to `after`; either may be empty."""
        new = {(item.asset, item.partition_key): None for item in after}
        for item in before:
            key = (item.asset, item.partition_key)
            if key not in new:
                self._remove(consumer, key)
        for key in new:  # Those it already had stay in their place.
            known = self._of.setdefault(key, consumer)
            if isinstance(known, dict):
                known[consumer] = None
            elif known != consumer:
                self._of[key] = {known: None, consumer: None}

    def _remove(self, consumer: StepKey, key: StepKey) -> None:
        known = self._of.get(key)
        if isinstance(known, dict):
            known.pop(consumer, None)
            if not known:
                del self._of[key]
        elif known == consumer:
            del self._of[key]


class Ledger:
    """All timelines, by asset and partition key.

    Two levels of dicts instead of one keyed by pairs: a million pairs would cost 70 MB, and the keys of one
    asset are a question of their own. Those of an asset that have a success are in the order of the newest of them.
    """

    __slots__ = ("_consumers", "_kept", "_needed", "_prunable", "_recorded", "_timelines")

    def __init__(self) -> None:
        self._timelines: dict[str, dict[str | None, Timeline]] = {}
        self._recorded: dict[str, RecordedOrder] = {}
        # Made when somebody asks who uses what, and kept up to date from then on: most processes never ask.
        self._consumers: Consumers | None = None
        # Asset-partitions that may have more successes than the last `prune` left: pruning costs what there
        # is to prune, not what there is. It holds for one `keep`; a smaller one has to look at everything.
        self._prunable: dict[StepKey, None] = {}
        self._kept: int | None = None
        self._needed: dict[StepKey, None] = {}  # Where unfinished runs need what would have been pruned.

    def record(self, record: Materialization) -> None:
        """File a terminal record; a success becomes current."""
        asset = record.asset
        partition_key = record.partition_key
        timelines = self._timelines.get(asset)
        if timelines is None:
            timelines = self._timelines[asset] = {}
            self._recorded[asset] = RecordedOrder()
        self._recorded[asset].records.append(record)
        timeline = timelines.get(partition_key)
        is_new = timeline is None
        if timeline is None:
            timeline = timelines[partition_key] = Timeline()
        before = timeline.newest if timeline.valid else None
        timeline.records.append(record)
        if record.status is not _SUCCEEDED:
            return
        if timeline.newest is not None and len(timeline.records) > (self._kept or 0):
            self._prunable[asset, partition_key] = None
        timeline.newest = record
        timeline.valid = True
        if not is_new and len(timelines) > 1:
            timelines[partition_key] = timelines.pop(partition_key)
        if self._consumers is not None:
            self._consumers.replace(
                (asset, partition_key), () if before is None else before.inputs, record.inputs
            )

    def restore(self, key: StepKey, records: Iterable[Materialization], valid: bool) -> None:
        """File records of a former life, oldest first; `valid` says whether the newest success is current."""
        for record in records:
            self.record(record)
        if not valid:
            self._invalidate(key)

    def current(self, keys: Iterable[StepKey]) -> dict[StepKey, Materialization]:
        """The current materialization of each key that has one."""
        found: dict[StepKey, Materialization] = {}
        assets = self._timelines
        for key in keys:
            timelines = assets.get(key[0])
            if timelines is not None:
                timeline = timelines.get(key[1])
                if timeline is not None and timeline.valid and timeline.newest is not None:
                    found[key] = timeline.newest
        return found

    def knows(self, asset: str) -> bool:
        """Whether there is a record of the asset, at any partition."""
        return asset in self._timelines

    def newest(self, asset: str, partition_key: str | None) -> Materialization | None:
        """The current materialization of one asset-partition, or None."""
        timelines = self._timelines.get(asset)
        timeline = None if timelines is None else timelines.get(partition_key)
        return timeline.newest if timeline is not None and timeline.valid else None

    def current_keys(self, asset: str) -> list[str | None]:
        """The partition keys of an asset that have a current materialization."""
        timelines = self._timelines.get(asset, {})
        return [partition_key for partition_key, timeline in timelines.items() if timeline.valid]

    def history(self, key: StepKey, limit: int, offset: int) -> list[Materialization]:
        """One asset-partition's records, newest first."""
        timeline = self._timeline(key)
        if timeline is None:
            return []
        return list(islice(reversed(timeline.records), max(0, offset), max(0, offset) + max(0, limit)))

    def last_success(self, asset: str) -> Timeline | None:
        """Where the success is that was recorded last at any partition of an asset."""
        timelines = reversed(self._timelines.get(asset, {}).values())
        return next((timeline for timeline in timelines if timeline.newest is not None), None)

    def durations(self, assets: Iterable[str]) -> dict[str, float]:
        """Of each asset that has any, the median of the seconds that its newest successes took."""
        found: dict[str, float] = {}
        for asset in assets:
            newest = islice(reversed(self._timelines.get(asset, {}).values()), _KEYS_TIMED)
            seconds = [
                record.duration
                for timeline in newest
                for record in islice(_successes(timeline), _TIMED)
                if record.duration is not None
            ]
            if seconds:
                found[asset] = _median(seconds)
        return found

    def failures(self, asset: str, limit: int | None) -> list[Materialization]:
        """Where the newest record of one of the asset's partitions is a failure: these, by their keys."""
        newest = (timeline.records[-1] for timeline in self._timelines.get(asset, {}).values())
        failed = [record for record in newest if record.status is Status.FAILED]
        failed.sort(key=lambda record: record.partition_key or "")
        return failed if limit is None else failed[: max(0, limit)]

    def keys_by_status(self, assets: Iterable[str]) -> dict[str, dict[Status, list[str | None]]]:
        """The partition keys of each asset that have a current value, and those whose newest record made none."""
        found: dict[str, dict[Status, list[str | None]]] = {}
        for asset in assets:
            keys: dict[Status, list[str | None]] = {}
            for key, timeline in self._timelines.get(asset, {}).items():
                if timeline.valid:
                    keys.setdefault(_SUCCEEDED, []).append(key)
                newest = timeline.records[-1].status if timeline.records else _SUCCEEDED
                if newest in _WITHOUT_VALUE:
                    keys.setdefault(newest, []).append(key)
            if keys:
                found[asset] = keys
        return found

    def count_by_status(self, assets: Iterable[str]) -> dict[str, dict[Status, tuple[int, int]]]:
        """The same, counted: of each status how many keys, and how many of these have a current value."""
        found: dict[str, dict[Status, tuple[int, int]]] = {}
        for asset, by_status in self.keys_by_status(assets).items():
            timelines = self._timelines[asset]
            found[asset] = {
                status: (len(keys), sum(timelines[key].valid for key in keys))
                for status, keys in by_status.items()
            }
        return found

    def skipped(self, assets: Iterable[str]) -> dict[str, dict[str | None, list[str | None]]]:
        """The keys of each asset without a value that were skipped last, by the cause; None: by choice."""
        found: dict[str, dict[str | None, list[str | None]]] = {}
        for asset in assets:
            for key, timeline in self._timelines.get(asset, {}).items():
                if (
                    timeline.valid
                    or not timeline.records
                    or timeline.records[-1].status is not Status.SKIPPED
                ):
                    continue
                failure = timeline.records[-1].failure
                by_choice = failure is not None and failure.kind == "skip"
                cause = None if by_choice else ((failure and failure.cause) or "")
                found.setdefault(asset, {}).setdefault(cause, []).append(key)
        return found

    def recent(self, asset: str, limit: int, offset: int) -> list[Materialization]:
        """The records of an asset at all partitions, the one that was recorded last first."""
        recorded = self._recorded.get(asset)
        return [] if recorded is None else recorded.newest(limit, offset, self._holds)

    def downstream(self, keys: Iterable[StepKey]) -> dict[StepKey, list[StepKey]]:
        """The direct consumers of each key."""
        consumers = self._consumers
        if consumers is None:
            consumers = self._consumers = Consumers()
            for key, timeline in self.timelines():
                if timeline.valid and timeline.newest is not None:
                    consumers.replace(key, (), timeline.newest.inputs)
        return {key: consumers.of(key) for key in keys}

    def invalidate(self, keys: Iterable[StepKey]) -> int:
        """Make the current materialization of each key not current; returns how many were."""
        return sum(self._invalidate(key) for key in keys)

    def forget(self, outcomes: Iterable[Materialization]) -> None:
        """Forget what a forgotten run left that is not a success; successes leave by `prune` alone."""
        for record in outcomes:
            key = (record.asset, record.partition_key)
            timeline = self._timeline(key)
            if timeline is not None and timeline.discard(record):
                self._forgot(key, timeline, 1)

    def run_finished(self) -> None:
        """What it needed may be pruned."""
        if self._needed:
            self._prunable.update(self._needed)
            self._needed.clear()

    def may_prune(self, keep: int) -> bool:
        """Whether `prune` would look at anything."""
        return bool(self._prunable) or self._tightens(keep)

    def prune(self, keep: int, unfinished: Callable[[str], bool]) -> list[Materialization]:
        """Forget superseded successes beyond the newest `keep` of each asset-partition; see `Timeline.prune`."""
        keys = [key for key, _ in self.timelines()] if self._tightens(keep) else list(self._prunable)
        self._prunable.clear()
        self._kept = keep
        gone: list[Materialization] = []
        for key in keys:
            timeline = self._timeline(key)
            if timeline is not None and len(timeline.records) > keep:
                forgotten, needed = timeline.prune(keep, unfinished)
                gone += forgotten
                if needed:
                    self._needed[key] = None
                self._forgot(key, timeline, len(forgotten))
        return gone

    def recorded(self) -> Iterator[Materialization]:
        """Every record: asset by asset, in the order in which they were recorded."""
        for asset, recorded in self._recorded.items():
            yield from recorded.all(self._records(asset))

    def timelines(self) -> Iterator[tuple[StepKey, Timeline]]:
        """Every timeline with its key."""
        for asset, timelines in self._timelines.items():
            for partition_key, timeline in timelines.items():
                yield (asset, partition_key), timeline

    def _tightens(self, keep: int) -> bool:
        return self._kept is not None and keep < self._kept

    def _timeline(self, key: StepKey) -> Timeline | None:
        return self._timelines.get(key[0], {}).get(key[1])

    def _invalidate(self, key: StepKey) -> bool:
        timeline = self._timeline(key)
        if timeline is None or timeline.newest is None or not timeline.valid:
            return False
        timeline.valid = False
        if self._consumers is not None:
            self._consumers.replace(key, timeline.newest.inputs, ())
        self._prunable[key] = None
        return True

    def _forgot(self, key: StepKey, timeline: Timeline, number: int) -> None:
        """So many records of a timeline are gone; with the last one it is gone itself."""
        asset, partition_key = key
        if not timeline.records:
            timelines = self._timelines[asset]
            del timelines[partition_key]
            if not timelines:
                del self._timelines[asset], self._recorded[asset]
                return
        self._recorded[asset].forget(number, lambda: self._records(asset))

    def _records(self, asset: str) -> Iterator[Materialization]:
        for timeline in self._timelines[asset].values():
            yield from timeline.records

    def _holds(self, record: Materialization) -> bool:
        timeline = self._timeline((record.asset, record.partition_key))
        return timeline is not None and any(known is record for known in reversed(timeline.records))


def _successes(timeline: Timeline) -> Iterator[Materialization]:
    return (record for record in reversed(timeline.records) if record.status is _SUCCEEDED)


def _median(numbers: list[float]) -> float:
    numbers.sort()
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2
