"""What is so of a partition of an asset: whether its value is there, and is computed from what is current.

Nothing but records is compared: the inputs that the current value was computed from, with what is current upstream.
So it does not matter how often something is looked at, and what a run has computed from new inputs by itself is
found to be up to date.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen
from flowstone.runtime.run.inputs import needs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flowstone.assets.automation.condition import State
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Input, Materialization, StepKey
    from flowstone.runtime.run.inputs import Needs
    from flowstone.store.protocol import Store

__all__ = ["Found", "Subject", "read", "subject_of"]

_PAGE = 5_000  # Records that are read at once.


@frozen
class Subject:
    """A partition of an asset, and what it needs.

    Attributes:
        asset: The asset's name.
        key: Its encoded partition key, or None.
        partition: The same as a value.
        version: The version of the asset's code.
        needs: What it needs of each upstream asset.
    """

    asset: str
    key: str | None
    partition: Any
    version: str | None
    needs: Sequence[Needs]

    @property
    def inputs(self) -> Iterator[StepKey]:
        """All that it is computed from."""
        for need in self.needs:
            yield from need.keys

    def found(self, current: Mapping[StepKey, Materialization]) -> Found:
        """What is so of it, given what is current."""
        last = current.get((self.asset, self.key))
        states: set[State] = set()
        known = {} if last is None else {(each.asset, each.partition_key): each for each in last.inputs}
        changes: list[str] = []
        changed_by: dict[str, None] = {}
        for key in self.inputs:
            if (now := current.get(key)) is not None and _is_other(known.get(key), now):
                changes.append(step_label(*key))
                changed_by[now.run_id] = None
        if last is None:
            states.add("missing")
        elif last.code_version != self.version:
            states.add("code")
        if changes:
            states.add("upstream")
        ready = not any(need.unreachable or need.missing(current) for need in self.needs)
        return Found(frozenset(states), tuple(changes), tuple(changed_by), ready, self._mark(current), last)

    def _mark(self, current: Mapping[StepKey, Materialization]) -> str:
        """The same as long as it would be computed from the same, by the same code."""
        present = ((key, current[key]) for key in self.inputs if key in current)
        inputs = sorted([key[0], key[1] or "", _version(now)] for key, now in present)
        return blake2b(json.dumps([self.version, inputs]).encode(), digest_size=9).hexdigest()


@frozen
class Found:
    """What is so of a partition.

    Attributes:
        states: Which states of a condition hold.
        changes: Upstream values that are others than it was computed from, as people write them.
        changed_by: The runs that have computed these.
        ready: Whether all that it cannot do without is there.
        mark: The same as long as it would be computed from the same.
        last: What is current, or None.
    """

    states: frozenset[State]
    changes: tuple[str, ...]
    changed_by: tuple[str, ...]
    ready: bool
    mark: str
    last: Materialization | None


def subject_of(view: PartitionView, asset: str, key: str | None) -> Subject | None:
    """A partition and what it needs; None if there is no such partition (any more)."""
    defined = view.graph.assets.get(asset)
    if defined is None:
        return None
    partition = None if key is None else decode_partition(key)
    keys = view.set_of(asset)
    if keys is not None and (key is None or keys.position_of(partition) is None):
        return None
    return Subject(
        asset, key, partition, defined.version, needs_of(view.graph, view, defined, partition, key)
    )


async def read(store: Store, subjects: Iterable[Subject]) -> dict[StepKey, Materialization]:
    """What is current of these partitions and of all that they need."""
    wanted: dict[StepKey, None] = {}
    for each in subjects:
        wanted[each.asset, each.key] = None
        wanted.update(dict.fromkeys(each.inputs))
    left = iter(wanted)
    found: dict[StepKey, Materialization] = {}
    while page := list(islice(left, _PAGE)):
        found |= await store.current(page)
    return found


def _is_other(known: Input | None, now: Materialization) -> bool:
    """Whether a current value is another one than the input that is on record."""
    if known is None:
        return True
    if (known.run_id, known.attempt) == (now.run_id, now.attempt):
        return False
    return known.data_version is None or known.data_version != now.data_version


def _version(record: Materialization) -> str:
    return record.data_version or f"{record.run_id} {record.attempt}"
