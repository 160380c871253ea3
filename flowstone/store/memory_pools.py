"""How many slots pools were given at run time, where one process holds the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.store.pools import PoolSlots

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from flowstone.runs.audit import Act
    from flowstone.store.history import History

__all__ = ["MemoryPools"]


class MemoryPools(PoolSlots):
    """The pools of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
        change: Makes a change: given the operation of the journal that says it, and what applies it.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._history = history
        self._change = change

    async def set(self, name: str, slots: int | None, *, defined: int, act: Act | None = None) -> None:
        from flowstone.store.audit_codec import noted  # noqa: PLC0415 - few runtimes in memory need it

        del defined  # Its pipeline says it again in the next process.
        act, said = noted(act)
        await self._change(["pool", name, slots, *said], lambda: self._history().set_pool(name, slots, act))

    async def given(self) -> Mapping[str, int]:
        return dict(self._history().pool_slots)
