"""Which values `refresh="stale"` would compute again, and why: staleness travels downstream.

A plan counts what has no value as well: that is computed, and so is what takes it. What is there is another
question: a value is stale by what is there now, so a partition that nobody has asked for yet makes nothing stale.
Nor does a config that somebody gave the run which computed it, as long as the same run would give it that again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.errors import FlowstoneError
from flowstone.frozen import frozen
from flowstone.runs.planner import plan_run
from flowstone.runs.reasons import MISSING, Reason
from flowstone.runs.records import RunSpec
from flowstone.runs.run_config import resolve
from flowstone.runtime.run.reuse import CurrentValues

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.store.protocol import Store

__all__ = ["StaleValues", "in_words", "stale_steps", "stale_values"]

_LOOKED_UP: Final = 1_000  # Records at a time.


@frozen
class StaleValues:
    """Which of some values of an asset are stale.

    Attributes:
        asset: The asset's name.
        reasons: By encoded partition key, why each stale one is: `kind`, and `because`, the cause in words.
        looked_at: How many values were looked at.
        left: How many values of it are yet to be looked at; 0: it does not come again.
    """

    asset: str
    reasons: Mapping[str | None, Reason]
    looked_at: int
    left: int


async def stale_steps(
    store: Store, plan: RunPlan, reasons: dict[StepKey, Reason], *, missing: bool = True
) -> AsyncIterator[Collection[Materialization]]:
    """Look at every step of a plan in order, and note in `reasons` why those are computed that are.

    Args:
        store: Where the values are.
        plan: What is looked at.
        reasons: What is known of steps upstream.
        missing: Whether steps without a value are among those that are computed.

    Yields:
        The records that were looked up, some steps at a time.
    """
    given = _Given(store, plan)
    for first in range(0, plan.total, _LOOKED_UP):
        steps = range(first, min(plan.total, first + _LOOKED_UP))
        values = await CurrentValues.of(store, plan, steps)
        yield values.records
        for number in steps:
            reason = values.reason_to_run(number, reasons)
            current = values.current(number)
            if reason is not None and reason.kind == "config" and not missing and current is not None:
                reason = values.reason_to_run(number, reasons, await given.config(current))
            if reason is not None and (missing or reason is not MISSING):
                asset, _, partition_key = plan.step(number)
                reasons[asset, partition_key] = reason


class _Given:
    """The configs that runs were given, completed as they would be today."""

    def __init__(self, store: Store, plan: RunPlan) -> None:
        self._store = store
        self._graph = plan.graph
        self._known: dict[tuple[str, str], Mapping[str, Any] | None] = {}

    async def config(self, current: Materialization) -> Mapping[str, Any] | None:
        """What its run would compute a value with now; None: it was given nothing for it, or is forgotten."""
        key = (current.run_id, current.asset)
        if key not in self._known:
            run = await self._store.run(current.run_id)
            passed = {} if run is None else run.request.config.get(current.asset, {})
            self._known[key] = self._completed(current.asset, passed) if passed else None
        return self._known[key]

    def _completed(self, asset: str, passed: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            return resolve(self._graph, (asset,), {asset: passed})[asset].record
        except FlowstoneError:  # It does not fit its class any more.
            return None


async def stale_values(
    store: Store, view: PartitionView, assets: Iterable[str], reasons: dict[StepKey, Reason]
) -> AsyncIterator[StaleValues]:
    """Look at the current values of some assets, a thousand at a time.

    Args:
        store: Where they are.
        view: The partitions of all assets.
        assets: Their names, each after those upstream of it.
        reasons: What is known of values upstream; what is found is added.
    """
    for asset in assets:
        if view.graph[asset].is_constant:
            continue
        keys = await _current_keys(store, view, asset)
        for first in range(0, max(1, len(keys)), _LOOKED_UP):
            some = keys[first : first + _LOOKED_UP]
            found = await _stale_of(store, view, asset, some, reasons) if some else {}
            yield StaleValues(asset, found, len(some), len(keys) - first - len(some))


async def _current_keys(store: Store, view: PartitionView, asset: str) -> Sequence[str | None]:
    """The keys with a current value, of those that its set has, in the order of the set."""
    current, partitions = await store.current_keys(asset), view.set_of(asset)
    if partitions is None:
        return [key for key in current if key is None]
    places = {key: partitions.position_of(decode_partition(key)) for key in current if key is not None}
    known = [(place, key) for key, place in places.items() if place is not None]
    return [key for _, key in sorted(known)]


async def _stale_of(
    store: Store,
    view: PartitionView,
    asset: str,
    keys: Sequence[str | None],
    reasons: dict[StepKey, Reason],
) -> dict[str | None, Reason]:
    spec = RunSpec(
        "materialize_all",
        asset,
        tuple(keys),
        refresh="stale",
        partitioned=view.graph[asset].partitions is not None,
        upstream=False,
    )
    try:
        plan = plan_run(view.graph, view, spec)
    except FlowstoneError:  # No run of it can be planned, such as without the config that it needs.
        return {}
    async for _ in stale_steps(store, plan, reasons, missing=False):
        pass
    return dict(_told(asset, keys, reasons))


def _told(
    asset: str, keys: Sequence[str | None], reasons: Mapping[StepKey, Reason]
) -> Iterator[tuple[str | None, Reason]]:
    for key in keys:
        reason = reasons.get((asset, key))
        if reason is not None:
            yield key, in_words(reason, reasons)


def in_words(reason: Reason, reasons: Mapping[StepKey, Reason]) -> Reason:
    """The same of what is there: what is stale upstream has not changed yet, and nobody may ever ask for it."""
    upstream = reason.upstream
    if upstream is None or upstream not in reasons:
        return reason
    return Reason(reason.kind, f"{step_label(*upstream)} is stale", upstream)
