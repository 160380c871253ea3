"""The lineage of one value as one table: what it was made from, itself, and what it goes into."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.assets.partition_view import PartitionView
from flowstone.errors import FlowstoneError
from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.server.render import ICONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowstone.runs.reasons import Reason
    from flowstone.runs.records import Input, Materialization, StepKey
    from flowstone.runtime.runtime import Runtime

Stale: TypeAlias = "Mapping[str, Mapping[str | None, Reason]]"
"""Why values are stale, by asset and encoded partition key."""

__all__ = ["GoesInto", "TreeRow", "is_value", "made_from", "made_of", "would_take"]

_DEPTH: Final = 4
_WITH_VALUE: Final = (Status.SUCCEEDED, Status.REUSED)
_MOST: Final = 60
_CHILDREN: Final = 8
"""So many values of one asset are shown side by side; what there are more is said in a line."""


@frozen
class TreeRow:
    """A line of the tree.

    Attributes:
        rails: For each level `|`, `t`, `l` or a space: how the line hangs below those before it.
        step: The asset and the encoded key; None where the line stands for several.
        name: What it says.
        record: The newest record, or None.
        kept: The success before that, where the newest record is none; or None.
        stale: Why its value is stale, or empty.
        changed: Whether the value that was used was another one than it has now.
    """

    rails: str
    step: StepKey | None
    name: str
    record: Materialization | None = None
    kept: Materialization | None = None
    stale: str = ""
    changed: bool = False

    @property
    def shape(self) -> str:
        """The shape of how it stands."""
        if self.record is None:
            return "never"
        return "stale" if self.stale and self.record.status in _WITH_VALUE else ICONS[self.record.status]

    @property
    def is_culprit(self) -> bool:
        """Whether its last try failed."""
        return self.record is not None and self.record.status is Status.FAILED


class _Records:
    """The newest record of each step, its kept value, and whether that is stale."""

    def __init__(self, runtime: Runtime, stale: Stale, used: Mapping[StepKey, Input]) -> None:
        self._runtime = runtime
        self._stale = stale
        self._used = used
        self.newest: dict[StepKey, Materialization] = {}
        self.kept: dict[StepKey, Materialization] = {}

    async def read(self, steps: Iterable[StepKey]) -> None:
        wanted = [step for step in dict.fromkeys(steps) if step[0] in self._runtime.graph]
        for step, records in zip(wanted, await asyncio.gather(*map(self._history, wanted)), strict=True):
            if records:
                made = (each for each in records if each.status is not Status.REUSED)
                self.newest[step] = next(made, records[0])
                success = next((each for each in records if each.status is Status.SUCCEEDED), None)
                if success is not None:
                    self.kept[step] = success

    def why_stale(self, step: StepKey) -> str:
        """Why the value of a step is stale, or empty."""
        reason = self._stale.get(step[0], {}).get(step[1])
        return "" if reason is None else reason.because

    def changed(self, step: StepKey) -> bool:
        """Whether the value that was used is not the one that is kept now."""
        used = self._used.get(step)
        return used is not None and not is_value(used, self.kept.get(step))

    async def _history(self, step: StepKey) -> Sequence[Materialization]:
        asset, key = step
        try:
            return await self._runtime.history(
                asset, partition=None if key is None else decode_partition(key), limit=5
            )
        except ValueError:  # The asset has another partition set by now, in which there is no such key.
            return ()


async def made_from(runtime: Runtime, record: Materialization, stale: Stale) -> list[TreeRow]:
    """What a value was made from, by its inputs, and what those were made from."""
    used = {(each.asset, each.partition_key): each for each in record.inputs}
    return await _upstream(runtime, (record.asset, record.partition_key), list(used), stale, used)


async def would_take(runtime: Runtime, asset: str, key: str | None, stale: Stale) -> list[TreeRow]:
    """What a partition without a value would be made from, by the definitions of now, as far as they say."""
    view = PartitionView(runtime.graph, datetime.now(UTC))
    value = None if key is None else decode_partition(key)
    steps: list[StepKey] = []
    for each in runtime.graph[asset].dependencies:
        with suppress(FlowstoneError):  # Such as of keys that are in the store alone.
            keys = islice(view.upstream_keys(asset, each.asset, value).keys, _MOST)
            steps += [(each.asset, None if one is None else encode_partition(one)) for one in keys]
    return await _upstream(runtime, (asset, key), steps, stale, {})


async def _upstream(
    runtime: Runtime, root: StepKey, steps: list[StepKey], stale: Stale, used: Mapping[StepKey, Input]
) -> list[TreeRow]:
    records = _Records(runtime, stale, used)
    below: dict[StepKey, list[StepKey]] = {root: steps}
    level = steps
    for _ in range(_DEPTH - 1):
        level = [step for step in dict.fromkeys(level) if step not in records.newest][:_MOST]
        if not level:
            break
        await records.read(level)
        for step in level:
            if step in records.kept and step != root:
                below[step] = _inputs(records.kept[step])
        level = [each for step in level for each in below.get(step, ())]
    await records.read(step for step in level if step not in records.newest)
    return _rows(below, records, root)


@frozen
class GoesInto:
    """What current values have to do with a value.

    Attributes:
        rows: Those that were computed from it, and from these.
        earlier: The names of those that were computed from what was in its place before.
    """

    rows: Sequence[TreeRow]
    earlier: Sequence[str]


async def made_of(
    runtime: Runtime, asset: str, key: str | None, value: Materialization | None, stale: Stale
) -> GoesInto:
    """What goes on from a value: the current values that were computed from it, and from those.

    What was computed from an earlier value of the same partition was not computed from this one.

    Args:
        runtime: Whose.
        asset: The asset's name.
        key: The encoded partition key.
        value: The current value, or None.
        stale: Why values are stale.
    """
    partition = None if key is None else decode_partition(key)
    found = await runtime.lineage.downstream(asset, partition=partition, depth=_DEPTH, limit=_MOST)
    steps = [(each.asset, each.partition_key) for each in found]
    root = (asset, key)
    records = _Records(runtime, stale, {})
    await records.read(steps)
    current = {**records.kept, root: value}
    below: dict[StepKey, list[StepKey]] = {}
    earlier = []
    for step in steps:
        for each in records.kept[step].inputs if step in records.kept else ():
            source = (each.asset, each.partition_key)
            if is_value(each, current.get(source)):
                below.setdefault(source, []).append(step)
            elif source == root:
                earlier.append(step_label(*step))
    return GoesInto(_rows(below, records, root), earlier)


def is_value(used: Input, value: Materialization | None) -> bool:
    """Whether what was used is this value: the same data, where both say so, else of the same attempt."""
    if value is None:
        return False
    if used.data_version is not None and used.data_version == value.data_version:
        return True
    return (used.run_id, used.attempt) == (value.run_id, value.attempt)


def _inputs(record: Materialization) -> list[StepKey]:
    return [(each.asset, each.partition_key) for each in record.inputs]


def _rows(below: Mapping[StepKey, Sequence[StepKey]], records: _Records, root: StepKey) -> list[TreeRow]:
    rows: list[TreeRow] = []
    seen = {root}

    def hang(parent: StepKey, rails: str, depth: int) -> None:
        children = _folded(below.get(parent, ()))
        for place, (step, name) in enumerate(children):
            if len(rows) >= _MOST:
                return
            last = place == len(children) - 1
            row = rails + ("l" if last else "t")
            if step is None:
                rows.append(TreeRow(row, None, name))
                continue
            kept, why = records.kept.get(step), records.why_stale(step)
            changed = depth == 1 and records.changed(step)
            rows.append(TreeRow(row, step, name, records.newest.get(step), kept, why, changed))
            if step not in seen and depth < _DEPTH:
                seen.add(step)
                hang(step, rails + (" " if last else "|"), depth + 1)

    hang(root, "", 1)
    return rows


def _folded(steps: Sequence[StepKey]) -> list[tuple[StepKey | None, str]]:
    """The steps, those of one asset together; of many of one asset some, and how many more there are."""
    by_asset: dict[str, list[StepKey]] = {}
    for step in dict.fromkeys(steps):
        by_asset.setdefault(step[0], []).append(step)
    found: list[tuple[StepKey | None, str]] = []
    for asset, own in by_asset.items():
        found += [(step, step_label(*step)) for step in own[:_CHILDREN]]
        if len(own) > _CHILDREN:
            found.append((None, f"{asset}, {len(own) - _CHILDREN:,} more"))
    return found
