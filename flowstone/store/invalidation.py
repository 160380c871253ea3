"""Making values no longer current, alone or with all that was computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.audit import Act
    from flowstone.runs.records import StepKey
    from flowstone.store.protocol import Store

__all__ = ["invalidate", "with_downstream"]


async def invalidate(store: Store, keys: Sequence[StepKey], act: Act, *, downstream: bool) -> int:
    """Make current values no longer current; how many were.

    Args:
        store: The run history, open.
        keys: Assets at partitions. What was computed from one that is no longer current may still stand.
        act: Who does it.
        downstream: Whether everything computed from them goes with them.
    """
    return await store.invalidate(await with_downstream(store, keys) if downstream else keys, act)


async def with_downstream(store: Store, keys: Sequence[StepKey]) -> list[StepKey]:
    """These, and everything computed from them."""
    seen = dict.fromkeys(keys)
    level = keys
    while level:
        found = await store.downstream(level)
        nearest = dict.fromkeys(near for key in level for near in found.get(key, ()))
        level = [key for key in nearest if key not in seen]
        seen.update(dict.fromkeys(level))
    return list(seen)
