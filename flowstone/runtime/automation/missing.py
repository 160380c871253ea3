"""Has conditions look at partitions that have lost their value, or have just come into being.

That is no event of a run, so it is written down with the conditions concerned: whoever drives them finds partitions
that wait, and looks at them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.asset_condition import Condition
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.runs.automation import Move
from flowstone.runtime.automation.condition_state import AssetState, Wait, encoded
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import StepKey
    from flowstone.runtime.automation.condition_state import Key
    from flowstone.runtime.context import RuntimeContext

__all__ = ["added", "look_at_missing"]


async def look_at_missing(ctx: RuntimeContext, keys: Iterable[StepKey]) -> None:
    """Have those looked at that are computed when they are missing. Raises `StoreUnavailable`."""
    by_asset: dict[str, dict[Key, None]] = {}
    for asset, key in keys:
        if (found := ctx.snapshot.automations.get(asset)) is not None and _looks_at_missing(found[1]):
            by_asset.setdefault(asset, {})[key] = None
    for asset, missing in by_asset.items():
        while not await _written(ctx, asset, missing):
            pass  # Whoever drives it has just changed it.


def added(view: PartitionView, dynamic: Any, keys: Sequence[Any]) -> Iterator[StepKey]:
    """The partitions of assets that come into being with keys of a dynamic set, given by name or itself."""
    name = dynamic.name if isinstance(dynamic, DynamicPartitions) else dynamic
    wanted = set(keys)
    for asset in view.graph.assets.values():
        declared = asset.partitions
        if asset.automation is None or declared is None:
            continue
        if isinstance(declared, DynamicPartitions) and declared.name == name:
            yield from ((asset.name, encoded(key)) for key in keys)
        elif isinstance(declared, MultiPartitions):
            places = [
                place
                for place, part in enumerate(declared.sets)
                if isinstance(part, DynamicPartitions) and part.name == name
            ]
            found = view.keys(asset) if places else ()
            yield from (
                (asset.name, encoded(key)) for key in found if any(key[place] in wanted for place in places)
            )


def _looks_at_missing(defined: Any) -> bool:
    return isinstance(defined, Condition) and "missing" in defined.automation.states


async def _written(ctx: RuntimeContext, asset: str, missing: Iterable[Key]) -> bool:
    """Whether it is on record that these partitions are to be looked at, or nobody is there who would."""
    pipeline, defined = ctx.snapshot.automations[asset]
    record = await ctx.store.automations.record((pipeline, asset))
    if record is None or record.gone_at is not None or not isinstance(defined, Condition):
        return True
    state = AssetState(defined, record, ctx.snapshot.graph[asset].version or "")
    for key in missing:
        state.succeed(key)
        if key in state.run_of:
            state.look_again(key)
        else:
            state.wait(key, Wait())
    if not state.changed:
        return True
    known = {"failures": record.failures, "failure": record.failure}
    try:
        await ctx.store.automations.move(
            Move(record.key, record.version, record.cursor, state.pending(), **known)  # type: ignore[arg-type] # as they were
        )
    except StaleWrite:
        return False
    ctx.notifications.heard(state.notification)
    if ctx.store.cluster is not None:
        await ctx.store.cluster.tell(state.notification)
    return True
