"""What is remembered of items, where one process holds the store."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from flowstone.store.items import Items, ItemSet, keeper_of
from flowstone.store.sanitise import sanitised_item

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import StepKey
    from flowstone.store.history import History

__all__ = ["MemoryItems"]


class MemoryItems(Items):
    """The items of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
        change: Makes a change: given the operation of the journal that says it, and what applies it.
        payloads: The bytes that the store keeps, by location.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
        payloads: Callable[[], dict[str, bytes]],
    ) -> None:
        self._history = history
        self._change = change
        self._payloads = payloads

    async def record(
        self,
        run_id: str,
        step: StepKey,
        epoch: int,
        rows: Sequence[ItemRow],
        payloads: Sequence[tuple[str, bytes]] = (),
        *,
        io: str | None = None,
    ) -> None:
        from flowstone.store.codec import encode_item  # noqa: PLC0415 - few runtimes in memory need it

        safe = [sanitised_item(row) for row in rows]
        keeper = keeper_of(rows, payloads, io)
        operation = ["items", run_id, *step, epoch, [encode_item(row) for row in safe], keeper]
        await self._change(operation, lambda: self._history().record_items(run_id, step, epoch, safe, keeper))
        if payloads:
            self._payloads().update(payloads)

    async def states(self, run_id: str, step: StepKey) -> bytearray:
        table = self._history().items.get((run_id, *step))
        return bytearray() if table is None else bytearray(table.states)

    async def rows(
        self,
        run_id: str,
        step: StepKey,
        *,
        code: int | None = None,
        after: int = -1,
        offset: int = 0,
        limit: int | None = None,
    ) -> Sequence[ItemRow]:
        table = self._history().items.get((run_id, *step))
        return [] if table is None else table.rows(code, after, offset, limit)

    async def unneeded(self, assets: Collection[str], *, limit: int) -> Sequence[ItemSet]:
        history = self._history()
        known, items = history.unneeded, history.items
        chosen = list(islice((key for key in known if items[key].io is None or key[1] in assets), limit))
        for key in chosen:
            del known[key]
            known[key] = None  # Others come first the next time.
        return [ItemSet(key[0], key[1:], items[key].io) for key in chosen]

    async def forget(self, run_id: str, step: StepKey, *, up_to: int | None = None) -> None:
        table = self._history().items.get((run_id, *step))
        if table is not None:
            operation = ["forget_items", run_id, *step, *([] if up_to is None else [up_to])]
            payloads = self._payloads()
            for position in table.positions() if payloads else ():
                if up_to is not None and position > up_to:
                    break
                payloads.pop(table.row(position).location or "", None)
            await self._change(operation, lambda: self._history().forget_items(run_id, step, up_to))
