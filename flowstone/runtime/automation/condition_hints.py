"""Which partitions of which conditions something is about: where to look, and nowhere else.

A hint says that something may be due, never that it is. It may come twice, or late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.downstream_keys import downstream_keys
from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.runs.events import RunFinished, StepSucceeded
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowstone.assets.automation.cron import Cron
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import StepKey
    from flowstone.runtime.automation.condition_state import AssetState, Key
    from flowstone.store.deliveries import Delivery

__all__ = ["Hint", "Hints"]


class Hint:
    """Why a partition is looked at.

    Attributes:
        ticks: Ticks that have come.
        runs: Runs that have changed something upstream.
    """

    __slots__ = ("runs", "ticks")

    def __init__(self) -> None:
        self.ticks: set[Cron] = set()
        self.runs: set[str] = set()


class Hints:
    """What is to be looked at, by asset and partition."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Key, Hint]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(
        self, asset: str, key: Key, *, ticks: Iterable[Cron] = (), run: str = "", runs: Iterable[str] = ()
    ) -> None:
        """Have a partition looked at."""
        hint = self._of.setdefault(asset, {}).setdefault(key, Hint())
        hint.ticks.update(ticks)
        hint.runs.update(runs)
        if run:
            hint.runs.add(run)

    def touch(self, asset: str) -> None:
        """Have what is known of a condition written down, whatever is to be looked at."""
        self._of.setdefault(asset, {})

    def add_waiting(self, state: AssetState, *, ticks: Iterable[Cron] = ()) -> None:
        """Have all partitions of a condition looked at that wait."""
        ticks = tuple(ticks)
        for key, wait in state.waiting.items():
            self.add(state.name, key, ticks={*ticks, *state.ticks_of(wait.ticks)}, run=wait.run)

    def take(self) -> dict[str, dict[Key, Hint]]:
        """All of it; nothing is left."""
        taken, self._of = self._of, {}
        return taken

    def put_back(self, asset: str, hints: Mapping[Key, Hint]) -> None:
        """What could not be dealt with."""
        for key, hint in hints.items():
            mine = self._of.setdefault(asset, {}).setdefault(key, hint)
            mine.ticks |= hint.ticks
            mine.runs |= hint.runs

    def read(
        self, deliveries: Iterable[Delivery], view: PartitionView, states: Mapping[str, AssetState]
    ) -> Mapping[str, tuple[str, bool]]:
        """Note what these events are about.

        Returns:
            The runs that are over, each with its asset and whether it succeeded.
        """
        ended: dict[str, tuple[str, bool]] = {}
        changed: dict[StepKey, dict[str, None]] = {}
        for delivery in deliveries:
            event = delivery.event
            if isinstance(event, StepSucceeded):
                changed.setdefault((event.asset, event.partition_key), {})[event.run_id] = None
            elif isinstance(event, RunFinished):
                ended[event.run_id] = event.asset, event.status is Status.SUCCEEDED
        for (asset, key), runs in changed.items():
            for name, each in _downstream(view, states, asset, key):
                self.add(name, each, runs=runs)
        return ended


def _downstream(
    view: PartitionView, states: Mapping[str, AssetState], asset: str, key: Key
) -> Iterator[tuple[str, Key]]:
    """The partitions with a condition that need one of an upstream asset."""
    if asset not in view.graph:
        return
    names = [name for name in view.graph.dependents(asset) if _looks_upstream(states.get(name))]
    if _looks_upstream(states.get(asset)) and any(d.asset == asset for d in view.graph.dependencies(asset)):
        names.append(asset)
    value: Any = None if key is None or not names else decode_partition(key)
    for name in names:
        for each in downstream_keys(view, name, asset, value):
            yield name, None if each is None else encode_partition(each)


def _looks_upstream(state: AssetState | None) -> bool:
    return state is not None and not state.automation.states.isdisjoint({"upstream", "missing"})
