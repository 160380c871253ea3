"""The instants that conditions are about: ticks of cron expressions, and when a new partition comes into being.

Conditions share few expressions and partition sets, so the next instant is that of a few, however many assets
there are; and nothing at all is done before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.key_slice import KeyProduct
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.time_partitions import TimePartitions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from flowstone.assets.automation.cron import Cron
    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runtime.automation.condition_state import AssetState

__all__ = ["Instants", "latest_keys"]


class Instants:
    """What is due at which instant.

    Args:
        graph: The graph.
        states: The conditions, by asset; it may change what these names stand for.
    """

    def __init__(self, graph: AssetGraph, states: Mapping[str, AssetState]) -> None:
        self._states = states
        self._crons: dict[Cron, list[str]] = {}
        self._sets: dict[PartitionSet[Any], list[str]] = {}
        for name, state in states.items():
            for cron in state.automation.crons:
                self._crons.setdefault(cron, []).append(name)
            keys = graph[name].partitions
            if keys is not None and "missing" in state.automation.states and _grows_in_time(keys):
                self._sets.setdefault(keys, []).append(name)

    def after(self, now: datetime) -> datetime | None:
        """The next instant at which something is due, or None."""
        ticks = [cron.after(now) for cron in self._crons]
        return min([*ticks, *(_growth(keys, now) for keys in self._sets)], default=None)

    def ticks(self, now: datetime) -> Iterator[tuple[AssetState, Cron]]:
        """The ticks up to an instant that were not dealt with: of each condition the last one of each cron."""
        for cron, names in self._crons.items():
            last = cron.at_or_before(now)
            for state in self._of(names):
                if last is not None and state.at < last:
                    yield state, cron

    def grown(self, view: PartitionView) -> Iterator[tuple[AssetState, Sequence[Any]]]:
        """Partitions that have come into being since each condition was looked at."""
        for declared, names in self._sets.items():
            for state in self._of(names):
                if _growth(declared, state.at) <= view.now and (now := view.set_of(state.name)) is not None:
                    yield state, _new_keys(declared, now, state.at)

    def reach(self, now: datetime) -> None:
        """Everything up to an instant is dealt with."""
        for names in (*self._crons.values(), *self._sets.values()):
            for state in self._of(names):
                state.at = max(state.at, now)

    def _of(self, names: Sequence[str]) -> Iterator[AssetState]:
        for name in names:
            state = self._states.get(name)
            if state is not None and state.active:
                yield state


def latest_keys(keys: PartitionSet[Any] | None) -> Sequence[Any]:
    """What a tick is about: of a set in time the last key, of any other all keys."""
    if keys is None:
        return (None,)
    if isinstance(keys, MultiPartitions):
        return KeyProduct([latest_keys(part) for part in keys.sets])
    return keys.latest(1) if isinstance(keys, TimePartitions) else keys.keys()


def _grows_in_time(keys: PartitionSet[Any]) -> bool:
    if isinstance(keys, MultiPartitions):
        return any(_grows_in_time(part) for part in keys.sets)
    return isinstance(keys, TimePartitions) and keys.is_open


def _growth(keys: PartitionSet[Any], now: datetime) -> datetime:
    """The first instant after this one at which a set that grows has another key."""
    if isinstance(keys, MultiPartitions):
        return min(_growth(part, now) for part in keys.sets if _grows_in_time(part))
    assert isinstance(keys, TimePartitions)
    return keys.begins(keys.number_at(now) + 1)


def _new_keys(declared: PartitionSet[Any], now: PartitionSet[Any], since: datetime) -> Sequence[Any]:
    """The keys of a set of now that it did not have at an earlier instant."""
    if isinstance(now, MultiPartitions) and isinstance(declared, MultiPartitions):
        olds = [part.as_of(since) if _grows_in_time(part) else None for part in declared.sets]
        return [
            key
            for key in now
            if any(
                old is not None and old.position_of(part) is None for old, part in zip(olds, key, strict=True)
            )
        ]
    return now.keys()[declared.as_of(since).size :]
