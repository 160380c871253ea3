"""What is about to be computed: who comes after it waits for it, so that a diamond runs once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runtime.automation.condition_facts import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import StepKey
    from flowstone.runtime.automation.condition_facts import Subject
    from flowstone.runtime.automation.condition_state import AssetState

__all__ = ["Busy"]


class Busy:
    """Partitions for which conditions have asked for a run that is not over, or are about to.

    Args:
        view: The partitions there are.
        states: The conditions, by asset.
        flying: Assets of which runs may be under way.
        waiting: Partitions that wait for others themselves.
    """

    def __init__(
        self,
        view: PartitionView,
        states: Mapping[str, AssetState],
        flying: Iterable[str],
        waiting: Iterable[StepKey],
    ) -> None:
        self._view = view
        self._states = states
        self._keys: set[StepKey] = set()
        self._first = len(view.graph)  # The lowest rank of an asset that is busy: nothing before it is.
        for name in flying:
            for key in states[name].run_of:
                self.add((name, key))
        for each in waiting:
            self.add(each)

    def add(self, key: StepKey) -> None:
        """One more."""
        self._keys.add(key)
        self._first = min(self._first, self._view.graph.rank(key[0]))

    def is_behind(self, subject: Subject) -> bool:
        """Whether something is busy that leads to this partition by changes that conditions follow."""
        own = subject.asset, subject.key
        left = [key for key in subject.inputs if key != own]
        seen = set(left)
        while left:
            key = left.pop()
            if key in self._keys:
                return True
            for upstream in self._followed(key, subject.asset):
                if upstream not in seen:
                    seen.add(upstream)
                    left.append(upstream)
        return False

    def _followed(self, key: StepKey, asset: str) -> Iterable[StepKey]:
        """What is upstream of a partition, if it is computed when that changes."""
        name = key[0]
        state = self._states.get(name)
        if name == asset or state is None or not state.active or self._view.graph.rank(name) <= self._first:
            return ()
        if "upstream" not in state.automation.states:
            return ()
        found = subject_of(self._view, *key)
        return () if found is None else found.inputs
